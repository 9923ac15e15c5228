import { useEffect, useMemo } from 'preact/hooks';
import { balance, query } from '../api';
import { Chart, type Series, Spark } from '../chart';
import { ago, compact, count, milliseconds, percent, span } from '../format';
import { useLoad } from '../load';
import { link, place, put } from '../router';
import type { Health, Level, Line, Share, Status, Summary, TopErrors, Trends } from '../types';
import { Empty, Section, Shown, Table, Tabs } from '../ui';

const periods = { '1h': 3600, '6h': 21_600, '24h': 86_400, '7d': 604_800, '30d': 2_592_000 } as const;
type Period = keyof typeof periods;
const levels: Level[] = ['info', 'warning', 'error', 'critical'];
const delivery = 'NOTIFICATION_DELIVERY'; // the event that tells how one ended: its level says whether well
const stages: Record<string, string> = { published_at: 'events', matched_at: 'rules', actions_published_at: 'actions', aggregated_at: 'counts' };

export function Overview() {
  const parameters = place.use().params;
  const chosen = parameters.get('period') as Period;
  const period: Period = chosen in periods ? chosen : '24h';
  const compare = parameters.get('compare') === 'yes';
  const summary = useLoad<Summary>('/analytics/summary' + range(period, { response_times: true }), 10_000, period);
  const status = useLoad<Status>('/status', 5000);
  const health = useLoad<Health>('/health', 5000);
  useEffect(() => status.data && balance.set(status.data), [status.data]);
  return (
    <>
      <div class="bar">
        <Tabs label="Period" of={(Object.keys(periods) as Period[]).map((p) => [p, p])} at={period} go={(p) => put({ period: p, compare: compare ? 'yes' : undefined })} />
        <label class="check">
          <input type="checkbox" checked={compare} onChange={(e) => put({ period, compare: e.currentTarget.checked ? 'yes' : undefined })} /> Draw the {period} before, too
        </label>
      </div>
      <Shown of={summary}>{(s) => <Figures of={s} period={period} />}</Shown>
      <Shown of={status}>{(s) => <Balance of={s} budget={health.data?.lag_budget_seconds ?? 30} />}</Shown>
      <Lines period={period} compare={compare} />
      <Shown of={summary}>
        {(s) => (
          <div class="columns">
            <Shares title="By type" of={s.by_type} parameter="type" />
            <Shares title="By source" of={s.by_source} parameter="source" />
          </div>
        )}
      </Shown>
      <Causes period={period} />
    </>
  );
}

// range of a period that ends now; whole minutes, so that the answer comes from metrics.
function range(period: Period, more: Record<string, string | boolean | number> = {}, before = 0): string {
  const to = Math.ceil(Date.now() / 60_000) * 60_000 - before * periods[period] * 1000;
  return query({ from: new Date(to - periods[period] * 1000).toISOString(), to: new Date(to).toISOString(), ...more });
}

function Figures({ of, period }: { of: Summary; period: string }) {
  const before = of.previous;
  const change = before && before.count > 0 ? of.count / before.count - 1 : undefined;
  const points = before && before.count > 0 ? 100 * (of.error_rate - before.error_rate) : undefined;
  return (
    <dl class="tiles" aria-label={'The last ' + period}>
      <Tile name="Events" value={compact(of.count)} note={change === undefined ? 'none in the period before' : signed(100 * change, ' %') + ' to the period before'} to={link('events')} />
      <Tile name="A minute" value={compact(Math.round(of.events_per_minute * 10) / 10)} note={before ? compact(Math.round(before.events_per_minute * 10) / 10) + ' before' : ''} />
      <Tile name="Error rate" value={percent(of.error_rate)} bad={of.error_rate > 0.05} note={points === undefined ? count(of.errors) + ' errors' : signed(points, ' points')} />
      <Tile name="Response time, p95" value={of.response_time ? milliseconds(of.response_time.p95) : '–'} note={of.response_time ? (before?.response_time ? milliseconds(before.response_time.p95) + ' before' : 'p50 ' + milliseconds(of.response_time.p50)) : 'no event has a response time'} />
      {levels.slice(2).map((l) => (
        <Tile name={l === 'error' ? 'Errors' : 'Critical'} value={compact(of.levels[l] ?? 0)} note={before ? compact(before.levels[l] ?? 0) + ' before' : ''} kind={l} to={link('events', { level: l })} />
      ))}
    </dl>
  );
}

