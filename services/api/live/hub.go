// Package live tells stored changes to clients that stay connected: one change
// stream for all of them, resumed without loss or repeat.
package live

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.uber.org/zap"

	"github.com/events-aggregator/events-aggregator/pkg/store"
)

// Changes opens change streams.
type Changes interface {
	// Watch begins now, or after the place; store.ErrStreamRefused when the
	// server does not continue from there.
	Watch(ctx context.Context, what store.Watched, after *store.Place) (*store.Stream, error)
}

// Hub tells the changes of one kind to live clients through one change stream,
// the head, opened with the first of them and closed after the last. Clients
// are cursors in the head's log, so a slow one holds nobody and costs nothing.
// A client that resumes at a place that the head's log does not reach joins a
// stream that catches up, together with all others that do, and moves to the
// head as soon as that reaches its place.
type Hub struct {
	what    store.Watched
	changes Changes
	show    func(bson.Raw) ([]byte, error) // a document as the API shows it
	depth   int                            // changes that a client may be behind
	memory  *Memory                        // of the logs of this hub and others
	now     func() time.Time
	log     *zap.Logger
	tell    time.Duration // positionEvery
	most    time.Duration // patience

	mu      sync.Mutex
	members map[*member]struct{}
	head    *line                // nil without members
	lines   map[*line]struct{}   // that catch up
	unread  map[*line]struct{}   // that have ended, and somebody has yet to read
	waiting map[*member]struct{} // for a stream that catches up
	life    context.Context      //nolint:containedctx // the hub's own, not a call's: ends all streams
	kill    context.CancelFunc
	running sync.WaitGroup
}

const (
	// catchUps bounds the streams of one kind that catch up, since each holds one
	// of the process's connections to MongoDB.
	catchUps = 2
	// positionEvery is how often a client learns the position that has heard of
	// nothing else, so that it does not resume from an ancient place because its
	// filter rarely matches.
	positionEvery = 5 * time.Second
	// aheadFor is how long a client may be ahead of the head without a question:
	// another process may have been a moment faster.
	aheadFor = 10 * time.Second
	// batchMost is how many changes are told with one flush, and batchBytes about
	// how large: what is being told is held for each client.
	batchMost  = 64
	batchBytes = 64 << 10
)

var (
	ErrSlow     = errors.New("the client is too slow")
	ErrStopping = errors.New("the process stops")
)

func New(ctx context.Context, what store.Watched, changes Changes, show func(bson.Raw) ([]byte, error), depth int, memory *Memory, log *zap.Logger, now func() time.Time) *Hub {
	h := &Hub{what: what, changes: changes, show: show, depth: depth, memory: memory, now: now, tell: positionEvery, most: patience, log: log.With(zap.String("stream", string(what))),
		members: map[*member]struct{}{}, lines: map[*line]struct{}{}, unread: map[*line]struct{}{}, waiting: map[*member]struct{}{}}
	h.life, h.kill = context.WithCancel(context.WithoutCancel(ctx))
	return h
}

// Stop ends all streams; the clients' requests end with it.
func (h *Hub) Stop() {
	h.kill()
	h.running.Wait()
}

// member is one client's place in the hub.
type member struct {
	place  store.Place // after all that it has examined
	line   *line       // nil while it waits for one
	cursor uint64      // in the line's log
	known  bool        // place says something: it resumed, or the line told it
	lost   *time.Time  // since when its history is lost; told as a gap
	ahead  time.Time   // since when its place is ahead of the head
	doubt  bool        // whether the server knows its place is to be asked
	sure   bool        // it was asked
	moved  chan struct{}
}

// Follow tells the client everything that matches and is written after the
// place (nil: from now on), until ctx or the hub ends, tell fails, or the client
// is too slow. The first frame is a position: from there on nothing is missed.
// tell gets some frames at once, and does not keep them; nor does a client that
// waits: they may be all that remains of changes that the log has given up.
func (h *Hub) Follow(ctx context.Context, after *store.Place, match func(bson.Raw) bool, tell func([]Frame) error) error {
	m, err := h.join(after)
	if err != nil {
		return err
	}
	defer h.leave(m)
	ticker := time.NewTicker(h.tell)
	defer ticker.Stop()
	var frames []Frame
	quiet, told := true, false // since the last tick; at all
	for {
		some, err := h.next(m)
		if err != nil {
			return err
		}
		frames = frames[:0]
		if !told && some.known {
			frames = append(frames, Frame{Place: some.before})
		}
		frames = h.frames(frames, some, match)
		some.entries = nil
		if len(frames) > 0 {
			if err := tell(frames); err != nil {
				return err
			}
			clear(frames)
			quiet, told = false, true
		}
		select {
		case <-ctx.Done():
			return nil
		case <-h.life.Done():
			return ErrStopping
		case <-some.ready():
		case <-ticker.C:
			if some.waits || quiet && told {
				if err := tell([]Frame{{Place: some.place, Waits: some.waits}}); err != nil {
					return err
				}
			}
			quiet = true
		}
	}
}

