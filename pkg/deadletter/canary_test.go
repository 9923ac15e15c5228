package deadletter_test

import (
	"context"
	"errors"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/deadletter"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
	"github.com/events-aggregator/events-aggregator/test/support/fleet"
)

// handledBy consumes a queue, one message after the other, until the spec ends.
func handledBy(f *fleet.Fleet, queue string, loop broker.Loop) {
	GinkgoHelper()
	consumer := broker.NewConsumer(f.Connection, f.Publisher, f.Topology.Work(queue), broker.ConsumerOptions{Log: f.Log})
	run, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- consumer.Run(run, loop) }()
	DeferCleanup(func() {
		stop()
		Eventually(ended).WithTimeout(20 * time.Second).Should(Receive(BeNil()))
	})
}

var _ = Describe("the canary of a queue whose messages are no notifications", func() {
	const n = 5
	var f *fleet.Fleet
	var q *deadletter.Queue
	BeforeEach(func(ctx SpecContext) {
		f = fleet.New(ctx)
		f.Dead(ctx, topology.Ingest, refuse, sent(f, n)...)
		q = open(f, topology.Ingest)
	}, NodeTimeout(30*time.Second))
	left := func(ctx SpecContext) int { return f.Depth(ctx, topology.Ingest+".dead") }

	It("has not succeeded while its owner holds it, however long the queue looks empty", func(ctx SpecContext) {
		held := make(chan struct{})
		handledBy(f, topology.Ingest, broker.Each(1, func(context.Context, *broker.Delivery) error { <-held; return nil }))
		DeferCleanup(func() { close(held) })
		// Longer than any look at the queue alone would have waited.
		r, err := q.Replay(ctx, deadletter.Filter{}, deadletter.Options{Canary: 3500 * time.Millisecond})
		Expect(err).To(MatchError(ContainSubstring("nothing is known of it after 3.5s")))
		Expect(errors.As(err, new(*deadletter.CanaryError))).To(BeTrue())
		Expect(r.Done).To(Equal(1))
		Eventually(ctx, func() int { return left(ctx) }).Should(Equal(n-1), "the others stay where they are")
	}, SpecTimeout(time.Minute))

	It("has failed when it goes to a retry tier, and says why", func(ctx SpecContext) {
		handledBy(f, topology.Ingest, broker.Each(1, func(context.Context, *broker.Delivery) error { return errors.New("not today") }))
		_, err := q.Replay(ctx, deadletter.Filter{}, deadletter.Options{Canary: 20 * time.Second})
		Expect(err).To(MatchError(ContainSubstring("it failed again: not today")))
		Eventually(ctx, func() int { return left(ctx) }).Should(Equal(n - 1))
	}, SpecTimeout(time.Minute))

	It("is not known when nobody consumes the queue", func(ctx SpecContext) {
		_, err := q.Replay(ctx, deadletter.Filter{}, deadletter.Options{Canary: 200 * time.Millisecond})
		Expect(err).To(MatchError(ContainSubstring("nobody consumes ingester.events")))
		Expect(f.Depth(ctx, topology.Ingest)).To(Equal(1))
	}, SpecTimeout(time.Minute))

	DescribeTable("has succeeded when its owner has acked it, and the others follow", func(ctx SpecContext, loop func(each func(*broker.Delivery)) broker.Loop) {
		first := lying(ctx, q, deadletter.Filter{})[0]
		got := make(chan string, 2*n)
		handledBy(f, topology.Ingest, loop(func(d *broker.Delivery) { got <- d.MessageID }))
		r, err := q.Replay(ctx, deadletter.Filter{}, deadletter.Options{Canary: 20 * time.Second})
		Expect(err).NotTo(HaveOccurred())
		Expect(r.Done).To(Equal(n))
		Eventually(ctx, func() int { return len(got) }).Should(Equal(n))
		Expect(<-got).To(Equal(first))
		Expect(left(ctx)).To(BeZero())
	},
		Entry("by itself", SpecTimeout(time.Minute), func(each func(*broker.Delivery)) broker.Loop {
			return broker.Each(1, func(_ context.Context, d *broker.Delivery) error { each(d); return nil })
		}),
		Entry("in a batch", SpecTimeout(time.Minute), func(each func(*broker.Delivery)) broker.Loop {
			return broker.Batches(broker.BatchOptions{}, func(_ context.Context, batch []*broker.Delivery) error {
				for _, d := range batch {
					each(d)
				}
				return nil
			})
		}),
	)
})
