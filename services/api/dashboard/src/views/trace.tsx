import type { ComponentChildren } from 'preact';
import { query } from '../api';
import { clockOf, count } from '../format';
import { useLoad } from '../load';
import { link } from '../router';
import type { DeadLetter, EventDoc, EventTrace, Notification, Page, Related } from '../types';
import { Empty, Severity, Shown, State, Table, When } from '../ui';

// Trace is what became of an event, and what belongs to the same trace.
export function Trace({ of }: { of: EventDoc }) {
  const trace = useLoad<EventTrace>(`/events/${encodeURIComponent(of.event_id)}/trace`, 5000);
  return (
    <>
      <h3>What became of it</h3>
      <Shown of={trace}>{(t) => <Tree of={t} />}</Shown>
      <Dead of={of} />
      {of.trace_id && (
        <>
          <h3>The same trace</h3>
          <Shown of={trace}>{(t) => <SameTrace of={t} trace={of.trace_id!} />}</Shown>
        </>
      )}
    </>
  );
}

const isCut = (t: EventTrace, list: NonNullable<EventTrace['left_out']>[number]) => t.left_out?.includes(list);

function Tree({ of: t }: { of: EventTrace }) {
  return (
    <ul class="clauses">
      {t.caused_by && (
        <li>
          Led to by <EventLink of={t.caused_by} />
        </li>
      )}
      <li>
        {t.batch ? (
          <>
            In a batch of {count(t.batch.count)}, by {t.batch.ingester}
            <Stages of={t.batch} />
          </>
        ) : (
          'Its batch is not kept any more'
        )}
      </li>
      {t.rules.map((r) => (
        <li key={r.rule_id}>
          Rule <a href={link('rules/' + encodeURIComponent(r.rule_id))}>{r.rule_name ?? r.rule_id}</a>
          {r.rule_version ? `, version ${r.rule_version}` : ''}
          <ul>
            {r.notifications.map((n) => (
              <Owed key={n.notification_id} of={n} />
            ))}
            {!r.notifications.length && <li class="muted">owes nothing for it</li>}
          </ul>
        </li>
      ))}
      {!t.rules.length && <li>{t.event.processed ? 'No rule matched' : 'The rules have not decided yet'}</li>}
      {isCut(t, 'notifications') && (
        <Cut>
          The newest {count(t.rules.reduce((n, r) => n + r.notifications.length, 0))} notifications are shown; there are more.
        </Cut>
      )}
      {!!t.caused.length && (
        <li>
          It led to
          <ul>
            {t.caused.map((e) => (
              <li key={e.event_id}>
                <EventLink of={e} />
              </li>
            ))}
            {isCut(t, 'caused') && <Cut>The oldest {count(t.caused.length)} are shown; there are more.</Cut>}
          </ul>
        </li>
      )}
    </ul>
  );
}

const Cut = ({ children }: { children: ComponentChildren }) => <li class="muted">{children}</li>;

function EventLink({ of: e }: { of: Related }) {
  return (
    <>
      <a href={link('events/' + e.event_id)}>{e.type}</a> of {e.source}, {clockOf(e.timestamp)}
    </>
  );
}

// Stages are those of a batch, in the order in which they are done.
function Stages({ of: b }: { of: NonNullable<EventTrace['batch']> }) {
  const stages: [string, string | null | undefined][] = [
    ['stored', b.stored_at],
    ['published', b.published_at],
    ['decided', b.decided_at],
    ['matched', b.matched_at],
    ['actions published', b.actions_published_at],
    ['counted', b.aggregated_at],
  ];
  const began = Date.parse(b.stored_at);
  return (
    <ul>
      {stages.map(([name, at]) => (
        <li key={name}>
          {name} {at ? <>{clockOf(at)} {name !== 'stored' && <span class="muted">+{Date.parse(at) - began} ms</span>}</> : <span class="muted">not yet</span>}
        </li>
      ))}
    </ul>
  );
}

// Owed is a notification with each attempt to deliver it.
function Owed({ of: n }: { of: Notification }) {
  return (
    <li>
      <a href={link('notifications/' + n.notification_id)}>{n.action.type}</a> <State of={n.status} /> <span class="muted">{n.reason?.replace(/_/g, ' ')}</span>
      <ul>
        {n.attempts?.map((a) => (
          <li key={a.number}>
            Attempt {a.number}, {clockOf(a.at)}, {count(a.duration_ms)} ms: <State of={a.outcome} /> {[a.status_code, a.error_class, a.error].filter(Boolean).join(' · ')}
          </li>
        ))}
        {n.attempt_count > (n.attempts?.length ?? 0) && <Cut>{count(n.attempt_count)} attempts in all</Cut>}
      </ul>
    </li>
  );
}

function Dead({ of }: { of: EventDoc }) {
  const dead = useLoad<Page<DeadLetter>>('/dead-letters' + query({ event_id: of.event_id, limit: 20 }));
  if (!dead.data?.items.length) return null;
  return (
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
  );
}

function SameTrace({ of: t, trace }: { of: EventTrace; trace: string }) {
  const line = [t.event as Related, ...t.same_trace].sort((a, b) => Date.parse(a.timestamp) - Date.parse(b.timestamp));
  if (line.length < 2) return <Empty>No other event has the trace {trace}{t.caused.length ? ', but what this one led to' : ''}.</Empty>;
  const began = Date.parse(line[0]!.timestamp);
  return (
    <>
      <Table label="Events of the same trace" head={['After', 'Time', 'Severity', 'Type', 'Source']}>
        {line.map((e) => (
          <tr class={e.event_id === t.event.event_id ? 'here' : ''} aria-current={e.event_id === t.event.event_id ? 'true' : undefined}>
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
      {isCut(t, 'same_trace') && (
        <p class="muted">
          The oldest are shown; there are more. <a href={link('events', { trace_id: trace })}>All of the trace</a>
        </p>
      )}
    </>
  );
}
