package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/labstack/echo/v4"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/rule"
)

// streamEvents: GET /stream/events, server-sent events. Each event has an id;
// a client that sends it back as Last-Event-ID continues after it, without
// loss or repeat. Kinds: `event` (the stored event), `gap` (from when to when
// history is lost), `slow_consumer` (the client fell behind and should resume).
func (s *Server) streamEvents(c echo.Context) error {
	p := read(c, append([]string{"last_event_id"}, eventParameters...)...)
	match, err := p.matcher()
	if err != nil {
		return err
	}
	last := c.Request().Header.Get("Last-Event-ID")
	if last == "" {
		last = p.values.Get("last_event_id")
	}
	var after bson.Raw
	if last != "" {
		if after, err = tokenOf(last); err != nil {
			p.flaw("last_event_id", "not an id of this stream; leave it out to begin now")
		}
	}
	if err := p.err(); err != nil {
		return err
	}
	out, err := newEventWriter(c)
	if err != nil {
		return err
	}
	defer out.heartbeat(s.cfg.StreamHeartbeat)()
	s.metrics.streams.Inc()
	defer s.metrics.streams.Dec()
	err = s.hub.follow(c.Request().Context(), after, match, out.frame)
	switch {
	case errors.Is(err, errSlow):
		_ = out.write("event: slow_consumer\ndata: {\"advice\":\"reconnect with Last-Event-ID\"}\n\n")
	case errors.Is(err, errFull):
		_ = out.write("event: error\ndata: {\"code\":\"too_many_clients\"}\n\n")
	}
	return nil // the answer has begun; what remains is to end it
}

// matcher is the filter of the parameters, by the rules' own language.
func (p *parameters) matcher() (func(bson.Raw) bool, error) {
	f := p.events()
	if err := p.err(); err != nil {
		return nil, err
	}
	raw, err := bson.Marshal(f.Query())
	if err != nil {
		return nil, fmt.Errorf("encode filter: %w", err)
	}
	condition, err := rule.Compile(raw)
	if err != nil {
		return nil, err
	}
	return condition.Match, nil
}

// clientTimeout is how long one write to a client may take.
const clientTimeout = 30 * time.Second

// eventWriter writes server-sent events; its methods may be called by the
// stream and its heartbeat at once.
type eventWriter struct {
	mu         sync.Mutex
	w          http.ResponseWriter
	controller *http.ResponseController
	last       string
	quietSince time.Time
}

func newEventWriter(c echo.Context) (*eventWriter, error) {
	h := c.Response().Header()
	h.Set(echo.HeaderContentType, "text/event-stream")
	h.Set(echo.HeaderCacheControl, "no-store")
	h.Set("X-Accel-Buffering", "no") // proxies must not collect
	out := &eventWriter{w: c.Response(), controller: http.NewResponseController(c.Response()), quietSince: time.Now()}
	_ = out.controller.SetReadDeadline(time.Time{})
	c.Response().WriteHeader(http.StatusOK)
	return out, out.write("retry: 1000\n\n")
}

func (o *eventWriter) write(text string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.writeLocked(text)
}

func (o *eventWriter) writeLocked(text string) error {
	o.quietSince = time.Now()
	if err := o.controller.SetWriteDeadline(time.Now().Add(clientTimeout)); err != nil {
		return err
	}
	if _, err := o.w.Write([]byte(text)); err != nil {
		return err
	}
	return o.controller.Flush()
}

// frame writes one frame of the hub.
func (o *eventWriter) frame(f frame) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if f.id != "" {
		o.last = f.id
	}
	switch {
	case f.gap != nil:
		body, err := json.Marshal(f.gap)
		if err != nil {
			return err
		}
		return o.writeLocked(fmt.Sprintf("event: gap\ndata: %s\n\n", body))
	case f.event == nil:
		return o.writeLocked("id: " + f.id + "\n\n")
	default:
		return o.writeLocked("id: " + f.id + "\nevent: event\ndata: " + string(f.json) + "\n\n")
	}
}

// heartbeat writes the position, or a comment, when nothing else was written
// for that long; the returned function ends it.
func (o *eventWriter) heartbeat(every time.Duration) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	ticker := time.NewTicker(every)
	go func() {
		defer close(ended)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
			}
			o.mu.Lock()
			if time.Since(o.quietSince) >= every {
				text := ": alive\n\n"
				if o.last != "" {
					text = "id: " + o.last + "\n\n"
				}
				_ = o.writeLocked(text)
			}
			o.mu.Unlock()
		}
	}()
	return func() { close(done); <-ended }
}
