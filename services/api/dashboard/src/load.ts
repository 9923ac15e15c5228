import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { comeback, get, type Problem } from './api';
import type { Page } from './types';

export interface Loaded<T> {
  data: T | undefined;
  error: Problem | undefined;
  loading: boolean;
  reload(): void;
}

// useLoad asks for a path (null: not yet), again every so many milliseconds while
// the page is looked at, and when what was away is back. One question at a time: an
// answer that takes longer than that is waited for, not asked for again. What is
// there stays while it asks and when it gets no answer, and as long as what the path
// is about (about) is the same: a period that ends now has another path each minute.
export function useLoad<T>(path: string | null, every = 0, about = path): Loaded<T> {
  const [state, setState] = useState<{ about: string | null; data?: T; error?: Problem; loading: boolean }>({ about, loading: path !== null });
  const again = useRef<(now: boolean) => void>(() => undefined); // now: also when an answer is on its way, which may be older
  const back = comeback.use();
  useEffect(() => {
    if (path === null) return setState({ about, loading: false });
    const stop = new AbortController();
    let underWay = false;
    let once = false;
    const ask = async () => {
      underWay = true;
      setState((s) => (s.about === about ? { ...s, loading: true } : { about, loading: true }));
      do {
        once = false;
        try {
          const data = await get<T>(path, { signal: stop.signal });
          if (!stop.signal.aborted) setState({ about, data, loading: false });
        } catch (error) {
          if (!stop.signal.aborted) setState((s) => ({ ...s, error: error as Problem, loading: false }));
        }
      } while (once && !stop.signal.aborted);
      underWay = false;
    };
    again.current = (now) => {
      if (!underWay) void ask();
      else if (now) once = true;
    };
    void ask();
    return () => {
      stop.abort();
      again.current = () => undefined;
    };
  }, [path, back]);
  const reload = useCallback(() => again.current(true), []);
  useEffect(() => {
    if (!every) return;
    const timer = setInterval(() => document.hidden || again.current(false), every);
    return () => clearInterval(timer);
  }, [every]);
  return { data: state.about === about ? state.data : undefined, error: state.error, loading: state.loading, reload };
}

export interface Pages<T> extends Loaded<T[]> {
  more: (() => void) | undefined;
}

// usePages is useLoad of a list: more() adds the next page.
export function usePages<T>(path: string | null, every = 0): Pages<T> {
  const [rest, setRest] = useState<{ of: string; items: T[]; next?: string }>({ of: '', items: [] });
  // A first page that moves on would tear a hole before the second.
  const first = useLoad<Page<T>>(path, rest.of === path ? 0 : every);
  const [error, setError] = useState<Problem>();
  const begun = useRef(path);
  begun.current = path;
  const after = rest.of === path ? rest : undefined;
  const next = after ? after.next : first.data?.next_cursor;
  const more = useCallback(async () => {
    if (!next || path === null) return;
    try {
      const page = await get<Page<T>>(path + (path.includes('?') ? '&' : '?') + 'cursor=' + encodeURIComponent(next));
      if (begun.current !== path) return;
      setError(undefined);
      setRest((r) => ({ of: path, items: [...(r.of === path ? r.items : []), ...page.items], ...(page.next_cursor ? { next: page.next_cursor } : {}) }));
    } catch (e) {
      setError(e as Problem);
    }
  }, [path, next]);
  return {
    ...first,
    data: first.data && (after ? [...first.data.items, ...after.items] : first.data.items),
    error: first.error ?? error,
    more: next ? more : undefined,
    reload: () => {
      setRest({ of: '', items: [] });
      first.reload();
    },
  };
}

// useLater gives a value when it has not changed for so long.
export function useLater<T>(value: T, milliseconds: number): T {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), milliseconds);
    return () => clearTimeout(timer);
  }, [value, milliseconds]);
  return settled;
}
