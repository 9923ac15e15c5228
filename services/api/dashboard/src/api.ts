import { observable } from './observable';
import { clear } from './router';
import type { Health, Session, Status } from './types';

// Flaw is one mistake of a request and where it is.
export interface Flaw {
  pointer?: string;
  parameter?: string;
  message: string;
}

// Problem is what the api says when it cannot do what it was asked for
// (application/problem+json), or that it does not answer at all (status 0).
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    readonly detail: string,
    readonly flaws: Flaw[] = [],
    readonly requestId = '',
  ) {
    super(detail);
  }

  // Whether it says nothing of what was asked, and may be over in a moment: nobody
  // answered, or a proxy in place of an api that is away, or there was too much at once.
  // A 500 of the api itself is none: it may stay for ever.
  get passing(): boolean {
    if (this.status === 401 || this.status === 403) return false;
    return !this.code || this.status === 0 || this.status === 408 || this.status === 429 || this.status > 500;
  }
}

// undefined: not known yet; null: nobody is signed in.
export const session = observable<Session | null | undefined>(undefined);

// Why somebody has to sign in again, or has to wait.
export const farewell = observable('');

// A session whose end the server did not hear of: the browser has it still.
export const unended = observable<Session | null>(null);

export interface Connection {
  api: boolean;
  away: string[]; // MongoDB, RabbitMQ
  degraded: string;
  checked: boolean;
}

export const connection = observable<Connection>({ api: true, away: [], degraded: '', checked: false });

// The balance as somebody last asked for it.
export const balance = observable<Status | undefined>(undefined);

// Rises when something that was away is back: whoever shows data asks again.
export const comeback = observable(0);

interface Options {
  signal?: AbortSignal;
  headers?: Record<string, string>;
}

// readWithin is how long a question may take that changes nothing: twice what the api
// gives itself for one. Without an end, one that hangs would be the last of its kind.
const readWithin = 60_000;

// call asks the api. Paths are those below /api/v1; /session and /health are beside it.
export async function call<T>(method: string, path: string, body?: unknown, options: Options = {}): Promise<T> {
  const headers: Record<string, string> = { Accept: 'application/json', ...options.headers };
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  if (method !== 'GET') headers['X-CSRF-Token'] ??= session.get()?.csrf_token ?? '';
  const request: RequestInit = { method, headers };
  if (body !== undefined) request.body = typeof body === 'string' ? body : JSON.stringify(body);
  const ends = [options.signal, method === 'GET' && AbortSignal.timeout(readWithin)].filter((s) => !!s);
  const answer = await send(path, { ...request, signal: AbortSignal.any(ends) }, options.signal);
  try {
    return (answer.status === 204 ? undefined : await answer.json()) as T;
  } catch (error) {
    throw options.signal?.aborted ? error : unreachable();
  }
}

// send is the answer as it comes in; one that is no success is thrown as a Problem.
// Who gave up by the signal hears of that.
export async function send(path: string, request: RequestInit, gaveUp?: AbortSignal): Promise<Response> {
  const address = /^\/(session|health)\b/.test(path) ? path : '/api/v1' + path;
  let answer: Response;
  try {
    answer = await fetch(address, request);
  } catch (error) {
    throw gaveUp?.aborted ? error : unreachable();
  }
  if (answer.ok) return answer;
  const problem = await problemOf(answer);
  if (problem.status === 401 && path !== '/session') signedOut(problem.detail);
  if (problem.status >= 502) void watch(); // a proxy's 502 and 504, too
  throw problem;
}

function unreachable(): Problem {
  void watch(); // sooner than the next look would be
  return new Problem(0, 'unreachable', 'The api does not answer. Nothing was lost here; the page goes on by itself when it is back.');
}

async function problemOf(answer: Response): Promise<Problem> {
  try {
    const said = await answer.json();
    return new Problem(answer.status, said.code ?? '', said.detail ?? said.title ?? answer.statusText, said.errors ?? [], said.request_id ?? '');
  } catch {
    return new Problem(answer.status, '', `${answer.status} ${answer.statusText}`); // a proxy's page, not ours
  }
}

