import { useState } from 'preact/hooks';
import { post, Problem, query } from '../api';
import { count } from '../format';
import { useLoad, usePages } from '../load';
import { link } from '../router';
import type { DeadGroup, DeadLetter, Replayed } from '../types';
import { Doing, Drawer, Empty, Field, isAdmin, Json, Rows, Section, Shown, Table, When, Wrong } from '../ui';

interface Groups {
  causes: number;
  messages: number;
  since?: string;
  items: DeadGroup[];
}

// DeadLetters shows what could not be handled, by cause.
export function DeadLetters() {
  const groups = useLoad<Groups>('/dead-letters/groups' + query({ waiting: true, limit: 100 }), 5000);
  const [open, setOpen] = useState<DeadGroup>();
  return (
    <>
      <Shown of={groups}>
        {(g) =>
          g.messages === 0 ? (
            <Section title="By cause">
              <Empty>No message waits for anybody. What cannot be handled will lie here with its reason; nothing is thrown away.</Empty>
            </Section>
          ) : (
            <Section title={`${count(g.causes)} ${g.causes === 1 ? 'cause' : 'causes'}, ${count(g.messages)} ${g.messages === 1 ? 'message' : 'messages'}`}>
              <Table label="Dead letters by cause" head={['Messages', 'Queue', 'Reason', 'Error', 'Since', 'Last', '']}>
                {g.items.map((d) => (
                  <tr key={d.queue + d.cause}>
                    <td class="number">{count(d.messages)}</td>
                    <td>{d.queue}</td>
                    <td>
                      {d.reason} <span class="muted">{d.error_class}</span>
                    </td>
                    <td class="long">{d.error || d.fingerprint}</td>
                    <td>
                      <When at={d.since} />
                    </td>
                    <td>
                      <When at={d.last} />
                    </td>
                    <td class="actions">
                      <button type="button" onClick={() => setOpen(d)} aria-label={`Open ${d.queue}: ${d.error || d.reason}`}>
                        Open
                      </button>
                    </td>
                  </tr>
                ))}
              </Table>
            </Section>
          )
        }
      </Shown>
      {open && (
        <Drawer title={open.queue + ': ' + open.reason} close={() => setOpen(undefined)}>
          <Cause of={open} changed={groups.reload} />
        </Drawer>
      )}
    </>
  );
}

function Cause({ of, changed }: { of: DeadGroup; changed: () => void }) {
  const letters = usePages<DeadLetter>('/dead-letters' + query({ queue: of.queue, cause: of.cause, waiting: true, limit: 20 }));
  const [seen, setSeen] = useState('');
  const one = useLoad<DeadLetter>(seen ? '/dead-letters/' + encodeURIComponent(seen) : null);
  return (
    <>
      <p class="long">
        <code>{of.error || of.fingerprint}</code>
      </p>
      {isAdmin() && <Replay of={of} done={() => (changed(), letters.reload())} />}
      <h3>Messages</h3>
      <Rows of={letters} label="Dead letters of this cause" head={['Dead since', 'Event or message', 'Attempts', '']} empty="None waits any more."
        row={(d) => (
          <tr key={d.dead_id} class={d.dead_id === seen ? 'here' : ''}>
            <td>
              <When at={d.dead_at} />
            </td>
            <td>
              {d.notification_id ? <a href={link('notifications/' + d.notification_id)}>{d.notification_id}</a> : d.event_id ? <a href={link('events/' + d.event_id)}>{d.event_id}</a> : <code>{d.dead_id}</code>}
              {d.target && <div class="muted">{d.target}</div>}
            </td>
            <td class="number">{d.attempts}</td>
            <td>
              <button type="button" aria-label={'Show the message ' + d.dead_id} onClick={() => setSeen(d.dead_id)}>
                Show
              </button>
            </td>
          </tr>
        )} />
      {seen && (
        <Shown of={one}>
          {(d) => (
            <>
              <h3>The message</h3>
              <Json of={d.body ?? d.body_base64 ?? null} label="Body of the message" />
            </>
          )}
        </Shown>
      )}
    </>
  );
}

// Replay gives letters back to their queue: one first, unless somebody knows better.
function Replay({ of, done }: { of: DeadGroup; done: () => void }) {
  const [canary, setCanary] = useState(true);
  const [rate, setRate] = useState('50');
  const [result, setResult] = useState<Replayed>();
  const [error, setError] = useState<Problem>();
  const run = async (dry: boolean) => {
    setError(undefined);
    setResult(undefined);
    try {
      setResult(await post<Replayed>('/dead-letters/replay', { queue: of.queue, filter: { cause: of.cause }, ...(dry ? { dry_run: true } : { canary, ...(Number(rate) > 0 && { rate: Number(rate) }) }) }));
      if (!dry) done();
    } catch (e) {
      setError(e as Problem);
    }
  };
  return (
    <div class="replay">
      <h3>Replay</h3>
      <label class="check">
        <input type="checkbox" checked={canary} onChange={(e) => setCanary(e.currentTarget.checked)} /> One first, the others only if it succeeds
      </label>
      <Field label="Messages a second">{(a) => <input {...a} type="number" min={1} value={rate} onInput={(e) => setRate(e.currentTarget.value)} />}</Field>
      <div class="actions">
        <Doing label="Dry run" run={() => run(true)} />
        <Doing label={`Replay ${count(of.messages)} to ${of.queue}`} class="primary" run={() => run(false)} />
      </div>
      <Wrong error={error} />
      {result && (
        <div role="status" class={result.failed ? 'wrong' : 'verdict yes'}>
          {result.dry_run ? `${count(result.matched)} would go back to ${of.queue}.` : `${count(result.replayed)} of ${count(result.matched)} went back${result.failed ? `, ${count(result.failed)} failed` : ''}.`}
          {!result.complete && ' Not all: do it again to go on.'} {result.detail}
          {result.failures?.slice(0, 3).map((f) => <div>{f.error}</div>)}
        </div>
      )}
    </div>
  );
}
