import { useState } from 'preact/hooks';
import { query } from '../api';
import { useLoad } from '../load';
import { link } from '../router';
import type { EventDoc, Explained, Page, Rule } from '../types';
import { Facts, Json, Severity, Shown, When, isAdmin } from '../ui';
import { Clauses } from './explanation';
import { Trace } from './trace';

// EventDetails is one event: what it says, what it caused, and what belongs to
// the same trace.
export function EventDetails({ id, stored }: { id: string; stored?: EventDoc }) {
  const fresh = useLoad<EventDoc>('/events/' + encodeURIComponent(id), 5000);
  const rules = useLoad<Page<Rule>>('/rules?limit=500');
  const nameOf = (id: string) => rules.data?.items.find((r) => r.rule_id === id)?.name ?? id;
  const event = fresh.data ?? stored;
  if (!event) return <Shown of={fresh}>{() => null}</Shown>;
  return (
    <>
      <Facts
        of={[
          ['Severity', <Severity of={event.severity} />],
          ['Time', <When at={event.timestamp} />],
          ['Source', event.source],
          ['Id', <code>{event.event_id}</code>],
          ['User', event.user_id && <a href={link('events', { user_id: event.user_id })}>{event.user_id}</a>],
          ['Session', event.session_id && <a href={link('events', { session_id: event.session_id })}>{event.session_id}</a>],
          ['Trace', event.trace_id && <a href={link('events', { trace_id: event.trace_id })}>{event.trace_id}</a>],
          ['Rules', event.processed ? event.matched_rules?.length ? event.matched_rules.map((r) => <a class="chip" href={link('rules/' + encodeURIComponent(r))}>{nameOf(r)}</a>) : 'none matched' : 'not decided yet'],
        ]}
      />
      <div class="actions">
        {isAdmin() && (
          <a class="button" href={link('silences', { condition: JSON.stringify({ type: event.type, source: event.source }), comment: `${event.type} of ${event.source}`, new: 'yes' })}>
            Silence events like this
          </a>
        )}
        <a class="button" href={link('rules/new', { event: event.event_id })}>
          New rule from this event
        </a>
        {stored && (
          <a class="button" href={link('events/' + event.event_id)}>
            Page of this event
          </a>
        )}
      </div>
      <h3>Payload</h3>
      <Json of={event.payload} label="Payload" />
      {Object.keys(event.metadata ?? {}).length > 0 && (
        <>
          <h3>Metadata</h3>
          <Json of={event.metadata} label="Metadata" />
        </>
      )}
      <Trace of={event} />
      <Why event={event} rules={rules.data?.items ?? []} />
    </>
  );
}

// Why asks one rule why it did, or did not, do something about the event.
function Why({ event, rules }: { event: EventDoc; rules: Rule[] }) {
  const [rule, setRule] = useState('');
  const answer = useLoad<Explained>(rule ? `/rules/${encodeURIComponent(rule)}/explain` + query({ event: event.event_id }) : null);
  return (
    <>
      <h3>Why did a rule fire, or not?</h3>
      <label class="inline">
        Rule{' '}
        <select value={rule} onChange={(e) => setRule(e.currentTarget.value)}>
          <option value="">choose one</option>
          {rules.map((r) => <option value={r.rule_id}>{r.name}</option>)}
        </select>
      </label>
      {rule && (
        <Shown of={answer}>
          {(e) => (
            <div class="explained">
              <p>
                <strong>{e.text}</strong>
              </p>
              <ol class="steps">
                {e.steps.map((s) => (
                  <li class={s.ok ? 'yes' : 'no'}>
                    {s.name}: {s.text}
                  </li>
                ))}
              </ol>
              <Clauses of={e.condition} />
            </div>
          )}
        </Shown>
      )}
    </>
  );
}