const signed = (n: number, unit: string) => (n >= 0 ? '+' : '−') + Math.abs(n).toFixed(1) + unit;

function Balance({ of, budget }: { of: Status; budget: number }) {
  const n = of.notifications;
  const order = Object.keys(stages);
  const lags = Object.values(of.lag).sort((a, b) => order.indexOf(a.stage) - order.indexOf(b.stage));
  return (
    <dl class="tiles small" aria-label="Now">
      <Tile name="Undecided" value={compact(of.events.unprocessed)} note={'of ' + compact(of.events.stored) + ' stored'} />
      {(['delivered', 'pending', 'suppressed', 'dead'] as const).map((s) => (
        <Tile name={s[0]!.toUpperCase() + s.slice(1)} value={compact(n[s] ?? 0)} note={of.notifications_at_least?.includes(s) ? 'notifications, or more' : 'notifications'} bad={s === 'dead' && !!n[s]} to={link('notifications', { status: s })} />
      ))}
      <Tile name="Dead letters" value={compact(of.dead_letters_waiting) + (of.dead_letters_at_least ? '+' : '')} note={of.dead_letters_waiting ? 'wait for somebody' : 'none waits'} bad={of.dead_letters_waiting > 0} to={link('dead-letters')} />
      {lags.map((l) => (
        <Tile name={'Lag, ' + (stages[l.stage] ?? l.stage)} value={span(l.seconds)} note={l.batches ? count(l.batches) + (l.batches === 1 ? ' batch' : ' batches') : 'up to date'} bad={l.seconds > budget} />
      ))}
    </dl>
  );
}

function Tile({ name, value, note, bad, kind = '', to }: { name: string; value: string; note?: string; bad?: boolean; kind?: string; to?: string }) {
  return (
    <div class={'tile ' + kind + (bad ? ' bad' : '')}>
      <dt>{to ? <a href={to}>{name}</a> : name}</dt>
      <dd>
        <strong>{value}</strong>
        {note && <span class="muted">{note}</span>}
      </dd>
    </div>
  );
}

function Lines({ period, compare }: { period: Period; compare: boolean }) {
  const rate = useLoad<Trends>('/analytics/trends' + range(period, { by: 'level' }), 15_000, period);
  const before = useLoad<Trends>(compare ? '/analytics/trends' + range(period, {}, 1) : null, 60_000, period + compare);
  const errors = useLoad<Trends>('/analytics/trends' + range(period, { metric_type: 'ERROR_RATE' }), 15_000, period);
  const errorsBefore = useLoad<Trends>(compare ? '/analytics/trends' + range(period, { metric_type: 'ERROR_RATE' }, 1) : null, 60_000, period + compare);
  const times = useLoad<Trends>('/analytics/trends' + range(period, { metric_type: 'RESPONSE_TIME' }), 15_000, period);
  const timesBefore = useLoad<Trends>(compare ? '/analytics/trends' + range(period, { metric_type: 'RESPONSE_TIME' }, 1) : null, 60_000, period + compare);
  const deliveries = useLoad<Trends>('/analytics/trends' + range(period, { type: delivery, by: 'level' }), 15_000, period);
  const deliveriesBefore = useLoad<Trends>(compare ? '/analytics/trends' + range(period, { type: delivery }, 1) : null, 60_000, period + compare);
  const counted = (l: Line | undefined) => l?.points.map((p) => p.count);
  const shares = (l: Line | undefined) => l?.points.map((p) => p.value);
  const slow = (l: Line | undefined) => l?.points.map((p) => p.p95 ?? null);
  const well = (t: Trends, i: number) => t.series.find((s) => s.name === 'info')?.points[i]?.count ?? 0;
  return (
    <div class="columns two">
      <Section title="Events by level">
        <Shown of={rate}>
          {(t) => (
            <Trend of={t} before={compare ? counted(before.data?.total) : undefined} format={compact} label="Events in each window, by level"
              series={levels.flatMap((l) => {
                const line = t.series.find((s) => s.name === l);
                return line ? [{ name: l, colour: '--' + l, values: counted(line)!, fill: true }] : [];
              })} />
          )}
        </Shown>
      </Section>
      <Section title="Error rate">
        <Shown of={errors}>
          {(t) => <Trend of={t} before={compare ? shares(errorsBefore.data?.total) : undefined} format={percent} label="Share of errors in each window" series={[{ name: 'error rate', colour: '--error', values: shares(t.total)!, fill: true }]} />}
        </Shown>
      </Section>
      <Section title="Response time, p95">
        <Shown of={times}>
          {(t) => <Trend of={t} before={compare ? slow(timesBefore.data?.total) : undefined} format={milliseconds} label="95th percentile of the response time in each window" series={[{ name: 'p95', colour: '--accent', values: slow(t.total)!, fill: true }]} />}
        </Shown>
      </Section>
      <Section title="Deliveries">
        <Shown of={deliveries}>
          {(t) => (
            <Trend of={t} before={compare ? counted(deliveriesBefore.data?.total) : undefined} format={compact} label="Notifications that ended in each window" empty="No delivery ended in this period."
              series={[
                { name: 'delivered or suppressed', colour: '--good', values: t.total.points.map((_, i) => well(t, i)), fill: true },
                { name: 'dead', colour: '--error', values: t.total.points.map((p, i) => p.count - well(t, i)), fill: true },
              ]} />
          )}
        </Shown>
      </Section>
    </div>
  );
}

