import { useEffect, useState } from 'preact/hooks';
import { criticals, hearing, isNew, known, listen, look, type Looked, looked, severityFrom, useFresh } from '../bell';
import { link } from '../router';
import { Drawer, Empty, Severity, Table, When } from '../ui';

// Bell says how many critical events nobody has looked at in this browser, and
// shows the newest.
export function Bell() {
  const events = criticals.use();
  const fresh = useFresh();
  const asked = known.use();
  const deaf = hearing.use() === 'lost';
  const name = ['Critical events', fresh && fresh + ' new', deaf && 'not listening'].filter(Boolean).join(', ');
  const [shown, setShown] = useState<Looked>(); // what was known when it was opened
  useEffect(listen, []);
  useEffect(() => {
    if (shown !== undefined) look(); // what comes in while it is open is seen
  }, [shown, events]);
  const close = () => setShown(undefined);
  return (
    <>
      <button type="button" class={'bell' + (fresh ? ' rung' : '') + (deaf ? ' deaf' : '')} onClick={() => setShown(looked.get())} aria-label={name} title={name}>
        <svg viewBox="0 0 24 24" width="18" height="18" aria-hidden="true">
          <path d={'M12 3a6 6 0 0 0-6 6v4l-2 3.5h16L18 13V9a6 6 0 0 0-6-6Zm-2.2 15.5a2.3 2.3 0 0 0 4.4 0' + (deaf ? 'M3 3l18 18' : '')} />
        </svg>
        {fresh && <span>{fresh}</span>}
      </button>
      {shown !== undefined && (
        <Drawer title="Critical events" close={close}>
          <p class="muted">
            Severity {severityFrom} and more, the newest: what happened in the last 24 hours, and what was stored since this page is open.{' '}
            <a href={link('live', { severity_min: String(severityFrom) })} onClick={close}>
              Follow them live
            </a>
          </p>
          {deaf && (
            <p class="warned" role="status">
              Not listening: there is no live connection to the api (a WebSocket). It is tried again by itself; until then this is asked for again every
              half a minute.
            </p>
          )}
          {events.length === 0 ? (
            <Empty>{asked ? 'None. They show here as they are stored, whatever view is open.' : 'Not known: the api has not said yet which there are.'}</Empty>
          ) : (
            <Table label="Critical events" head={['Time', 'Severity', 'Type and source']}>
              {events.map((e) => (
                <tr key={e.event_id}>
                  <td>
                    <When at={e.timestamp} />
                  </td>
                  <td>
                    <Severity of={e.severity} />
                    {isNew(e, shown) && <span class="badge info">new</span>}
                  </td>
                  <td>
                    <a href={link('events/' + e.event_id)} onClick={close}>
                      {e.type}
                    </a>{' '}
                    <span class="muted">{e.source}</span>
                  </td>
                </tr>
              ))}
            </Table>
          )}
        </Drawer>
      )}
    </>
  );
}

// Title is the name of the browser's tab, with how many rang.
export function Title({ of }: { of: string }) {
  const fresh = useFresh();
  useEffect(() => {
    document.title = (fresh ? `(${fresh}) ` : '') + of + ' · Events Aggregator';
  }, [of, fresh]);
  return null;
}
