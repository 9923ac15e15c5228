package ingester_test

import (
	"context"
	"math/rand"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/app"
	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/config"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
	"github.com/events-aggregator/events-aggregator/services/ingester"
	"github.com/events-aggregator/events-aggregator/test/support/fleet"
)

// duplicates counts what a process recognised.
func duplicates(p *app.Running, labels ...string) int {
	GinkgoHelper()
	return int(metric(p, "ea_ingester_duplicates_total", labels...))
}

// shuffled returns the messages in another order.
func shuffled(messages []broker.Message) []broker.Message {
	random := rand.New(rand.NewSource(GinkgoRandomSeed()))
	random.Shuffle(len(messages), func(i, j int) { messages[i], messages[j] = messages[j], messages[i] })
	return messages
}

var _ = Describe("an event that comes again", func() {
	It("is stored once, in the same batch or later", func(ctx SpecContext) {
		f := fleet.New(ctx)
		p := start(ctx, f)
		messages, eventIDs := natives(100)
		f.Publish(ctx, shuffled(append(messages, messages...))...)
		eventuallyDone(ctx, f, 100, 20*time.Second, p)
		Eventually(ctx, func() int { return duplicates(p) }).Should(Equal(100))

		f.Publish(ctx, messages[:100]...)
		Eventually(ctx, func() int { return duplicates(p) }).Should(Equal(200))
		eventuallyDone(ctx, f, 100, 20*time.Second, p)
		Expect(duplicates(p, "found", "by_conflict")).To(BeZero(), "what was stored lately is looked up and aborts no transaction")
		expectStoredOnce(ctx, f, eventIDs)
		expectNothingFailed(ctx, f)
		Expect(metric(p, "events_total")).To(BeEquivalentTo(100))
	}, SpecTimeout(60*time.Second))

	It("is recognised by a new process, which remembers nothing, and its new neighbours are stored", func(ctx SpecContext) {
		f := fleet.New(ctx)
		p := start(ctx, f)
		messages, eventIDs := natives(50)
		f.Publish(ctx, messages...)
		eventuallyDone(ctx, f, 50, 20*time.Second, p)
		Expect(p.Stop(ctx)).To(Succeed())

		more, moreIDs := natives(50)
		f.Publish(ctx, shuffled(append(more, messages...))...)
		p = start(ctx, f)
		eventuallyDone(ctx, f, 100, 20*time.Second, p)
		expectStoredOnce(ctx, f, append(eventIDs, moreIDs...))
		expectNothingFailed(ctx, f)
		Expect(duplicates(p)).To(Equal(50))
		Expect(duplicates(p, "found", "by_conflict")).To(BeNumerically(">", 0))
	}, SpecTimeout(60*time.Second))

	It("is stored once when two ingesters have it in hand at the same moment", func(ctx SpecContext) {
		f := fleet.New(ctx)
		small := func(c *config.Config) { c.Ingester.BatchEvents, c.Ingester.Prefetch = 20, 40 }
		one, two := start(ctx, f, small), start(ctx, f, small)
		messages, eventIDs := natives(300)
		var twice []broker.Message
		for _, m := range messages { // side by side, so that each process gets one
			twice = append(twice, m, m)
		}
		f.Publish(ctx, twice...)
		eventuallyDone(ctx, f, 300, 30*time.Second, one, two)
		expectStoredOnce(ctx, f, eventIDs)
		expectNothingFailed(ctx, f)
		Expect(duplicates(one) + duplicates(two)).To(Equal(300))
		Expect(metric(one, "events_total") + metric(two, "events_total")).To(BeEquivalentTo(300))
	}, SpecTimeout(60*time.Second))

	It("is recognised without any memory of recent ids", func(ctx SpecContext) {
		f := fleet.New(ctx)
		p := start(ctx, f, func(c *config.Config) { c.Ingester.RecentIDs = 0 })
		messages, eventIDs := natives(20)
		f.Publish(ctx, messages...)
		eventuallyDone(ctx, f, 20, 20*time.Second, p)
		f.Publish(ctx, messages...)
		Eventually(ctx, func() int { return duplicates(p, "found", "by_conflict") }).Should(Equal(20))
		eventuallyDone(ctx, f, 20, 20*time.Second, p)
		expectStoredOnce(ctx, f, eventIDs)
	}, SpecTimeout(60*time.Second))
})

var _ = Describe("a stop", func() {
	It("finishes what is being written, and returns the rest as it came", func(ctx SpecContext) {
		f := fleet.New(ctx)
		messages, eventIDs := natives(1500)
		f.Publish(ctx, messages...)
		p := start(ctx, f, func(c *config.Config) { c.Ingester.BatchEvents, c.Ingester.Prefetch = 25, 500 })
		Eventually(ctx, func() int { return stored(ctx, f) }).WithTimeout(20 * time.Second).WithPolling(5 * time.Millisecond).
			Should(BeNumerically(">", 50))
		Expect(p.Stop(ctx)).To(Succeed())
		kept := stored(ctx, f)
		GinkgoWriter.Println("stored when it stopped:", kept)
		Expect(kept).To(BeNumerically("<", 1500), "the stop came too late to show anything")
		var left int
		Eventually(ctx, func(g Gomega) {
			left = f.Depth(ctx, topology.Ingest)
			// Not always equal: a broker may drop the last acks with their channel.
			g.Expect(left).To(BeNumerically(">=", 1500-kept))
		}).WithTimeout(5 * time.Second).Should(Succeed())
		expectNothingFailed(ctx, f)

		var again []*broker.Delivery
		look, stop := context.WithCancel(ctx)
		c := broker.NewConsumer(f.Connection, f.Publisher, f.Topology.Work(topology.Ingest), broker.ConsumerOptions{Prefetch: 1500, Log: f.Log})
		Expect(c.Run(look, func(_ context.Context, in <-chan *broker.Delivery) error {
			for d := range in {
				if again = append(again, d); len(again) == left {
					stop()
				}
			}
			for _, d := range again {
				d.Done(broker.Interrupted(context.Canceled))
			}
			return nil
		})).To(Succeed())
		for _, d := range again {
			Expect(d.Attempt).To(Equal(1))
		}

		p = f.Start(ctx, "ingester", ingester.Wire)
		eventuallyDone(ctx, f, 1500, 30*time.Second, p)
		expectStoredOnce(ctx, f, eventIDs)
	}, SpecTimeout(90*time.Second))
})
