package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/events-aggregator/events-aggregator/pkg/client"
	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/test/bench/anchors/listen"
)

// Live clients: many of them, and a tenth of that.
const (
	liveFewer  = 10
	liveWarm   = time.Second
	liveFor    = 4 * time.Second
	liveAhead  = 512 // events that are stored before the clients have them, on average
	liveBatch  = 100 // of them together
	liveTurns  = 16  // with a client that stalls, and without; even
	liveTurn   = time.Second
	liveStall  = time.Second / 2 // until what lies between it and the server is full
	liveRate   = 500             // events a second
	liveTick   = 20 * time.Millisecond
	liveSteady = 10 * time.Second
	liveKey    = "the-key-of-the-bench"
)

// Names of figures.
const (
	live        = "live"
	liveFew     = live + ".few"
	liveMany    = live + ".many"
	boundFew    = live + ".few.bound"
	boundMany   = live + ".many.bound"
	liveAlone   = live + ".alone"
	liveStalled = live + ".stalled"
	liveHalf    = live + ".p50"
	liveLast    = live + ".p99"
	liveMemory  = live + ".memory"
	liveProduct = "api"
)

func liveRows(s settings, build string) []row {
	value := func(name string) func(figures) float64 { return func(f figures) float64 { return f[build+name] } }
	few, many := s.liveClients/liveFewer, s.liveClients
	perFrame := func(name string) func(figures) float64 { return value(name + usedBy + liveProduct) }
	rows := []row{
		{part: live, name: fmt.Sprintf("events to %d live clients, frames/s", few), value: value(liveFew), bound: chain(boundFew), goal: .4},
		{part: live, name: fmt.Sprintf("events to %d live clients, frames/s", many), value: value(liveMany), bound: chain(boundMany), goal: .4},
		{part: live, name: "api, µs of processor time a frame, few", value: perFrame(liveFew), bound: perAnchor(boundFew), format: "%.2f"},
		{part: live, name: "api, µs of processor time a frame, many", value: perFrame(liveMany), bound: perAnchor(boundMany), format: "%.2f"},
		{part: live, name: "frames/s of the others beside one that stalls", value: value(liveStalled), bound: value(liveAlone), goal: .95},
		{part: live, name: fmt.Sprintf("from stored to frame at %d events/s, p50 ms", liveRate), value: value(liveHalf)},
		{part: live, name: "the same, p99 ms", value: value(liveLast), goal: 100, most: true},
		{part: live, name: "api with the most live clients, peak MiB", value: value(liveMemory)},
	}
	return append(rows, liveResumeRows(build)...)
}

func perAnchor(bound string) func(figures) float64 {
	return func(f figures) float64 { return f[bound+usedBy+anchors] }
}

// livesBounds times the plainest server of the same streams.
func (b *bench) livesBounds(ctx context.Context, f figures) error {
	for _, of := range []struct {
		bound   string
		clients int
	}{{boundFew, b.liveClients / liveFewer}, {boundMany, b.liveClients}} {
		own := *b
		own.events = of.clients
		if err := own.anchor(ctx, f, of.bound, b.nextRun(), "fan", "127.0.0.1:0"); err != nil {
			return err
		}
		// Its clients and servers were noted for an event each, which is none here.
		delete(f, of.bound+usedBy+rabbitmq)
		delete(f, of.bound+usedBy+mongodb)
	}
	b.say("bounds: %.0f and %.0f frames/s", f[boundFew], f[boundMany])
	return nil
}

