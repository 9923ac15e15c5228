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

// The newest critical events that were stored in the last day.
export const criticals = observable<Critical[]>([]);

// Whether the api has said which there are, and whether it will say of new ones.
export const known = observable(false);
export const hearing = observable<State>('connecting');

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

// listen follows them until the returned function is called. What was stored before
// the stream began, or while it could not tell, is read; so is, at each attempt to
// have a stream, what it would tell: who cannot listen must not look like one who
// hears nothing. It takes no event stream instead: of these a browser has six for
// one host, and each tab has a bell.
export function listen(): () => void {
  const stop = new AbortController();
  const take = (found: Critical[]) => {
    const all = new Map(criticals.get().map((e) => [e.event_id, e]));
    for (const e of found) all.set(e.event_id, e);
    if (all.size === criticals.get().length) return;
    criticals.set([...all.values()].sort((a, b) => Date.parse(b.created_at) - Date.parse(a.created_at)).slice(0, kept));
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
