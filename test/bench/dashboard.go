package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
	"github.com/events-aggregator/events-aggregator/test/support/chromium"
)

// A page that follows dashboardEvents live, dashboardRate of them a second, and is
// loaded dashboardLoads times then, each time without a cache.
const (
	dashboardEvents = 10_000
	dashboardRate   = 1000
	dashboardLoads  = 5
	dashboardKey    = "ea_bench-admin-key-0123456789"
)

// Names of figures.
const (
	dashboardUsable  = "dashboard.usable"
	dashboardWhole   = "dashboard.whole"
	dashboardFrame   = "dashboard.frame"
	dashboardLongest = "dashboard.longest"
	dashboardSlows   = "dashboard.slows"
	dashboardMost    = "dashboard.rows"
)

func dashboardRows(build string) []row {
	value := func(name string) func(figures) float64 { return func(f figures) float64 { return f[build+name] } }
	return []row{
		{part: "dashboard", name: "overview usable after, ms", value: value(dashboardUsable), goal: 1000, most: true, once: true},
		{part: "dashboard", name: "with the answers to all that it asks, ms", value: value(dashboardWhole), once: true},
		{part: "dashboard", name: "frames of the last fifth of 10,000 live events beside the first", value: value(dashboardSlows), goal: 1.5, most: true, once: true, format: "%.2f"},
		{part: "dashboard", name: "a frame, p95 ms", value: value(dashboardFrame), once: true, format: "%.1f"},
		{part: "dashboard", name: "the longest frame, ms", value: value(dashboardLongest), once: true},
		{part: "dashboard", name: "rows of the live feed, at most", value: value(dashboardMost), goal: 200, most: true, once: true},
	}
}

// usable notes when the overview shows its first figures, and when it has all
// that it asked for, both drawn.
const usable = `(() => {
	const drawn = (name) => requestAnimationFrame(() => setTimeout(() => { window[name] ??= performance.now(); }));
	new MutationObserver((_, observer) => {
		if (!document.querySelector('.tiles')) return;
		drawn('usable');
		if (document.querySelector('.loading')) return;
		observer.disconnect();
		drawn('whole');
	}).observe(document, { subtree: true, childList: true });
})();`

// following notes, frame by frame, how long it took and how many events had come.
const following = `(() => {
	window.came = 0;
	window.frames = [];
	window.rows = 0;
	const send = WebSocket.prototype.send;
	WebSocket.prototype.send = function (text) {
		const said = JSON.parse(text);
		if (said.type === 'subscribe') this.addEventListener('message', (message) => {
			const frame = JSON.parse(message.data);
			if (frame.subscription !== said.subscription) return;
			if (frame.type === 'event') came++;
			if (frame.id) window.follows = true;
		});
		send.call(this, text);
	};
	let before = performance.now();
	const tick = (now) => {
		if (came > 0) frames.push([came, now - before]);
		before = now;
		rows = Math.max(rows, document.querySelectorAll('tbody tr').length);
		requestAnimationFrame(tick);
	};
	requestAnimationFrame(tick);
	location.hash = '#/live';
})()`

// dashboard times the page in Chromium, against real processes.
func (b *bench) dashboard(ctx context.Context, product build, f figures) (err error) {
	folder, err := os.MkdirTemp("", "bench-chromium-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	browser, stop, err := chromium.Start(ctx, folder)
	if err != nil {
		return err
	}
	defer stop()
	s, err := b.newSite(ctx, "dashboard-"+product.name, product.bin)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.remove(ctx)) }()
	var api *process
	for _, name := range five {
		p, err := s.start(name, "EA_API_BOOTSTRAP_ADMIN_KEY="+dashboardKey)
		if err == nil {
			err = p.ready(ctx)
		}
		if err != nil {
			return err
		}
		if name == "api" {
			api = p
		}
	}
	tab, leave := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
	defer leave()
	base := "http://" + api.public + "/"
	if err := chromedp.Do(tab, chromedp.Navigate(base+"#key="+dashboardKey)); err != nil {
		return err
	}
	if err := says(ctx, tab, "somebody signed in", `!!document.querySelector('.tiles')`); err != nil {
		return err
	}
	if err := s.followed(ctx, tab, product.name, f); err != nil {
		return err
	}
	if err := loaded(ctx, tab, base, product.name, f); err != nil {
		return err
	}
	b.say("%sdashboard: usable in %.0f ms, whole in %.0f; frames of the last fifth of %d live events %.2f of the first, the longest %.0f ms",
		product.name, f[product.name+dashboardUsable], f[product.name+dashboardWhole], dashboardEvents, f[product.name+dashboardSlows], f[product.name+dashboardLongest])
	return nil
}

