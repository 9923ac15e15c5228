import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import { dark } from './theme';

export interface Series {
  name: string;
  colour: string; // a custom property, as --error
  values: (number | null)[];
  dashed?: boolean;
  fill?: boolean;
}

interface Chart {
  label: string; // what it shows, in words
  at: number[]; // seconds
  series: Series[];
  format: (n: number) => string;
  bars?: boolean;
  height?: number;
}

// alone are the points that no line reaches: nothing was there before and after.
function alone(chart: uPlot, series: number): number[] {
  const values = chart.data[series] as (number | null | undefined)[];
  return values.flatMap((v, i) => (v != null && values[i - 1] == null && values[i + 1] == null ? [i] : []));
}

const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
const date = new Intl.DateTimeFormat(undefined, { month: 'short', day: 'numeric' });

// moments labels the time axis: the date where a day begins, the clock elsewhere.
const moments = (_: uPlot, ticks: number[]) => ticks.map((t) => (new Date(t * 1000).getHours() + new Date(t * 1000).getMinutes() === 0 ? date : clock).format(t * 1000));

// widthOf gives the axis of values the room that its longest label takes.
const widthOf = (_: uPlot, labels: string[] | null) => Math.max(40, 18 + 7 * Math.max(0, ...(labels ?? []).map((l) => l?.length ?? 0)));

const css = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// Chart draws lines (or bars) over time. Its colours are those of the page.
export function Chart({ label, at, series, format, bars = false, height = 170 }: Chart) {
  const box = useRef<HTMLDivElement>(null);
  const night = dark.use();
  const shape = series.map((s) => s.name + s.colour).join() + bars + night;
  const plot = useRef<uPlot>(null);
  const data = [at, ...series.map((s) => s.values)] as uPlot.AlignedData;
  useEffect(() => {
    const place = box.current!;
    const axis = { stroke: css('--muted'), grid: { stroke: css('--line'), width: 1 }, ticks: { stroke: css('--line'), width: 1 }, font: '12px system-ui, sans-serif' };
    const chart = new uPlot(
      {
        width: Math.max(place.clientWidth, 200),
        height,
        cursor: { y: false },
        legend: { live: true },
        scales: { y: { range: (_, __, most) => [0, most > 0 ? most * 1.08 : 1] } },
        axes: [{ ...axis, values: moments }, { ...axis, size: widthOf, values: (_, ticks) => ticks.map((t) => (t === null ? '' : format(t))) }],
        series: [
          { value: (_, t) => (t ? new Date(t * 1000).toLocaleString() : '–') },
          ...series.map((s) => ({
            label: s.name,
            stroke: css(s.colour),
            width: bars ? 0 : 1.6,
            ...(s.dashed && { dash: [5, 4] }),
            ...((s.fill || bars) && { fill: css(s.colour) + (bars ? 'cc' : '33') }),
            ...(bars && { paths: uPlot.paths.bars!({ size: [0.8, 40] }) }),
            points: { show: true, size: 5, filter: alone },
            value: (_: uPlot, v: number | null) => (v === null ? '–' : format(v)),
          })),
        ],
      },
      data,
      place,
    );
    plot.current = chart;
    const resize = new ResizeObserver(() => chart.setSize({ width: Math.max(place.clientWidth, 200), height }));
    resize.observe(place);
    return () => {
      resize.disconnect();
      chart.destroy();
    };
  }, [shape]);
  useEffect(() => plot.current?.setData(data), [at, series]);
  return <div ref={box} class="chart" role="img" aria-label={label} />;
}

// Spark is a line without axes, for a cell of a table.
export function Spark({ of, label }: { of: number[]; label: string }) {
  const most = Math.max(1, ...of);
  const points = of.map((n, i) => `${((100 * i) / Math.max(1, of.length - 1)).toFixed(1)},${(22 - (20 * n) / most).toFixed(1)}`).join(' ');
  return (
    <svg class="spark" viewBox="0 0 100 24" preserveAspectRatio="none" role="img" aria-label={label}>
      <polyline points={points} />
    </svg>
  );
}
