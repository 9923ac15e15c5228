import { useEffect, useMemo, useState } from 'preact/hooks';
import { call, comeback, post, Problem } from '../api';
import { pretty } from '../format';
import { useLater, useLoad } from '../load';
import type { Doc, Rule, Tested } from '../types';
import { Doing, Field, isAdmin, Shown, Wrong, say } from '../ui';
import { ConditionField, readJson, useCondition } from './condition';
import { Try } from './try';

interface ActionTypes {
  items: { type: string; doc: string; schema: { properties?: Record<string, { description?: string; type?: string; examples?: unknown[]; default?: unknown }>; required?: string[] } }[];
  queues: string[];
}

interface Draft {
  name: string;
  description: string;
  mode: 'live' | 'shadow';
  enabled: boolean;
  conditions: string;
  actions: { type: string; config: string }[];
  more: string;
}

// What is edited as one JSON text, since each has a shape of its own.
const others = ['window', 'throttle', 'group', 'mute', 'max_matches_per_hour', 'priority'] as const;

const usualPriority = 100;

const samples: Record<string, Doc> = {
  WEBHOOK: { url: 'https://example.com/hook', method: 'POST' },
  LOG: { level: 'info', message: '{{.Event.type}} from {{.Event.source}}' },
  SEND_NOTIFICATION: { recipients: ['role:admin'] },
  ALERT: { url: 'http://127.0.0.1:9093' },
  PUBLISH: { exchange: 'orders', routing_key: 'from.rules' },
};

function draftOf(r: Partial<Rule>): Draft {
  const more: Doc = {};
  for (const o of others) if (r[o] !== undefined && !(o === 'priority' && r[o] === usualPriority)) more[o] = r[o];
  return {
    name: r.name ?? '', description: r.description ?? '', mode: r.mode ?? 'live', enabled: r.enabled ?? true,
    conditions: pretty(r.conditions ?? { type: 'PAYMENT_FAILED' }),
    actions: (r.actions ?? [{ type: 'LOG', config: samples.LOG! }]).map((a) => ({ type: a.type, config: pretty(a.config) })),
    more: Object.keys(more).length ? pretty(more) : '',
  };
}

// ruleOf is the rule that a draft says, or where it says none.
export function ruleOf(d: Draft): { rule?: Doc; wrong?: string } {
  const conditions = readJson(d.conditions || '{}');
  if (conditions.wrong) return { wrong: 'Condition: ' + conditions.wrong };
  const actions: Doc[] = [];
  for (const [i, a] of d.actions.entries()) {
    const config = readJson(a.config || '{}');
    if (config.wrong) return { wrong: `Action ${i + 1}: ${config.wrong}` };
    actions.push({ type: a.type, config: config.value });
  }
  const more = readJson(d.more || '{}');
  if (more.wrong) return { wrong: 'More: ' + more.wrong };
  return { rule: { name: d.name, ...(d.description && { description: d.description }), mode: d.mode, enabled: d.enabled, conditions: conditions.value, actions, ...(more.value as Doc) } };
}

// useDraft asks the api, as somebody types, whether the draft can be saved; when what
// was away is back, too. An answer that says nothing of the draft is none.
function useDraft(rule: Doc | undefined): Problem | Tested | undefined {
  const text = useLater(JSON.stringify(rule), 600);
  const [answer, setAnswer] = useState<Problem | Tested>();
  const back = comeback.use();
  useEffect(() => {
    if (!text || !(JSON.parse(text) as Doc).name) return setAnswer(undefined);
    const stop = new AbortController();
    post<Tested>('/rules/test', { rule: JSON.parse(text), events: [{}] }, { signal: stop.signal }).then(setAnswer, (e: Problem) => stop.signal.aborted || setAnswer(e.passing ? undefined : e));
    return () => stop.abort();
  }, [text, back]);
  return answer;
}

