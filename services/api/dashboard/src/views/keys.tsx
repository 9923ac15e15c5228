import { useState } from 'preact/hooks';
import { call, post, Problem, session } from '../api';
import { useLoad } from '../load';
import type { Key, Page } from '../types';
import { Doing, Empty, Field, Section, Shown, Sure, Table, When, Wrong } from '../ui';

// Fresh is a key that was just made.
export interface Fresh {
  of: string;
  key: string;
  note?: string;
}

export function Made({ of }: { of: Fresh }) {
  return (
    <div class="made" role="status">
      <p>
        The new key of <strong>{of.of}</strong>. It is shown this once. {of.note}
      </p>
      <pre class="json" tabIndex={0} role="region" aria-label="The new key">
        {of.key}
      </pre>
    </div>
  );
}

// MyKeys: everybody has their own.
export function MyKeys() {
  const keys = useLoad<Page<Key>>('/api-keys');
  return (
    <Section title="Keys">
      <p class="muted">By these, programs and browsers ask in your name, and may what you may.</p>
      <Shown of={keys}>{(k) => <Keys owner={session.get()!.user} of={k.items} changed={keys.reload} />}</Shown>
    </Section>
  );
}

// Keys are those of one user, with what can be done about each.
export function Keys({ owner, of, changed }: { owner: { user_id: string; email: string }; of: Key[]; changed: () => void }) {
  const [made, setMade] = useState<Fresh>();
  const here = session.use()?.key_id;
  const path = (k: Key) => '/api-keys/' + encodeURIComponent(k.id);
  const rotate = async (k: Key) => {
    const fresh = await post<{ api_key: string }>(path(k) + '/rotate');
    setMade({ of: owner.email, key: fresh.api_key, note: `The old one, ${k.prefix}…, stays in force for 24 hours.` });
    changed();
  };
  return (
    <>
      {made && <Made of={made} />}
      {of.length === 0 ? (
        <Empty>None: nobody can ask in this name.</Empty>
      ) : (
        <Table label={'Keys of ' + owner.email} head={['Key', 'Last used', 'Ends', '']}>
          {of.map((k) => (
            <tr key={k.id}>
              <td>
                <code>{k.prefix}…</code>
                {k.id === here && <span class="badge info">of this session</span>}
                {k.name && <div class="muted">{k.name}</div>}
              </td>
              <td>{k.last_used_at ? <When at={k.last_used_at} /> : <span class="muted">never</span>}</td>
              <td>{k.expires_at ? <When at={k.expires_at} /> : <span class="muted">never</span>}</td>
              <td class="actions">
                <Doing label="Rotate" about={k.prefix + '…'} title="A new key; this one stays in force for 24 hours" run={() => rotate(k)} />
                <Sure label="Revoke" about={k.prefix + '…'} sure={k.id === here ? 'Revoke, and sign out' : 'Revoke: it stops at once'} done="The key is revoked" run={() => call('DELETE', path(k)).then(changed)} />
              </td>
            </tr>
          ))}
        </Table>
      )}
      <NewKey
        owner={owner}
        made={(fresh) => {
          setMade(fresh);
          changed();
        }}
      />
    </>
  );
}

const day = 86_400_000;
const lives: Record<string, number> = { never: 0, 'after 30 days': 30 * day, 'after 90 days': 90 * day, 'after a year': 365 * day };

function NewKey({ owner, made }: { owner: { user_id: string; email: string }; made: (fresh: Fresh) => void }) {
  const [name, setName] = useState('');
  const [life, setLife] = useState('never');
  const [error, setError] = useState<Problem>();
  const save = async (e: Event) => {
    e.preventDefault();
    setError(undefined);
    const ends = lives[life];
    try {
      const key = await post<{ api_key: string }>('/api-keys', { user_id: owner.user_id, name: name.trim(), ...(ends && { expires_at: new Date(Date.now() + ends).toISOString() }) });
      made({ of: owner.email, key: key.api_key });
      setName('');
    } catch (problem) {
      setError(problem as Problem);
    }
  };
  return (
    <form class="filter new-key" aria-label="New key" onSubmit={save}>
      <Field label="Name of a new key">{(a) => <input {...a} value={name} placeholder="what it is for" onInput={(e) => setName(e.currentTarget.value)} />}</Field>
      <Field label="Ends">
        {(a) => (
          <select {...a} value={life} onChange={(e) => setLife(e.currentTarget.value)}>
            {Object.keys(lives).map((l) => <option>{l}</option>)}
          </select>
        )}
      </Field>
      <div class="actions">
        <button type="submit">Make a key</button>
      </div>
      <Wrong error={error} />
    </form>
  );
}
