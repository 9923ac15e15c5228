import type { ComponentChildren } from 'preact';
import { useEffect, useId, useRef, useState } from 'preact/hooks';
import { Problem } from './api';
import { ago, dayOf, level, pretty } from './format';
import type { Loaded, Pages } from './load';
import { observable } from './observable';
import { session } from './api';

type Children = { children?: ComponentChildren };

export const isAdmin = () => session.get()?.user.role === 'admin';

export function Section({ title, actions, children, class: kind = '' }: Children & { title: string; actions?: ComponentChildren; class?: string }) {
  const id = useId();
  return (
    <section class={'card ' + kind} aria-labelledby={id}>
      <div class="card-head">
        <h2 id={id}>{title}</h2>
        {actions && <div class="actions">{actions}</div>}
      </div>
      {children}
    </section>
  );
}

// Wrong says what happened, and where.
export function Wrong({ error }: { error: Problem | Error | undefined }) {
  if (!error) return null;
  const problem = error instanceof Problem ? error : undefined;
  return (
    <div class="wrong" role="alert">
      <p>{error.message}</p>
      {problem && problem.flaws.length > 0 && (
        <ul>
          {problem.flaws.map((f) => (
            <li>
              {(f.pointer || f.parameter) && <code>{f.pointer || f.parameter}</code>} {f.message}
            </li>
          ))}
        </ul>
      )}
      {problem && problem.status >= 500 && problem.requestId && <p class="muted">Request {problem.requestId}; the api's log has it.</p>}
    </div>
  );
}

// Shown is what was asked for, or why it is not there.
export function Shown<T>({ of, children }: { of: Loaded<T>; children: (data: T) => ComponentChildren }) {
  return (
    <>
      <Wrong error={of.error} />
      {of.data !== undefined ? children(of.data) : of.loading && <p class="muted loading">Loading …</p>}
    </>
  );
}

export function Empty({ children }: Children) {
  return <p class="empty">{children}</p>;
}

// Rows is a table of a list, with what to do when there is nothing and a button
// for more.
export function Rows<T>({ of, head, row, empty, label }: { of: Pages<T>; head: string[]; row: (item: T) => ComponentChildren; empty: ComponentChildren; label: string }) {
  return (
    <Shown of={of}>
      {(items) =>
        items.length === 0 ? (
          <Empty>{empty}</Empty>
        ) : (
          <>
            <Table head={head} label={label}>
              {items.map(row)}
            </Table>
            {of.more && (
              <button type="button" class="more" onClick={of.more}>
                Load more
              </button>
            )}
          </>
        )
      }
    </Shown>
  );
}

export function Table({ head, label, children, live }: Children & { head: string[]; label: string; live?: boolean }) {
  return (
    <div class="scroll" role="region" aria-label={label} tabIndex={0}>
      <table aria-live={live ? 'off' : undefined}>
        <thead>
          <tr>
            {head.map((h) => (
              <th scope="col">{h}</th>
            ))}
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </div>
  );
}

export function When({ at }: { at: string | undefined }) {
  return at ? (
    <time dateTime={at} title={at}>
      {dayOf(at)} <span class="muted">{ago(at)}</span>
    </time>
  ) : (
    <span class="muted">–</span>
  );
}

export function Severity({ of }: { of: number }) {
  const l = level(of);
  return (
    <span class={'badge ' + l}>
      {l} {of}
    </span>
  );
}

const tones: Record<string, string> = {
  delivered: 'good', ok: 'good', active: 'good', closed: 'good', live: 'good', enabled: 'good', current: 'good',
  pending: 'info', retry: 'warning', half_open: 'warning', shadow: 'warning', suppressed: 'warning',
  dead: 'error', permanent: 'error', open: 'error', expired: 'quiet', disabled: 'quiet',
};

export function State({ of }: { of: string }) {
  return <span class={'badge ' + (tones[of] ?? 'quiet')}>{of.replace(/_/g, ' ')}</span>;
}

export function Json({ of, label }: { of: unknown; label: string }) {
  return (
    <pre class="json" tabIndex={0} aria-label={label} role="region">
      {pretty(of)}
    </pre>
  );
}

export function Field({ label, hint, wrong, children, class: kind = '' }: { label: string; hint?: ComponentChildren; wrong?: string | undefined; class?: string; children: (attributes: { id: string; 'aria-describedby'?: string; 'aria-invalid'?: boolean }) => ComponentChildren }) {
  const id = useId();
  const described = hint || wrong ? id + '-hint' : undefined;
  return (
    <div class={'field ' + kind}>
      <label for={id}>{label}</label>
      {children({ id, ...(described && { 'aria-describedby': described }), ...(wrong && { 'aria-invalid': true }) })}
      {described && (
        <p id={described} class={wrong ? 'hint bad' : 'hint'}>
          {wrong || hint}
        </p>
      )}
    </div>
  );
}

type Pressed = { label: ComponentChildren; run: () => Promise<unknown>; done?: string; class?: string; disabled?: boolean; title?: string; about?: string };

// Doing is a button for something that takes time and may go wrong. about tells it
// from its likes in the other rows, for those who hear it alone.
export function Doing({ label, run, done, class: kind = '', disabled = false, title, about }: Pressed) {
  const [busy, setBusy] = useState(false);
  const press = async () => {
    setBusy(true);
    try {
      await run();
      if (done) say(done);
    } catch (error) {
      say((error as Error).message + flawsOf(error), true);
    } finally {
      setBusy(false);
    }
  };
  return (
    <button type="button" class={kind} title={title} aria-label={about && `${String(label)} ${about}`} disabled={busy || disabled} aria-busy={busy} onClick={press}>
      {label}
    </button>
  );
}

// Sure is a button for what cannot be taken back: it asks for a second press, of
// another button. The focus is on the one that does nothing.
export function Sure({ label, sure, keep = 'Keep', about, run, done }: { label: string; sure: string; keep?: string; about?: string; run: () => Promise<unknown>; done?: string }) {
  const [asked, setAsked] = useState<boolean>();
  const box = useRef<HTMLSpanElement>(null);
  useEffect(() => {
    if (asked !== undefined) box.current?.querySelector<HTMLElement>('button:last-child')?.focus();
  }, [asked]);
  return (
    <span ref={box} class="sure">
      {asked ? (
        <>
          <Doing label={sure} class="danger" run={run} {...(done && { done })} />
          <button type="button" onClick={() => setAsked(false)}>
            {keep}
          </button>
        </>
      ) : (
        <button type="button" class="danger" aria-label={about && `${label} ${about}`} onClick={() => setAsked(true)}>
          {label}
        </button>
      )}
    </span>
  );
}

function flawsOf(error: unknown): string {
  return error instanceof Problem ? error.flaws.map((f) => ' ' + [f.pointer, f.message].filter(Boolean).join(': ')).join(';') : '';
}

const said = observable<{ text: string; bad: boolean; at: number } | null>(null);

export function say(text: string, bad = false) {
  said.set({ text, bad, at: Date.now() });
}

// Said is the line that tells what came of the last thing that was done. A dialog has
// its own, since nothing else is above it.
export function Said() {
  const last = said.use();
  useEffect(() => {
    if (!last || last.bad) return;
    const timer = setTimeout(() => said.set(null), 6000);
    return () => clearTimeout(timer);
  }, [last]);
  return (
    <div class="said" role="status">
      {last && (
        <div class={last.bad ? 'bad' : ''}>
          <span>{last.text}</span>
          <button type="button" class="plain" aria-label="Dismiss" onClick={() => said.set(null)}>
            ✕
          </button>
        </div>
      )}
    </div>
  );
}

// Drawer is a dialog at the side; Escape and a press beside it close it.
export function Drawer({ title, close, children }: Children & { title: string; close: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const d = dialog.current;
    d?.showModal();
    return () => d?.close();
  }, []);
  const beside = (e: { target: EventTarget | null }) => {
    if (e.target === dialog.current) close();
  };
  return (
    <dialog
      ref={dialog}
      aria-labelledby={id}
      onClick={beside}
      onCancel={(e) => {
        e.preventDefault();
        close();
      }}
    >
      <div class="drawer">
        <div class="card-head">
          <h2 id={id}>{title}</h2>
          <button type="button" class="plain" onClick={close}>
            Close
          </button>
        </div>
        {children}
      </div>
      <Said />
    </dialog>
  );
}

// Fold holds a filter: open where there is room, or where it is in force.
export function Fold({ label, open, children }: Children & { label: string; open: boolean }) {
  const [wide] = useState(() => matchMedia('(min-width: 821px)').matches);
  return (
    <details class="card" open={wide || open}>
      <summary>{label}</summary>
      {children}
    </details>
  );
}

export function Facts({ of }: { of: [string, ComponentChildren][] }) {
  return (
    <dl class="facts">
      {of
        .filter(([, value]) => value !== undefined && value !== null && value !== '')
        .map(([name, value]) => (
          <div>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
    </dl>
  );
}

export function Tabs<T extends string>({ of, at, go, label }: { of: [T, string][]; at: T; go: (tab: T) => void; label: string }) {
  return (
    <div class="tabs" role="group" aria-label={label}>
      {of.map(([tab, text]) => (
        <button type="button" aria-pressed={tab === at} onClick={() => go(tab)}>
          {text}
        </button>
      ))}
    </div>
  );
}
