import { useState } from 'preact/hooks';
import { post, query } from '../api';
import { count } from '../format';
import { useLoad, usePages } from '../load';
import { link, place, put } from '../router';
import type { Notification } from '../types';
import { Doing, Empty, Facts, Field, isAdmin, Json, Rows, Section, Shown, State, Table, When } from '../ui';

const statuses = ['pending', 'delivered', 'suppressed', 'dead'] as const;

export function Notifications() {
  const { params } = place.use();
  const status = params.get('status') ?? '';
  const reason = params.get('reason') ?? '';
  const heldBy = params.get('held_by') ?? '';
  const [text, setText] = useState(reason);
  return (
    <>
      <form class="card filter" aria-label="Filter" onSubmit={(e) => (e.preventDefault(), put({ status, reason: text.trim() }))}>
        <Field label="Status">
          {(a) => (
            <select {...a} value={status} onChange={(e) => put({ status: e.currentTarget.value, reason })}>
              <option value="">any</option>
              {statuses.map((s) => <option>{s}</option>)}
            </select>
          )}
        </Field>
        <Field label="Reason" hint="such as silenced, throttled, target_disabled">
          {(a) => <input {...a} value={text} spellcheck={false} onInput={(e) => setText(e.currentTarget.value)} />}
        </Field>
        <div class="actions">
          <button type="submit">Show</button>
        </div>
        {heldBy && (
          <p class="hint wide">
            Held back by <code>{heldBy}</code>. <a href={link('notifications')}>Show all</a>
          </p>
        )}
      </form>
      <NotificationList filter={{ status, reason, held_by: heldBy }} />
      {isAdmin() && (status === 'dead' || status === 'suppressed') && !heldBy && <RetryMany status={status} reason={reason} />}
    </>
  );
}

export function NotificationList({ filter }: { filter: Record<string, string> }) {
  const list = usePages<Notification>('/notifications' + query({ ...filter, limit: 50 }), 5000);
  return (
    <Section title="Newest first">
      <Rows of={list} label="Notifications" head={['Since', 'Rule', 'Action', 'Status', 'Attempts', 'Next attempt', '']}
        empty="None. Each match of a rule owes one notification for each of its actions; they show here as rules match."
        row={(n) => (
          <tr key={n.notification_id}>
            <td>
              <a href={link('notifications/' + n.notification_id)}>
                <When at={n.created_at} />
              </a>
            </td>
            <td>{n.rule_name}</td>
            <td>
              {n.action.type} {n.trial && <span class="badge quiet">trial</span>}
              {n.group && <span class="muted"> {count(n.group.matches)} matches</span>}
            </td>
            <td>
              <State of={n.status} /> <span class="muted">{n.reason?.replace(/_/g, ' ')}</span>
            </td>
            <td class="number">{n.attempt_count}</td>
            <td>{n.next_attempt_at ? <When at={n.next_attempt_at} /> : '–'}</td>
            <td class="actions">
              <Again of={n} done={list.reload} />
            </td>
          </tr>
        )} />
    </Section>
  );
}

// Again is what people may do about a notification.
function Again({ of, done }: { of: Notification; done: () => void }) {
  if (!isAdmin()) return null;
  const path = '/notifications/' + of.notification_id;
  return (
    <>
      {of.status !== 'delivered' && <Doing label="Retry" about={of.action.type + ' of ' + of.rule_name} done="It is tried again" run={() => post(path + '/retry').then(done)} />}
      {of.status === 'pending' && <Doing label="Cancel" about={of.action.type + ' of ' + of.rule_name} done="Cancelled" run={() => post(path + '/cancel').then(done)} />}
    </>
  );
}

interface Many {
  matched: number;
  retried: number;
  complete: boolean;
}

// RetryMany has to be given all of the list's filter; what held them back is none
// that POST /notifications/retry takes.
function RetryMany({ status, reason }: { status: string; reason: string }) {
  const [seen, setSeen] = useState<Many>();
  const body = { status, ...(reason && { reason }) };
  return (
    <Section title={`Retry all ${status} ones${reason ? ' for ' + reason : ''}`}>
      <div class="actions">
        <Doing label="How many are there?" run={async () => setSeen(await post<Many>('/notifications/retry', { ...body, dry_run: true }))} />
        {seen && seen.matched > 0 && (
          <Doing label={`Retry ${count(seen.matched)}`} class="primary"
            run={async () => setSeen(await post<Many>('/notifications/retry', body))} />
        )}
      </div>
      {seen && (
        <p role="status">
          {count(seen.matched)} matched, {count(seen.retried)} retried{seen.complete ? '' : '; there are more, press again'}.
        </p>
      )}
    </Section>
  );
}

export function NotificationPage({ id }: { id: string }) {
  const one = useLoad<Notification>('/notifications/' + encodeURIComponent(id), 3000);
  return (
    <Shown of={one}>
      {(n) => (
        <>
          <Section title={n.action.type + ' of ' + n.rule_name} actions={<Again of={n} done={one.reload} />}>
            <Facts
              of={[
                ['Status', <><State of={n.status} /> {n.reason?.replace(/_/g, ' ')}</>],
                ['Id', <code>{n.notification_id}</code>],
                ['Rule', <a href={link('rules/' + encodeURIComponent(n.rule_id))}>{n.rule_name}, version {n.rule_version}</a>],
                ['Event', <a href={link('events/' + n.event_id)}>{n.event_id}</a>],
                ['Queue', n.queue],
                ['Found', n.alert?.text],
                ['Stands for', n.group && count(n.group.matches) + ' matches'],
                ['Held until', n.held?.until && <When at={n.held.until} />],
                ['Held by', n.held?.id],
                ['Since', <When at={n.created_at} />],
                ['Next attempt', n.next_attempt_at && <When at={n.next_attempt_at} />],
              ]}
            />
          </Section>
          <Section title="Attempts">
            {n.attempts?.length ? (
              <Table label="Attempts" head={['No.', 'At', 'Took', 'Outcome', 'Answer', 'By']}>
                {n.attempts.map((a) => (
                  <tr>
                    <td class="number">{a.number}</td>
                    <td>
                      <When at={a.at} />
                    </td>
                    <td class="number">{count(a.duration_ms)} ms</td>
                    <td>
                      <State of={a.outcome} />
                    </td>
                    <td class="long">
                      {[a.status_code, a.error_class, a.error, a.response_excerpt].filter(Boolean).join(' · ')}
                      {a.receipts?.length ? <div class="muted">got it: {a.receipts.join(', ')}</div> : null}
                    </td>
                    <td>{a.worker}</td>
                  </tr>
                ))}
              </Table>
            ) : (
              <Empty>None yet{n.status === 'suppressed' ? ': it is held back' : ''}.</Empty>
            )}
          </Section>
          <Section title="What it does">
            <Json of={n.action} label="The action" />
          </Section>
        </>
      )}
    </Shown>
  );
}
