import { get, type Problem, query } from './api';
import { lastDay } from './format';
import { observable } from './observable';
import type { Page, Related } from './types';

// What somebody must look at, whatever view is open: as eactl tail --critical.
export const severityFrom = 8;

const kept = 50;

export interface Critical extends Related {
  created_at: string;
}

// The newest critical events that were stored in the last day.
export const criticals = observable<Critical[]>([]);

// Until when somebody has looked at them, in this browser.
const remembered = 'bell';
export const looked = observable(localStorage.getItem(remembered) ?? '');
addEventListener('storage', (e) => e.key === remembered && looked.set(e.newValue ?? ''));

export function look() {
  const newest = criticals.get()[0];
  if (!newest || !isNew(newest, looked.get())) return;
  looked.set(newest.created_at);
  localStorage.setItem(remembered, newest.created_at);
}

export const isNew = (e: Critical, since: string) => !since || Date.parse(e.created_at) > Date.parse(since);

// useFresh is how many nobody has looked at: '' for none, and of more than are kept as many.
export function useFresh(): string {
  const since = looked.use();
  const fresh = criticals.use().filter((e) => isNew(e, since)).length;
  return fresh === kept ? `${kept}+` : fresh ? String(fresh) : '';
}

interface Frame {
  type: string;
  id?: string;
  data?: Critical;
}

const firstWait = 1000;
const longestWait = 30_000;
const begun = 2500; // by then a stream has begun

// listen follows them until the returned function is called. By a WebSocket: of
// event streams a browser has six for one host, in all its tabs together, and each
// tab has a bell.
export function listen(): () => void {
  let socket: WebSocket;
  let last = '';
  let ended = false;
  let wait = firstWait;
  let again: ReturnType<typeof setTimeout> | undefined;
  let later: ReturnType<typeof setTimeout> | undefined;

  const take = (found: Critical[]) => {
    const known = new Map(criticals.get().map((e) => [e.event_id, e]));
    for (const e of found) known.set(e.event_id, e);
    if (known.size === criticals.get().length) return;
    criticals.set([...known.values()].sort((a, b) => Date.parse(b.created_at) - Date.parse(a.created_at)).slice(0, kept));
  };
  const recent = () =>
    get<Page<Critical>>('/events' + query({ severity_min: severityFrom, from: lastDay(), limit: kept })).then(
      (page) => ended || take(page.items),
      (_: Problem) => undefined, // the page says elsewhere that it cannot ask
    );
  const subscribe = () =>
    socket.send(JSON.stringify({
      type: 'subscribe', subscription: 'critical', fields: ['type', 'source', 'severity', 'created_at'],
      parameters: { severity_min: String(severityFrom) }, ...(last && { resume: last }),
    }));
  const hear = (frame: Frame) => {
    if (frame.id) last = frame.id;
    if (frame.type === 'subscribed') wait = firstWait;
    if (frame.type === 'event' && frame.data) take([frame.data]);
    // What was stored before the stream began, or while it could not tell, can be
    // read; again shortly after, since it begins in between.
    if (frame.type === 'gap' || (frame.type === 'subscribed' && !last)) {
      void recent();
      clearTimeout(later);
      later = setTimeout(recent, begun);
    }
    if (frame.type === 'slow_consumer') subscribe();
    if (frame.type === 'error') {
      last = ''; // such as a place of another database
      socket.close();
    }
  };
  const connect = () => {
    socket = new WebSocket(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/api/v1/ws/events`);
    socket.onopen = subscribe;
    socket.onmessage = (message) => hear(JSON.parse(message.data as string) as Frame);
    socket.onclose = () => {
      if (ended) return;
      again = setTimeout(connect, wait);
      wait = Math.min(2 * wait, longestWait);
    };
  };
  connect();
  return () => {
    ended = true;
    clearTimeout(again);
    clearTimeout(later);
    socket.close();
    criticals.set([]);
  };
}