function Trend({ of, series, before, format, label, empty }: { of: Trends; series: Series[]; before: (number | null)[] | undefined; format: (n: number) => string; label: string; empty?: string }) {
  const at = useMemo(() => of.total.points.map((p) => Date.parse(p.timestamp) / 1000), [of]);
  if (!of.total.points.some((p) => p.count > 0)) {
    return (
      <Empty>
        {empty ?? 'Nothing in this period.'} <code>eactl simulate --rate 10</code> publishes sample events; a longer period may have some.
      </Empty>
    );
  }
  const all = before ? [...series, { name: 'before', colour: '--muted', dashed: true, values: at.map((_, i) => before[i] ?? null) }] : series;
  return <Chart label={label + ', windows of ' + of.period} at={at} series={all} format={format} />;
}

function Shares({ title, of, parameter }: { title: string; of: Share[]; parameter: 'type' | 'source' }) {
  const most = Math.max(1, ...of.map((s) => s.count));
  return (
    <Section title={title}>
      {of.length === 0 ? (
        <Empty>No events in this period.</Empty>
      ) : (
        <ul class="shares">
          {of.slice(0, 8).map((s) => (
            <li>
              <a href={link('events', { [parameter]: s.value })} title={s.value}>
                {s.value || '(none)'}
              </a>
              <span class={s.error_rate > 0.05 ? 'error' : 'muted'} title="share of errors">
                {s.errors ? percent(s.error_rate) + ' errors' : ''}
              </span>
              <span class="number">{compact(s.count)}</span>
              <progress max={most} value={s.count} aria-hidden="true" />
            </li>
          ))}
        </ul>
      )}
    </Section>
  );
}

function Causes({ period }: { period: Period }) {
  const errors = useLoad<TopErrors>('/analytics/top-errors' + range(period, { limit: 8, slots: 24 }), 30_000, period);
  return (
    <Section title="Most frequent errors">
      <Shown of={errors}>
        {(t) =>
          t.items.length === 0 ? (
            <Empty>No event of severity 7 or more in this period.</Empty>
          ) : (
            <Table label="Most frequent errors" head={['Type', 'Error', 'Count', 'Over time', 'Users', 'Last']}>
              {t.items.map((e) => (
                <tr>
                  <td>{e.type}</td>
                  <td class="long">
                    <a href={link('events/' + e.sample_event_id)}>{e.error || 'no text'}</a>
                  </td>
                  <td class="number">{count(e.count)}</td>
                  <td>
                    <Spark of={e.sparkline} label={'Over time, at most ' + count(Math.max(0, ...e.sparkline)) + ' at once'} />
                  </td>
                  <td class="number">{count(e.affected_users)}</td>
                  <td>{ago(e.last_seen)}</td>
                </tr>
              ))}
            </Table>
          )
        }
      </Shown>
    </Section>
  );
}
