// Package crowd is many live clients with filters of their own, which are cut at
// random and resume, and a comparison of what each was told with what is stored.
package crowd

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/events-aggregator/events-aggregator/pkg/store"
)

// Options of a crowd.
type Options struct {
	Base, Key string   // of the API
	SSE       int      // clients of server-sent events
	Sockets   int      // clients of a WebSocket, with two subscriptions each
	Types     []string // of the events that come
	// Stays is how long a connection lasts until it is cut, at most; and at least a
	// tenth of it.
	Stays time.Duration
	// Away is how long one of ten stays away then; the others come back at once.
	Away time.Duration
	Seed uint64
}

const (
	perSocket = 2
	// backAfter is after how long a client comes back, at most.
	backAfter = 200 * time.Millisecond
)

// Crowd is the clients.
type Crowd struct {
	Options
	http    *http.Client // of requests, which are connections of their own
	sockets *http.Client
	tracks  []*track
	begun   store.Place         // of the comparison, see Begin
	before  map[string]struct{} // ids of what was stored then
	calm    chan struct{}
	end     context.CancelFunc
	running sync.WaitGroup
	cuts    atomic.Int64
	refusal atomic.Pointer[refused]
}

// Start lets the clients connect, and come back again and again.
func Start(ctx context.Context, o Options) *Crowd {
	c := &Crowd{Options: o, calm: make(chan struct{}),
		http: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, sockets: &http.Client{Transport: &http.Transport{}}}
	ctx, c.end = context.WithCancel(context.WithoutCancel(ctx))
	for i := range o.SSE + o.Sockets {
		read, streams := c.sse, 1
		if i >= o.SSE {
			read, streams = c.socket, perSocket
		}
		tracks := make([]*track, streams)
		for n := range tracks {
			tracks[n] = &track{taste: tasteOf(len(c.tracks), o.Types)}
			c.tracks = append(c.tracks, tracks[n])
		}
		r := rand.New(rand.NewPCG(o.Seed, uint64(i)))
		c.running.Go(func() { c.live(ctx, r, func(ctx context.Context) error { return read(ctx, tracks) }) })
	}
	return c
}

// Begin waits until all clients are there. What is stored from then on must be
// told to them.
func (c *Crowd) Begin(ctx context.Context, s *store.Store) error {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for c.present() < len(c.tracks) {
		if err := c.Err(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d of %d live streams have told a position: %w", c.present(), len(c.tracks), ctx.Err())
		case <-ticker.C:
		}
	}
	return c.note(ctx, s)
}

// note notes where the comparison begins.
func (c *Crowd) note(ctx context.Context, s *store.Store) error {
	stream, err := s.Watch(ctx, store.WatchedEvents, nil)
	if err != nil {
		return err
	}
	c.begun = stream.Place()
	if err := stream.Close(ctx); err != nil {
		return err
	}
	c.before, err = ids(ctx, s)
	return err
}

// live is one client's life: connections that are cut, and the next ones.
func (c *Crowd) live(ctx context.Context, r *rand.Rand, connection func(context.Context) error) {
	for ctx.Err() == nil {
		during, cut := context.WithCancel(ctx)
		stays := time.AfterFunc(c.Stays/10+time.Duration(r.Int64N(int64(c.Stays))*9/10), func() {
			select {
			case <-c.calm:
			default:
				c.cuts.Add(1)
				cut()
			}
		})
		began := time.Now()
		err := connection(during)
		stays.Stop()
		cut()
		var no refused
		if errors.As(err, &no) && ctx.Err() == nil {
			c.refusal.CompareAndSwap(nil, &no)
			return
		}
		away := time.Duration(r.Int64N(int64(backAfter)))
		if time.Since(began) < backAfter { // nobody is there: they do not all ask all the time
			away *= 5
		}
		if c.Away > 0 && r.IntN(10) == 0 {
			away = time.Duration(r.Int64N(int64(c.Away)))
		}
		timer := time.NewTimer(away)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
}

// present is how many streams have told their position.
func (c *Crowd) present() (n int) {
	for _, t := range c.tracks {
		if t.position() != "" {
			n++
		}
	}
	return n
}

// Err is why a client has given up, if one has.
func (c *Crowd) Err() error {
	if no := c.refusal.Load(); no != nil {
		return no.error
	}
	return nil
}

// Calm ends the cuts: who is there stays, who is away comes back.
func (c *Crowd) Calm() {
	close(c.calm)
	for _, t := range c.tracks {
		t.mu.Lock()
		t.calm = false
		t.mu.Unlock()
	}
}

// Stop ends all clients.
func (c *Crowd) Stop() {
	c.end()
	c.running.Wait()
}
