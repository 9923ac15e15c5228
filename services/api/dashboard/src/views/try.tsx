import { useState } from 'preact/hooks';
import { post, Problem } from '../api';
import { Chart } from '../chart';
import { count, dayOf } from '../format';
import { useLoad } from '../load';
import { link } from '../router';
import type { Backtest, Doc, EventDoc, Explained, Page, Tested } from '../types';
import { Empty, Facts, Field, Section, Severity, Table, Wrong } from '../ui';
import { readJson } from './condition';
import { Clauses } from './explanation';

// Try asks what a draft would do: about one event, or about all that are stored.
export function Try({ rule, event, stored }: { rule: Doc | undefined; event: string; stored: boolean }) {
  return (
    <div class="columns">
      <OnEvent rule={rule} event={event} />
      <OnHistory rule={rule} stored={stored} />
    </div>
  );
}

function OnEvent({ rule, event }: { rule: Doc | undefined; event: string }) {
  const [text, setText] = useState(event);
  const [tested, setTested] = useState<Tested>();
  const [explained, setExplained] = useState<Explained>();
  const [error, setError] = useState<Problem | Error>();
  const recent = useLoad<Page<EventDoc>>('/events?limit=20');
  const given = (): unknown => {
    const trimmed = text.trim();
    if (/^[0-9a-f-]{36}$/i.test(trimmed)) return trimmed.toLowerCase();
    const { value, wrong } = readJson(trimmed);
    if (wrong) throw new Error('Neither the id of an event nor an event: ' + wrong);
    return value;
  };
  const ask = async (how: 'test' | 'explain') => {
    setError(undefined);
    setTested(undefined);
    setExplained(undefined);
    try {
      const one = given();
      if (how === 'test') setTested(await post<Tested>('/rules/test', { rule, events: [one] }));
      else setExplained(await post<Explained>(`/rules/${encodeURIComponent(String(rule!.rule_id ?? 'draft'))}/explain`, { event: one, rule }));
    } catch (e) {
      setError(e as Error);
    }
  };
  const verdict = tested?.items[0];
  return (
    <Section title="Try it on an event">
      <Field label="A recent event">
        {(a) => (
          <select {...a} value={recent.data?.items.some((e) => e.event_id === text) ? text : ''} onChange={(e) => setText(e.currentTarget.value)}>
            <option value="">choose one, or paste below</option>
            {recent.data?.items.map((e) => (
              <option value={e.event_id}>
                {dayOf(e.timestamp)} {e.type} {e.source}
              </option>
            ))}
          </select>
        )}
      </Field>
      <Field label="The event, or its id" class="wide">
        {(a) => <textarea {...a} class="code" rows={4} spellcheck={false} value={text} placeholder={'{"type": "PAYMENT_FAILED", "source": "shop", "payload": {"amount": 250}}'} onInput={(e) => setText(e.currentTarget.value)} />}
      </Field>
      <div class="actions">
        <button type="button" disabled={!rule || !text.trim()} onClick={() => void ask('test')}>
          Test
        </button>
        <button type="button" disabled={!rule || !/^[0-9a-f-]{36}$/i.test(text.trim())} title="What a rule like this would have done about a stored event" onClick={() => void ask('explain')}>
          Explain
        </button>
      </div>
      <Wrong error={error} />
      {verdict && (
        <div role="status">
          <p class={'verdict ' + (verdict.matched ? 'yes' : 'no')}>
            <strong>{verdict.matched ? 'It matches.' : 'It does not match.'}</strong> {verdict.text}
          </p>
          {verdict.note && <p class="muted">{verdict.note}</p>}
          <Clauses of={verdict.explanation} />
        </div>
      )}
      {explained && (
        <div role="status">
          <p class="verdict">
            <strong>{explained.text}</strong>
          </p>
          <ol class="steps">
            {explained.steps.map((s) => (
              <li class={s.ok ? 'yes' : 'no'}>
                {s.name}: {s.text}
              </li>
            ))}
          </ol>
          <Clauses of={explained.condition} />
        </div>
      )}
    </Section>
  );
}

