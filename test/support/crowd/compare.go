package crowd

import (
	"context"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/bson/primitive"

	"github.com/events-aggregator/events-aggregator/pkg/store"
)

// Report is what became of all streams.
type Report struct {
	Streams, Events, Frames int // Events are stored, Frames told
	Cuts                    int
	Missing                 int // stored, asked for, not told, and no gap says so
	Repeated                int
	Disordered              int // told after a later one
	Beyond                  int // told, but not stored or not asked for
	// Gaps were told although the server knew all that was in them: the comparison
	// has read it there afterwards.
	Gaps    int
	Slow    int    // times that a stream was let go because it was slow
	Waited  int    // times that one was told to wait for its turn
	Example string // of what is wrong
}

// Right says that nothing is wrong.
func (r Report) Right() bool {
	return r.Missing+r.Repeated+r.Disordered+r.Beyond+r.Gaps == 0
}

func (r Report) String() string {
	text := fmt.Sprintf("%d streams, cut %d times, were told %d frames of %d events: %d missing, %d repeated, %d out of order, %d beyond, %d gaps; %d were too slow, %d had to wait",
		r.Streams, r.Cuts, r.Frames, r.Events, r.Missing, r.Repeated, r.Disordered, r.Beyond, r.Gaps, r.Slow, r.Waited)
	if r.Example != "" {
		text += "; " + r.Example
	}
	return text
}

const (
	// stillFor is how long nothing new must come until what is missing counts.
	stillFor = 20 * time.Second
	// quietFor is how long nothing more must come than what is stored.
	quietFor = time.Second
)

// Compare waits until everything stored was told, to clients that are all there
// and hear nothing more, or nothing comes any more. All must be stored by now,
// Calm called, and the server must answer.
func (c *Crowd) Compare(ctx context.Context, s *store.Store) (Report, error) {
	all, err := c.history(ctx, s)
	if err != nil {
		return Report{}, err
	}
	at := make(map[string]int, len(all))
	for i, e := range all {
		at[e.id] = i
	}
	ticker := time.NewTicker(quietFor)
	defer ticker.Stop()
	frames, back, since := -1, 0, time.Now()
	for {
		r := Report{Streams: len(c.tracks), Events: len(all), Cuts: int(c.cuts.Load())}
		now := 0 // streams that told a position since the calm: whoever was away has resumed
		for _, t := range c.tracks {
			if t.compare(all, at, c.before, &r) {
				now++
			}
		}
		quiet := r.Frames == frames && now == back
		if !quiet {
			frames, back, since = r.Frames, now, time.Now()
		}
		still := time.Since(since) > stillFor
		switch {
		case c.Err() != nil:
			return r, c.Err()
		case still && now < len(c.tracks):
			return r, fmt.Errorf("%d of %d live streams have told no position since the calm: %s", len(c.tracks)-now, len(c.tracks), r)
		case still, quiet && now == len(c.tracks) && r.Missing == 0:
			return r, nil
		}
		select {
		case <-ctx.Done():
			return r, fmt.Errorf("%w: %s", ctx.Err(), r)
		case <-ticker.C:
		}
	}
}

// compare goes along the history and what the stream told, and says whether it has
// told a position since the calm.
func (t *track) compare(all []stored, at map[string]int, before map[string]struct{}, r *Report) (calm bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r.Slow += t.slow
	r.Waited += t.waited
	wrong := func(count *int, what, id string) {
		*count++
		if r.Example == "" {
			r.Example = fmt.Sprintf("for example %s of a stream of %v: %s", id, t.taste.parameters, what)
		}
	}
	next := 0
	told := map[string]bool{}
	passOver := func(to int) {
		for ; next < to; next++ {
			if t.taste.likes(all[next]) {
				wrong(&r.Missing, "missing", all[next].id)
			}
		}
	}
	for _, h := range t.heard {
		if h.gap != nil {
			wrong(&r.Gaps, "a gap that is none", fmt.Sprint(*h.gap))
			continue
		}
		if _, was := before[h.event]; was {
			continue // it came while others connected
		}
		r.Frames++
		switch i, is := at[h.event]; {
		case !is:
			wrong(&r.Beyond, "not stored", h.event)
		case told[h.event]:
			wrong(&r.Repeated, "repeated", h.event)
		case !t.taste.likes(all[i]):
			wrong(&r.Beyond, "not asked for", h.event)
		case i < next:
			wrong(&r.Disordered, "out of order", h.event)
		default:
			passOver(i)
			next = i + 1
		}
		told[h.event] = true
	}
	passOver(len(all))
	return t.calm
}

// history is what was stored since the crowd began, in the stream's own order:
// one stream reads all of it, undisturbed, that the clients heard in pieces.
func (c *Crowd) history(ctx context.Context, s *store.Store) (all []stored, err error) {
	left, err := ids(ctx, s)
	if err != nil {
		return nil, err
	}
	for id := range c.before {
		delete(left, id)
	}
	stream, err := s.Watch(ctx, store.WatchedEvents, &c.begun)
	if err != nil {
		return nil, fmt.Errorf("read what was stored: %w", err)
	}
	defer func() { _ = stream.Close(ctx) }()
	for len(left) > 0 {
		change, err := stream.Next(ctx)
		if err != nil {
			return nil, fmt.Errorf("read what was stored, %d events are left: %w", len(left), err)
		}
		e := newStored(change.Document)
		if _, was := c.before[e.id]; was {
			continue // stored between the two looks of note
		}
		delete(left, e.id)
		all = append(all, e)
	}
	return all, nil
}

// ids of all stored events.
func ids(ctx context.Context, s *store.Store) (map[string]struct{}, error) {
	const page = 1000
	all := map[string]struct{}{}
	var after primitive.ObjectID
	for {
		docs, err := s.EventsAfter(ctx, after, page)
		if err != nil {
			return nil, err
		}
		for _, doc := range docs {
			all[newStored(doc).id] = struct{}{}
			after = doc.Lookup("_id").ObjectID()
		}
		if len(docs) < page {
			return all, nil
		}
	}
}
