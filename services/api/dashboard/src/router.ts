import { observable } from './observable';

// Where the page is: #/rules/pay-large?tab=versions. The fragment never leaves
// the browser, and every view can be linked to.
export interface Place {
  path: string[];
  params: URLSearchParams;
}

function read(): Place {
  const [path = '', params = ''] = location.hash.replace(/^#\/?/, '').split('?');
  return { path: path.split('/').filter(Boolean).map(decoded), params: new URLSearchParams(params) };
}

// decoded leaves a name that is none as it is written: the view then says that there is no such thing.
function decoded(name: string): string {
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}

export const place = observable<Place>(read());
addEventListener('hashchange', () => place.set(read()));

export function link(path: string, params: Record<string, string | undefined> = {}): string {
  const set = Object.entries(params).filter(([, v]) => v) as [string, string][];
  return '#/' + path + (set.length ? '?' + new URLSearchParams(set) : '');
}

export function go(address: string) {
  location.hash = address;
}

// clear takes what is in the fragment out of the address, and leads to the first view.
export function clear() {
  history.replaceState(null, '', location.pathname);
  place.set(read());
}

// put changes the parameters of this view without a step in the history.
export function put(params: Record<string, string | undefined>) {
  const here = place.get();
  history.replaceState(null, '', link(here.path.map(encodeURIComponent).join('/'), params));
  place.set(read());
}
