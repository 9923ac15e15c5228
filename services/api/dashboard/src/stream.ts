import { get, type Problem } from './api';
import { lastDay } from './format';
import type { EventDoc } from './types';

export interface Gap {
  from: string;
  to: string;
}

interface Listener {
  event(e: EventDoc): void;
  gap(g: Gap): void;
  begun(): void; // anew, from now on, after a gap that was told
  state(s: 'live' | 'lost', why?: string): void;
  refused(why: Problem): void; // the filter cannot be right: it is not tried again
}

// follow tells stored events until the returned function is called. The browser
// itself reconnects with Last-Event-ID; where it gives up (an answer that is no
// stream) this does, after the last id that was seen. Before the first event there
// is none (frames that are an id alone reach no listener): then the stream begins
// now, and what was stored meanwhile is a gap.
export function follow(filter: string, listener: Listener): () => void {
  let source: EventSource | undefined;
  let last = '';
  let ended = false;
  let lost: string | undefined; // since when there is no stream
  let again: ReturnType<typeof setTimeout> | undefined;

  const connect = () => {
    clearTimeout(again);
    source?.close();
    const parameters = new URLSearchParams(filter);
    if (last) parameters.set('last_event_id', last);
    source = new EventSource('/api/v1/stream/events?' + parameters);
    source.onopen = () => {
      listener.state('live');
      if (lost && !last) { // also when it was the browser that came back: it may have known no id either
        listener.gap({ from: lost, to: new Date().toISOString() });
        listener.begun();
      }
      lost = undefined;
    };
    source.addEventListener('event', (e) => {
      last = e.lastEventId;
      listener.event(JSON.parse(e.data) as EventDoc);
    });
    source.addEventListener('gap', (e) => {
      if (e.lastEventId) last = e.lastEventId;
      listener.gap(JSON.parse(e.data) as Gap);
    });
    source.addEventListener('error', (e) => {
      if (ended) return;
      lost ??= new Date().toISOString();
      if (e instanceof MessageEvent) return listener.state('lost', 'this api process has as many live clients as it takes'); // a frame of that name
      listener.state('lost');
      if (source?.readyState === EventSource.CLOSED) void ask();
    });
  };

  // ask finds out why there was no stream.
  const ask = async () => {
    const parameters = new URLSearchParams(filter);
    parameters.set('limit', '1');
    parameters.set('from', lastDay());
    try {
      await get('/events?' + parameters);
    } catch (error) {
      const problem = error as Problem;
      if (problem.status === 400 || problem.status === 422) return listener.refused(problem);
      if (problem.status === 401) return;
    }
    if (!ended) again = setTimeout(connect, 2000);
  };

  connect();
  return () => {
    ended = true;
    clearTimeout(again);
    source?.close();
  };
}
