import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { balance, connection, farewell, open, type Problem, session, signIn, signOut, unended, watch } from './api';
import { compact, timeZone } from './format';
import { useLoad } from './load';
import { link, place } from './router';
import { choose, type Theme, theme } from './theme';
import type { Status } from './types';
import { Doing, Field, Said, say, Wrong } from './ui';
import { Bell, Title } from './views/critical';
import { Audit, Users } from './views/people';
import { DeadLetters } from './views/deadletters';
import { EventPage, Events } from './views/events';
import { MyKeys } from './views/keys';
import { Live } from './views/live';
import { NotificationPage, Notifications } from './views/notifications';
import { Overview } from './views/overview';
import { RulePage } from './views/rule';
import { Rules } from './views/rules';
import { Silences } from './views/silences';
import { Targets } from './views/targets';

interface View {
  name: string;
  title: string;
  show: (rest: string[]) => ComponentChildren;
  admin?: boolean;
}

const views: View[] = [
  { name: 'overview', title: 'Overview', show: () => <Overview /> },
  { name: 'live', title: 'Live', show: () => <Live /> },
  { name: 'events', title: 'Events', show: ([id]) => (id ? <EventPage id={id} /> : <Events />) },
  { name: 'rules', title: 'Rules', show: ([id]) => (id ? <RulePage key={id} id={id} /> : <Rules />) },
  { name: 'notifications', title: 'Notifications', show: ([id]) => (id ? <NotificationPage id={id} /> : <Notifications />) },
  { name: 'targets', title: 'Targets', show: () => <Targets /> },
  { name: 'dead-letters', title: 'Dead letters', show: () => <DeadLetters /> },
  { name: 'silences', title: 'Silences', show: () => <Silences /> },
  { name: 'keys', title: 'My keys', show: () => <MyKeys /> },
  { name: 'users', title: 'Users and keys', show: () => <Users />, admin: true },
  { name: 'audit', title: 'Audit', show: () => <Audit />, admin: true },
];

export function App() {
  const who = session.use();
  useEffect(() => {
    void open(say);
    void watch();
  }, []);
  if (who === undefined) return <Opening />;
  return who === null ? <SignIn /> : <Shell />;
}

function Opening() {
  const why = farewell.use();
  return (
    <main class="sign-in">
      <h1>Events Aggregator</h1>
      {why && <p class="muted">It is not known yet whether you are signed in: {why}</p>}
      <State />
    </main>
  );
}

function SignIn() {
  const why = farewell.use();
  const again = unended.use();
  const [error, setError] = useState<Problem>();
  const [busy, setBusy] = useState(false);
  const key = useRef<HTMLInputElement>(null);
  useEffect(() => key.current?.focus(), []);
  const submit = async (e: Event) => {
    e.preventDefault();
    setBusy(true);
    try {
      await signIn(key.current!.value.trim());
    } catch (problem) {
      setError(problem as Problem);
      setBusy(false);
      key.current?.select();
    }
  };
  return (
    <main class="sign-in">
      <h1>Events Aggregator</h1>
      <form class="card" onSubmit={submit}>
        <h2>Sign in</h2>
        {why && !error && <p class="wrong" role="alert">{why}</p>}
        {again && <Doing label="Sign out again" run={signOut} />}
        <Field
          label="API key"
          hint={
            <>
              <code>make run</code> prints one; <code>eactl users create</code> makes more. The browser does not keep it: it gets a session, which ends with the key.
            </>
          }
        >
          {(a) => <input {...a} ref={key} type="password" autocomplete="off" spellcheck={false} required />}
        </Field>
        <button type="submit" class="primary" disabled={busy}>
          {busy ? 'Signing in …' : 'Sign in'}
        </button>
        <Wrong error={error} />
      </form>
      <State />
    </main>
  );
}

