package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
	"github.com/labstack/echo/v4"
	"go.mongodb.org/mongo-driver/bson"
	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/services/api/live"
)

const (
	// subscriptionsMost bounds the filters that one socket has evaluated.
	subscriptionsMost = 16
	socketMessage     = 64 << 10
	// messagesPerSecond bounds what one socket may ask: each filter is compiled.
	messagesPerSecond, messagesBurst = 20, 40
)

// request is what a client says on a socket.
type request struct {
	Type         string            `json:"type"` // subscribe, filter, unsubscribe, ping
	Subscription string            `json:"subscription,omitempty"`
	Stream       string            `json:"stream,omitempty"`
	Filter       json.RawMessage   `json:"filter,omitempty"`
	Parameters   map[string]string `json:"parameters,omitempty"`
	Fields       []string          `json:"fields,omitempty"`
	Resume       string            `json:"resume,omitempty"`
}

// answer is what it hears.
type answer struct {
	Type         string          `json:"type"` // subscribed, event, metric, notification, position, waiting, gap, slow_consumer, unsubscribed, pong, error
	Subscription string          `json:"subscription,omitempty"`
	ID           string          `json:"id,omitempty"`
	Data         json.RawMessage `json:"data,omitempty"`
	Code         string          `json:"code,omitempty"`
	Message      string          `json:"message,omitempty"`
	Errors       []FieldFlaw     `json:"errors,omitempty"`
}

// socket is one WebSocket with its subscriptions.
type socket struct {
	s       *Server
	conn    *websocket.Conn
	end     context.CancelFunc
	running sync.WaitGroup

	mu   sync.Mutex
	subs map[string]*subscription
}

type subscription struct {
	kind *kind
	wish atomic.Pointer[wish]
	end  context.CancelFunc
}

// websocket is GET /ws/events: the live streams for clients that change their
// filter, or follow several, on one connection.
func (s *Server) websocket(c echo.Context) error {
	if err := readTicketed(c).err(); err != nil {
		return err
	}
	r := c.Request()
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		c.Response().Header().Set("Upgrade", "websocket")
		return problem(http.StatusUpgradeRequired, "upgrade_required", "this is a WebSocket; open it with a WebSocket client")
	}
	if !s.ownOrigin(r) {
		return problem(http.StatusForbidden, "wrong_origin", "the page at %s may not open a WebSocket here", r.Header.Get("Origin"))
	}
	release, err := s.streams.places.take(clientOf(c))
	if err != nil {
		return err
	}
	defer release()
	if !s.streams.enter() {
		return problem(http.StatusServiceUnavailable, "unavailable", "this process is stopping: connect again, to another one")
	}
	defer s.streams.leave()
	conn, err := websocket.Accept(c.Response(), r, &websocket.AcceptOptions{CompressionMode: websocket.CompressionDisabled, InsecureSkipVerify: true}) // of the origin, which is known
	if err != nil {
		return nil // it has answered
	}
	s.metrics.streams.Inc()
	defer s.metrics.streams.Dec()
	conn.SetReadLimit(socketMessage)
	ctx, cancel := context.WithCancel(r.Context()) // ended when the key is
	defer cancel()
	k := &socket{s: s, conn: conn, end: cancel, subs: map[string]*subscription{}}
	k.running.Go(func() { k.ping(ctx) })
	code, reason := k.listen(ctx)
	cancel()
	k.running.Wait()
	_ = conn.Close(code, reason) // the other side may have gone
	return nil
}

// ownOrigin says whether the page that opens the socket is of this host, or of the
// one that people know it by: a proxy may ask by another name. Without an Origin it
// is no page.
func (s *Server) ownOrigin(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	at, err := url.Parse(origin)
	return strings.EqualFold(origin, s.cfg.PublicURL) || err == nil && strings.EqualFold(at.Host, r.Host)
}

