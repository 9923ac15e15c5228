import { call } from '../api';
import { useLoad, usePages } from '../load';
import { link } from '../router';
import type { Rule } from '../types';
import { Doing, isAdmin, Rows, Section, Shown, State, When } from '../ui';

interface Held {
  current: boolean;
  workers: { worker: string; state: string; why?: string; broken?: { name: string; error: string }[] | null }[];
}

// Rules is the list of them.
export function Rules() {
  const rules = usePages<Rule>('/rules?limit=100', 15_000);
  const held = useLoad<Held>('/rules/status', 5000);
  return (
    <>
      <Shown of={held}>
        {(h) => (
          <p class={h.workers.length && h.current ? 'muted' : 'away'}>
            {h.workers.length === 0
              ? 'No rule-worker runs, so no rule decides: start one (bin/rule-worker).'
              : h.current
                ? `All ${h.workers.length === 1 ? 'rule-workers (1)' : h.workers.length + ' rule-workers'} hold these rules.`
                : 'Not every rule-worker holds these rules yet: ' + h.workers.filter((w) => w.state !== 'current').map((w) => `${w.worker} is ${w.state}${w.why ? ' (' + w.why + ')' : ''}`).join(', ')}
          </p>
        )}
      </Shown>
      <Section title="Rules" actions={<a class="button primary" href={link('rules/new')}>New rule</a>}>
        <Rows of={rules} label="Rules" head={['Name', 'State', 'Condition', 'Actions', 'Version', 'Changed', '']}
          empty={<>No rules yet. <a href={link('rules/new')}>Write the first one</a>, or <code>eactl rules apply -f configs/rules</code> saves the samples.</>}
          row={(r) => (
            <tr key={r.rule_id}>
              <td>
                <a href={link('rules/' + encodeURIComponent(r.rule_id))}>{r.name}</a>
                {r.description && <div class="muted long">{r.description}</div>}
              </td>
              <td>
                <State of={r.enabled ? r.mode : 'disabled'} />
                {r.window && <span class="badge quiet">{String(r.window.kind)}</span>}
              </td>
              <td class="payload">{JSON.stringify(r.conditions)}</td>
              <td>{r.actions.map((a) => a.type).join(', ') || 'none'}</td>
              <td class="number">{r.version}</td>
              <td>
                <When at={r.updated_at} />
              </td>
              <td>
                {isAdmin() && (
                  <Doing label={r.enabled ? 'Disable' : 'Enable'} about={r.name} done={`${r.name} is ${r.enabled ? 'disabled' : 'enabled'}`}
                    run={async () => {
                      await call('PATCH', '/rules/' + encodeURIComponent(r.rule_id), { enabled: !r.enabled }, { headers: { 'If-Match': `"${r.version}"` } });
                      rules.reload();
                    }} />
                )}
              </td>
            </tr>
          )} />
      </Section>
    </>
  );
}
