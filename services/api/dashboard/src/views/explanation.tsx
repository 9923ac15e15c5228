import type { Explanation } from '../types';

// Clauses says of each clause whether it held, and why.
export function Clauses({ of }: { of: Explanation }) {
  return (
    <ul class="clauses">
      <Clause of={of} />
    </ul>
  );
}

function Clause({ of }: { of: Explanation }) {
  return (
    <li class={of.matched ? 'yes' : 'no'}>
      <span class="mark">{of.matched ? 'holds' : 'does not hold'}</span> {of.clauses?.length ? <code>{of.operator}</code> : of.text || 'matches everything'}
      {of.clauses?.length ? (
        <ul>
          {of.clauses.map((c) => (
            <Clause of={c} />
          ))}
        </ul>
      ) : null}
    </li>
  );
}
