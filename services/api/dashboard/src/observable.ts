import { useEffect, useState } from 'preact/hooks';

// A value that components follow.
export interface Observable<T> {
  get(): T;
  set(value: T): void;
  use(): T;
}

export function observable<T>(value: T): Observable<T> {
  const followers = new Set<() => void>();
  return {
    get: () => value,
    set(next) {
      if (Object.is(next, value)) return;
      value = next;
      for (const follow of followers) follow();
    },
    use() {
      const [, again] = useState(0);
      useEffect(() => {
        const seen = value;
        const follow = () => again((n) => n + 1);
        followers.add(follow);
        if (!Object.is(seen, value)) follow();
        return () => void followers.delete(follow);
      }, []);
      return value;
    },
  };
}
