package deadletter_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/deadletter"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
	"github.com/events-aggregator/events-aggregator/test/support/fleet"
)

// sent are n messages of a producer; every third is of the type RARE.
func sent(f *fleet.Fleet, n int) []broker.Message {
	var all []broker.Message
	for i := range n {
		kind := "USUAL"
		if i%3 == 0 {
			kind = "RARE"
		}
		all = append(all, broker.Message{Exchange: f.Topology.Exchange(topology.ExchangeEvents), RoutingKey: "events.spec",
			ContentType: "application/json", MessageID: fmt.Sprintf("m-%04d", i), Body: fmt.Appendf(nil, `{"type":%q,"n":%d}`, kind, i)})
	}
	return all
}

func refuse(d *broker.Delivery) error { return errors.New("refused " + d.MessageID) }

func open(f *fleet.Fleet, queue string) *deadletter.Queue {
	GinkgoHelper()
	q, err := deadletter.Open(f.Connection, f.Publisher, f.Topology, queue)
	Expect(err).NotTo(HaveOccurred())
	return q
}

// lying are the message ids of a queue's dead letters that f selects.
func lying(ctx context.Context, q *deadletter.Queue, f deadletter.Filter) []string {
	GinkgoHelper()
	ids := []string{}
	Expect(q.Each(ctx, f, func(l *deadletter.Letter) error { ids = append(ids, l.MessageID); return nil })).To(Succeed())
	return ids
}

// handled counts what a consumer of a queue got, by message id.
type handled struct {
	mu       sync.Mutex
	times    map[string]int
	replayed bool
}

func (h *handled) counts() map[string]int {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := map[string]int{}
	for id, n := range h.times {
		out[id] = n
	}
	return out
}

// owner consumes a queue until the spec ends.
func owner(f *fleet.Fleet, queue string, verdict error) *handled {
	GinkgoHelper()
	h := &handled{times: map[string]int{}, replayed: true}
	consumer := broker.NewConsumer(f.Connection, f.Publisher, f.Topology.Work(queue), broker.ConsumerOptions{Log: f.Log})
	run, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- consumer.Run(run, broker.Each(4, func(_ context.Context, d *broker.Delivery) error {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.times[d.MessageID]++
			h.replayed = h.replayed && d.Replayed && d.Attempt == 1
			return verdict
		}))
	}()
	DeferCleanup(func() {
		stop()
		Eventually(ended).WithTimeout(20 * time.Second).Should(Receive(BeNil()))
	})
	return h
}

// ends are the words about dead letters' ends that lie in the recorder's queue.
func ends(ctx context.Context, f *fleet.Fleet, n int) map[string]deadletter.Record {
	GinkgoHelper()
	found := map[string]deadletter.Record{}
	var mu sync.Mutex
	consumer := broker.NewConsumer(f.Connection, f.Publisher, f.Topology.Work(topology.DeadLetters), broker.ConsumerOptions{Log: f.Log})
	run, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		ended <- consumer.Run(run, broker.Each(1, func(_ context.Context, d *broker.Delivery) error {
			if r, err := deadletter.End(d.Message); err == nil && d.DeadLetter() == nil {
				mu.Lock()
				defer mu.Unlock()
				found[r.MessageID] = r
			}
			return nil
		}))
	}()
	Eventually(ctx, func() int { mu.Lock(); defer mu.Unlock(); return len(found) }).WithTimeout(10 * time.Second).Should(Equal(n))
	stop()
	Eventually(ctx, ended).WithTimeout(10 * time.Second).Should(Receive(BeNil()))
	return found
}

var rare = deadletter.Filter{Type: "RARE"}

