import type { Level } from './types';

const whole = new Intl.NumberFormat();
const short = new Intl.NumberFormat(undefined, { notation: 'compact', maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit', fractionalSecondDigits: 3, hourCycle: 'h23' });
const day = new Intl.DateTimeFormat(undefined, { month: 'short', day: '2-digit', hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });

export const timeZone = Intl.DateTimeFormat().resolvedOptions().timeZone;
export const count = (n: number) => whole.format(n);
export const compact = (n: number) => (Math.abs(n) < 10_000 ? whole.format(n) : short.format(n));
export const percent = (share: number) => (100 * share).toFixed(share > 0 && share < 0.001 ? 2 : 1) + ' %';
export const milliseconds = (ms: number) => (ms < 10 ? ms.toFixed(1) + ' ms' : ms < 10_000 ? whole.format(Math.round(ms)) + ' ms' : (ms / 1000).toFixed(1) + ' s');
export const clockOf = (iso: string) => clock.format(new Date(iso));
export const dayOf = (iso: string) => day.format(new Date(iso));

// span says a length of time in its largest unit.
export function span(seconds: number): string {
  if (seconds < 1) return seconds.toFixed(1) + ' s';
  if (seconds < 120) return Math.round(seconds) + ' s';
  if (seconds < 7200) return Math.round(seconds / 60) + ' min';
  if (seconds < 172_800) return Math.round(seconds / 3600) + ' h';
  return Math.round(seconds / 86_400) + ' d';
}

export function ago(iso: string): string {
  const seconds = (Date.now() - new Date(iso).getTime()) / 1000;
  return seconds >= 0 ? span(seconds) + ' ago' : 'in ' + span(-seconds);
}

// level of a severity, as the pipeline has it.
export const level = (severity: number): Level => (severity >= 9 ? 'critical' : severity >= 7 ? 'error' : severity >= 4 ? 'warning' : 'info');

export const pretty = (value: unknown) => JSON.stringify(value, null, 2);

// lastDay begins a search that no index but the one of time serves.
export const lastDay = () => new Date(Date.now() - 86_400_000).toISOString();
