import { useEffect, useState } from 'preact/hooks';
import { comeback, post, Problem } from '../api';
import { useLater } from '../load';
import type { Doc } from '../types';
import { Field } from '../ui';

// What is known of a condition. Only a bad one cannot be used; of one that could not be
// checked (unknown) whoever takes it says so.
export interface Checked {
  state: 'empty' | 'checking' | 'good' | 'unknown' | 'bad';
  message: string;
}

// readJson is the value of a text, or what is wrong with it and where.
export function readJson(text: string): { value?: unknown; wrong?: string } {
  try {
    return { value: JSON.parse(text) };
  } catch (error) {
    const message = (error as Error).message;
    const at = /position (\d+)/.exec(message);
    if (!at) return { wrong: 'No JSON: ' + message };
    const before = text.slice(0, Number(at[1])).split('\n');
    return { wrong: `No JSON: line ${before.length}, column ${before.at(-1)!.length + 1}: ${message.replace(/ in JSON at position.*| at position.*/, '')}` };
  }
}

// useCondition asks the api, as somebody types, whether a text can be a condition; when
// what was away is back, too.
export function useCondition(text: string): Checked {
  const settled = useLater(text, 350);
  const [answer, setAnswer] = useState<{ of: string; checked: Checked }>({ of: '', checked: { state: 'empty', message: '' } });
  const back = comeback.use();
  useEffect(() => {
    if (!settled.trim()) return;
    const { value, wrong } = readJson(settled);
    if (wrong) return setAnswer({ of: settled, checked: { state: 'bad', message: wrong } });
    const stop = new AbortController();
    post('/rules/test', { conditions: value as Doc, events: [{}] }, { signal: stop.signal }).then(
      () => setAnswer({ of: settled, checked: { state: 'good', message: 'The condition is valid.' } }),
      (error: Problem) => {
        if (stop.signal.aborted) return;
        if (error.passing) return setAnswer({ of: settled, checked: { state: 'unknown', message: 'Not checked: ' + error.message } });
        const flaws = error.flaws?.map((f) => [f.pointer, f.message].filter(Boolean).join(': ')).join('; ');
        setAnswer({ of: settled, checked: { state: 'bad', message: flaws || error.message } });
      },
    );
    return () => stop.abort();
  }, [settled, back]);
  if (!text.trim()) return { state: 'empty', message: '' };
  return answer.of === text ? answer.checked : { state: 'checking', message: 'Checking …' };
}

interface Editor {
  label: string;
  text: string;
  change: (text: string) => void;
  checked: Checked;
  hint?: string;
  rows?: number;
}

const rowsMost = 16;

// ConditionField is where a condition is written, with a word about it at once.
export function ConditionField({ label, text, change, checked, hint = "A MongoDB query document; empty matches everything.", rows = 3 }: Editor) {
  return (
    <Field label={label} class="wide" hint={checked.state === 'empty' ? hint : checked.message} wrong={checked.state === 'bad' ? checked.message : undefined}>
      {(a) => <textarea {...a} class="code" rows={Math.min(rowsMost, Math.max(rows, text.split('\n').length))} spellcheck={false} value={text} placeholder={'{"payload.amount": {"$gte": 100}}'} onInput={(e) => change(e.currentTarget.value)} />}
    </Field>
  );
}
