import { useState } from 'preact/hooks';
import { query } from '../api';
import { clockOf } from '../format';
import { useLoad, usePages } from '../load';
import { link } from '../router';
import type { DeadLetter, EventDoc, Explained, Notification, Page, Rule } from '../types';
import { Empty, Facts, Json, Rows, Severity, Shown, State, Table, When, isAdmin } from '../ui';
import { Clauses } from './explanation';

// EventDetails is one event: what it says, what it caused, and what belongs to
// the same trace.
export function EventDetails({ id, stored }: { id: string; stored?: EventDoc }) {
  const fresh = useLoad<EventDoc>('/events/' + encodeURIComponent(id), 5000);
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
          ['Rules', event.processed ? event.matched_rules?.length ? event.matched_rules.map((r) => <a class="chip" href={link('rules/' + encodeURIComponent(r))}>{r}</a>) : 'none matched' : 'not decided yet'],
        ]}
      />
      <div class="actions">
        {isAdmin() && (
          <a class="button" href={link('silences', { condition: JSON.stringify({ type: event.type, source: event.source }), new: 'yes' })}>
            Silence events like this
          </a>
        )}
        <a class="button" href={link('rules/new', { event: event.event_id })}>
          New rule from this event
        </a>
        <a class="button" href={link('events/' + event.event_id)}>
          Page of this event
        </a>
      </div>
      <h3>Payload</h3>
      <Json of={event.payload} label="Payload" />
      {Object.keys(event.metadata ?? {}).length > 0 && (
        <>
          <h3>Metadata</h3>
          <Json of={event.metadata} label="Metadata" />
        </>
      )}
      <Outcome of={event} />
      <Why event={event} />
      {event.trace_id && <SameTrace of={event} trace={event.trace_id} />}
    </>
  );
}

function Outcome({ of }: { of: EventDoc }) {
  const notifications = usePages<Notification>('/notifications' + query({ event_id: of.event_id, limit: 50 }), 5000);
  const dead = useLoad<Page<DeadLetter>>('/dead-letters' + query({ event_id: of.event_id, limit: 20 }));
  return (
    <>
      <h3>Notifications</h3>
      <Rows of={notifications} label="Notifications of this event" head={['Rule', 'Action', 'Status', 'Attempts', 'Since']} empty={of.processed ? 'No rule owed anything for it.' : 'The rules have not decided yet.'}
        row={(n) => (
          <tr>
            <td>
              <a href={link('notifications/' + n.notification_id)}>{n.rule_name}</a>
            </td>
            <td>{n.action.type}</td>
            <td>
              <State of={n.status} /> {n.reason}
            </td>
            <td class="number">{n.attempt_count}</td>
            <td>
              <When at={n.created_at} />
            </td>
          </tr>
        )} />
      {!!dead.data?.items.length && (
        <>
          <h3>Dead letters</h3>
          <Table label="Dead letters of this event" head={['Queue', 'Reason', 'Error', 'Since']}>
            {dead.data.items.map((d) => (
              <tr>
                <td>{d.queue}</td>
                <td>{d.reason}</td>
                <td class="long">{d.error}</td>
                <td>
                  <When at={d.dead_at} />
                </td>
              </tr>
            ))}
          </Table>
        </>
      )}
    </>
  );
}

// Why asks one rule why it did, or did not, do something about the event.
function Why({ event }: { event: EventDoc }) {
  const [rule, setRule] = useState('');
  const rules = useLoad<Page<Rule>>('/rules?limit=500');
  const answer = useLoad<Explained>(rule ? `/rules/${encodeURIComponent(rule)}/explain` + query({ event: event.event_id }) : null);
  return (
    <>
      <h3>Why did a rule fire, or not?</h3>
      <label class="inline">
        Rule{' '}
        <select value={rule} onChange={(e) => setRule(e.currentTarget.value)}>
          <option value="">choose one</option>
          {rules.data?.items.map((r) => <option value={r.rule_id}>{r.name}</option>)}
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

function SameTrace({ of, trace }: { of: EventDoc; trace: string }) {
  const others = useLoad<Page<EventDoc>>('/events' + query({ trace_id: trace, limit: 100 }));
  return (
    <>
      <h3>The same trace</h3>
      <Shown of={others}>
        {(page) => {
          const line = page.items.slice().sort((a, b) => Date.parse(a.timestamp) - Date.parse(b.timestamp));
          if (line.length < 2) return <Empty>No other event has the trace {trace}.</Empty>;
          const began = Date.parse(line[0]!.timestamp);
          return (
            <Table label="Events of the same trace" head={['After', 'Time', 'Severity', 'Type', 'Source']}>
              {line.map((e) => (
                <tr class={e.event_id === of.event_id ? 'here' : ''} aria-current={e.event_id === of.event_id ? 'true' : undefined}>
                  <td class="number">+{Date.parse(e.timestamp) - began} ms</td>
                  <td class="number">{clockOf(e.timestamp)}</td>
                  <td>
                    <Severity of={e.severity} />
                  </td>
                  <td>
                    <a href={link('events/' + e.event_id)}>{e.type}</a>
                  </td>
                  <td>{e.source}</td>
                </tr>
              ))}
            </Table>
          );
        }}
      </Shown>
    </>
  );
}
