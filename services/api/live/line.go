package live

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
	"go.mongodb.org/mongo-driver/bson"
	"go.uber.org/zap"

	"github.com/events-aggregator/events-aggregator/pkg/store"
)

// entry is one change in a line's log, shared by all that are told of it.
type entry struct {
	place    store.Place // after it
	document bson.Raw    // nil: a gap, or gone already
	gap      *Gap
	line     *line // in whose log it is; nil: in none, any more
	bytes    int64 // that are counted there

	once sync.Once
	id   string
	text []byte
	err  error
}

// size is what the entry holds before anybody is told of it.
func (e *entry) size() int64 { return int64(len(e.document) + len(e.place.Token)) }

func sizeOf(entries []*entry) (all int64) {
	for _, e := range entries {
		all += e.size()
	}
	return all
}

// line is a change stream and a log of its latest changes, in which members are
// cursors. All of it is guarded by the hub's mutex.
type line struct {
	start       *store.Place // nil: the head, which began now
	log         []*entry     // a ring
	first, next uint64       // numbers of the oldest change in it, and of the one to come
	memory      *Memory
	bytes       int64       // of the log
	base        store.Place // all changes after it are there, from number `from` on
	begun       store.Place // just before number `from`
	from        uint64
	place       store.Place // after all that was read
	open        bool        // place says something
	finished    bool        // its members go to the head
	ended       time.Time   // since when nothing more is read
	idle        bool        // the last question had no answer
	heard       bool        // the server knows its place
	members     map[*member]struct{}
	wake        chan struct{} // closed when there is something new
	room        chan struct{} // a member went on
	left        time.Duration // of the patience with members that hold others
	went        time.Time     // since when the line reads
	end         context.CancelFunc
	lag         time.Duration // of what was read last
	silent      time.Time     // since when the server does not answer; zero: it does
	reason      string
}

func (h *Hub) newLine(start *store.Place) *line {
	h.memory.lines.Add(1)
	l := &line{start: start, log: make([]*entry, h.depth), memory: h.memory,
		members: map[*member]struct{}{}, wake: make(chan struct{}), room: make(chan struct{}, 1), end: func() {}}
	if start != nil {
		l.base, l.begun, l.place, l.open = *start, *start, *start, true
	}
	return l
}

func (l *line) isHead() bool { return l.start == nil }

func (l *line) at(n uint64) *entry { return l.log[n%uint64(len(l.log))] }

// covers says whether the line has, or will read, all changes after the place. One
// at a stream's beginning says nothing to any other stream.
func (l *line) covers(p store.Place) bool {
	switch {
	case !l.open || l.finished:
		return false
	case p.AtBeginning():
		return l.begun.Compare(p) == 0 && l.first <= l.from
	}
	return l.base.Compare(p) <= 0
}

// after is the number of the first change after the place, which the line covers.
func (l *line) after(p store.Place) uint64 {
	if p.AtBeginning() {
		return l.from
	}
	from := max(l.from, l.first)
	return from + uint64(sort.Search(int(l.next-from), func(i int) bool {
		return l.at(from+uint64(i)).place.Compare(p) > 0
	}))
}

func (l *line) add(e *entry) {
	for l.next-l.first == uint64(len(l.log)) || l.next > l.first && l.heavy(e.size()) {
		l.forget()
	}
	l.log[l.next%uint64(len(l.log))] = e
	e.line = l
	l.weigh(e, e.size())
	l.next++
	l.place = e.place
}

func (l *line) shout() {
	close(l.wake)
	l.wake = make(chan struct{})
}

func (l *line) makeRoom() {
	select {
	case l.room <- struct{}{}:
	default:
	}
}

// run reads the line's stream until the line ends. Called with the mutex held.
func (h *Hub) run(l *line) {
	var ctx context.Context
	ctx, l.end = context.WithCancel(h.life)
	l.left, l.went = h.most, time.Now()
	h.running.Go(func() {
		h.read(ctx, l)
		h.mu.Lock()
		defer h.mu.Unlock()
		l.end()
		h.over(l)
		if !l.isHead() {
			delete(h.lines, l)
			h.catchUp()
		}
	})
}

