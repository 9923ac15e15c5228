package api

import (
	"context"
	"encoding/base64"
	"errors"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
	"go.mongodb.org/mongo-driver/bson"
	"go.uber.org/zap"

	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/pkg/store"
)

// Changes opens change streams over stored events.
type Changes interface {
	// WatchEvents begins now, or after the token; store.ErrHistoryLost when the
	// token is too old.
	WatchEvents(ctx context.Context, after bson.Raw) (*store.EventStream, error)
}

// frame is one thing to tell a live client: an event, the stream's position,
// or a gap. All clients of the hub share it.
type frame struct {
	id    string   // resume after this; base64 of the change stream's token
	event bson.Raw // nil for a position or gap
	json  []byte   // the event as the API shows it
	gap   *gap
}

// gap says that events between two moments were not told: the change stream's
// history was lost. They can be read by GET /events.
type gap struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

// hub tells stored events to live clients through one change stream, opened
// with the first of them. A client that resumes after an id has a stream of
// its own, since its past is not the others'.
type hub struct {
	changes Changes
	buffer  int
	limit   int
	now     func() time.Time
	log     *zap.Logger
	metrics *metrics

	mu       sync.Mutex
	members  map[*member]struct{}
	resuming int
	position string             // of the shared stream: every member was told what came before it
	end      context.CancelFunc // of the shared stream; nil when there is none
	life     context.Context    //nolint:containedctx // the hub's own, not a call's: ends all streams
	kill     context.CancelFunc
}

// member is one client's place in the hub.
type member struct {
	frames chan frame // closed when the client is too slow
	match  func(bson.Raw) bool
}

var errFull = errors.New("too many live clients")

func newHub(ctx context.Context, changes Changes, buffer, limit int, log *zap.Logger, m *metrics, now func() time.Time) *hub {
	h := &hub{changes: changes, buffer: buffer, limit: limit, now: now, log: log, metrics: m, members: map[*member]struct{}{}}
	h.life, h.kill = context.WithCancel(context.WithoutCancel(ctx))
	return h
}

// stop ends all streams; the clients' requests end with it.
func (h *hub) stop() { h.kill() }

func (h *hub) clients() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.members) + h.resuming
}

// follow tells the client every matching event that is stored after the token
// (empty: from now on), until ctx or the hub ends, tell fails, or the client is
// too slow. The first frame is a position: from there on nothing is missed.
func (h *hub) follow(ctx context.Context, after bson.Raw, match func(bson.Raw) bool, tell func(frame) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(h.life, cancel)()
	if len(after) > 0 {
		return h.resume(ctx, after, match, tell)
	}
	m, err := h.join(match)
	if err != nil {
		return err
	}
	defer h.leave(m)
	for {
		select {
		case <-ctx.Done():
			return nil
		case f, open := <-m.frames:
			if !open {
				return errSlow
			}
			if err := tell(f); err != nil {
				return err
			}
		}
	}
}

var errSlow = errors.New("the client is too slow")

// resume reads a stream of the client's own. Nothing is buffered: a slow
// client is held by its own stream and nobody else is.
func (h *hub) resume(ctx context.Context, after bson.Raw, match func(bson.Raw) bool, tell func(frame) error) error {
	h.mu.Lock()
	if len(h.members)+h.resuming >= h.limit {
		h.mu.Unlock()
		return errFull
	}
	h.resuming++
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		h.resuming--
		h.mu.Unlock()
	}()
	return h.read(ctx, after, func(f frame) error {
		if f.event != nil && !match(f.event) {
			return nil
		}
		return tell(f)
	})
}

func (h *hub) join(match func(bson.Raw) bool) (*member, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.members)+h.resuming >= h.limit {
		return nil, errFull
	}
	m := &member{frames: make(chan frame, h.buffer), match: match}
	h.members[m] = struct{}{}
	if h.position != "" {
		m.frames <- frame{id: h.position} // the buffer is empty and has room
	}
	if h.end == nil {
		var ctx context.Context
		ctx, h.end = context.WithCancel(h.life)
		go func() {
			_ = h.read(ctx, nil, func(f frame) error { return h.broadcast(ctx, f) })
		}()
	}
	return m, nil
}