var _ = Describe("a queue's dead letters", func() {
	It("are looked at in their order and stay", func(ctx SpecContext) {
		f := fleet.New(ctx)
		f.Dead(ctx, topology.Ingest, refuse, sent(f, 9)...)
		q := open(f, topology.Ingest)
		all := lying(ctx, q, deadletter.Filter{})
		Expect(all).To(HaveLen(9))
		Expect(lying(ctx, q, rare)).To(ConsistOf("m-0000", "m-0003", "m-0006"))
		Expect(lying(ctx, q, deadletter.Filter{})).To(Equal(all))
		stop := errors.New("stop")
		Expect(q.Each(ctx, deadletter.Filter{}, func(*deadletter.Letter) error { return stop })).To(MatchError(stop))
		Expect(lying(ctx, q, deadletter.Filter{})).To(ConsistOf(all), "what was looked at alone comes last now")
		Expect(q.Depth(ctx)).To(Equal(9))

		_, err := deadletter.Open(f.Connection, nil, f.Topology, "nobody")
		var unknown *deadletter.UnknownQueueError
		Expect(errors.As(err, &unknown)).To(BeTrue())
		Expect(err).To(MatchError(And(ContainSubstring(`"nobody"`), ContainSubstring("webhooks.default"))))
	}, SpecTimeout(time.Minute))

	It("are surveyed as they are looked at, whatever is asked of their bodies", func(ctx SpecContext) {
		f := fleet.New(ctx)
		f.DeadInAnyOrder(ctx, topology.Ingest, refuse, sent(f, 300)...)
		f.DeadByBroker(ctx, topology.Ingest, sent(f, 303)[300:]...)
		q := open(f, topology.Ingest)
		for _, filter := range []deadletter.Filter{{}, rare, {Class: "broker"}} {
			var looked, surveyed deadletter.Groups
			Expect(q.Each(ctx, filter, func(l *deadletter.Letter) error { looked.Add(l); return nil })).To(Succeed())
			Expect(q.Survey(ctx, filter, func(l *deadletter.Letter) error { surveyed.Add(l); return nil })).To(Succeed())
			Expect(surveyed.Sorted()).To(And(Equal(looked.Sorted()), Not(BeEmpty())))
		}
		Expect(q.Depth(ctx)).To(Equal(303))
	}, SpecTimeout(time.Minute))

	It("that are replayed go to their owner alone, as first attempts; the others stay in their place", func(ctx SpecContext) {
		f := fleet.New(ctx)
		f.Dead(ctx, topology.Ingest, refuse, sent(f, 9)...)
		f.DeadByBroker(ctx, topology.Ingest, sent(f, 10)[9])
		q := open(f, topology.Ingest)
		before := lying(ctx, q, deadletter.Filter{})
		var done []string
		r, err := q.Replay(ctx, rare, deadletter.Options{Done: func(l *deadletter.Letter, err error) {
			Expect(err).NotTo(HaveOccurred())
			done = append(done, l.MessageID)
		}})
		Expect(err).NotTo(HaveOccurred())
		Expect(r).To(Equal(deadletter.Result{ID: r.ID, Matched: 4, Done: 4, Complete: true}))
		Expect(done).To(ConsistOf("m-0000", "m-0003", "m-0006", "m-0009"))
		var left []string
		for _, id := range before {
			if id != "m-0000" && id != "m-0003" && id != "m-0006" && id != "m-0009" {
				left = append(left, id)
			}
		}
		Expect(lying(ctx, q, deadletter.Filter{})).To(Equal(left))
		h := owner(f, topology.Ingest, nil)
		Eventually(ctx, h.counts).Should(Equal(map[string]int{"m-0000": 1, "m-0003": 1, "m-0006": 1, "m-0009": 1}))
		Expect(h.replayed).To(BeTrue())
		for _, w := range f.Topology.Queues() {
			if w.Name != topology.DeadLetters {
				Expect(f.Depth(ctx, w.Name)).To(BeZero(), w.Name)
			}
		}
		for id, end := range ends(ctx, f, 4) {
			Expect(done).To(ContainElement(id))
			Expect(end.ReplayID).To(Equal(r.ID))
			Expect(end.ReplayedAt).To(HaveValue(BeTemporally("~", time.Now(), time.Minute)))
			Expect([]any{end.Queue, end.PurgedAt}).To(Equal([]any{"ingester.events", (*time.Time)(nil)}))
		}
	}, SpecTimeout(time.Minute))

	It("that fail again during the replay are not replayed again", func(ctx SpecContext) {
		f := fleet.New(ctx)
		f.Dead(ctx, topology.Ingest, refuse, sent(f, 30)...)
		h := owner(f, topology.Ingest, broker.Permanent(errors.New("refused again")))
		q := open(f, topology.Ingest)
		r, err := q.Replay(ctx, rare, deadletter.Options{Rate: 40}) // long enough for them to be back
		Expect(err).NotTo(HaveOccurred())
		Expect(r.Done).To(Equal(10))
		Eventually(ctx, func() (int, error) { return q.Depth(ctx) }).WithTimeout(10 * time.Second).Should(Equal(30))
		Expect(h.counts()).To(HaveLen(10))
		Expect(h.counts()).To(HaveEach(1))
		Expect(lying(ctx, q, deadletter.Filter{Error: "refused again"})).To(HaveLen(10))
	}, SpecTimeout(time.Minute))

	It("are replayed up to a limit, at a rate, or not at all in a dry run", func(ctx SpecContext) {
		f := fleet.New(ctx)
		f.Dead(ctx, topology.Ingest, refuse, sent(f, 30)...)
		q := open(f, topology.Ingest)
		var seen []string
		r, err := q.Replay(ctx, rare, deadletter.Options{DryRun: true, Limit: 4, Done: func(l *deadletter.Letter, _ error) { seen = append(seen, l.MessageID) }})
		Expect(err).NotTo(HaveOccurred())
		Expect(r).To(Equal(deadletter.Result{ID: r.ID, Matched: 4}))
		Expect(seen).To(HaveLen(4))
		Expect(q.Depth(ctx)).To(Equal(30))

		began := time.Now()
		r, err = q.Replay(ctx, rare, deadletter.Options{Limit: 6, Rate: 10})
		Expect(err).NotTo(HaveOccurred())
		Expect(r).To(Equal(deadletter.Result{ID: r.ID, Matched: 6, Done: 6}))
		Expect(time.Since(began)).To(BeNumerically(">", 450*time.Millisecond), "six at ten a second")
		r, err = q.Replay(ctx, deadletter.Filter{Type: "NONE"}, deadletter.Options{})
		Expect(err).NotTo(HaveOccurred())
		Expect(r).To(Equal(deadletter.Result{ID: r.ID, Complete: true}))
		Expect(q.Depth(ctx)).To(Equal(24))
	}, SpecTimeout(time.Minute))

	It("that cannot be published as they are stay, and hold nobody up", func(ctx SpecContext) {
		f := fleet.New(ctx)
		all := sent(f, 3)
		all[1].Headers = map[string]any{"huge": strings.Repeat("x", 119_900)} // with ours more than a frame holds
		f.DeadByBroker(ctx, topology.Ingest, all...)
		q := open(f, topology.Ingest)
		failed := map[string]error{}
		r, err := q.Replay(ctx, deadletter.Filter{}, deadletter.Options{Done: func(l *deadletter.Letter, err error) { failed[l.MessageID] = err }})
		Expect(err).NotTo(HaveOccurred())
		Expect(r).To(Equal(deadletter.Result{ID: r.ID, Matched: 3, Done: 2, Failed: 1, Complete: true}))
		Expect(failed).To(And(HaveKeyWithValue("m-0000", BeNil()), HaveKeyWithValue("m-0001", MatchError(ContainSubstring("headers"))), HaveKeyWithValue("m-0002", BeNil())))
		Expect(lying(ctx, q, deadletter.Filter{})).To(Equal([]string{"m-0001"}))
	}, SpecTimeout(time.Minute))

	It("are neither lost nor misled by a replay that is cut off, or whose connection is lost, again and again", func(ctx SpecContext) {
		f := fleet.New(ctx)
		const n = 400
		f.Dead(ctx, topology.Ingest, refuse, sent(f, n)...)
		h := owner(f, topology.Ingest, nil)
		url := f.AMQPURL
		proxy := fleet.Through(&url)
		for i := range 4 {
			// Each is a process of its own: connection, publisher, end.
			conn := broker.NewConnection("replay", url, f.Log, prometheus.NewRegistry())
			run, stop := context.WithCancel(ctx)
			ended := make(chan struct{})
			go func() { defer close(ended); _ = conn.Run(run) }()
			q, err := deadletter.Open(conn, broker.NewPublisher(conn, broker.PublisherOptions{}), f.Topology, topology.Ingest)
			Expect(err).NotTo(HaveOccurred())
			bound, cancel := context.WithTimeout(ctx, 20*time.Second)
			done := 0
			r, err := q.Replay(bound, deadletter.Filter{}, deadletter.Options{Rate: 2000, Done: func(*deadletter.Letter, error) {
				if done++; done == 60 && i < 2 {
					proxy.Cut()
				} else if done == 60 && i == 2 {
					cancel()
				}
			}})
			cancel()
			if i < 3 {
				Expect(err).To(HaveOccurred())
				Expect(r.Done).To(BeNumerically(">=", 60))
				Expect(r.Complete).To(BeFalse())
			} else {
				Expect(err).NotTo(HaveOccurred())
				Expect(r.Complete).To(BeTrue())
			}
			stop()
			Eventually(ctx, ended).WithTimeout(10 * time.Second).Should(BeClosed())
			// What the lost one held is in the queue again.
			Eventually(ctx, func() int { return f.Depth(ctx, topology.Ingest+".dead") + len(h.counts()) }).
				WithTimeout(10 * time.Second).Should(BeNumerically(">=", n))
		}
		Eventually(ctx, h.counts).WithTimeout(10 * time.Second).Should(HaveLen(n))
		Expect(f.Depth(ctx, topology.Ingest+".dead")).To(BeZero())
		for _, w := range f.Topology.Queues() {
			if w.Name != topology.DeadLetters && w.Name != topology.Ingest {
				Expect(f.Depth(ctx, w.Name)+f.Depth(ctx, w.Name+".dead")).To(BeZero(), w.Name)
			}
		}
	}, SpecTimeout(2*time.Minute))

	It("that are purged are gone, and their records will say so; copies leave no record", func(ctx SpecContext) {
		f := fleet.New(ctx)
		f.Dead(ctx, topology.Ingest, refuse, sent(f, 9)...)
		q := open(f, topology.Ingest)
		r, err := q.Purge(ctx, rare, deadletter.Options{})
		Expect(err).NotTo(HaveOccurred())
		Expect(r).To(Equal(deadletter.Result{Matched: 3, Done: 3, Complete: true}))
		Expect(lying(ctx, q, deadletter.Filter{})).To(HaveLen(6))
		Expect(lying(ctx, q, rare)).To(BeEmpty())
		for _, end := range ends(ctx, f, 3) {
			Expect(end.PurgedAt).To(HaveValue(BeTemporally("~", time.Now(), time.Minute)))
			Expect(end.ReplayedAt).To(BeNil())
		}

		f.Dead(ctx, topology.DeadLetters, refuse, broker.Message{Exchange: f.Topology.Exchange(topology.ExchangeRetry), RoutingKey: f.Prefix + topology.DeadLetters})
		copies := open(f, topology.DeadLetters)
		_, err = copies.Replay(ctx, deadletter.Filter{}, deadletter.Options{})
		Expect(err).To(MatchError(deadletter.ErrCopies))
		r, err = copies.Purge(ctx, deadletter.Filter{}, deadletter.Options{})
		Expect(err).NotTo(HaveOccurred())
		Expect(r.Done).To(Equal(1))
		Expect(f.Depth(ctx, topology.DeadLetters)).To(BeZero())
	}, SpecTimeout(time.Minute))
})
