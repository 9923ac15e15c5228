package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"
	"go.mongodb.org/mongo-driver/bson"
	"go.uber.org/zap"

	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/pkg/metric"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/services/api/live"
)

// kind is one kind of live stream: a row of the table in kinds.
type kind struct {
	name       string // of the route, and of WebSocket subscriptions
	frame      string // the name of its frames
	hub        *live.Hub
	parameters []string // that filter it
	query      func(*parameters) bson.D
}

// streams are the live streams of the process, with the places of their clients.
type streams struct {
	kinds   []*kind
	places  *places
	lag     *recent
	over    context.Context //nolint:containedctx // ends the sockets, which the HTTP server does not know
	end     context.CancelFunc
	door    sync.Mutex // between over and a first socket
	sockets sync.WaitGroup
}

// enter counts one more socket, which ends with leave; false when all are to end.
func (st *streams) enter() bool {
	st.door.Lock()
	defer st.door.Unlock()
	if st.over.Err() != nil {
		return false
	}
	st.sockets.Add(1)
	return true
}

func (st *streams) leave() { st.sockets.Done() }

// logsMost bounds the logs of all streams of the process: its container has 256 MiB.
const logsMost = 64 << 20

func (s *Server) newStreams(ctx context.Context, changes live.Changes) *streams {
	memory := live.NewMemory(logsMost)
	hub := func(what store.Watched, show func(bson.Raw) ([]byte, error)) *live.Hub {
		h := live.New(ctx, what, changes, show, s.cfg.StreamBuffer, memory, s.log, s.now)
		s.metrics.stream(string(what), h)
		return h
	}
	st := &streams{places: newPlaces(s.cfg.StreamClients, s.cfg.StreamKeyClients), lag: &recent{fresh: lagEvery / 2, read: s.readLag}}
	st.over, st.end = context.WithCancel(context.WithoutCancel(ctx))
	st.kinds = []*kind{
		{"events", "event", hub(store.WatchedEvents, event.ToJSON), eventParameters, func(p *parameters) bson.D { return p.events().Query() }},
		{"metrics", "metric", hub(store.WatchedMetrics, showMetric), []string{"metric_type", "period", "type", "source", "region"},
			func(p *parameters) bson.D { return p.metrics().Query() }},
		{"notifications", "notification", hub(store.WatchedNotifications, s.showStored), []string{"status", "reason", "rule", "event_id"},
			func(p *parameters) bson.D { return p.notifications().Query() }},
	}
	return st
}

func (st *streams) kind(name string) *kind {
	if i := slices.IndexFunc(st.kinds, func(k *kind) bool { return k.name == name }); i >= 0 {
		return st.kinds[i]
	}
	return nil
}

// stop ends all streams; the clients' requests end with it.
func (st *streams) stop() {
	st.door.Lock()
	st.end()
	st.door.Unlock()
	for _, k := range st.kinds {
		k.hub.Stop()
	}
	st.sockets.Wait()
}

// silentMost is how long a stream may hear nothing of its server before /health
// says that the process is degraded.
const silentMost = 5 * time.Second

// health is why live clients hear nothing now, or later than the budget allows;
// empty: they do.
func (st *streams) health(budget time.Duration) string {
	var reasons []string
	for _, k := range st.kinds {
		switch lag, silent, reason := k.hub.Health(); {
		case silent > silentMost:
			reasons = append(reasons, fmt.Sprintf("stream of %s: nothing for %s: %s", k.name, silent.Round(time.Second), reason))
		case lag > budget:
			reasons = append(reasons, fmt.Sprintf("stream of %s: %s behind, may be %s", k.name, lag.Round(100*time.Millisecond), budget))
		}
	}
	return strings.Join(reasons, "; ")
}

// wish is what a client asks of a stream.
type wish struct {
	kind   *kind
	after  *store.Place
	match  func(bson.Raw) bool
	fields fields
}

// wish reads it from parameters; flaws are left in them.
func (k *kind) wish(p *parameters, last string) (w wish, err error) {
	w.kind = k
	query := k.query(p)
	paths := p.fields()
	if len(paths) > 0 && k.name == "events" {
		paths = append(paths, "event_id", "timestamp") // as in lists
	}
	w.fields = treeOf(paths)
	if last != "" {
		place, err := store.ParsePlace(last)
		if err != nil {
			p.flaw("last_event_id", "not an id of this stream; leave it out to begin now")
		}
		w.after = &place
	}
	if err := p.err(); err != nil {
		return w, err
	}
	raw, err := bson.Marshal(query)
	if err != nil {
		return w, fmt.Errorf("encode filter: %w", err)
	}
	condition, err := rule.Compile(raw)
	if err != nil {
		return w, err
	}
	w.match = condition.Match
	return w, nil
}