// lives times how events reach live clients: to many, beside one that stalls,
// and how soon.
func (b *bench) lives(ctx context.Context, product build, n int, f figures) (err error) {
	s, err := b.newSite(ctx, fmt.Sprintf("live-%s%d", product.name, n), product.bin)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.remove(ctx)) }()
	api, p, err := s.startLive(ctx)
	if err != nil {
		return err
	}
	name := func(figure string) string { return product.name + figure }
	few, many := b.liveClients/liveFewer, b.liveClients
	// First how soon: what is flat out leaves the servers work.
	if err := s.delays(ctx, api, few, f, name(liveHalf), name(liveLast)); err != nil {
		return err
	}
	err = s.listening(ctx, api, few, func(l *feed) error {
		if err := l.measure(ctx, liveFor, f, name(liveFew), p); err != nil {
			return err
		}
		return l.beside(ctx, api, f, name(liveAlone), name(liveStalled))
	})
	if err == nil {
		err = s.listening(ctx, api, many, func(l *feed) error { return l.measure(ctx, liveFor, f, name(liveMany), p) })
	}
	if err == nil {
		f[name(liveMemory)], err = p.peakMemory()
	}
	if err != nil {
		return err
	}
	b.say("%slive: %.0f frames/s to %d, %.0f to %d, %.2f of it beside one that stalls, from stored to frame p50 %.0f ms, p99 %.0f ms", product.name,
		f[name(liveFew)], few, f[name(liveMany)], many, f[name(liveStalled)]/f[name(liveAlone)], f[name(liveHalf)], f[name(liveLast)])
	return p.terminate()
}

// startLive starts an api that lets in as many live clients as there are.
func (s *site) startLive(ctx context.Context) (address string, p *process, err error) {
	public, err := freeAddress()
	if err != nil {
		return "", nil, err
	}
	p, err = s.startLiveAt(ctx, public)
	return "http://" + public, p, err
}

func (s *site) startLiveAt(ctx context.Context, public string) (*process, error) {
	room := strconv.Itoa(2 * (s.liveClients + liveSockets(s.settings)))
	p, err := s.start("api", "EA_API_ADDR="+public, "EA_API_BOOTSTRAP_ADMIN_KEY="+liveKey, "EA_API_STREAM_CLIENTS="+room, "EA_API_STREAM_KEY_CLIENTS="+room,
		"EA_API_RATE_LIMIT=100000", "EA_API_RATE_BURST=100000")
	if err == nil {
		err = p.ready(ctx)
	}
	return p, err
}

const eventsPath = "/api/v1/stream/events"

// feed is live clients that get all events, and the events.
type feed struct {
	*site
	listeners *listen.Listeners
	clients   int
	run       uint32
	saved     int
}

// listening does something while n live clients get all events.
func (s *site) listening(ctx context.Context, api string, n int, do func(*feed) error) error {
	l, err := listen.Start(ctx, filepath.Join(s.settings.bin, anchors), n, api+eventsPath, liveKey)
	if err != nil {
		return err
	}
	defer l.Close()
	return do(&feed{site: s, listeners: l, clients: n, run: s.nextRun()})
}

// save stores n events in one batch, as the ingester does.
func (l *feed) save(ctx context.Context, n int) (ids []string, err error) {
	now := time.Now().UTC().Truncate(time.Millisecond)
	first, at := event.NewIDBlock(n)
	batch := event.Batch{ID: first.Hex(), FirstID: first, LastID: at(n - 1), MaxSeverity: 5, StoredAt: now}
	for i := range n {
		doc, id, err := l.storedEvent(l.run, l.saved, at(i), batch.ID, now)
		if err != nil {
			return nil, err
		}
		batch.Events, ids = append(batch.Events, doc), append(ids, id)
		l.saved++
	}
	return ids, l.store.SaveBatch(ctx, batch, "bench")
}

// flatOut stores as fast as the clients get it, for some time.
func (l *feed) flatOut(ctx context.Context, d time.Duration) (got int64, took time.Duration, err error) {
	before, err := l.listeners.Count()
	if err != nil {
		return 0, 0, err
	}
	began, had := time.Now(), before
	for time.Since(began) < d {
		if int64(l.saved)*int64(l.clients)-had > liveAhead*int64(l.clients) {
			if err := pause(ctx, time.Millisecond); err != nil {
				return 0, 0, err
			}
		} else if _, err := l.save(ctx, liveBatch); err != nil {
			return 0, 0, err
		}
		if had, err = l.listeners.Count(); err != nil {
			return 0, 0, err
		}
	}
	return had - before, time.Since(began), nil
}

