package live_test

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"
	"go.uber.org/zap"

	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/services/api/live"
	"github.com/events-aggregator/events-aggregator/test/support/faultproxy"
)

// source is the real database, which may forget its history: then it refuses
// every place, as a server does whose oplog has rolled over.
type source struct {
	*store.Store
	forgetful atomic.Bool
	refused   atomic.Int32

	mu           sync.Mutex
	opened, most int // streams now, and at most
}

func (s *source) Watch(ctx context.Context, what store.Watched, after *store.Place) (*store.Stream, error) {
	if s.forgetful.Load() && after != nil {
		s.refused.Add(1)
		return nil, fmt.Errorf("the history is gone: %w", store.ErrStreamRefused)
	}
	stream, err := s.Store.Watch(ctx, what, after)
	if err == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.opened++
		s.most = max(s.most, s.opened)
		context.AfterFunc(ctx, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.opened--
		})
	}
	return stream, err
}

var databases int

// database is the name of the spec's own.
func database() string {
	return fmt.Sprintf("ea_live_%d_%d_%d", os.Getpid(), GinkgoParallelProcess(), databases)
}

// open is a client of a database of the spec's own, through a proxy that can
// fail.
func open(ctx context.Context) (*source, *store.Store, *faultproxy.Proxy) {
	GinkgoHelper()
	databases++
	name := database()
	uri := os.Getenv("EA_MONGO_URI")
	Expect(uri).NotTo(BeEmpty(), "EA_MONGO_URI names no server; run the specs by `make test`")
	direct, err := store.Open(ctx, store.Options{URI: uri, Database: name, AppName: "live specs"})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func(ctx SpecContext) {
		Expect(direct.DropDatabase(ctx)).To(Succeed())
		Expect(direct.Close(ctx)).To(Succeed())
	}, NodeTimeout(30*time.Second))
	at, err := url.Parse(uri)
	Expect(err).NotTo(HaveOccurred())
	proxy, err := faultproxy.Start(at.Host)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(proxy.Close)
	at.Host, at.RawQuery = proxy.Addr(), "directConnection=true" // or the driver finds the server itself
	through, err := store.Open(ctx, store.Options{URI: at.String(), Database: name, AppName: "live specs"})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func(ctx SpecContext) { Expect(through.Close(ctx)).To(Succeed()) }, NodeTimeout(30*time.Second))
	saveTold(ctx, direct, 1) // so that the collections exist
	return &source{Store: through}, direct, proxy
}

// made numbers the events of all specs.
var made int

// save stores n events in one batch and returns their numbers.
func save(ctx context.Context, s *store.Store, n int) []int {
	GinkgoHelper()
	b, numbers := batch(n)
	Expect(s.SaveBatch(ctx, b, "spec")).To(Succeed())
	return numbers
}

// saveTold is save of what no stream tells that begins after it. Other streams
// may begin before what is stored already: a server lets them begin where
// transactions are that are still open, anybody's.
func saveTold(ctx context.Context, s *store.Store, n int) []int {
	GinkgoHelper()
	stream, err := s.Watch(ctx, store.WatchedEvents, nil)
	Expect(err).NotTo(HaveOccurred())
	numbers := save(ctx, s, n)
	awaitTold(ctx, stream, numbers[n-1])
	return numbers
}

// awaitTold reads the stream until it tells the event, and closes it.
func awaitTold(ctx context.Context, stream *store.Stream, last int) {
	GinkgoHelper()
	defer func() { Expect(stream.Close(ctx)).To(Succeed()) }()
	for {
		change, err := stream.Next(ctx)
		Expect(err).NotTo(HaveOccurred())
		if number(change.Document) == last {
			return
		}
	}
}

func batch(n int) (b event.Batch, numbers []int) {
	GinkgoHelper()
	now := time.Now().UTC().Truncate(time.Millisecond)
	first, at := event.NewIDBlock(n)
	b = event.Batch{ID: first.Hex(), FirstID: first, MaxSeverity: 3, StoredAt: now}
	for i := range n {
		made++
		numbers = append(numbers, made)
		b.LastID = at(i)
		raw, err := bson.Marshal(bson.D{
			{Key: "_id", Value: b.LastID}, {Key: "event_id", Value: "e-" + b.LastID.Hex()},
			{Key: "type", Value: "USER_LOGIN"}, {Key: "source", Value: "auth"}, {Key: "severity", Value: int32(3)},
			{Key: "timestamp", Value: now}, {Key: "payload", Value: bson.D{{Key: "n", Value: int32(made)}}},
			{Key: "processed", Value: false}, {Key: "batch_id", Value: b.ID}, {Key: "created_at", Value: now}, {Key: "expires_at", Value: now.Add(time.Hour)},
		})
		Expect(err).NotTo(HaveOccurred())
		b.Events = append(b.Events, raw)
	}
	return b, numbers
}