// Editor writes a rule and tries it before it is saved.
export function Editor({ from, event, saved }: { from: Partial<Rule>; event: string; saved: (r: Rule) => void }) {
  const [draft, setDraft] = useState(() => draftOf(from));
  const [error, setError] = useState<Problem>();
  const types = useLoad<ActionTypes>('/action-types');
  const checked = useCondition(draft.conditions);
  const set = (part: Partial<Draft>) => setDraft((d) => ({ ...d, ...part }));
  const { rule, wrong } = useMemo(() => ruleOf(draft), [draft]);
  const word = useDraft(rule);
  const refused = word instanceof Problem ? word : undefined;
  const save = async () => {
    setError(undefined);
    try {
      const answer = from.rule_id
        ? await call<Rule>('PUT', '/rules/' + encodeURIComponent(from.rule_id), { ...rule, rule_id: from.rule_id }, { headers: { 'If-Match': `"${from.version}"` } })
        : await post<Rule>('/rules', rule);
      say(`${answer.name} is saved as version ${answer.version}` + (answer.warnings?.length ? '; ' + answer.warnings.map((w) => w.message).join('; ') : ''));
      saved(answer);
    } catch (e) {
      setError(e as Problem);
    }
  };
  return (
    <>
      <form class="card editor" aria-label="Rule" onSubmit={(e) => e.preventDefault()}>
        <div class="filter">
          <Field label="Name">{(a) => <input {...a} value={draft.name} required maxLength={200} onInput={(e) => set({ name: e.currentTarget.value })} />}</Field>
          <Field label="Description">{(a) => <input {...a} value={draft.description} onInput={(e) => set({ description: e.currentTarget.value })} />}</Field>
          <Field label="Mode">
            {(a) => (
              <select {...a} value={draft.mode} onChange={(e) => set({ mode: e.currentTarget.value as Draft['mode'] })}>
                <option value="live">live: it acts</option>
                <option value="shadow">shadow: it decides and records alone</option>
              </select>
            )}
          </Field>
          <label class="check">
            <input type="checkbox" checked={draft.enabled} onChange={(e) => set({ enabled: e.currentTarget.checked })} /> Enabled
          </label>
        </div>
        <ConditionField label="Condition" text={draft.conditions} change={(conditions) => set({ conditions })} checked={checked} rows={5} />
        <Shown of={types}>{(t) => <Actions of={draft.actions} types={t} set={(actions) => set({ actions })} />}</Shown>
        <Field label="More, as JSON" hint="window, throttle, group, mute, max_matches_per_hour, priority; empty for none of them" class="wide">
          {(a) => <textarea {...a} class="code" rows={draft.more ? 6 : 2} spellcheck={false} value={draft.more} placeholder={'{"throttle": {"per": ["user_id"], "for": "5m"}}'} onInput={(e) => set({ more: e.currentTarget.value })} />}
        </Field>
        {wrong ? <p class="wrong" role="alert">{wrong}</p> : <Wrong error={error ?? refused} />}
        {word && !(word instanceof Problem) && word.warnings?.map((w) => <p class="warned">{w.message}</p>)}
        <div class="actions">
          {isAdmin() ? (
            <Doing label={from.rule_id ? 'Save as a new version' : 'Save the rule'} class="primary" disabled={!!wrong || !draft.name.trim()} run={save} />
          ) : (
            <p class="muted">An admin may save it; you can try it.</p>
          )}
        </div>
      </form>
      <Try rule={wrong ? undefined : from.rule_id ? { ...rule, rule_id: from.rule_id } : rule} event={event} stored={from.rule_id !== undefined} />
    </>
  );
}

function Actions({ of, types, set }: { of: Draft['actions']; types: ActionTypes; set: (a: Draft['actions']) => void }) {
  const change = (i: number, part: Partial<Draft['actions'][number]>) => set(of.map((a, j) => (i === j ? { ...a, ...part } : a)));
  return (
    <fieldset>
      <legend>Actions</legend>
      {of.length === 0 && <p class="hint">None: the rule marks events alone.</p>}
      {of.map((a, i) => {
        const type = types.items.find((t) => t.type === a.type);
        const fields = Object.keys(type?.schema.properties ?? {});
        return (
          <div class="action">
            <Field label={`Action ${i + 1}`}>
              {(at) => (
                <select {...at} value={a.type} onChange={(e) => change(i, { type: e.currentTarget.value, config: pretty(samples[e.currentTarget.value] ?? {}) })}>
                  {types.items.map((t) => <option>{t.type}</option>)}
                </select>
              )}
            </Field>
            <Field label={`Settings of action ${i + 1}`} hint={type?.doc ?? fields.join(', ')} class="wide">
              {(at) => <textarea {...at} class="code" rows={4} spellcheck={false} value={a.config} onInput={(e) => change(i, { config: e.currentTarget.value })} />}
            </Field>
            <button type="button" aria-label={`Remove action ${i + 1}`} onClick={() => set(of.filter((_, j) => i !== j))}>
              Remove
            </button>
          </div>
        );
      })}
      <button type="button" onClick={() => set([...of, { type: 'LOG', config: pretty(samples.LOG) }])}>
        Add an action
      </button>
    </fieldset>
  );
}
