import { comeback, get, type Problem, query } from './api';
import { lastDay } from './format';
import { observable } from './observable';
import { follow, type State } from './stream';
import type { Page, Related } from './types';

// What somebody must look at, whatever view is open: as eactl tail --critical.
export const severityFrom = 8;

const kept = 50;

export interface Critical extends Related {
  created_at: string;
}

// The newest critical events: of those that happened in the last day, and of those
// that were stored since the page listens, whenever they happened.
export const criticals = observable<Critical[]>([]);

// Whether the api has said which there are, and whether it will say of new ones.
export const known = observable(false);
export const hearing = observable<State>('connecting');

// Which ones somebody has looked at, in this browser: their ids, since no moment tells.
// created_at is when an ingester took an event, by its own clock; one whose clock is
// behind, or that had to try again, stores its events after later ones.
const remembered = 'bell';
const rememberedMost = 500; // more than are kept: one that left the list may come back with the next reading
export type Looked = ReadonlySet<string>;
export const looked = observable(idsOf(localStorage.getItem(remembered)));
addEventListener('storage', (e) => e.key === remembered && looked.set(idsOf(e.newValue)));

function idsOf(text: string | null): Looked {
  try {
    return new Set(JSON.parse(text ?? '[]') as string[]);
  } catch {
    return new Set(); // somebody else's
  }
}

export function look() {
  const before = looked.get();
  const events = criticals.get();
  if (!events.some((e) => isNew(e, before))) return;
  const ids = [...new Set([...events.map((e) => e.event_id), ...before])].slice(0, rememberedMost);
  looked.set(new Set(ids));
  localStorage.setItem(remembered, JSON.stringify(ids));
}

export const isNew = (e: Critical, before: Looked) => !before.has(e.event_id);

// useFresh is how many nobody has looked at: '' for none, and of more than are kept as many.
export function useFresh(): string {
  const before = looked.use();
  const fresh = criticals.use().filter((e) => isNew(e, before)).length;
  return fresh === kept ? `${kept}+` : fresh ? String(fresh) : '';
}

// listen follows them until the returned function is called. What happened in the last
// day is read when the stream begins, when it could not tell, and at each attempt to
// have one: who cannot listen must not look like one who hears nothing. It takes no
// event stream instead: of these a browser has six for one host, and each tab has a
// bell. What was stored in the last day and happened before it is not found so: no
// index has when an event was stored, and the database would read every error it keeps.
export function listen(): () => void {
  const stop = new AbortController();
  const take = (found: Critical[]) => {
    const all = new Map(criticals.get().map((e) => [e.event_id, e]));
    for (const e of found) all.set(e.event_id, e);
    if (all.size === criticals.get().length) return;
    criticals.set(keep([...all.values()].sort((a, b) => Date.parse(b.created_at) - Date.parse(a.created_at))));
  };
  const read = () =>
    get<Page<Critical>>('/events' + query({ severity_min: severityFrom, from: lastDay(), limit: kept }), { signal: stop.signal }).then(
      (page) => {
        if (stop.signal.aborted) return;
        take(page.items);
        known.set(true);
      },
      (_: Problem) => undefined, // the page says elsewhere that it cannot ask
    );
  void read();
  const end = follow<Critical>({ parameters: { severity_min: String(severityFrom) }, fields: ['type', 'source', 'severity', 'created_at'] }, {
    event: (e) => take([e]),
    gap: read,
    begun: read,
    state(now) {
      hearing.set(now);
      if (now === 'lost') void read();
    },
    refused: () => undefined,
  }, false);
  const ask = comeback.follow(read);
  return () => {
    stop.abort();
    end();
    ask();
    criticals.set([]);
    known.set(false);
    hearing.set('connecting');
  };
}

// keep bounds them: the oldest leave, and before these the ones that were looked at.
function keep(newestFirst: Critical[]): Critical[] {
  const before = looked.get();
  const fresh = newestFirst.filter((e) => isNew(e, before));
  const stay = new Set([...fresh, ...newestFirst.filter((e) => !isNew(e, before))].slice(0, kept));
  return newestFirst.filter((e) => stay.has(e));
}
