package browser_test

// sockets shows the page's WebSocket to a spec, which may make it deaf: then no frame
// arrives, nor a stream of another kind. What takes ten seconds takes one.
const sockets = `(() => {
	const [later, ask] = [setTimeout, fetch];
	window.deaf = false;
	window.setTimeout = (f, milliseconds) => later(f, milliseconds === 10000 ? 1000 : milliseconds);
	window.fetch = (address, how) => (deaf && String(address).includes('/stream/') ? Promise.reject(new TypeError('cut')) : ask(address, how));
	window.WebSocket = class extends WebSocket {
		constructor(address) { super(address); window.socket = this; }
		send(text) {
			const said = JSON.parse(text);
			if (said.type === 'subscribe') window.subscribed = said.subscription;
			super.send(text);
		}
		set onmessage(hear) { super.onmessage = hear && ((message) => deaf || hear(message)); }
	};
})()`

// flooding gives the page ten thousand events as the stream does, a hundred in
// each frame, and says how long frames took.
const flooding = `(async () => {
	const frame = () => new Promise(requestAnimationFrame);
	const took = [];
	let rows = 0;
	let before = await frame();
	for (let n = 0; n < 10000;) {
		for (const end = n + 100; n < end; n++) {
			const at = new Date().toISOString();
			socket.dispatchEvent(new MessageEvent('message', { data: JSON.stringify({ type: 'event', subscription: subscribed, id: 'flood-' + n, data: {
				event_id: 'flood-' + n, type: 'FLOOD_' + n, source: 'shop', severity: 1 + n % 10, timestamp: at, created_at: at,
				payload: { order: 'o-' + n, amount: n / 100 }, metadata: {}, processed: true,
			} }) }));
		}
		const now = await frame();
		took.push(now - before);
		before = now;
		rows = Math.max(rows, document.querySelectorAll('tbody tr').length);
	}
	const third = Math.floor(took.length / 3);
	const quietest = (from) => Math.min(...[0, 1, 2].map((part) => took.slice(from + 11 * part, from + 11 * part + 11).reduce((a, b) => a + b) / 11));
	return JSON.stringify({ rows, first: quietest(0), last: quietest(took.length - third), longest: Math.max(...took) });
})()`

type flood struct {
	Rows    int     `json:"rows"`
	First   float64 `json:"first"`
	Last    float64 `json:"last"`
	Longest float64 `json:"longest"`
}
