import { comeback, type Flaw } from './api';

// Frame is what the api says on a live stream, by a WebSocket or as server-sent
// events. One with an id is the place to resume after.
export interface Frame {
  type: string; // event, position, gap, waiting, slow_consumer; on a socket also subscribed, error
  id?: string;
  data?: unknown;
  code?: string;
  message?: string;
  errors?: Flaw[];
}

// Subscriber is one that follows a stream by the page's socket.
export interface Subscriber {
  wish(): object; // what to subscribe to: asked whenever there is a socket
  hear(frame: Frame): void;
  lost(): void; // there is no socket, at each attempt to have one
}

const firstWait = 1000;
const longestWait = 30_000;
const quiet = 10_000; // then a ping shows whether the other side is there
const answers = 10_000; // how long that, or a socket to open, may take

// One socket has all subscriptions of the page: a browser has six connections to one
// host for event streams and all else, in all its tabs together, and WebSockets are
// not counted among them.
const subscribers = new Map<string, Subscriber>();
let socket: WebSocket | undefined;
let wait = firstWait;
let again: ReturnType<typeof setTimeout> | undefined;
let silence: ReturnType<typeof setTimeout> | undefined;
let names = 0;

// subscribe follows a stream until end(); renew() subscribes again after what ended it.
export function subscribe(one: Subscriber): { renew(): void; end(): void } {
  const name = String(++names);
  subscribers.set(name, one);
  if (!socket) connect();
  else begin(name);
  return {
    renew: () => begin(name),
    end() {
      subscribers.delete(name);
      if (subscribers.size === 0) return close();
      say({ type: 'unsubscribe', subscription: name });
    },
  };
}

function begin(name: string) {
  const one = subscribers.get(name);
  if (one && socket?.readyState === WebSocket.OPEN) say({ type: 'subscribe', subscription: name, ...one.wish() });
}

function say(message: object) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}

function connect() {
  clearTimeout(again);
  const one = new WebSocket(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/api/v1/ws/events`);
  socket = one;
  silence = setTimeout(drop, answers);
  one.onopen = () => {
    alive();
    for (const name of subscribers.keys()) begin(name);
  };
  one.onmessage = (message) => {
    alive();
    const frame = JSON.parse(message.data as string) as Frame & { subscription?: string };
    if (frame.type === 'subscribed') wait = firstWait;
    subscribers.get(frame.subscription ?? '')?.hear(frame);
  };
  one.onclose = drop;
}

// alive puts off the question whether the other side is there: a connection that is
// dead, as after a sleep, says nothing of it.
function alive() {
  clearTimeout(silence);
  silence = setTimeout(() => {
    say({ type: 'ping' });
    silence = setTimeout(drop, answers);
  }, quiet);
}

// drop does without the socket, and has another one after a while.
function drop() {
  close();
  again = setTimeout(connect, wait);
  wait = Math.min(2 * wait, longestWait);
  for (const one of [...subscribers.values()]) one.lost();
}

function close() {
  clearTimeout(again);
  clearTimeout(silence);
  const one = socket;
  socket = undefined;
  if (!one) return;
  one.onopen = one.onmessage = one.onclose = null;
  one.close();
}

comeback.follow(() => {
  wait = firstWait;
  if (!socket && subscribers.size > 0) connect();
});
