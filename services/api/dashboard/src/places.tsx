import { useEffect, useRef, useState } from 'preact/hooks';
import { count, level } from './format';
import { observable } from './observable';
import type { EventDoc } from './types';

// Where is a spot of the map: one event, or several that are close to each other.
export interface Where {
  events: EventDoc[];
  longitude: number;
  latitude: number;
  metres: number; // around, so that all of them are in it
}

const height = 300;
const metresOfDegree = 111_320;
const steps = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 45, 90];
const ranks = { info: 0, warning: 1, error: 2, critical: 3 };

// placeOf is an event's metadata.location, a GeoJSON point.
export function placeOf(e: EventDoc): [number, number] | undefined {
  const at = (e.metadata?.location as { coordinates?: unknown } | undefined)?.coordinates;
  if (!Array.isArray(at)) return undefined;
  const [longitude, latitude] = at as unknown[];
  return typeof longitude === 'number' && typeof latitude === 'number' ? [longitude, latitude] : undefined;
}

type Line = [number, number][];

// The coasts are lines of points, each told by its way from the one before.
interface Coasts {
  transform: { scale: [number, number]; translate: [number, number] };
  arcs: Line[];
}

const coasts = observable<Line[]>([]);
let asked = false;

async function fetchCoasts() {
  if (asked) return;
  asked = true;
  try {
    const { transform, arcs } = (await (await fetch('/coasts.json')).json()) as Coasts;
    const { scale, translate } = transform;
    coasts.set(arcs.map((arc) => {
      let [x, y] = [0, 0];
      return arc.map(([dx, dy]) => [(x += dx) * scale[0] + translate[0], (y += dy) * scale[1] + translate[1]]);
    }));
  } catch {
    asked = false; // the next map asks again; this one has its net of degrees
  }
}

// Places draws where events were, among coasts and in a net of degrees. It asks
// nobody else for a map.
export function Places({ of, choose }: { of: EventDoc[]; choose: (w: Where) => void }) {
  const box = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(600);
  const land = coasts.use();
  useEffect(() => {
    void fetchCoasts();
    const place = box.current!;
    const watch = new ResizeObserver(() => setWidth(Math.max(place.clientWidth, 200)));
    watch.observe(place);
    return () => watch.disconnect();
  }, []);
  const view = viewOf(of.map((e) => placeOf(e)!), width);
  const step = steps.find((s) => s * view.scale >= 60) ?? 90; // lines that are not too close
  const spots = spotsOf(of, view);
  return (
    <div ref={box} class="places">
      <svg width={width} height={height} role="group" aria-label={`Where ${count(of.length)} of these events were: ${degrees(view.south, 'N', 'S', step)} to ${degrees(view.north, 'N', 'S', step)}, ${degrees(view.west, 'E', 'W', step)} to ${degrees(view.east, 'E', 'W', step)}`}>
        <path d={drawn(land, view)} />
        {lines(view.west, view.east, step, 180).map((l) => (
          <g>
            <line x1={view.x(l)} x2={view.x(l)} y1={0} y2={height} />
            <text x={view.x(l) + 4} y={height - 6}>
              {degrees(l, 'E', 'W', step)}
            </text>
          </g>
        ))}
        {lines(view.south, view.north, step, 90).map((l) => (
          <g>
            <line x1={0} x2={width} y1={view.y(l)} y2={view.y(l)} />
            <text x={4} y={view.y(l) - 4}>
              {degrees(l, 'N', 'S', step)}
            </text>
          </g>
        ))}
        {spots.map((s) => (
          <circle class={worst(s)} cx={view.x(s.longitude)} cy={view.y(s.latitude)} r={4 + Math.min(10, 2 * Math.sqrt(s.events.length - 1))}
            role="button" tabindex={0} aria-label={named(s)} onClick={() => choose(s)} onKeyDown={(e) => pressed(e) && choose(s)}>
            <title>{named(s)}</title>
          </circle>
        ))}
      </svg>
    </div>
  );
}

const named = ({ events: [first, ...more] }: Where) => (more.length ? `${count(more.length + 1)} events, such as ${first!.type}` : `${first!.type} of ${first!.source}`);

// pressed is what the keys of a button are to it.
function pressed(e: KeyboardEvent): boolean {
  if (e.key !== 'Enter' && e.key !== ' ') return false;
  e.preventDefault();
  return true;
}

interface MapView {
  west: number;
  east: number;
  south: number;
  north: number;
  scale: number; // pixels of a degree of longitude
  x(longitude: number): number;
  y(latitude: number): number;
}

// viewOf is the part of the world that has all points in it, with room around
// them, and east and north as long as they are in its middle.
function viewOf(points: [number, number][], width: number): MapView {
  const [lons, lats] = [points.map((p) => p[0]), points.map((p) => p[1])];
  const [west, east, south, north] = [Math.min(...lons), Math.max(...lons), Math.min(...lats), Math.max(...lats)];
  const [midLon, midLat] = [(west + east) / 2, (south + north) / 2];
  const flat = Math.max(0.2, Math.cos((midLat * Math.PI) / 180));
  const scale = Math.min(width / Math.max(1.25 * (east - west), 0.02), (height * flat) / Math.max(1.35 * (north - south), 0.02));
  return {
    west: midLon - width / 2 / scale, east: midLon + width / 2 / scale,
    south: midLat - (height * flat) / 2 / scale, north: midLat + (height * flat) / 2 / scale,
    scale,
    x: (longitude) => width / 2 + (longitude - midLon) * scale,
    y: (latitude) => height / 2 - ((latitude - midLat) * scale) / flat,
  };
}

// drawn are the lines that may be seen.
function drawn(land: Line[], view: MapView): string {
  const around = 20; // degrees: a line may cross the map between two of its points
  const seen = ([lon, lat]: [number, number]) => lon > view.west - around && lon < view.east + around && lat > view.south - around && lat < view.north + around;
  return land.filter((line) => line.some(seen)).map((line) => 'M' + line.map(([lon, lat]) => `${view.x(lon).toFixed(1)},${view.y(lat).toFixed(1)}`).join('L')).join('');
}

// spotsOf puts together what would lie on each other.
function spotsOf(events: EventDoc[], view: MapView): Where[] {
  const close = 10; // pixels
  const cells = new Map<string, Where>();
  for (const e of events) {
    const [longitude, latitude] = placeOf(e)!;
    const cell = `${Math.round(view.x(longitude) / close)},${Math.round(view.y(latitude) / close)}`;
    const there = cells.get(cell);
    if (there) there.events.push(e);
    else cells.set(cell, { events: [e], longitude, latitude, metres: Math.ceil((1.5 * close * metresOfDegree) / view.scale) });
  }
  return [...cells.values()].sort((a, b) => ranks[worst(a)] - ranks[worst(b)]); // the worst lie above
}

const worst = (w: Where) => w.events.map((e) => level(e.severity)).reduce((a, b) => (ranks[b] > ranks[a] ? b : a));

function lines(from: number, to: number, step: number, most: number): number[] {
  const found: number[] = [];
  for (let n = Math.ceil(Math.max(from, -most) / step); n * step <= Math.min(to, most); n++) found.push(n * step);
  return found;
}

function degrees(d: number, plus: string, minus: string, step: number): string {
  const shown = Math.abs(d).toFixed(step < 0.01 ? 3 : step < 0.1 ? 2 : step < 1 ? 1 : 0);
  return shown + '°' + (Number(shown) === 0 ? '' : ' ' + (d < 0 ? minus : plus));
}