// says waits for what an expression says.
func says(ctx, tab context.Context, what, expression string) error {
	return await(ctx, what, 50*time.Millisecond, time.Minute, func() (bool, error) {
		return chromedp.Run(tab, chromedp.Evaluate[bool](expression))
	})
}

// followed publishes while the page follows, and notes its frames.
func (s *site) followed(ctx, tab context.Context, build string, f figures) error {
	if _, err := chromedp.Run(tab, chromedp.Evaluate[any](following)); err != nil {
		return err
	}
	if err := says(ctx, tab, "a live stream", "!!window.follows"); err != nil {
		return err
	}
	if err := s.publishSteadily(ctx, dashboardEvents, dashboardRate); err != nil {
		return err
	}
	if err := says(ctx, tab, "all events on the page", fmt.Sprintf("came >= %d", dashboardEvents)); err != nil {
		return err
	}
	text, err := chromedp.Run(tab, chromedp.Evaluate[string](`JSON.stringify({ frames, rows })`))
	if err != nil {
		return err
	}
	var seen struct {
		Frames [][2]float64 `json:"frames"`
		Rows   float64      `json:"rows"`
	}
	if err := json.Unmarshal([]byte(text), &seen); err != nil {
		return err
	}
	var all, first, last []float64
	for _, frame := range seen.Frames {
		switch came := frame[0]; {
		case came <= dashboardEvents/5:
			first = append(first, frame[1])
		case came >= dashboardEvents*4/5:
			last = append(last, frame[1])
		}
		all = append(all, frame[1])
	}
	if len(first) == 0 || len(last) == 0 {
		return fmt.Errorf("%d frames of the page in all: it was not drawn", len(all))
	}
	slices.Sort(all)
	f[build+dashboardFrame], f[build+dashboardLongest] = all[len(all)*95/100], all[len(all)-1]
	f[build+dashboardSlows] = mean(last) / mean(first)
	f[build+dashboardMost] = seen.Rows
	return nil
}

// loaded loads the page anew, signed in, as in a browser that does not know it.
func loaded(ctx, tab context.Context, base, build string, f figures) error {
	if _, err := chromedp.Call(tab, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: usable}); err != nil {
		return err
	}
	var took, whole []float64
	for range dashboardLoads {
		if _, err := chromedp.Call(tab, network.ClearBrowserCache, cdp.Empty{}); err != nil {
			return err
		}
		for _, address := range []string{"about:blank", base + "#/overview"} {
			if err := chromedp.Do(tab, chromedp.Navigate(address)); err != nil {
				return err
			}
		}
		if err := says(ctx, tab, "the overview", "!!window.whole"); err != nil {
			return err
		}
		one, err := chromedp.Run(tab, chromedp.Evaluate[[]float64]("[usable, whole]"))
		if err != nil {
			return err
		}
		took, whole = append(took, one[0]), append(whole, one[1])
	}
	slices.Sort(took)
	slices.Sort(whole)
	f[build+dashboardUsable], f[build+dashboardWhole] = median(took), median(whole)
	return nil
}

// publishSteadily publishes so many events, so many a second.
func (s *site) publishSteadily(ctx context.Context, events, perSecond int) error {
	exchange, run := s.table.Exchange(topology.ExchangeEvents), s.nextRun()
	began, sent := time.Now(), 0
	return await(ctx, "events published", 20*time.Millisecond, longest, func() (bool, error) {
		due := min(events, int(time.Since(began).Seconds()*float64(perSecond)))
		var messages []broker.Message
		for ; sent < due; sent++ {
			key, body := s.load.Event(run, sent, time.Now())
			messages = append(messages, broker.Message{Exchange: exchange, RoutingKey: key, ContentType: "application/json", Body: body})
		}
		if len(messages) == 0 {
			return sent == events, nil
		}
		return sent == events, s.publisher.Publish(ctx, messages...)
	})
}

func mean(values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}