// flatOutAfter is flatOut after a time of it that does not count.
func (l *feed) flatOutAfter(ctx context.Context, warm, d time.Duration) (got int64, took time.Duration, err error) {
	if _, _, err := l.flatOut(ctx, warm); err != nil {
		return 0, 0, err
	}
	return l.flatOut(ctx, d)
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// measure notes the frames a second.
func (l *feed) measure(ctx context.Context, d time.Duration, f figures, name string, p *process) error {
	if _, _, err := l.flatOut(ctx, liveWarm); err != nil {
		return err
	}
	before, err := l.used(p)
	if err != nil {
		return err
	}
	got, took, err := l.flatOut(ctx, d)
	if err != nil {
		return err
	}
	f[name] = float64(got) / took.Seconds()
	return l.noteUsed(f, name, before, int(got), p)
}

// beside notes the frames a second without a client that never reads and with
// one, in many short turns, since a machine changes from one second to the next;
// each is first as often as the other, since what is stored already makes all that
// follows slower.
func (l *feed) beside(ctx context.Context, api string, f figures, alone, stalled string) error {
	at, err := url.Parse(api + eventsPath)
	if err != nil {
		return err
	}
	var frames [2]int64
	var took [2]time.Duration
	for turn := range liveTurns {
		for second := range frames {
			i := (turn + second) % len(frames)
			var conn net.Conn
			if i == 1 {
				if conn, err = listen.Open(ctx, at, liveKey); err != nil {
					return err
				}
			}
			got, d, err := l.flatOutAfter(ctx, liveStall, liveTurn)
			if conn != nil {
				conn.Close()
			}
			if err != nil {
				return err
			}
			frames[i] += got
			took[i] += d
		}
	}
	f[alone], f[stalled] = float64(frames[0])/took[0].Seconds(), float64(frames[1])/took[1].Seconds()
	return nil
}

// delays notes how long after it was stored an event is told, at a steady rate,
// beside n other clients.
func (s *site) delays(ctx context.Context, api string, n int, f figures, half, last string) error {
	return s.listening(ctx, api, n, func(l *feed) error {
		ctx, end := context.WithCancel(ctx)
		defer end()
		w := &watch{told: map[string]time.Time{}, ready: make(chan struct{})}
		var watching sync.WaitGroup
		defer watching.Wait()
		defer end()
		watching.Go(func() { w.follow(ctx, api) })
		select {
		case <-w.ready:
		case <-time.After(startTime):
			return errors.New("the live client is not told a position")
		}
		saved := map[string]time.Time{}
		ticker := time.NewTicker(liveTick)
		defer ticker.Stop()
		for began := time.Now(); time.Since(began) < liveSteady; {
			if owed := int(liveRate*time.Since(began).Seconds()) - len(saved); owed > 0 {
				ids, err := l.save(ctx, owed)
				if err != nil {
					return err
				}
				now := time.Now()
				for _, id := range ids {
					saved[id] = now
				}
			}
			<-ticker.C
		}
		err := await(ctx, "the last event at the live client", 5*time.Millisecond, startTime, func() (bool, error) { return w.heard() >= len(saved), nil })
		if err != nil {
			return err
		}
		f[half], f[last] = w.since(saved)
		return nil
	})
}

// watch is a live client that knows when it was told what.
type watch struct {
	ready chan struct{}
	mu    sync.Mutex
	told  map[string]time.Time
}

func (w *watch) follow(ctx context.Context, api string) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, api+eventsPath+"?fields=type", nil)
	if err != nil {
		return
	}
	request.Header.Set("Authorization", "Bearer "+liveKey)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return // who waits for it says so
	}
	defer func() { _ = answer.Body.Close() }()
	first := true
	for frame, err := range client.Frames(answer.Body) {
		now := time.Now()
		if err != nil {
			return
		}
		if first && frame.ID != "" {
			first = false
			close(w.ready)
		}
		if id := eventID(frame.Data); frame.Event == "event" && id != "" {
			w.mu.Lock()
			w.told[id] = now
			w.mu.Unlock()
		}
	}
}

func (w *watch) heard() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.told)
}

// since is median and 99th percentile, in ms, of the time from stored to told:
// it may be told before its writer hears that it is stored.
func (w *watch) since(saved map[string]time.Time) (half, last float64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var delays []float64
	for id, at := range saved {
		delays = append(delays, max(0, float64(w.told[id].Sub(at).Microseconds())/1000))
	}
	slices.Sort(delays)
	return rank(delays, 50), rank(delays, 99)
}
