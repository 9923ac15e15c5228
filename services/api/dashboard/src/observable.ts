import { useEffect, useState } from 'preact/hooks';

// A value that components follow.
export interface Observable<T> {
  get(): T;
  set(value: T): void;
  follow(changed: () => void): () => void;
  use(): T;
}

export function observable<T>(value: T): Observable<T> {
  const followers = new Set<() => void>();
  const follow = (changed: () => void) => {
    followers.add(changed);
    return () => void followers.delete(changed);
  };
  return {
    get: () => value,
    set(next) {
      if (Object.is(next, value)) return;
      value = next;
      for (const follow of followers) follow();
    },
    follow,
    use() {
      const [, draw] = useState(0);
      const drawn = value;
      useEffect(() => {
        const again = () => draw((n) => n + 1);
        if (!Object.is(drawn, value)) again(); // it changed before this followed
        return follow(again);
      }, []);
      return value;
    },
  };
}
