import { useState } from 'preact/hooks';
import { call, post, Problem, query } from '../api';
import { usePages } from '../load';
import { link, place, put } from '../router';
import type { Audit as Entry, User } from '../types';
import { Doing, Field, Json, Rows, Section, When, Wrong } from '../ui';

// Users: who may ask, and with which keys.
export function Users() {
  const list = usePages<User>('/users?limit=100');
  const [made, setMade] = useState<{ of: string; key: string }>();
  return (
    <>
      <NewUser
        made={(of, key) => {
          setMade({ of, key });
          list.reload();
        }}
      />
      {made && (
        <div class="card" role="status">
          <p>
            The key of <strong>{made.of}</strong>, which is shown once:
          </p>
          <pre class="json">{made.key}</pre>
        </div>
      )}
      <Section title="Users">
        <Rows of={list} label="Users" head={['Address', 'Name', 'Role', 'Keys', 'Since', '']} empty="There is nobody, which cannot be."
          row={(u) => (
            <tr key={u.user_id}>
              <td>{u.email}</td>
              <td>{u.name}</td>
              <td>{u.role}</td>
              <td>
                <ul class="plain">
                  {u.api_keys.map((k) => (
                    <li>
                      <code>{k.prefix}…</code> {k.name} <span class="muted">{k.last_used_at ? 'used' : 'never used'}</span> {k.last_used_at && <When at={k.last_used_at} />}
                      {k.expires_at && (
                        <>
                          , ends <When at={k.expires_at} />
                        </>
                      )}{' '}
                      <Doing label="Revoke" about={`${k.prefix}… of ${u.email}`} done="The key is revoked" run={() => call('DELETE', '/api-keys/' + encodeURIComponent(k.id)).then(list.reload)} />
                    </li>
                  ))}
                </ul>
              </td>
              <td>
                <When at={u.created_at} />
              </td>
              <td class="actions">
                <Doing label="New key" about={'of ' + u.email}
                  run={async () => {
                    const key = await post<{ api_key: string }>('/api-keys', { user_id: u.user_id });
                    setMade({ of: u.email, key: key.api_key });
                    list.reload();
                  }} />
              </td>
            </tr>
          )} />
      </Section>
    </>
  );
}

function NewUser({ made }: { made: (of: string, key: string) => void }) {
  const [email, setEmail] = useState('');
  const [role, setRole] = useState('user');
  const [error, setError] = useState<Problem>();
  const save = async (e: Event) => {
    e.preventDefault();
    setError(undefined);
    try {
      const answer = await post<{ api_key: string }>('/users', { email, role, key: {} });
      made(email, answer.api_key);
      setEmail('');
    } catch (problem) {
      setError(problem as Problem);
    }
  };
  return (
    <form class="card filter" aria-label="New user" onSubmit={save}>
      <Field label="Address">{(a) => <input {...a} type="email" value={email} required onInput={(e) => setEmail(e.currentTarget.value)} />}</Field>
      <Field label="Role">
        {(a) => (
          <select {...a} value={role} onChange={(e) => setRole(e.currentTarget.value)}>
            <option value="user">user: reads and tries</option>
            <option value="admin">admin: changes</option>
          </select>
        )}
      </Field>
      <div class="actions">
        <button type="submit" class="primary">
          Make a user with a key
        </button>
      </div>
      <Wrong error={error} />
    </form>
  );
}

// Audit: who changed what.
export function Audit() {
  const subject = place.use().params.get('subject') ?? '';
  const [text, setText] = useState(subject);
  const list = usePages<Entry>('/audit' + query({ subject, limit: 50 }), 10_000);
  return (
    <>
      <form class="card filter" role="search" aria-label="Audit" onSubmit={(e) => (e.preventDefault(), put({ subject: text.trim() }))}>
        <Field label="About" hint="the id of a rule, a user, a silence, a target …">
          {(a) => <input {...a} value={text} onInput={(e) => setText(e.currentTarget.value)} />}
        </Field>
        <div class="actions">
          <button type="submit">Show</button>
        </div>
      </form>
      <Section title="Newest first">
        <Rows of={list} label="Changes" head={['At', 'Who', 'What', 'About', 'Before and after']} empty="No change is kept."
          row={(e) => (
            <tr key={e.audit_id}>
              <td>
                <When at={e.at} />
              </td>
              <td>{e.by}</td>
              <td>{e.action}</td>
              <td class="long">
                <a href={link('audit', { subject: e.subject })}>{e.subject}</a>
              </td>
              <td>
                {(e.before || e.after) && (
                  <details>
                    <summary>Show</summary>
                    {e.before && <Json of={e.before} label="Before" />}
                    {e.after && <Json of={e.after} label="After" />}
                  </details>
                )}
              </td>
            </tr>
          )} />
      </Section>
    </>
  );
}
