import { useMemo } from 'preact/hooks';
import { call, query } from '../api';
import { Spark } from '../chart';
import { compact, count } from '../format';
import { useLoad, usePages } from '../load';
import { link } from '../router';
import type { Rule } from '../types';
import { Doing, isAdmin, Rows, Section, Shown, State, When, Wrong } from '../ui';

interface Held {
  current: boolean;
  workers: { worker: string; state: string; why?: string; broken?: { name: string; error: string }[] | null }[];
}

interface Matches {
  items: { rule_id: string; matches: number; sparkline: number[] }[];
}

const atOnce = 200; // rules that the api counts for in one request

// Rules is the list of them.
export function Rules() {
  const rules = usePages<Rule>('/rules?limit=100', 15_000);
  const held = useLoad<Held>('/rules/status', 5000);
  const ids = (rules.data ?? []).slice(0, atOnce).map((r) => r.rule_id).join();
  const matches = useLoad<Matches>(ids ? '/rules/matches' + query({ rules: ids }) : null, 30_000);
  const matched = useMemo(() => new Map(matches.data?.items.map((m) => [m.rule_id, m])), [matches.data]);
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
        <Wrong error={matches.error} />
        <Rows of={rules} label="Rules" head={['Name', 'State', 'Matches, last 24 h', 'Condition', 'Actions', 'Changed', '']}
          empty={<>No rules yet. <a href={link('rules/new')}>Write the first one</a>, or <code>eactl rules apply -f configs/rules</code> saves the samples.</>}
          row={(r) => (
            <tr key={r.rule_id}>
              <td class="named">
                <a href={link('rules/' + encodeURIComponent(r.rule_id))}>{r.name}</a>
                {r.description && <div class="muted long">{r.description}</div>}
              </td>
              <td>
                <State of={r.enabled ? r.mode : 'disabled'} />
                {r.window && <span class="badge quiet">{String(r.window.kind)}</span>}
              </td>
              <td>
                <Matched of={matched.get(r.rule_id)} />
              </td>
              <td class="payload">{JSON.stringify(r.conditions)}</td>
              <td>{r.actions.map((a) => a.type).join(', ') || 'none'}</td>
              <td>
                <When at={r.updated_at} />
                <div class="muted">version {r.version}</div>
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

function Matched({ of }: { of: Matches['items'][number] | undefined }) {
  if (!of) return null;
  if (!of.matches) return <span class="muted">none</span>;
  return (
    <div class="matched">
      <Spark of={of.sparkline} label={`Matches by hour, at most ${count(Math.max(...of.sparkline))}`} /> <span class="number">{compact(of.matches)}</span>
    </div>
  );
}