const (
	reopenFirst = 100 * time.Millisecond
	reopenMax   = 2 * time.Second
	// sayAfter is when an interruption is worth a warning; shorter ones are
	// elections and restarts.
	sayAfter = 3 * time.Second
	// stuckMost is how often a stream may open and then refuse to go on, or end,
	// without progress, until its place is given up.
	stuckMost = 3
)

// read runs the stream, reopening it after errors where it was.
func (h *Hub) read(ctx context.Context, l *line) {
	wait := backoff.NewExponentialBackOff(backoff.WithInitialInterval(reopenFirst), backoff.WithMaxInterval(reopenMax), backoff.WithMaxElapsedTime(0))
	stuck, warned := 0, false
	for ctx.Err() == nil {
		stream, lost, err := h.open(ctx, l, stuck >= stuckMost)
		if lost {
			if !h.begin(l, stream) {
				return
			}
			stuck = 0
		}
		if err == nil {
			progress := false
			err = h.drain(ctx, l, stream, func() {
				progress = true
				if warned {
					h.log.Info("change stream reads again")
				}
				warned = false
			})
			_ = stream.Close(context.WithoutCancel(ctx))
			if progress {
				wait.Reset()
				stuck = 0
			}
			if errors.Is(err, store.ErrStreamRefused) {
				stuck++
			}
		}
		if err == nil || ctx.Err() != nil { // the line is finished
			return
		}
		silent := h.interrupted(l, err)
		if !warned && silent >= sayAfter {
			h.log.Warn("change stream interrupted, live clients hear nothing until it is back", zap.Duration("for", silent), zap.Error(err))
			warned = true
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait.NextBackOff()):
		}
	}
}

// open opens the line's stream where it is. lost: the server does not continue
// from there although it answers; then the stream, if there is one, begins now.
func (h *Hub) open(ctx context.Context, l *line, giveUp bool) (stream *store.Stream, lost bool, err error) {
	h.mu.Lock()
	place, known := l.place, l.open
	h.mu.Unlock()
	if !known {
		stream, err = h.changes.Watch(ctx, h.what, nil)
		if err == nil {
			h.opened(l, stream)
		}
		return stream, false, err
	}
	if !giveUp {
		stream, err = h.changes.Watch(ctx, h.what, &place)
		if !errors.Is(err, store.ErrStreamRefused) {
			return stream, false, err
		}
	}
	refusal := err
	fresh, err := h.changes.Watch(ctx, h.what, nil)
	if err != nil { // it refuses everything now
		return nil, false, err
	}
	if !giveUp { // it may have come back between the two questions
		if stream, err = h.changes.Watch(ctx, h.what, &place); err == nil {
			_ = fresh.Close(context.WithoutCancel(ctx))
			return stream, false, nil
		}
		if !errors.Is(err, store.ErrStreamRefused) {
			_ = fresh.Close(context.WithoutCancel(ctx))
			return nil, false, err
		}
	}
	h.log.Warn("change stream does not continue where it was, live clients are told of a gap", zap.Time("since", place.Since()), zap.Error(refusal))
	return fresh, true, nil
}

// opened makes the first place of a head known.
func (h *Hub) opened(l *line, stream *store.Stream) {
	h.mu.Lock()
	defer h.mu.Unlock()
	l.base, l.begun, l.place, l.open, l.from = stream.Begun(), stream.Place(), stream.Place(), true, l.next
	for m := range l.members {
		m.know(l)
	}
	l.shout()
	if h.head == l {
		for _, m := range slices.Collect(maps.Keys(h.waiting)) {
			if m.line == nil { // else another one's stream serves it too
				h.assign(m)
			}
		}
	}
}