// ping shows each side that the other lives, and ends the socket at a stop.
func (k *socket) ping(ctx context.Context) {
	ticker := time.NewTicker(k.s.cfg.StreamHeartbeat)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-k.s.streams.over.Done():
			k.end()
			return
		case <-ticker.C:
		}
		bound, done := context.WithTimeout(ctx, clientTimeout)
		err := k.conn.Ping(bound)
		done()
		if err != nil {
			k.end()
			return
		}
	}
}

// listen obeys until the socket ends, and says how to close it.
func (k *socket) listen(ctx context.Context) (websocket.StatusCode, string) {
	limit := rate.NewLimiter(messagesPerSecond, messagesBurst)
	for {
		kind, text, err := k.conn.Read(ctx)
		switch {
		case k.s.streams.over.Err() != nil:
			return websocket.StatusGoingAway, "the process stops"
		case err != nil:
			return websocket.StatusNormalClosure, ""
		case kind != websocket.MessageText:
			return websocket.StatusUnsupportedData, "messages are JSON text"
		case !limit.Allow():
			return websocket.StatusPolicyViolation, "too many messages"
		}
		var q request
		decoder := json.NewDecoder(bytes.NewReader(text))
		decoder.DisallowUnknownFields()
		err = decoder.Decode(&q)
		if err == nil && decoder.More() {
			err = errors.New("more than one document")
		}
		if err != nil && !errors.Is(err, io.EOF) || len(text) == 0 {
			err = problem(http.StatusBadRequest, "invalid_json", "the message is not as described: %s", err)
		} else {
			err = k.obey(ctx, q)
		}
		if err != nil {
			p := problemOf(err)
			err = k.say(ctx, answer{Type: "error", Subscription: q.Subscription, Code: p.Code, Message: p.Detail, Errors: p.Errors})
		}
		if err != nil {
			return websocket.StatusNormalClosure, ""
		}
	}
}

func (k *socket) obey(ctx context.Context, q request) error {
	switch q.Type {
	case "ping":
		return k.say(ctx, answer{Type: "pong"})
	case "subscribe":
		return k.subscribe(ctx, q)
	case "filter":
		return k.filter(ctx, q)
	case "unsubscribe":
		k.mu.Lock()
		sub := k.subs[q.Subscription]
		k.mu.Unlock()
		if sub == nil {
			return unknownSubscription(q)
		}
		sub.end() // and says so when it has ended
		return nil
	default:
		return problem(http.StatusBadRequest, "unknown_message", "type is %q, expected subscribe, filter, unsubscribe or ping", q.Type)
	}
}

func unknownSubscription(q request) error {
	return problem(http.StatusNotFound, "unknown_subscription", "there is no subscription %q", q.Subscription)
}

func (q request) wish(k *kind) (*wish, error) {
	p := parametersOf(q.Parameters, k.parameters)
	if len(q.Filter) > 0 {
		if k.name != "events" {
			p.flaw("filter", "only events have one; this stream takes parameters")
		} else {
			p.values.Set("filter", string(q.Filter))
		}
	}
	if len(q.Fields) > 0 {
		p.values.Set("fields", strings.Join(q.Fields, ","))
	}
	w, err := k.wish(p, q.Resume)
	return &w, err
}

func (k *socket) subscribe(ctx context.Context, q request) error {
	if q.Stream == "" {
		q.Stream = "events"
	}
	kind := k.s.streams.kind(q.Stream)
	if kind == nil {
		return problem(http.StatusBadRequest, "unknown_stream", "stream is %q, expected events, metrics or notifications", q.Stream)
	}
	if q.Subscription == "" || len(q.Subscription) > maxText {
		return problem(http.StatusBadRequest, "no_subscription", "give the subscription a name of 1 to %d characters", maxText)
	}
	w, err := q.wish(kind)
	if err != nil {
		return err
	}
	sub := &subscription{kind: kind}
	sub.wish.Store(w)
	ctx, sub.end = context.WithCancel(ctx)
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.subs[q.Subscription] != nil:
		sub.end()
		return problem(http.StatusConflict, "known_subscription", "there is a subscription %q; change it by a message of type filter", q.Subscription)
	case len(k.subs) >= subscriptionsMost:
		sub.end()
		return problem(http.StatusTooManyRequests, "too_many_subscriptions", "a socket has at most %d subscriptions", subscriptionsMost)
	}
	k.subs[q.Subscription] = sub
	k.running.Go(func() { k.follow(ctx, q.Subscription, sub) })
	return nil
}

