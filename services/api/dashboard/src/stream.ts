import { Problem, send } from './api';
import { type Frame, subscribe } from './socket';

export interface Gap {
  from: string;
  to: string;
}

// What a stream is: it waits where as many catch up as may, and is lost while it
// cannot be had.
export type State = 'connecting' | 'live' | 'waiting' | 'lost';

export interface Listener<T> {
  event(e: T): void;
  gap(g: Gap): void;
  begun(): void; // from now on nothing is missed; what was stored before can be read
  state(s: State, why: string): void; // lost: at each attempt
  refused(why: Problem): void; // the wish cannot be right: it is not tried again
}

export interface Wish {
  parameters: Record<string, string>;
  fields?: string[];
}

// follow tells stored events until the returned function is called: by the page's
// WebSocket or, where there is none and byEvents is true, as server-sent events,
// until there is one. Both resume after the last place that was told. Without one,
// the stream begins where it is, and what was stored while there was none is a gap.
export function follow<T>(wish: Wish, listener: Listener<T>, byEvents = true): () => void {
  let last = '';
  let lost: string | undefined; // since when nothing is told
  let reason = '';
  let live = false;
  let events: (() => void) | undefined;
  const began = Date.now();

  const tell = (state: State, why = '') => {
    if (state === 'live' && live) return;
    live = state === 'live';
    reason = state === 'lost' ? why : '';
    listener.state(state, why);
  };
  const miss = (why = reason) => {
    lost ??= new Date().toISOString();
    tell('lost', why);
  };
  const refuse = (why: Problem) => {
    events?.();
    tell('lost', why.message);
    listener.refused(why);
  };
  const hear = (frame: Frame) => {
    if (!frame.id) return;
    const anew = !last;
    last = frame.id;
    if (frame.type === 'waiting') return tell('waiting');
    tell('live');
    if (anew) {
      if (lost) listener.gap({ from: lost, to: new Date().toISOString() });
      listener.begun();
    }
    lost = undefined;
    if (frame.type === 'gap') listener.gap(frame.data as Gap);
    if (frame.type === 'event') listener.event(frame.data as T);
  };
  // doubt is whether it may be the place alone that is refused, which then is forgotten.
  const doubt = () => {
    if (!last) return false;
    last = '';
    miss();
    return true;
  };
  const socket = subscribe({
    wish() {
      events?.();
      events = undefined;
      return { parameters: wish.parameters, ...(wish.fields && { fields: wish.fields }), ...(last && { resume: last }) };
    },
    hear(frame) {
      if (frame.type === 'slow_consumer') return socket.renew();
      if (frame.type !== 'error') return hear(frame);
      if (doubt()) return socket.renew();
      refuse(new Problem(422, frame.code ?? '', frame.message ?? '', frame.errors ?? []));
    },
    lost() {
      if (events) return; // which says itself what becomes of it
      if (!byEvents || last) miss();
      if (!byEvents) return;
      // Whoever begins has read what was stored by now, but not while a socket hung.
      if (!last && Date.now() - began > hung) lost ??= new Date(began).toISOString();
      events = serverSent(() => ({ ...wish.parameters, ...(last && { last_event_id: last }) }), hear, (problem) => {
        if (problem.status !== 400 && problem.status !== 422) return miss(problem.message);
        if (!doubt()) refuse(problem);
      });
    },
  });
  return () => {
    events?.();
    socket.end();
  };
}

const firstWait = 1000;
const longestWait = 30_000;
const hung = 2000;
const silence = 50_000; // the api says something every 15 s

// serverSent reads a stream as server-sent events, one connection after the other,
// until the returned function is called. It is no EventSource, which tells neither
// why it was refused nor the places between events, and does not notice silence. A
// tab that nobody looks at has none: a browser has six connections to one host.
function serverSent(parameters: () => Record<string, string>, hear: (frame: Frame) => void, failed: (problem: Problem) => void): () => void {
  const stop = new AbortController();
  const connections = async () => {
    let wait = firstWait;
    while (!stop.signal.aborted) {
      if (document.hidden) await seen();
      let why = new Problem(0, 'closed', 'The api has closed the stream.');
      try {
        await connection(stop.signal, parameters(), (frame) => {
          wait = firstWait;
          hear(frame);
        });
      } catch (error) {
        if (error instanceof Problem) why = error;
      }
      if (stop.signal.aborted) return;
      failed(why);
      await new Promise((over) => setTimeout(over, wait));
      wait = Math.min(2 * wait, longestWait);
    }
  };
  void connections();
  return () => stop.abort();
}

const seen = () => new Promise((over) => addEventListener('visibilitychange', over, { once: true }));

// connection tells one connection's frames until it ends.
async function connection(stop: AbortSignal, parameters: Record<string, string>, hear: (frame: Frame) => void) {
  const cut = new AbortController();
  const end = () => cut.abort();
  const hide = () => document.hidden && end();
  stop.addEventListener('abort', end);
  document.addEventListener('visibilitychange', hide);
  let watchdog = setTimeout(end, silence);
  try {
    const answer = await send('/stream/events?' + new URLSearchParams(parameters), { signal: cut.signal }, cut.signal);
    const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader();
    for (let rest = ''; ; ) {
      const { value, done } = await reader.read();
      if (done || stop.aborted) return;
      clearTimeout(watchdog);
      watchdog = setTimeout(end, silence);
      const blocks = (rest + value).split('\n\n');
      rest = blocks.pop()!;
      for (const block of blocks) hear(frameOf(block));
    }
  } finally {
    clearTimeout(watchdog);
    stop.removeEventListener('abort', end);
    document.removeEventListener('visibilitychange', hide);
    end();
  }
}

// frameOf is a block of lines as a frame; one without a name is a position.
function frameOf(block: string): Frame {
  const lines = new Map(block.split('\n').map((line): [string, string] => {
    const at = line.indexOf(': ');
    return [line.slice(0, at), line.slice(at + 2)];
  }));
  const [id, data] = [lines.get('id'), lines.get('data')];
  return { type: lines.get('event') ?? 'position', ...(id && { id }), ...(data && { data: JSON.parse(data) as unknown }) };
}