func number(d bson.Raw) int { return int(d.Lookup("payload", "n").Int32()) }

// client follows a hub as one that is connected does.
type client struct {
	cut   func()
	ended chan error
	hold  chan struct{} // it takes nothing while this is open; nil: it takes all

	mu     sync.Mutex
	ready  bool // it was told a position
	seen   []int
	places []string // of what it saw
	last   string
	gaps   []live.Gap
	waits  int // how often it was told that it waits
}

func follow(ctx context.Context, h *live.Hub, last string, match func(bson.Raw) bool, hold chan struct{}) *client {
	GinkgoHelper()
	c := &client{ended: make(chan error, 1), hold: hold}
	var after *store.Place
	if last != "" {
		place, err := store.ParsePlace(last)
		Expect(err).NotTo(HaveOccurred())
		after = &place
	}
	ctx, c.cut = context.WithCancel(ctx)
	DeferCleanup(c.cut)
	go func() { c.ended <- h.Follow(ctx, after, match, c.tell) }()
	return c
}

func (c *client) tell(frames []live.Frame) error {
	c.mu.Lock()
	for _, f := range frames {
		c.last, c.ready = f.ID(), true
		switch {
		case f.Gap != nil:
			c.gaps = append(c.gaps, *f.Gap)
		case f.Waits:
			c.waits++
		case f.IsChange():
			c.seen = append(c.seen, number(f.Document()))
			c.places = append(c.places, f.ID())
		}
	}
	c.mu.Unlock()
	if c.hold != nil {
		<-c.hold
	}
	return nil
}

func (c *client) isReady() bool    { c.mu.Lock(); defer c.mu.Unlock(); return c.ready }
func (c *client) saw() []int       { c.mu.Lock(); defer c.mu.Unlock(); return append([]int{}, c.seen...) }
func (c *client) position() string { c.mu.Lock(); defer c.mu.Unlock(); return c.last }
func (c *client) toldToWait() int  { c.mu.Lock(); defer c.mu.Unlock(); return c.waits }

// take lets a client that holds go on by one step, if it waits for that.
func (c *client) take() {
	select {
	case c.hold <- struct{}{}:
	default:
	}
}
func (c *client) placesSeen() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string{}, c.places...)
}
func (c *client) gapsTold() []live.Gap {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]live.Gap{}, c.gaps...)
}
func everything(bson.Raw) bool { return true }
func nothing(bson.Raw) bool    { return false }

func hub(ctx context.Context, s live.Changes, depth int) *live.Hub {
	return hubOf(ctx, s, depth, live.NewMemory(64<<20))
}

func hubOf(ctx context.Context, s live.Changes, depth int, memory *live.Memory) *live.Hub {
	h := live.New(ctx, store.WatchedEvents, s, event.ToJSON, depth, memory, zap.NewNop(), time.Now)
	DeferCleanup(h.Stop)
	return h
}