export const get = <T>(path: string, options?: Options) => call<T>('GET', path, undefined, options);
export const post = <T>(path: string, body?: unknown, options?: Options) => call<T>('POST', path, body, options);

// query is ?a=b of what is set.
export function query(values: Record<string, string | number | boolean | undefined | null>): string {
  const set = Object.entries(values).filter(([, v]) => v !== undefined && v !== null && v !== '');
  return set.length ? '?' + new URLSearchParams(set.map(([k, v]) => [k, String(v)])) : '';
}

export async function signIn(key: string): Promise<void> {
  session.set(await post<Session>('/session', { key }));
  farewell.set('');
  unended.set(null);
}

// signOut hides what is shown in any case, and says where that is not all of it.
export async function signOut(): Promise<void> {
  const one = session.get() ?? unended.get();
  let why = '';
  let kept = false;
  try {
    await call('DELETE', '/session', undefined, { headers: { 'X-CSRF-Token': one?.csrf_token ?? '' } });
  } catch (error) {
    const { status, code, detail } = error as Problem;
    kept = !code || status === 0 || status === 429;
    if (kept) why = 'The server did not hear that you signed out: this browser is signed in still, and so is whoever loads this page.';
    else if (status >= 500) why = `This browser has forgotten its session, but the server could not end it: ${detail}`; // as the api does it
    else why = `You are not signed out: ${detail}`;
  }
  unended.set(kept && one ? one : null);
  signedOut(why);
}

function signedOut(why: string) {
  farewell.set(why);
  session.set(null);
  balance.set(undefined);
}

// open finds out who is here: by the session that the browser has, or else by the
// key that `make run` put into the address, which leaves it. A link can carry
// anybody's key, so it signs in nobody in another's place; tell says so.
export async function open(tell: (what: string) => void, key = new URLSearchParams(location.hash.slice(1)).get('key')): Promise<void> {
  if (key) clear();
  try {
    const one = await whoever();
    if (key && !one) return await signIn(key);
    farewell.set('');
    session.set(one);
    if (key && one) tell(`The key in the address was not used: you are signed in as ${one.user.name || one.user.email}. To use it, sign out first.`);
  } catch (error) {
    const problem = error as Problem;
    if (problem.passing) {
      farewell.set(problem.detail); // while it is not known who is here
      setTimeout(() => open(tell, key), 2000);
      return;
    }
    signedOut(problem.detail);
  }
}

// whoever is the session of the browser; one that has ended is none.
async function whoever(): Promise<Session | null> {
  try {
    return (await get<Session | undefined>('/session')) ?? null;
  } catch (error) {
    if ((error as Problem).status === 401) return null;
    throw error;
  }
}

let looking: ReturnType<typeof setTimeout> | undefined;
let underWay = false;
const healthWithin = 10_000; // or the api counts as away

// watch looks every few seconds how the api and its servers are.
export async function watch(): Promise<void> {
  if (underWay) return;
  underWay = true;
  clearTimeout(looking);
  const before = connection.get();
  let now: Connection = { api: false, away: [], degraded: '', checked: true };
  try {
    const answer = await fetch('/health', { signal: AbortSignal.timeout(healthWithin) });
    const health = (await answer.json()) as Health;
    const names: Record<string, string> = { mongodb: 'MongoDB', rabbitmq: 'RabbitMQ' };
    const parts = Object.entries(health.components);
    const away = parts.filter(([, c]) => c.status === 'down').map(([name]) => names[name] ?? name);
    const slow = parts.filter(([, c]) => c.status === 'degraded').map(([name]) => (name === 'streams' ? 'live events are late' : name + ' is degraded'));
    const late = (health.lag ?? []).filter((l) => l.seconds > health.lag_budget_seconds).map((l) => l.stage);
    if (late.length) slow.unshift('behind: ' + late.join(', '));
    now = { api: true, away, degraded: slow.join('; '), checked: true };
  } catch {
    // it stays away
  }
  if (JSON.stringify(now) !== JSON.stringify(before)) connection.set(now);
  if (before.checked && now.api && now.away.length < before.away.length + (before.api ? 0 : 1)) comeback.set(comeback.get() + 1);
  underWay = false;
  looking = setTimeout(watch, now.api && !now.away.length ? 5000 : 1000);
}
