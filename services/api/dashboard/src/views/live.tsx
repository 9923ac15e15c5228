import type { VNode } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { get, Problem, query } from '../api';
import { clockOf, count, lastDay } from '../format';
import { follow, type Gap, type State } from '../stream';
import { link, place, put } from '../router';
import type { EventDoc, Page } from '../types';
import { Drawer, Empty, Field, Fold, Section, Severity, Table, Wrong } from '../ui';
import { ConditionField, useCondition } from './condition';
import { EventDetails } from './event';

const rowsKept = 200; // older rows leave the page, so that it stays quick
const redrawEvery = 100; // milliseconds: a thousand events a second are ten changes of the page
const recently = 25;

// A row is drawn once: what is the same as before is not compared again.
type Row = { key: string; drawn?: VNode } & ({ event: EventDoc } | { gap: Gap });

const storedAt = (r: Row) => ('gap' in r ? r.gap.to : r.event.created_at);

const said: Record<State, string> = {
  connecting: 'Connecting …', live: 'Live', waiting: 'Waiting: others catch up first, then it goes on where it was', lost: 'The stream is interrupted and comes back by itself',
};

const day = 86_400_000;

// missed leads to the events of a gap: those that pass the filter of the feed, by
// when they were stored. How long before that they happened nothing says, and the
// database needs a bound: a day.
function missed(parameters: URLSearchParams, gap: Gap): string {
  const moment = (at: string) => `{"$date": "${new Date(at).toISOString()}"}`;
  const conditions = [`{"created_at": {"$gte": ${moment(gap.from)}, "$lte": ${moment(gap.to)}}}`];
  const condition = parameters.get('filter');
  const severity = parameters.get('severity_min');
  if (condition) conditions.unshift(condition);
  if (severity) conditions.unshift(`{"severity": {"$gte": ${Number(severity)}}}`);
  return link('events', {
    type: parameters.get('type') ?? '',
    source: parameters.get('source') ?? '',
    from: new Date(Date.parse(gap.from) - day).toISOString(),
    filter: conditions.length > 1 ? `{"$and": [${conditions.join(', ')}]}` : conditions[0]!,
  });
}

// Live shows events as they are stored.
export function Live() {
  const parameters = place.use().params;
  const filter = query({
    type: parameters.get('type'), source: parameters.get('source'), severity_min: parameters.get('severity_min'), filter: parameters.get('filter'),
  }).slice(1);
  const [paused, setPaused] = useState(false);
  const [shown, setShown] = useState<EventDoc>();
  const feed = useFeed(filter, paused);
  return (
    <>
      <Filter parameters={parameters} refused={feed.refused} />
      <Section
        title="As they are stored"
        actions={
          <>
            <span class="muted" role="status">
              {paused ? (feed.waiting ? `Paused; ${count(feed.waiting)} came since` : 'Paused') : said[feed.state] + (feed.why && ': ' + feed.why)}
            </span>
            <button type="button" aria-pressed={paused} onClick={() => setPaused(!paused)}>
              {paused ? 'Continue' : 'Pause'}
            </button>
          </>
        }
      >
        {feed.rows.length === 0 ? (
          <Empty>
            No event that matches yet. {filter ? 'A wider filter may have some; ' : ''}
            <code>eactl simulate --rate 10</code> publishes sample events.
          </Empty>
        ) : (
          <Table label="Live events" head={['Time', 'Severity', 'Type', 'Source', 'Payload']} live>
            {feed.rows.map((r) => (r.drawn ??= 'gap' in r ? <Missing key={r.key} gap={r.gap} parameters={parameters} /> : <Arrived key={r.key} event={r.event} show={setShown} />))}
          </Table>
        )}
        <p class="muted">The newest {rowsKept} at most. Events has all that are kept.</p>
      </Section>
      {shown && (
        <Drawer title={shown.type} close={() => setShown(undefined)}>
          <EventDetails id={shown.event_id} stored={shown} />
        </Drawer>
      )}
    </>
  );
}

function Arrived({ event, show }: { event: EventDoc; show: (e: EventDoc) => void }) {
  return (
    <tr class="pick" onClick={() => show(event)}>
      <td class="number">{clockOf(event.timestamp)}</td>
      <td>
        <Severity of={event.severity} />
      </td>
      <td>
        <button type="button" class="link" onClick={(e) => (e.stopPropagation(), show(event))}>
          {event.type}
        </button>
      </td>
      <td>{event.source}</td>
      <td class="payload">{JSON.stringify(event.payload ?? {})}</td>
    </tr>
  );
}

