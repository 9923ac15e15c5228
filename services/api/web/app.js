// The first dashboard: counts and the live feed, by the public API alone.
const rowsKept = 200;      // older rows leave the page, so that it stays quick
const refreshEvery = 3000; // milliseconds

const $ = (id) => document.getElementById(id);
const number = new Intl.NumberFormat();
const time = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit', fractionalSecondDigits: 3, hourCycle: 'h23' });
const lagBudget = 30; // seconds; /health judges by the same

// The key may come in the address's fragment, which browsers never send.
const fromAddress = new URLSearchParams(location.hash.slice(1)).get('key');
if (fromAddress) {
  sessionStorage.setItem('key', fromAddress);
  history.replaceState(null, '', location.pathname);
}
let key = sessionStorage.getItem('key');
let paused = false;
let stop = new AbortController();
let lastId = '';

async function get(path, signal) {
  const answer = await fetch('/api/v1' + path, { headers: { Authorization: 'Bearer ' + key }, signal });
  if (answer.ok) return answer;
  let problem = {};
  try { problem = await answer.json(); } catch { /* not ours */ }
  const flaw = (problem.errors || []).map((e) => e.message).join('; ');
  const error = new Error(flaw || problem.detail || answer.statusText);
  error.status = answer.status;
  throw error;
}

function say(text, bad) {
  $('connection').textContent = text;
  $('connection').className = bad ? 'error' : 'muted';
}

function bars(id, entries) {
  const most = Math.max(1, ...entries.map(([, n]) => n));
  $(id).replaceChildren(...entries.slice(0, 8).map(([name, n, kind]) => {
    const li = document.createElement('li');
    const label = document.createElement('span');
    label.textContent = name || '(none)';
    label.title = name;
    if (kind) label.className = kind;
    const count = document.createElement('span');
    count.textContent = number.format(n);
    const bar = document.createElement('div'); // the number beside it says the same
    bar.className = 'bar ' + (kind || '');
    bar.append(document.createElement('i'));
    bar.firstChild.style.width = (100 * n / most) + '%';
    li.append(label, count, bar);
    return li;
  }));
}

async function refresh() {
  try {
    const [summary, status] = await Promise.all([get('/analytics/summary'), get('/status')].map(async (a) => (await a).json()));
    $('count').textContent = number.format(summary.count);
    $('error-rate').textContent = (100 * summary.error_rate).toFixed(1) + ' %';
    $('unprocessed').textContent = number.format(status.events.unprocessed);
    for (const name of ['delivered', 'pending', 'dead']) $(name).textContent = number.format(status.notifications[name] || 0);
    const behind = Object.values(status.lag).reduce((a, b) => (b.seconds > a.seconds ? b : a), { seconds: 0 });
    $('lag').textContent = behind.seconds.toFixed(1) + ' s';
    $('lag').title = behind.stage || '';
    $('lag').className = behind.seconds > lagBudget ? 'error' : '';
    $('dead').className = status.notifications.dead ? 'error' : '';
    bars('levels', ['critical', 'error', 'warning', 'info'].map((l) => [l, summary.levels[l] || 0, l]));
    bars('types', summary.by_type.map((g) => [g.value, g.count]));
    bars('sources', summary.by_source.map((g) => [g.value, g.count]));
  } catch (error) {
    if (error.status === 401) return signOut(error.message);
    say(error.message, true);
  }
}

function level(severity) {
  return severity >= 9 ? 'critical' : severity >= 7 ? 'error' : severity >= 4 ? 'warning' : 'info';
}

// Rows are added a frame at a time: a thousand events a second are sixty
// changes of the page, and a hidden page has none.
let arrived = [];
function show(event) {
  arrived.push(event);
  if (arrived.length > rowsKept) arrived.shift();
  if (arrived.length === 1) requestAnimationFrame(flush);
}

function flush() {
  if (!arrived.length) return; // another filter came between
  $('feed-empty').hidden = true;
  $('feed').prepend(...arrived.map(rowOf).reverse());
  arrived = [];
  while ($('feed').rows.length > rowsKept) $('feed').deleteRow(-1);
}