func (h *hub) leave(m *member) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.members, m)
	if len(h.members) == 0 && h.end != nil {
		h.end()
		h.end, h.position = nil, ""
	}
}

// broadcast never waits: a client whose buffer is full is let go, and resumes
// after the last id that it saw.
func (h *hub) broadcast(ctx context.Context, f frame) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if ctx.Err() != nil { // the last member left, and others have a new stream
		return ctx.Err()
	}
	if f.id != "" {
		h.position = f.id
	}
	for m := range h.members {
		if f.event != nil && !m.match(f.event) {
			continue
		}
		select {
		case m.frames <- f:
		default:
			delete(h.members, m)
			close(m.frames)
			h.metrics.slow.Inc()
		}
	}
	return nil
}

const (
	// positionEvery is how often a silent stream's position is told, so that a
	// client whose filter rarely matches does not resume from an ancient token.
	positionEvery = 5 * time.Second
	reopenWait    = 2 * time.Second
)

// read runs a change stream until ctx ends or tell fails, reopening it after
// errors where it was. When the history is lost it tells a gap and begins anew.
func (h *hub) read(ctx context.Context, after bson.Raw, tell func(frame) error) error {
	wait := backoff.NewExponentialBackOff(backoff.WithInitialInterval(100*time.Millisecond), backoff.WithMaxInterval(reopenWait), backoff.WithMaxElapsedTime(0))
	lastSeen := h.now()
	for ctx.Err() == nil {
		stream, err := h.changes.WatchEvents(ctx, after)
		switch {
		case errors.Is(err, store.ErrHistoryLost):
			h.log.Warn("change stream history lost, live clients are told of a gap", zap.Error(err))
			if err := tell(frame{gap: &gap{From: lastSeen, To: h.now()}}); err != nil {
				return err
			}
			after = nil
		case err == nil:
			wait.Reset()
			after, err = h.drain(ctx, stream, after, &lastSeen, tell)
			_ = stream.Close(context.WithoutCancel(ctx))
			var broken *tellError
			if errors.As(err, &broken) {
				return broken.error
			}
		}
		if ctx.Err() == nil && err != nil && !errors.Is(err, store.ErrHistoryLost) {
			h.log.Debug("change stream interrupted", zap.Error(err))
			select {
			case <-ctx.Done():
			case <-time.After(wait.NextBackOff()):
			}
		}
	}
	return nil
}

// tellError is tell's own error, as opposed to the stream's.
type tellError struct{ error }

// drain tells what the stream brings, and returns the token to resume after.
func (h *hub) drain(ctx context.Context, stream *store.EventStream, after bson.Raw, lastSeen *time.Time, tell func(frame) error) (bson.Raw, error) {
	if len(after) == 0 {
		after = stream.Token() // so that an error before the first event loses nothing
	}
	if err := tell(frame{id: idOf(after)}); err != nil {
		return after, &tellError{err}
	}
	toldPosition := h.now()
	for {
		change, found, err := stream.TryNext(ctx)
		if err != nil {
			return after, err
		}
		*lastSeen = h.now()
		if !found {
			if token := stream.Token(); len(token) > 0 {
				after = token
			}
			if h.now().Sub(toldPosition) < positionEvery {
				continue
			}
			toldPosition = h.now()
			if err := tell(frame{id: idOf(after)}); err != nil {
				return after, &tellError{err}
			}
			continue
		}
		body, err := event.ToJSON(change.Event)
		if err != nil {
			return after, err
		}
		after = change.Token
		if err := tell(frame{id: idOf(change.Token), event: change.Event, json: body}); err != nil {
			return after, &tellError{err}
		}
	}
}

// idOf is the opaque id of a position, and tokenOf its inverse.
func idOf(token bson.Raw) string { return base64.RawURLEncoding.EncodeToString(token) }

func tokenOf(id string) (bson.Raw, error) {
	raw, err := base64.RawURLEncoding.DecodeString(id)
	if err != nil {
		return nil, err
	}
	token := bson.Raw(raw)
	return token, token.Validate()
}