// begin has a line whose history is lost begin anew. One that catches up has
// nothing to begin: its members get their gaps at the head, unless they are
// ahead of it or have a token of their own for the place.
func (h *Hub) begin(l *line, fresh *store.Stream) (goOn bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if l.isHead() {
		since := l.place.Since()
		l.add(&entry{place: fresh.Place(), gap: &Gap{From: since, To: h.now()}})
		l.base, l.begun, l.from = fresh.Begun(), fresh.Place(), l.next
		l.shout()
		return true
	}
	h.running.Go(func() { _ = fresh.Close(context.WithoutCancel(h.life)) })
	l.finished = true // covers nothing any more
	for m := range l.members {
		if h.head == nil {
			break
		}
		if m.place.Compare(l.place) < 0 || m.place.String() == l.place.String() {
			h.lose(m, m.place)
		} else {
			h.detach(m)
			h.waiting[m] = struct{}{}
		}
	}
	l.shout()
	return false
}

// interrupted notes that the server does not answer and says since when.
func (h *Hub) interrupted(l *line, err error) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	if l.silent.IsZero() {
		l.silent = h.now()
	}
	l.reason = err.Error()
	h.giveUp(0)
	l.trim() // another hub's JSON may have made memory short
	return h.now().Sub(l.silent)
}

// drain puts what the stream brings into the log, until an error, or nil when the
// head has all that comes next.
func (h *Hub) drain(ctx context.Context, l *line, stream *store.Stream, progress func()) error {
	most := max(1, min(batchMost, h.depth/4)) // a batch must not push out what nobody had a chance to read
	pending := make([]*entry, 0, most)
	var bytes int64
	for answers := 0; ; answers++ {
		change, found, err := stream.TryNext(ctx)
		if err != nil {
			return errors.Join(err, h.put(ctx, l, pending, nil))
		}
		if found || answers > 0 { // the first came with the opening, and says nothing of what follows
			progress()
		}
		if found {
			e := &entry{place: change.Place, document: change.Document}
			pending = append(pending, e)
			if bytes += e.size(); stream.Buffered() > 0 && len(pending) < most && bytes < batchBytes {
				continue
			}
		}
		place := stream.Place()
		err = h.put(ctx, l, pending, func() {
			l.place, l.heard, l.silent, l.lag, l.idle = place, true, time.Time{}, 0, !found
			if found {
				l.lag = max(0, h.now().Sub(change.At))
			} else { // who waits need not wait for the next change
				h.catchUp()
			}
		})
		if err != nil {
			return err
		}
		pending, bytes = pending[:0], 0
		if h.finish(l) {
			return nil
		}
	}
}

// put adds entries to the log and wakes the members. A stream that catches up
// waits for its members, as it could read faster than anybody hears; one that
// does not move, or holds others for too long, is let go by the log's end.
func (h *Hub) put(ctx context.Context, l *line, entries []*entry, also func()) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.giveUp(sizeOf(entries))
	if !l.isHead() {
		if err := h.awaitRoom(ctx, l, len(entries), sizeOf(entries)); err != nil {
			return err
		}
	}
	for _, e := range entries {
		l.add(e)
	}
	l.trim()
	if also != nil {
		also()
	}
	l.shout()
	return nil
}

// finish ends a stream that catches up when the head's log reaches its place.
func (h *Hub) finish(l *line) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if l.isHead() || h.head == nil || !h.head.covers(l.place) {
		return false
	}
	l.finished = true
	l.shout()
	return true
}

// Health is how the hub's stream is: how long what it told last had been written,
// and since when the server does not answer, with the reason.
func (h *Hub) Health() (lag time.Duration, silent time.Duration, reason string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.head == nil {
		return 0, 0, ""
	}
	if !h.head.silent.IsZero() {
		silent = h.now().Sub(h.head.silent)
		return silent, silent, h.head.reason
	}
	return h.head.lag, 0, ""
}

// Waiting is how many clients wait for a stream that catches up.
func (h *Hub) Waiting() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.waiting)
}
