import { useState } from 'preact/hooks';
import { call, open, post, Problem, query, session } from '../api';
import { useLoad, usePages } from '../load';
import { link, place, put } from '../router';
import type { Audit as Entry, User } from '../types';
import { Doing, Drawer, Facts, Field, Json, Rows, say, Section, Shown, Sure, When, Wrong } from '../ui';
import { type Fresh, Keys, Made } from './keys';

// Users: who may ask, and with which keys.
export function Users() {
  const list = usePages<User>('/users?limit=100');
  const [made, setMade] = useState<Fresh>();
  const [chosen, choose] = useState<User>();
  const mine = session.use()!.user.user_id;
  return (
    <>
      <NewUser
        made={(fresh) => {
          setMade(fresh);
          list.reload();
        }}
      />
      {made && <Made of={made} />}
      <Section title="Users">
        <Rows of={list} label="Users" head={['Address', 'Name', 'Role', 'Keys', 'Last used', 'Since']} empty="There is nobody, which cannot be."
          row={(u) => (
            <tr key={u.user_id} class="pick" onClick={() => choose(u)}>
              <td>
                <button type="button" class="link" onClick={(e) => (e.stopPropagation(), choose(u))}>
                  {u.email}
                </button>
                {u.user_id === mine && <span class="badge info">you</span>}
              </td>
              <td>{u.name}</td>
              <td>{u.role}</td>
              <td class="number">{u.api_keys.length}</td>
              <td>
                <When at={u.api_keys.map((k) => k.last_used_at ?? '').sort().at(-1) || undefined} />
              </td>
              <td>
                <When at={u.created_at} />
              </td>
            </tr>
          )} />
      </Section>
      {chosen && (
        <Drawer title={chosen.email} close={() => choose(undefined)}>
          <Person id={chosen.user_id} changed={list.reload} gone={() => (choose(undefined), list.reload())} />
        </Drawer>
      )}
    </>
  );
}

// Person is one user: role, keys, and the way out.
function Person({ id, changed, gone }: { id: string; changed: () => void; gone: () => void }) {
  const path = '/users/' + encodeURIComponent(id);
  const user = useLoad<User>(path);
  const mine = session.get()!.user.user_id === id;
  const again = () => {
    user.reload();
    changed();
  };
  const match = (u: User) => ({ headers: { 'If-Match': `"${u.version}"` } });
  const become = async (u: User, role: User['role']) => {
    await call('PATCH', path, { role }, match(u));
    if (mine) await open(say); // what the menu shows is another now
    again();
  };
  return (
    <Shown of={user}>
      {(u) => (
        <>
          <Facts
            of={[
              ['Name', u.name], ['Role', u.role === 'admin' ? 'admin: changes' : 'user: reads and tries'], ['Since', <When at={u.created_at} />], ['Made by', u.created_by],
              ['Told by', u.preferences.notification_channels.join(', ')], ['Told of', u.preferences.event_types.join(', ')], ['Id', <code>{u.user_id}</code>],
            ]}
          />
          <div class="actions">
            {u.role === 'admin' ? (
              <Sure label="Make a plain user" sure={mine ? 'Give up my own admin role' : `Take the admin role from ${u.email}`} keep="Keep the role" done={u.email + ' is a user now'} run={() => become(u, 'user')} />
            ) : (
              <Doing label="Make an admin" done={u.email + ' is an admin now'} run={() => become(u, 'admin')} />
            )}
            <Sure label="Delete" sure={`Delete ${u.email}, whose keys stop at once`} done={u.email + ' is deleted'} run={() => call('DELETE', path, undefined, match(u)).then(gone)} />
            <a class="button" href={link('audit', { subject: u.user_id })}>
              What changed
            </a>
          </div>
          <h3>Keys</h3>
          <Keys owner={u} of={u.api_keys} changed={again} />
        </>
      )}
    </Shown>
  );
}

function NewUser({ made }: { made: (fresh: Fresh) => void }) {
  const [email, setEmail] = useState('');
  const [name, setName] = useState('');
  const [role, setRole] = useState('user');
  const [error, setError] = useState<Problem>();
  const save = async (e: Event) => {
    e.preventDefault();
    setError(undefined);
    try {
      const answer = await post<{ api_key: string }>('/users', { email, name, role, key: {} });
      made({ of: email, key: answer.api_key });
      setEmail('');
      setName('');
    } catch (problem) {
      setError(problem as Problem);
    }
  };
  return (
    <form class="card filter" aria-label="New user" onSubmit={save}>
      <Field label="Address">{(a) => <input {...a} type="email" value={email} required onInput={(e) => setEmail(e.currentTarget.value)} />}</Field>
      <Field label="Name">{(a) => <input {...a} value={name} onInput={(e) => setName(e.currentTarget.value)} />}</Field>
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
