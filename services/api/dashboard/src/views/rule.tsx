import { useState } from 'preact/hooks';
import { call, post } from '../api';
import { useLoad, usePages } from '../load';
import { go, link, place, put } from '../router';
import type { Doc, Rule } from '../types';
import { Doing, Facts, isAdmin, Json, Rows, Section, Shown, State, Sure, Tabs, When } from '../ui';
import { readJson } from './condition';
import { Editor } from './editor';
import { NotificationList } from './notifications';

type Tab = 'edit' | 'notifications' | 'versions';

// RulePage is one rule, or a new one.
export function RulePage({ id }: { id: string }) {
  const { params } = place.use();
  const fresh = id === 'new';
  const path = '/rules/' + encodeURIComponent(id);
  const rule = useLoad<Rule>(fresh ? null : path);
  if (fresh) {
    const conditions = readJson(params.get('conditions') ?? '').value as Doc | undefined;
    return <Editor from={conditions ? { conditions } : {}} event={params.get('event') ?? ''} saved={(r) => go(link('rules/' + encodeURIComponent(r.rule_id)))} />;
  }
  const tab = (params.get('tab') as Tab) || 'edit';
  return (
    <Shown of={rule}>
      {(r) => (
        <>
          <section class="card" aria-label="The rule">
            <div class="card-head">
              <h2>
                {r.name} <State of={r.enabled ? r.mode : 'disabled'} />
              </h2>
              {isAdmin() && (
                <div class="actions">
                  <Doing label={r.enabled ? 'Disable' : 'Enable'} run={() => change(path, r, { enabled: !r.enabled }).then(rule.reload)} />
                  <Doing label={r.mode === 'live' ? 'To shadow' : 'To live'} title="A shadow rule decides and records, and does nothing" run={() => change(path, r, { mode: r.mode === 'live' ? 'shadow' : 'live' }).then(rule.reload)} />
                  <Sure label="Delete" sure={'Delete ' + r.name} done={r.name + ' is deleted'} run={() => call('DELETE', path, undefined, { headers: { 'If-Match': `"${r.version}"` } }).then(() => go('#/rules'))} />
                </div>
              )}
            </div>
            <Facts of={[['Id', <code>{r.rule_id}</code>], ['Version', r.version], ['Changed', <When at={r.updated_at} />], ['By', r.created_by]]} />
            <Tabs label="What to show" of={[['edit', 'Edit and try'], ['notifications', 'Notifications'], ['versions', 'Versions']]} at={tab} go={(t) => put({ tab: t })} />
          </section>
          {tab === 'edit' && <Editor key={r.version} from={r} event={params.get('event') ?? ''} saved={rule.reload} />}
          {tab === 'notifications' && <NotificationList filter={{ rule: r.rule_id }} />}
          {tab === 'versions' && <Versions path={path} rule={r} changed={rule.reload} />}
        </>
      )}
    </Shown>
  );
}

const change = (path: string, r: Rule, patch: Partial<Rule>) => call<Rule>('PATCH', path, patch, { headers: { 'If-Match': `"${r.version}"` } });

interface Diff {
  changes: { path: string; old?: unknown; new?: unknown; secret?: boolean }[];
}

function Versions({ path, rule, changed }: { path: string; rule: Rule; changed: () => void }) {
  const versions = usePages<Rule>(path + '/versions?limit=50');
  const [seen, setSeen] = useState(0);
  const diff = useLoad<Diff>(seen && seen !== rule.version ? `${path}/diff?from=${seen}&to=${rule.version}` : null);
  const one = useLoad<Rule>(seen ? `${path}/versions/${seen}` : null);
  return (
    <div class="columns">
      <Section title="Versions">
        <Rows of={versions} label="Versions of the rule" head={['Version', 'Saved', 'By', '']} empty="No version was kept."
          row={(v) => (
            <tr key={v.version} class={v.version === seen ? 'here' : ''}>
              <td class="number">
                {v.version}
                {v.version === rule.version && <span class="badge good">now</span>}
                {v.rolled_back_to && <span class="muted"> as {v.rolled_back_to}</span>}
              </td>
              <td>
                <When at={v.updated_at} />
              </td>
              <td>{v.created_by}</td>
              <td class="actions">
                <button type="button" onClick={() => setSeen(v.version)} aria-label={`Look at version ${v.version}`}>
                  Look
                </button>
                {isAdmin() && v.version !== rule.version && (
                  <Doing label="Go back" about={`to version ${v.version}`} done={`As version ${v.version} again`}
                    run={async () => {
                      await post(path + '/rollback', { version: v.version }, { headers: { 'If-Match': `"${rule.version}"` } });
                      changed();
                      versions.reload();
                    }} />
                )}
              </td>
            </tr>
          )} />
      </Section>
      {seen > 0 && (
        <Section title={seen === rule.version ? `Version ${seen}` : `What changed from ${seen} to ${rule.version}`}>
          {seen !== rule.version && (
            <Shown of={diff}>
              {(d) => (
                <ul class="diff">
                  {d.changes.length === 0 && <li>Nothing that a rule says.</li>}
                  {d.changes.map((c) => (
                    <li>
                      <code>{c.path}</code>
                      {c.secret ? ' a secret changed' : ''}
                      {!c.secret && c.old !== undefined && <pre class="gone">− {JSON.stringify(c.old)}</pre>}
                      {!c.secret && c.new !== undefined && <pre class="new">+ {JSON.stringify(c.new)}</pre>}
                    </li>
                  ))}
                </ul>
              )}
            </Shown>
          )}
          <Shown of={one}>{(v) => <Json of={v} label={`Version ${seen}`} />}</Shown>
        </Section>
      )}
    </div>
  );
}