function Missing({ gap, parameters }: { gap: Gap; parameters: URLSearchParams }) {
  return (
    <tr class="gap">
      <td colSpan={5}>
        The stream was interrupted: what was stored from {clockOf(gap.from)} to {clockOf(gap.to)} may be missing here. <a href={missed(parameters, gap)}>Read them</a>
      </td>
    </tr>
  );
}

function Filter({ parameters, refused }: { parameters: URLSearchParams; refused: Problem | undefined }) {
  const [type, setType] = useState(parameters.get('type') ?? '');
  const [source, setSource] = useState(parameters.get('source') ?? '');
  const [severity, setSeverity] = useState(parameters.get('severity_min') ?? '');
  const [condition, setCondition] = useState(parameters.get('filter') ?? '');
  const checked = useCondition(condition);
  const apply = (e: Event) => {
    e.preventDefault();
    put({ type: type.trim(), source: source.trim(), severity_min: severity, filter: condition.trim() });
  };
  return (
    <Fold label="Filter" open={parameters.size > 0}>
    <form class="filter" aria-label="Filter" onSubmit={apply}>
      <Field label="Type">{(a) => <input {...a} value={type} placeholder="PAYMENT_FAILED" spellcheck={false} onInput={(e) => setType(e.currentTarget.value)} />}</Field>
      <Field label="Source">{(a) => <input {...a} value={source} spellcheck={false} onInput={(e) => setSource(e.currentTarget.value)} />}</Field>
      <Field label="Severity from">{(a) => <input {...a} type="number" min={1} max={10} value={severity} onInput={(e) => setSeverity(e.currentTarget.value)} />}</Field>
      <ConditionField label="Condition" text={condition} change={setCondition} checked={checked} rows={2} />
      <div class="actions">
        <button type="submit" class="primary" disabled={checked.state === 'bad'}>
          Apply
        </button>
      </div>
      <Wrong error={refused} />
    </form>
    </Fold>
  );
}

interface Feed {
  rows: Row[];
  state: State;
  why: string;
  waiting: number;
  refused: Problem | undefined;
}

// useFeed keeps the newest rows of the stream. It begins with what was stored
// lately, asked for again when the stream has begun.
function useFeed(filter: string, paused: boolean): Feed {
  const [rows, setRows] = useState<Row[]>([]);
  const [state, setState] = useState<{ state: State; why: string }>({ state: 'connecting', why: '' });
  const [refused, setRefused] = useState<Problem>();
  const [waiting, setWaiting] = useState(0);
  const arrived = useRef<Row[]>([]);
  const total = useRef(0);
  const held = useRef(paused);
  held.current = paused;

  useEffect(() => {
    arrived.current = [];
    total.current = 0;
    setRows([]);
    setWaiting(0);
    setRefused(undefined);
    setState({ state: 'connecting', why: '' });
    const stop = new AbortController();
    const seen = new Set<string>();
    const take = (row: Row) => {
      if (seen.has(row.key)) return;
      seen.add(row.key);
      arrived.current.unshift(row);
      total.current++;
    };
    const trim = () => {
      if (arrived.current.length > rowsKept) arrived.current.length = rowsKept;
      if (seen.size > 20 * rowsKept) {
        seen.clear();
        for (const one of arrived.current) seen.add(one.key);
      }
    };
    const recent = async () => {
      try {
        const page = await get<Page<EventDoc>>('/events?' + (filter ? filter + '&' : '') + `limit=${recently}&from=${lastDay()}`, { signal: stop.signal });
        for (const event of page.items) take({ key: event.event_id, event });
        arrived.current.sort((a, b) => Date.parse(storedAt(b)) - Date.parse(storedAt(a)));
        trim(); // the oldest, which these may be
      } catch (error) {
        const problem = error as Problem;
        if (problem.status === 400 || problem.status === 422) setRefused(problem);
      }
    };
    void recent();
    const end = follow<EventDoc>({ parameters: Object.fromEntries(new URLSearchParams(filter)) }, {
      event: (event) => (take({ key: event.event_id, event }), trim()),
      gap: (gap) => (take({ key: 'gap ' + gap.from + gap.to, gap }), trim()),
      begun: () => void recent(),
      state: (now, why) => setState({ state: now, why }),
      refused: setRefused,
    });
    let drawn = 0;
    let before = 0;
    const redraw = setInterval(() => {
      if (held.current && drawn > 0) return setWaiting(total.current - before);
      if (total.current === drawn) return;
      drawn = before = total.current;
      setWaiting(0);
      setRows(arrived.current.slice());
    }, redrawEvery);
    return () => {
      stop.abort();
      clearInterval(redraw);
      end();
    };
  }, [filter]);
  return { rows, ...state, waiting, refused };
}