var _ = Describe("the hub", func() {
	It("gives clients that resume from different places what they missed, by few streams", func(ctx SpecContext) {
		s, db, _ := open(ctx)
		first := hub(ctx, s, 1000)
		c := follow(ctx, first, "", everything, nil)
		Eventually(ctx, c.isReady).Should(BeTrue())
		beginning := c.position()
		all := append(save(ctx, db, 20), save(ctx, db, 20)...)
		Eventually(ctx, c.saw).Should(Equal(all))
		places := append([]string{beginning}, c.placesSeen()...)
		first.Stop()

		h := hub(ctx, s, 1000) // as a process that was started anew
		s.mu.Lock()
		s.opened, s.most = 0, 0
		s.mu.Unlock()
		var clients []*client
		for _, place := range places {
			clients = append(clients, follow(ctx, h, place, everything, nil))
		}
		all = append(all, save(ctx, db, 5)...)
		for i, c := range clients {
			Eventually(ctx, c.saw).Should(Equal(all[i:]), "resumed after %d of 40", i)
		}
		all = append(all, save(ctx, db, 5)...)
		for i, c := range clients {
			Eventually(ctx, c.saw).Should(Equal(all[i:]))
			Expect(c.gapsTold()).To(BeEmpty())
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		Expect(s.most).To(BeNumerically("<=", 3), "one for all, and two that catch up")
	}, SpecTimeout(time.Minute))

	It("has one stream while there are clients, and none after the last", func(ctx SpecContext) {
		s, db, _ := open(ctx)
		h := hub(ctx, s, 1000)
		streams := func() int { s.mu.Lock(); defer s.mu.Unlock(); return s.opened }
		one, other := follow(ctx, h, "", everything, nil), follow(ctx, h, "", nothing, nil)
		Eventually(ctx, one.isReady).Should(BeTrue())
		Eventually(ctx, other.isReady).Should(BeTrue())
		Expect(streams()).To(Equal(1))
		numbers := save(ctx, db, 3)
		Eventually(ctx, one.saw).Should(Equal(numbers))
		one.cut()
		other.cut()
		Eventually(ctx, streams).Should(BeZero())
		again := follow(ctx, h, one.position(), everything, nil)
		Eventually(ctx, again.isReady).Should(BeTrue())
		numbers = save(ctx, db, 3)
		Eventually(ctx, again.saw).Should(Equal(numbers))
	}, SpecTimeout(time.Minute))

	It("tells who resumes from a place that the server refuses since when it missed what, and goes on", func(ctx SpecContext) {
		s, db, _ := open(ctx)
		h := hub(ctx, s, 1000)
		before := time.Now()
		stream, err := s.Store.Watch(ctx, store.WatchedEvents, nil)
		Expect(err).NotTo(HaveOccurred())
		place := stream.Place()
		Expect(stream.Close(ctx)).To(Succeed())
		place.Token, err = bson.Marshal(bson.D{{Key: "_data", Value: "82000000"}})
		Expect(err).NotTo(HaveOccurred())
		missed := time.Now()
		saveTold(ctx, db, 1)
		c, other := follow(ctx, h, place.String(), everything, nil), follow(ctx, h, "", everything, nil)
		Eventually(ctx, c.gapsTold).Should(HaveLen(1))
		told := c.gapsTold()[0]
		Expect(told.From).To(BeTemporally("<=", missed))
		Expect(told.From).To(BeTemporally(">", before.Add(-5*time.Second)))
		Expect(told.To).To(BeTemporally(">=", missed))
		numbers := save(ctx, db, 2)
		Eventually(ctx, c.saw).Should(Equal(numbers))
		Eventually(ctx, other.saw).Should(ContainElements(numbers))
		Expect(other.gapsTold()).To(BeEmpty())
	}, SpecTimeout(time.Minute))

	It("tells a gap when its own stream's history is lost, and continues after a mere outage", func(ctx SpecContext) {
		s, db, proxy := open(ctx)
		h := hub(ctx, s, 1000)
		c := follow(ctx, h, "", everything, nil)
		Eventually(ctx, c.isReady).Should(BeTrue())
		proxy.Refuse(true)
		proxy.Cut()
		numbers := save(ctx, db, 3)
		proxy.Refuse(false)
		Eventually(ctx, c.saw).Should(Equal(numbers))
		Expect(c.gapsTold()).To(BeEmpty())

		s.forgetful.Store(true)
		missed := time.Now()
		proxy.Refuse(true)
		proxy.Cut()
		saveTold(ctx, db, 1)
		Eventually(ctx, s.refused.Load).ShouldNot(BeZero()) // before that, the driver itself tries again
		lag, silent, reason := h.Health()
		Expect([]time.Duration{lag, silent}).To(HaveEach(BeNumerically(">", 0)))
		Expect(reason).NotTo(BeEmpty())
		proxy.Refuse(false)
		Eventually(ctx, c.gapsTold).Should(HaveLen(1))
		Expect(c.gapsTold()[0].From).To(BeTemporally("<=", missed))
		Expect(c.gapsTold()[0].To).To(BeTemporally(">=", missed))
		s.forgetful.Store(false)
		last := save(ctx, db, 2)
		Eventually(ctx, func() []int { return c.saw()[len(numbers):] }).Should(Equal(last))
		Eventually(ctx, func() time.Duration { _, silent, _ := h.Health(); return silent }).Should(BeZero())
	}, SpecTimeout(time.Minute))

	It("tells the position to who hears of nothing else, also while events flow", func(ctx SpecContext) {
		s, db, _ := open(ctx)
		h := hub(ctx, s, 1000)
		h.TellPositions(200 * time.Millisecond)
		c := follow(ctx, h, "", nothing, nil)
		Eventually(ctx, c.isReady).Should(BeTrue())
		first, flow := c.position(), make(chan struct{})
		flowing, stop := context.WithCancel(ctx)
		go func() {
			defer GinkgoRecover()
			defer close(flow)
			for flowing.Err() == nil {
				save(ctx, db, 1)
			}
		}()
		Eventually(ctx, c.position).ShouldNot(Equal(first))
		stop()
		<-flow
		last := save(ctx, db, 1)
		again := follow(ctx, h, c.position(), everything, nil)
		Eventually(ctx, again.saw).Should(ContainElements(last))
		Expect(len(again.saw())).To(BeNumerically("<", made), "not from the beginning")
	}, SpecTimeout(time.Minute))

	It("lets a client go that falls behind, which holds nobody else and resumes without loss", func(ctx SpecContext) {
		s, db, _ := open(ctx)
		h := hub(ctx, s, 10)
		hold := make(chan struct{})
		slow, quick := follow(ctx, h, "", everything, hold), follow(ctx, h, "", everything, nil)
		Eventually(ctx, slow.isReady).Should(BeTrue())
		Eventually(ctx, quick.isReady).Should(BeTrue())
		var all []int
		for range 6 {
			all = append(all, save(ctx, db, 5)...)
			Eventually(ctx, quick.saw).Should(Equal(all))
		}
		close(hold)
		Eventually(ctx, slow.ended).Should(Receive(MatchError(live.ErrSlow)))
		Expect(len(slow.saw())).To(BeNumerically("<", len(all)))
		seen := slow.saw()
		again := follow(ctx, h, slow.position(), everything, nil)
		Eventually(ctx, func() []int { return append(append([]int{}, seen...), again.saw()...) }).Should(Equal(all))
	}, SpecTimeout(time.Minute))

	It("lets a client go that moves too slowly for those that catch up with it", func(ctx SpecContext) {
		s, db, _ := open(ctx)
		beginning := placeNow(ctx, s)
		all := save(ctx, db, 500)
		h := hub(ctx, s, 10)
		h.BePatient(500 * time.Millisecond)
		slow := follow(ctx, h, beginning.String(), everything, make(chan struct{}))
		quick := follow(ctx, h, beginning.String(), everything, nil)
		stepping, stop := context.WithCancel(ctx)
		DeferCleanup(stop)
		go func() {
			ticker := time.NewTicker(250 * time.Millisecond) // more than ten seconds for all
			defer ticker.Stop()
			for stepping.Err() == nil {
				<-ticker.C
				slow.take()
			}
		}()
		Eventually(ctx, slow.ended).Should(Receive(MatchError(live.ErrSlow)))
		Eventually(ctx, quick.saw).Should(Equal(all))
	}, SpecTimeout(time.Minute))

	It("tells who waits for a stream that catches up so, at its place", func(ctx SpecContext) {
		s, db, _ := open(ctx)
		beginning := placeNow(ctx, s)
		all := save(ctx, db, 100)
		h := hub(ctx, s, 10)
		h.BePatient(time.Minute)
		h.TellPositions(50 * time.Millisecond)
		var clients []*client
		for range 20 {
			c := follow(ctx, h, beginning.String(), everything, make(chan struct{}))
			clients = append(clients, c)
			Eventually(ctx, func() bool { c.take(); return len(c.saw()) > 0 || c.toldToWait() > 0 }).Should(BeTrue())
			if c.toldToWait() > 0 {
				break
			}
		}
		waits := clients[len(clients)-1]
		Expect(h.Waiting()).To(Equal(1))
		Expect(waits.toldToWait()).NotTo(BeZero())
		Expect(waits.position()).To(Equal(beginning.String()))
		for _, c := range clients {
			close(c.hold)
		}
		for _, c := range clients {
			Eventually(ctx, c.saw).Should(Equal(all))
		}
		Expect(h.Waiting()).To(BeZero())
	}, SpecTimeout(time.Minute))

	DescribeTable("takes a token that the server refuses for its owner's alone", func(ctx SpecContext, age time.Duration, gaps int) {
		s, db, _ := open(ctx)
		good := placeNow(ctx, s)
		bad := good
		var err error
		bad.Token, err = bson.Marshal(bson.D{{Key: "_data", Value: "82000000"}})
		Expect(err).NotTo(HaveOccurred())
		bad.Seen = good.Seen.Add(-age)
		missed := save(ctx, db, 2)
		h := hub(ctx, s, 1000)
		h.TellPositions(time.Minute) // which wakes nobody
		owner, other := follow(ctx, h, bad.String(), everything, nil), follow(ctx, h, good.String(), everything, nil)
		Eventually(ctx, other.saw).Should(Equal(missed))
		Eventually(ctx, owner.gapsTold).Should(HaveLen(gaps))
		Eventually(ctx, owner.isReady).Should(BeTrue())
		last := save(ctx, db, 1)
		Eventually(ctx, owner.saw).Should(ContainElements(last))
		Eventually(ctx, other.saw).Should(ContainElements(last))
		Expect(other.gapsTold()).To(BeEmpty())
	},
		Entry("the older of two for one place is not needed", time.Minute, 0, SpecTimeout(time.Minute)),
		Entry("the newer one is tried first", -time.Minute, 1, SpecTimeout(time.Minute)))
})

// placeNow is the place of a client that was here and has gone.
func placeNow(ctx context.Context, s *source) store.Place {
	GinkgoHelper()
	stream, err := s.Store.Watch(ctx, store.WatchedEvents, nil)
	Expect(err).NotTo(HaveOccurred())
	defer func() { Expect(stream.Close(ctx)).To(Succeed()) }()
	return stream.Place()
}