const lengths = { 'the last hour': 3600, 'the last 24 hours': 86_400, 'the last 7 days': 604_800, 'the last 30 days': 2_592_000 };
type Length = keyof typeof lengths;

function OnHistory({ rule, stored }: { rule: Doc | undefined; stored: boolean }) {
  const [length, setLength] = useState<Length>('the last 24 hours');
  const [report, setReport] = useState<Backtest>();
  const [error, setError] = useState<Problem>();
  const [busy, setBusy] = useState(false);
  const ask = async () => {
    setBusy(true);
    setError(undefined);
    setReport(undefined);
    const to = Date.now();
    try {
      setReport(await post<Backtest>('/rules/backtest', { rule, from: new Date(to - lengths[length] * 1000).toISOString(), to: new Date(to).toISOString(), ...(stored && { compare_with_live: true }) }));
    } catch (e) {
      setError(e as Problem);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Section title="What it would have done">
      <div class="actions">
        <label class="inline">
          In{' '}
          <select value={length} onChange={(e) => setLength(e.currentTarget.value as Length)}>
            {Object.keys(lengths).map((l) => <option>{l}</option>)}
          </select>
        </label>
        <button type="button" disabled={!rule || busy} aria-busy={busy} onClick={() => void ask()}>
          {busy ? 'Searching …' : 'Back-test'}
        </button>
      </div>
      <Wrong error={error} />
      {report ? <Report of={report} /> : !busy && <Empty>A back-test searches the stored events: matches over time, and which actions would be left after throttles, groups, silences and mute times.</Empty>}
    </Section>
  );
}

function Report({ of }: { of: Backtest }) {
  const step = of.unit === 'hour' ? 3600 : 86_400;
  const found = new Map(of.counts.map((c) => [Math.floor(Date.parse(c.at) / 1000 / step) * step, c.matches]));
  const at: number[] = [];
  for (let t = Math.floor(Date.parse(of.from) / 1000 / step) * step; t <= Date.parse(of.to) / 1000; t += step) at.push(t);
  const held = Object.entries(of.actions.held ?? {});
  return (
    <div role="status">
      <p class="verdict">
        <strong>
          {count(of.matches)} {of.matches === 1 ? 'match' : 'matches'}
        </strong>
        {of.alerts && `, ${count(of.alerts.total)} alerts`}, {count(of.actions.owed)} actions owed, {count(of.actions.left)} left, {count(of.actions.notifications)} notifications
      </p>
      {of.cut && <p class="warned">{of.cut}</p>}
      <Chart label={`Matches by ${of.unit}, ${of.matches} in all`} at={at} bars height={150} format={count} series={[{ name: 'matches', colour: '--accent', values: at.map((t) => found.get(t) ?? 0) }]} />
      <Facts
        of={[
          ['Held back', held.length ? held.map(([why, n]) => `${why.replace(/_/g, ' ')} ${count(n)}`).join(', ') : ''],
          ['Beside the stored rule', of.difference && `${count(of.difference.both)} by both, ${count(of.difference.only.total)} by this alone, ${count(of.difference.only_live.total)} by version ${of.difference.version} alone`],
          ['Note', of.actions.note],
        ]}
      />
      {of.samples.length > 0 && (
        <Table label="Some of what it matched" head={['Time', 'Severity', 'Type', 'Source']}>
          {of.samples.map((s) => (
            <tr>
              <td>{dayOf(s.timestamp)}</td>
              <td>
                <Severity of={s.severity} />
              </td>
              <td>
                <a href={link('events/' + s.event_id)}>{s.type}</a>
              </td>
              <td>{s.source}</td>
            </tr>
          ))}
        </Table>
      )}
    </div>
  );
}