function Shell() {
  const here = place.use();
  const who = session.use()!.user;
  const [menu, setMenu] = useState(false);
  const heading = useRef<HTMLHeadingElement>(null);
  const name = here.path[0] ?? 'overview';
  const view = views.find((v) => v.name === name);
  const address = here.path.join('/');
  const first = useRef(true);
  useEffect(() => {
    setMenu(false);
    if (!first.current) {
      heading.current?.focus({ preventScroll: true }); // so that a screen reader says where it is
      scrollTo(0, 0);
    }
    first.current = false;
  }, [address]);
  return (
    <div class="shell">
      <a class="skip" href="#main" onClick={(e) => (e.preventDefault(), heading.current?.focus())}>
        Skip to the content
      </a>
      <header class="side">
        <div class="brand">
          <a href="#/overview">
            <img src="/favicon.svg" alt="" width="22" height="22" /> Events Aggregator
          </a>
          <button type="button" class="menu" aria-expanded={menu} aria-controls="menu" onClick={() => setMenu(!menu)}>
            Menu
          </button>
        </div>
        <div id="menu" class={menu ? 'open' : ''}>
          <nav aria-label="Views">
            <ul>
              {views
                .filter((v) => !v.admin || who.role === 'admin')
                .map((v) => (
                  <li>
                    <a href={link(v.name)} aria-current={v.name === name ? 'page' : undefined}>
                      {v.title}
                      {v.name === 'dead-letters' && <Waiting asks={name !== 'overview'} />}
                    </a>
                  </li>
                ))}
              <li>
                <a href="/docs">API</a>
              </li>
            </ul>
          </nav>
          <div class="me">
            <p>
              <strong>{who.name || who.email}</strong>
              <span class="muted">{who.role}</span>
            </p>
            <label>
              Colours{' '}
              <select value={theme.use()} onChange={(e) => choose(e.currentTarget.value as Theme)}>
                <option value="auto">as the system</option>
                <option value="light">light</option>
                <option value="dark">dark</option>
              </select>
            </label>
            <Doing label="Sign out" run={signOut} />
          </div>
        </div>
      </header>
      <main id="main">
        <div class="top">
          <h1 ref={heading} tabIndex={-1}>
            {view?.title ?? 'Not here'}
          </h1>
          <p class="zone muted">Times in {timeZone}</p>
          <State />
          <Bell />
          <Title of={view?.title ?? 'Not here'} />
        </div>
        <Away />
        {view ? view.show(here.path.slice(1)) : <p class="empty">There is no view at {location.hash}. The menu has all there are.</p>}
      </main>
      <Said />
    </div>
  );
}

// Waiting is how many dead letters wait for somebody. The overview asks by itself.
function Waiting({ asks }: { asks: boolean }) {
  const fresh = useLoad<Status>(asks ? '/status' : null, 10_000).data;
  useEffect(() => fresh && balance.set(fresh), [fresh]);
  const status = balance.use();
  if (!status?.dead_letters_waiting) return null;
  return (
    <span class="waiting" title="They wait for somebody">
      {compact(status.dead_letters_waiting) + (status.dead_letters_at_least ? '+' : '')}
    </span>
  );
}

// State says in few words whether what is shown is fresh.
function State() {
  const c = connection.use();
  const away = c.api ? c.away : ['The api'];
  const text = !c.checked ? 'Connecting …' : away.length ? away.join(' and ') + (away.length > 1 ? ' are away' : ' is away') : c.degraded || 'Connected';
  return (
    <p class={'state ' + (!c.checked ? '' : away.length ? 'bad' : c.degraded ? 'slow' : 'good')} role="status">
      {text}
    </p>
  );
}

function Away() {
  const c = connection.use();
  if (!c.checked || (c.api && !c.away.length)) return null;
  const what = !c.api
    ? 'The api does not answer.'
    : c.away.length > 1
      ? 'MongoDB and RabbitMQ do not answer, so nothing can be read or published.'
      : c.away.includes('MongoDB')
        ? 'MongoDB does not answer, so nothing can be read. Events wait in RabbitMQ; none is lost.'
        : 'RabbitMQ does not answer. What is stored can be read; publishing, replays and retries wait.';
  return (
    <p class="away" role="alert">
      {what} What you see may be old. This page goes on by itself.
    </p>
  );
}