function rowOf(event) {
  const row = document.createElement('tr');
  const cell = (text, kind) => {
    const td = document.createElement('td');
    td.textContent = text;
    if (kind) td.className = kind;
    row.append(td);
    return td;
  };
  cell(time.format(new Date(event.timestamp)));
  const l = level(event.severity);
  cell(l + ' ' + event.severity, l);
  cell(event.type);
  cell(event.source);
  cell(JSON.stringify(event.payload || {})).title = event.event_id;
  return row;
}

// One block of the stream: lines of field: value, ended by an empty line.
function block(text) {
  const fields = { event: 'message', data: '' };
  for (const line of text.split('\n')) {
    const at = line.indexOf(':');
    if (at > 0) fields[line.slice(0, at)] = line.slice(at + 1).trimStart();
  }
  if (fields.id) lastId = fields.id;
  if (fields.event === 'event') show(JSON.parse(fields.data));
  if (fields.event === 'gap') say('Some events were not shown: history was lost', true);
}

function filter() {
  const query = new URLSearchParams();
  if ($('type').value) query.set('type', $('type').value.trim());
  if ($('severity').value) query.set('severity_min', $('severity').value);
  if ($('condition').value) query.set('filter', $('condition').value);
  return query;
}

// recent shows what was stored before the stream begins.
async function recent() {
  arrived = [];
  $('feed').replaceChildren();
  $('feed-empty').hidden = false;
  try {
    const query = filter();
    query.set('limit', 20);
    const list = await (await get('/events?' + query)).json();
    list.items.reverse().forEach(show);
  } catch (error) {
    if (error.status === 401) return signOut(error.message);
    if (error.status === 400) $('filter-error').textContent = error.message;
  }
}

async function follow(signal) {
  const query = filter();
  while (!signal.aborted) {
    try {
      if (lastId) query.set('last_event_id', lastId);
      const answer = await get('/stream/events?' + query, signal);
      $('filter-error').textContent = '';
      say('live · times in ' + Intl.DateTimeFormat().resolvedOptions().timeZone);
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = '';
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        const blocks = (rest + value).split('\n\n');
        rest = blocks.pop();
        blocks.forEach(block);
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error.status === 400) { // the filter is wrong: trying again cannot help
        $('filter-error').textContent = error.message;
        return;
      }
      if (error.status === 401) return signOut(error.message);
    }
    if (!signal.aborted) say('connection lost, trying again …', true);
    await new Promise((again) => setTimeout(again, 1000));
  }
}

function restart() {
  stop.abort();
  stop = new AbortController();
  if (!paused) follow(stop.signal);
}

function signOut(reason) {
  stop.abort();
  sessionStorage.removeItem('key');
  key = null;
  $('board').hidden = true;
  $('sign-out').hidden = true;
  $('sign-in').hidden = false;
  $('sign-in-error').textContent = reason || '';
  say('not connected');
  $('key').focus();
}

async function open() {
  if (!key) return signOut();
  $('sign-in').hidden = true;
  $('board').hidden = false;
  $('sign-out').hidden = false;
  refresh();
  await recent();
  if (key) restart();
}

$('sign-in').addEventListener('submit', (e) => {
  e.preventDefault();
  key = $('key').value.trim();
  sessionStorage.setItem('key', key);
  $('key').value = '';
  open();
});
$('sign-out').addEventListener('click', () => signOut());
$('filter').addEventListener('submit', async (e) => {
  e.preventDefault();
  stop.abort();
  lastId = '';
  $('filter-error').textContent = '';
  await recent();
  restart();
});
$('pause').addEventListener('click', () => {
  paused = !paused; // the stream continues after the last id that was seen
  $('pause').setAttribute('aria-pressed', String(paused));
  $('pause').textContent = paused ? 'Continue' : 'Pause';
  if (paused) say('paused');
  restart();
});
setInterval(() => { if (key && !document.hidden) refresh(); }, refreshEvery);
open();
