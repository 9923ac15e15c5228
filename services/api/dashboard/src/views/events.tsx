import { useMemo, useState } from 'preact/hooks';
import { query } from '../api';
import { lastDay } from '../format';
import { usePages } from '../load';
import { Places, placeOf, type Where } from '../places';
import { go, link, place, put } from '../router';
import type { EventDoc, Hit } from '../types';
import { Field, Fold, Rows, Section, Severity, When } from '../ui';
import { ConditionField, useCondition } from './condition';
import { EventDetails } from './event';

const asked = ['q', 'type', 'source', 'level', 'user_id', 'session_id', 'trace_id', 'rule', 'near', 'from', 'to', 'filter'] as const;
type Asked = (typeof asked)[number];

// Events is the search of what is stored.
export function Events() {
  const parameters = place.use().params;
  const values = Object.fromEntries(asked.map((a) => [a, parameters.get(a) ?? ''])) as Record<Asked, string>;
  // No index serves a condition or a level, nor words everywhere: those are looked for in the last day,
  // unless somebody says since when.
  const recent = !values.from && (values.filter || values.level || values.q);
  const from = useMemo(() => (recent ? lastDay() : values.from), [parameters]);
  const found = usePages<EventDoc | Hit>((values.q ? '/events/search' : '/events') + query({ ...values, from, limit: 50 }));
  return (
    <>
      <Search key={parameters.toString()} values={values} />
      <Section title={(values.q ? 'What fits best first' : 'Newest first') + (recent ? ', of the last 24 hours' : '')} actions={<button type="button" onClick={found.reload}>Search again</button>}>
        <Around of={found.data} values={values} />
        <Rows of={found} label="Events found" head={['Time', 'Severity', 'Type', 'Source', 'Payload']}
          empty="Nothing matches. A wider range or fewer fields may; the condition editor says what cannot be right."
          row={(found) => {
            const e = 'event' in found ? found.event : found;
            return (
            <tr key={e.event_id}>
              <td>
                <When at={e.timestamp} />
              </td>
              <td>
                <Severity of={e.severity} />
              </td>
              <td>
                <a href={link('events/' + e.event_id)}>{e.type}</a>
              </td>
              <td>{e.source}</td>
              <td class="payload">{'event' in found && found.highlights?.length ? found.highlights.map((h) => `${h.path}: ${h.text}`).join(', ') : JSON.stringify(e.payload ?? {})}</td>
            </tr>
            );
          }} />
      </Section>
    </>
  );
}

// Around is the map of what says where it was. A spot with one event leads to it,
// one with more to all that are there.
function Around({ of, values }: { of: (EventDoc | Hit)[] | undefined; values: Record<Asked, string> }) {
  const placed = (of ?? []).map((f) => ('event' in f ? f.event : f)).filter(placeOf);
  if (!placed.length) return null;
  const choose = (w: Where) => {
    if (w.events.length === 1) return go(link('events/' + w.events[0]!.event_id));
    put({ ...values, near: [w.longitude, w.latitude, w.metres].join() });
  };
  return <Places of={placed} choose={choose} />;
}

// local is a moment as <input type=datetime-local> has it.
function local(iso: string): string {
  if (!iso) return '';
  const at = new Date(iso);
  return Number.isNaN(at.getTime()) ? '' : new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
}

function Search({ values }: { values: Record<Asked, string> }) {
  const [form, setForm] = useState(values);
  const set = (name: Asked) => (e: { currentTarget: { value: string } }) => setForm((f) => ({ ...f, [name]: e.currentTarget.value }));
  const moment = (name: 'from' | 'to') => (e: { currentTarget: { value: string } }) => setForm((f) => ({ ...f, [name]: e.currentTarget.value && new Date(e.currentTarget.value).toISOString() }));
  const checked = useCondition(form.filter);
  const texts: [Asked, string][] = [['type', 'Type'], ['source', 'Source'], ['user_id', 'User'], ['session_id', 'Session'], ['trace_id', 'Trace'], ['rule', 'Matched by rule (id)'], ['near', 'Near (longitude, latitude, metres)']];
  return (
    <Fold label="What to look for" open={Object.values(values).some(Boolean)}>
    <form class="filter" role="search" aria-label="Events" onSubmit={(e) => (e.preventDefault(), put(Object.fromEntries(Object.entries(form).map(([k, v]) => [k, v.trim()]))))}>
      <Field label="Words" class="wide" hint='All must be there; "in quotes" as they follow each other, with a minus before them not.'>
        {(a) => <input {...a} type="search" value={form.q} spellcheck={false} onInput={set('q')} />}
      </Field>
      {texts.map(([name, label]) => (
        <Field label={label}>{(a) => <input {...a} value={form[name]} spellcheck={false} onInput={set(name)} />}</Field>
      ))}
      <Field label="Level">
        {(a) => (
          <select {...a} value={form.level} onChange={set('level')}>
            <option value="">any</option>
            {['info', 'warning', 'error', 'critical'].map((l) => <option>{l}</option>)}
          </select>
        )}
      </Field>
      <Field label="From">{(a) => <input {...a} type="datetime-local" step={1} value={local(form.from)} onInput={moment('from')} />}</Field>
      <Field label="To">{(a) => <input {...a} type="datetime-local" step={1} value={local(form.to)} onInput={moment('to')} />}</Field>
      <ConditionField label="Condition" text={form.filter} change={(filter) => setForm((f) => ({ ...f, filter }))} checked={checked} />
      <div class="actions">
        <button type="submit" class="primary" disabled={checked.state === 'bad'}>
          Search
        </button>
        <button type="button" onClick={() => put({})}>
          Clear
        </button>
        {form.filter && checked.state === 'good' && (
          <>
            <a class="button" href={link('live', { filter: form.filter })}>
              Follow live
            </a>
            <a class="button" href={link('rules/new', { conditions: form.filter })}>
              Make it a rule
            </a>
          </>
        )}
      </div>
    </form>
    </Fold>
  );
}

export function EventPage({ id }: { id: string }) {
  return (
    <section class="card">
      <p>
        <a href="#/events">All events</a>
      </p>
      <EventDetails id={id} />
    </section>
  );
}
