import { post } from '../api';
import { usePages } from '../load';
import { link, place, put } from '../router';
import type { Target } from '../types';
import { Doing, isAdmin, Rows, Section, State, Tabs, When } from '../ui';

const states = { '': 'all', open: 'open', half_open: 'half open', disabled: 'disabled', closed: 'closed' };

export function Targets() {
  const state = place.use().params.get('state') ?? '';
  const list = usePages<Target>('/targets?limit=100' + (state && '&state=' + state), 3000);
  return (
    <>
      <Tabs label="State" of={Object.entries(states) as [string, string][]} at={state} go={(s) => put({ state: s })} />
      <Section title="Where actions go">
        <p class="muted">A target that fails 70 % of its calls is left alone until one call that probes it succeeds; its messages wait at no cost. Only those that ever failed are here.</p>
        <Rows of={list} label="Targets" head={['Target', 'Breaker', 'Why', 'Since', 'Next probe', 'Opened', '']} empty={state ? 'No target is in this state.' : 'No target was ever held back for: nothing to do.'}
          row={(t) => (
            <tr key={t.target_id}>
              <td>{t.target}</td>
              <td>
                <State of={t.state} />
              </td>
              <td class="long">{[t.reason?.replace(/_/g, ' '), t.by && 'by ' + t.by].filter(Boolean).join(', ')}</td>
              <td>
                <When at={t.since} />
              </td>
              <td>{t.retry_at ? <When at={t.retry_at} /> : '–'}</td>
              <td class="number">{t.opened}</td>
              <td class="actions">
                {isAdmin() && t.state !== 'closed' && <Doing label="Enable" about={t.target} done={t.target + ' has calls again'} run={() => post(`/targets/${encodeURIComponent(t.target_id)}/enable`).then(list.reload)} />}
                {isAdmin() && t.state !== 'disabled' && <Doing label="Disable" about={t.target} done={t.target + ' is disabled'} run={() => post(`/targets/${encodeURIComponent(t.target_id)}/disable`, { reason: 'from the dashboard' }).then(list.reload)} />}
              </td>
            </tr>
          )} />
        <p class="muted">
          What a disabled target would have got is <a href={link('notifications', { status: 'suppressed', reason: 'target_disabled' })}>suppressed, not lost</a>.
        </p>
      </Section>
    </>
  );
}