// frames appends what a client hears of what its member got.
func (h *Hub) frames(frames []Frame, got some, match func(bson.Raw) bool) []Frame {
	if got.gap != nil {
		frames = append(frames, Frame{Place: got.place, Gap: got.gap})
	}
	for _, e := range got.entries {
		if e.gap != nil {
			frames = append(frames, Frame{Place: e.place, Gap: e.gap})
		} else if e.document != nil && match(e.document) && h.shown(e) {
			frames = append(frames, Frame{Place: e.place, entry: e})
		}
	}
	return frames
}

// some is what a member gets at once.
type some struct {
	entries []*entry
	before  store.Place // where the member was
	place   store.Place // after the entries
	known   bool        // before says something
	waits   bool        // for a stream that catches up
	gap     *Gap        // before the entries
	wake    <-chan struct{}
}

// now is closed: there is more at once.
var now = func() <-chan struct{} { c := make(chan struct{}); close(c); return c }()

func (s some) ready() <-chan struct{} {
	if s.wake == nil {
		return now
	}
	return s.wake
}

// shown makes the entry's id and JSON, once for all clients, and says whether it
// can be told. One that cannot, such as bytes that are no document, would end the
// stream of everybody.
func (h *Hub) shown(e *entry) bool {
	e.once.Do(func() {
		e.id = e.place.String()
		e.text, e.err = h.show(e.document)
		h.mu.Lock()
		defer h.mu.Unlock()
		if l := e.line; l != nil {
			l.weigh(e, int64(len(e.id)+len(e.text)))
			h.giveUp(0) // now, as it may be long until a change is put
			l.trim()
		}
	})
	return e.err == nil
}

func (h *Hub) join(after *store.Place) (*member, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.life.Err() != nil {
		return nil, ErrStopping
	}
	m := &member{moved: make(chan struct{})}
	h.members[m] = struct{}{}
	if h.head == nil {
		h.head = h.newLine(nil)
		h.run(h.head)
	}
	if after == nil {
		h.attach(m, h.head)
		return m, nil
	}
	m.place, m.known = *after, true
	h.assign(m)
	return m, nil
}

func (h *Hub) leave(m *member) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.members, m)
	delete(h.waiting, m)
	h.detach(m)
	if len(h.members) == 0 && h.head != nil {
		h.head.end()
		h.head = nil
	}
}

// attach puts a member into a line that covers its place, or into the head when
// it begins anew.
func (h *Hub) attach(m *member, l *line) {
	h.detach(m)
	m.line, m.cursor = l, l.next
	if m.known && m.lost == nil {
		m.cursor = l.after(m.place)
	}
	m.know(l)
	l.members[m] = struct{}{}
	close(m.moved)
	m.moved = make(chan struct{})
}

// know gives a member that begins anew its first place: now, as one that is read
// later would be after changes that it is still told.
func (m *member) know(l *line) {
	if !m.known && l.open {
		m.place, m.known = l.place, true
	}
}

func (h *Hub) detach(m *member) {
	l := m.line
	if l == nil {
		return
	}
	m.line = nil
	delete(l.members, m)
	h.release(l)
	l.makeRoom()
	if !l.isHead() && len(l.members) == 0 {
		l.finished = true // nobody may join what ends
		l.end()
	}
}

// next is what the member gets now, and what to wait for when that is nothing.
func (h *Hub) next(m *member) (some, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	l := m.line
	switch {
	case l == nil:
		return some{place: m.place, waits: m.known, wake: m.moved}, nil
	case !l.open: // a head that never was; who resumes is here only with a gap to be told
		return some{place: m.place, wake: l.wake}, nil
	case m.cursor < l.first:
		return some{}, ErrSlow
	}
	s := some{before: m.place, known: true}
	if m.lost != nil {
		s.gap = &Gap{From: *m.lost, To: h.now()}
		m.lost, m.place, m.cursor = nil, l.place, l.next
	}
	for bytes := int64(0); m.cursor < l.next && len(s.entries) < batchMost && bytes < batchBytes; m.cursor++ {
		e := l.at(m.cursor)
		if !m.place.AtBeginning() && e.gap == nil && e.place.Compare(m.place) <= 0 {
			continue // it knows this already
		}
		m.place = e.place
		s.entries = append(s.entries, e)
		bytes += e.size()
	}
	l.makeRoom()
	if m.cursor == l.next {
		s.wake = l.wake
		switch c := l.place.Compare(m.place); {
		case c >= 0:
			m.ahead = time.Time{}
			if c > 0 || l.heard { // another's token may be refused
				m.place = l.place
			}
			if l.finished {
				h.assign(m)
				s.wake = nil
			}
		case l.isHead():
			h.checkAhead(m)
		case l.finished:
			h.assign(m)
			s.wake = nil
		}
	}
	s.place = m.place
	return s, nil
}

// checkAhead ends the patience with a member whose place the head does not reach:
// the server is asked whether it knows the place. Otherwise a place of another
// database would hear of nothing for ever.
func (h *Hub) checkAhead(m *member) {
	switch {
	case m.sure:
	case m.ahead.IsZero():
		m.ahead = h.now()
	case h.now().Sub(m.ahead) >= aheadFor:
		m.ahead, m.doubt = time.Time{}, true
		h.assign(m)
	}
}

// lose has a member begin anew after a gap.
func (h *Hub) lose(m *member, place store.Place) {
	since := place.Since()
	m.lost = &since
	h.attach(m, h.head)
}
