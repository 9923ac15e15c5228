import { useState } from 'preact/hooks';
import { post, Problem } from '../api';
import { count } from '../format';
import { useLoad, usePages } from '../load';
import { link, place, put } from '../router';
import type { Page, Rule, Silence } from '../types';
import { Doing, Field, isAdmin, Rows, say, Section, State, Tabs, When, Wrong } from '../ui';
import { ConditionField, readJson, useCondition } from './condition';

const states = { active: 'active', pending: 'to come', expired: 'over', all: 'all' };

export function Silences() {
  const { params } = place.use();
  const state = params.get('state') ?? 'active';
  const list = usePages<Silence>('/silences?limit=50' + (state === 'all' ? '' : '&state=' + state), 5000);
  const making = params.get('new') === 'yes';
  return (
    <>
      {making && isAdmin() && (
        <New
          condition={params.get('condition') ?? ''}
          about={params.get('comment') ?? ''}
          done={() => {
            put({});
            list.reload();
          }}
        />
      )}
      <div class="bar">
        <Tabs label="State" of={Object.entries(states) as [string, string][]} at={state} go={(s) => put({ state: s })} />
        {!making && isAdmin() && (
          <a class="button primary" href={link('silences', { new: 'yes' })}>
            New silence
          </a>
        )}
      </div>
      <Section title="Silences">
        <Rows of={list} label="Silences" head={['State', 'Comment', 'Condition', 'Rules', 'Until', 'Held back', 'By', '']}
          empty="None. A silence holds back the notifications of what its condition matches, for a while; the page of an event has one filled in."
          row={(s) => (
            <tr key={s.silence_id}>
              <td>
                <State of={s.state} />
              </td>
              <td class="long">{s.comment}</td>
              <td class="payload">{JSON.stringify(s.condition)}</td>
              <td>{s.rules?.join(', ') || 'all'}</td>
              <td>
                <When at={s.until} />
              </td>
              <td>
                <a href={link('notifications', { status: 'suppressed', held_by: s.silence_id })}>{s.held === undefined ? 'show' : count(s.held)}</a>
              </td>
              <td>{s.author}</td>
              <td>{isAdmin() && s.state !== 'expired' && <Doing label="End now" about={s.comment} done="It is over" run={() => post(`/silences/${s.silence_id}/expire`).then(list.reload)} />}</td>
            </tr>
          )} />
      </Section>
    </>
  );
}

interface Preview {
  events: number;
  matched: number;
  at_least?: boolean;
}

function New({ condition, about, done }: { condition: string; about: string; done: () => void }) {
  const [text, setText] = useState(condition);
  const [length, setLength] = useState('1h');
  const [comment, setComment] = useState(about);
  const [rule, setRule] = useState('');
  const [seen, setSeen] = useState<Preview>();
  const [error, setError] = useState<Problem>();
  const checked = useCondition(text);
  const rules = useLoad<Page<Rule>>('/rules?limit=500');
  const body = () => ({ condition: readJson(text || '{}').value, for: length, comment, ...(rule && { rules: [rule] }) });
  const attempt = async (what: () => Promise<unknown>) => {
    setError(undefined);
    try {
      await what();
    } catch (e) {
      setError(e as Problem);
    }
  };
  const save = () =>
    attempt(async () => {
      await post<Silence>('/silences', body());
      say('Silenced for ' + length);
      done();
    });
  return (
    <form class="card filter" aria-label="New silence" onSubmit={(e) => (e.preventDefault(), void save())}>
      <ConditionField label="What to be silent about" text={text} change={setText} checked={checked} hint="A MongoDB query document; empty silences everything." />
      <Field label="For">
        {(a) => (
          <select {...a} value={length} onChange={(e) => setLength(e.currentTarget.value)}>
            {['15m', '1h', '2h', '8h', '24h', '7d'].map((l) => <option>{l}</option>)}
          </select>
        )}
      </Field>
      <Field label="Rule">
        {(a) => (
          <select {...a} value={rule} onChange={(e) => setRule(e.currentTarget.value)}>
            <option value="">all rules</option>
            {rules.data?.items.map((r) => <option value={r.rule_id}>{r.name}</option>)}
          </select>
        )}
      </Field>
      <Field label="Comment" hint="why, for those who wonder">
        {(a) => <input {...a} value={comment} required onInput={(e) => setComment(e.currentTarget.value)} />}
      </Field>
      <div class="actions">
        <button type="submit" class="primary" disabled={checked.state === 'bad'}>
          Silence
        </button>
        <Doing label="Preview" disabled={checked.state === 'bad'} run={() => attempt(async () => setSeen(await post<Preview>('/silences?dry_run=true', { ...body(), comment: comment || 'preview' })))} />
        <button type="button" onClick={() => put({})}>
          Never mind
        </button>
      </div>
      {seen && (
        <p class="hint wide" role="status">
          In the last hour {seen.at_least ? 'at least ' : ''}
          {count(seen.events)} events matched, {count(seen.matched)} of them by a rule that it would hold back.
        </p>
      )}
      <Wrong error={error} />
    </form>
  );
}