// metrics and notifications read the filters of their streams.
func (p *parameters) metrics() store.MetricFilter {
	f := store.MetricFilter{EventType: p.text("type"), Source: p.text("source"), Region: p.region()}
	if kind := p.oneOf("metric_type", kindNames()...); kind != "" {
		f.Types = []string{kind}
	}
	if p.values.Has("period") {
		f.Period = p.period(metric.Range{}, 0).Name
	}
	return f
}

func (p *parameters) notifications() store.NotificationFilter {
	return store.NotificationFilter{RuleID: p.text("rule"), EventID: p.text("event_id"), Reason: p.text("reason"),
		Status: notification.Status(p.oneOf("status", "pending", "delivered", "dead", "suppressed"))}
}

func showMetric(raw bson.Raw) ([]byte, error) {
	var m store.Metric
	if err := bson.Unmarshal(raw, &m); err != nil {
		return nil, err
	}
	return json.Marshal(m)
}

func (s *Server) showStored(raw bson.Raw) ([]byte, error) {
	var n notification.Notification
	if err := bson.Unmarshal(raw, &n); err != nil {
		return nil, err
	}
	shown, err := s.showNotification(n)
	if err != nil {
		return nil, err
	}
	return json.Marshal(shown)
}

// stream is GET /stream/{kind}, server-sent events. Each frame has an id; a
// client that sends it back as Last-Event-ID continues after it, without loss or
// repeat, or is told a gap.
func (s *Server) stream(name string) echo.HandlerFunc {
	return func(c echo.Context) error {
		k := s.streams.kind(name)
		p := readTicketed(c, append([]string{"last_event_id", "fields"}, k.parameters...)...)
		last := c.Request().Header.Get("Last-Event-ID")
		if given := p.values.Get("last_event_id"); p.values.Has("last_event_id") && given == "" {
			p.flaw("last_event_id", "is empty; leave it out to begin now")
		} else if last == "" {
			last = given
		}
		w, err := k.wish(p, last)
		if err != nil {
			return err
		}
		release, err := s.streams.places.take(clientOf(c))
		if err != nil {
			return err
		}
		defer release()
		return s.follow(c, w)
	}
}

// follow writes a stream until it ends; the answer has begun, so there is nobody
// to tell an error.
func (s *Server) follow(c echo.Context, w wish) error {
	out, err := newEventWriter(c, w.fields)
	if err != nil {
		return nil // the client has gone
	}
	defer out.heartbeat(s.cfg.StreamHeartbeat)()
	s.metrics.streams.Inc()
	defer s.metrics.streams.Dec()
	err = w.kind.hub.Follow(c.Request().Context(), w.after, w.match, func(f []live.Frame) error { return out.frames(w.kind.frame, f) })
	if isSlow(err) {
		s.metrics.slow.Inc()
		_ = out.write("event: slow_consumer\ndata: {\"advice\":\"reconnect with Last-Event-ID\"}\n\n")
	} else if err != nil {
		s.log.Debug("live client gone", zap.Error(err))
	}
	return nil
}

// fields are the parts of a document that a client wants, as a tree; nil: all.
type fields map[string]fields

func treeOf(paths []string) fields {
	if len(paths) == 0 {
		return nil
	}
	all := fields{}
	for _, path := range paths {
		at := all
		for name := range strings.SplitSeq(path, ".") {
			if at[name] == nil {
				at[name] = fields{}
			}
			at = at[name]
		}
	}
	return all
}

// of is the part of a document that is wanted.
func (f fields) of(document []byte) []byte {
	if len(f) == 0 {
		return document
	}
	var all map[string]json.RawMessage
	if json.Unmarshal(document, &all) != nil {
		return document // a value, of which there are no parts
	}
	part := make(map[string]json.RawMessage, len(f))
	for name, below := range f {
		if value, there := all[name]; there {
			part[name] = below.of(value)
		}
	}
	text, err := json.Marshal(part)
	if err != nil {
		return document
	}
	return text
}

// parametersOf makes parameters of a WebSocket request's.
func parametersOf(given map[string]string, known []string) *parameters {
	p := &parameters{values: url.Values{}}
	for name, value := range given {
		if !slices.Contains(known, name) {
			p.flaw(name, "not a parameter of this stream; it takes %s", strings.Join(known, ", "))
		}
		p.values.Set(name, value)
	}
	return p
}