// follow tells one subscription until it ends.
func (k *socket) follow(ctx context.Context, name string, sub *subscription) {
	whole := context.WithoutCancel(ctx)
	err := k.say(ctx, answer{Type: "subscribed", Subscription: name})
	if err == nil {
		err = sub.kind.hub.Follow(ctx, sub.wish.Load().after,
			func(d bson.Raw) bool { return sub.wish.Load().match(d) },
			func(frames []live.Frame) error { return k.tell(ctx, name, sub, frames) })
	}
	sub.end()
	k.mu.Lock()
	delete(k.subs, name)
	k.mu.Unlock()
	switch {
	case isSlow(err):
		k.s.metrics.slow.Inc()
		_ = k.say(whole, answer{Type: "slow_consumer", Subscription: name, Message: "subscribe again with resume"})
	case err == nil:
		_ = k.say(whole, answer{Type: "unsubscribed", Subscription: name})
	default: // it could not be told, or all streams end: an open socket would hide that
		k.s.log.Debug("socket ends with a subscription", zap.Error(err))
		k.end()
	}
}

// filter changes what a subscription hears, from the next change on.
func (k *socket) filter(ctx context.Context, q request) error {
	k.mu.Lock()
	sub := k.subs[q.Subscription]
	k.mu.Unlock()
	if sub == nil {
		return unknownSubscription(q)
	}
	if q.Resume != "" || q.Stream != "" {
		return problem(http.StatusBadRequest, "not_to_change", "stream and resume belong to a new subscription")
	}
	w, err := q.wish(sub.kind)
	if err != nil {
		return err
	}
	w.after = sub.wish.Load().after
	sub.wish.Store(w)
	return k.say(ctx, answer{Type: "subscribed", Subscription: q.Subscription})
}

func (k *socket) tell(ctx context.Context, name string, sub *subscription, frames []live.Frame) error {
	parts := sub.wish.Load().fields
	for _, f := range frames {
		a := answer{Type: "position", Subscription: name, ID: f.ID()}
		switch {
		case f.Gap != nil:
			text, err := json.Marshal(f.Gap)
			if err != nil {
				return err
			}
			a.Type, a.Data = "gap", text
		case f.Waits:
			a.Type = "waiting"
		case f.IsChange():
			if err := k.write(ctx, changeText(sub.kind.frame, name, f.ID(), parts.of(f.JSON()))); err != nil {
				return err
			}
			continue
		}
		if err := k.say(ctx, a); err != nil {
			return err
		}
	}
	return nil
}

// say writes one message.
func (k *socket) say(ctx context.Context, a answer) error {
	text, err := json.Marshal(a)
	if err != nil {
		return fmt.Errorf("encode %s: %w", a.Type, err)
	}
	return k.write(ctx, text)
}

// changeText is an answer that tells a change, as say would write it. The
// document is JSON already, and nobody reads it again for every client.
func changeText(kind, subscription, id string, document []byte) []byte {
	b := make([]byte, 0, len(`{"type":"","subscription":"","id":"","data":}`)+len(kind)+len(subscription)+len(id)+len(document))
	b = append(append(b, `{"type":"`...), kind...)
	b = event.AppendText(append(b, `","subscription":`...), subscription)
	b = append(append(b, `,"id":"`...), id...)
	b = append(append(b, `","data":`...), document...)
	return append(b, '}')
}

// write is bounded by time alone: one that is cancelled closes the socket.
func (k *socket) write(ctx context.Context, text []byte) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), clientTimeout)
	defer cancel()
	return k.conn.Write(ctx, websocket.MessageText, text)
}
