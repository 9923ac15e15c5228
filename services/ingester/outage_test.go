package ingester_test

import (
	"bytes"
	"context"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/config"
	"github.com/events-aggregator/events-aggregator/services/ingester"
	"github.com/events-aggregator/events-aggregator/test/support/fleet"
)

// trickle publishes the messages in portions, so that faults meet every step.
func trickle(ctx context.Context, f *fleet.Fleet, messages []broker.Message, portion int, pause time.Duration) {
	GinkgoHelper()
	for len(messages) > 0 {
		n := min(portion, len(messages))
		f.Publish(ctx, messages[:n]...)
		messages = messages[n:]
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
	}
}

var _ = Describe("when the database goes away", func() {
	It("holds what it has, counts no attempt, and goes on", func(ctx SpecContext) {
		f := fleet.New(ctx)
		database, uri := throughProxy(f.MongoURI, direct)
		messages, eventIDs := natives(600)
		p := start(ctx, f, func(c *config.Config) { c.Mongo.URI, c.Ingester.Prefetch = uri, 500 })
		f.Publish(ctx, messages[:200]...)
		Eventually(ctx, func() int { return stored(ctx, f) }).Should(BeNumerically(">", 0))
		database.Refuse(true)
		database.Cut()
		f.Publish(ctx, messages[200:]...)
		Eventually(ctx, func() float64 { return metric(p, "ea_ingester_held") }).WithTimeout(20 * time.Second).Should(BeNumerically(">", 0))
		expectNothingFailed(ctx, f)
		database.Refuse(false)
		eventuallyDone(ctx, f, 600, 30*time.Second, p)
		expectStoredOnce(ctx, f, eventIDs)
		expectNothingFailed(ctx, f)
		Expect(metric(p, "ea_ingester_held")).To(BeZero())
		Expect(metric(p, "events_total")).To(BeEquivalentTo(600))
	}, SpecTimeout(90*time.Second))

	It("holds no more for all that the broker gives out again, and gives it back at a stop", func(ctx SpecContext) {
		const prefetch, events = 50, 400
		f := fleet.New(ctx)
		database, uri := throughProxy(f.MongoURI, direct)
		network, url := throughProxy(f.AMQPURL, "")
		p := start(ctx, f, func(c *config.Config) {
			c.Mongo.URI, c.AMQP.URL, c.Ingester.Prefetch, c.Shutdown.DrainTimeout = uri, url, prefetch, time.Minute
		})
		messages, eventIDs := natives(events)
		database.Refuse(true)
		database.Cut()
		f.Publish(ctx, messages...)
		unsettled := func() float64 { return metric(p, "ea_deliveries_unsettled") }
		for range 5 { // each lost session is another prefetch
			Eventually(ctx, unsettled).WithTimeout(20 * time.Second).Should(BeNumerically(">=", prefetch))
			before := network.Opened()
			network.Cut()
			Eventually(ctx, network.Opened).WithTimeout(20 * time.Second).Should(BeNumerically(">", before))
		}
		Consistently(ctx, unsettled, time.Second).Should(BeNumerically("<=", 4*prefetch), "two that are held, what is on its way, and what nobody reads")
		began := time.Now()
		_ = p.Stop(ctx) // MongoDB's own parts may complain
		Expect(time.Since(began)).To(BeNumerically("<", 30*time.Second), "a stop that waits for the drain's end")
		database.Refuse(false)
		p = start(ctx, f)
		eventuallyDone(ctx, f, events, 30*time.Second, p)
		expectStoredOnce(ctx, f, eventIDs)
		expectNothingFailed(ctx, f)
	}, SpecTimeout(2*time.Minute))

	It("takes no more bytes than it may hold, and goes on with the rest", func(ctx SpecContext) {
		const events, size = 200, 4 << 10
		f := fleet.New(ctx)
		database, uri := throughProxy(f.MongoURI, direct)
		p := f.Start(ctx, "ingester", ingester.WireHolding(32*size), func(c *config.Config) { c.Mongo.URI = uri })
		database.Refuse(true)
		database.Cut()
		messages, eventIDs := natives(events)
		for i := range messages {
			messages[i].Body = bytes.Replace(messages[i].Body, []byte("12.5"), []byte(`"`+strings.Repeat("x", size)+`"`), 1)
		}
		f.Publish(ctx, messages...)
		Eventually(ctx, func() float64 { return metric(p, "ea_ingester_held") }).WithTimeout(20 * time.Second).Should(BeNumerically(">", 0))
		Consistently(ctx, func() float64 { return metric(p, "ea_deliveries_unsettled") }, time.Second).Should(
			BeNumerically("<=", events/2), "what it holds, and a few that wait for it")
		database.Refuse(false)
		eventuallyDone(ctx, f, events, 30*time.Second, p)
		expectStoredOnce(ctx, f, eventIDs)
		expectNothingFailed(ctx, f)
	}, SpecTimeout(time.Minute))

	It("stores every event once although answers get lost", func(ctx SpecContext) {
		f := fleet.New(ctx)
		database, uri := throughProxy(f.MongoURI, direct)
		p := start(ctx, f, func(c *config.Config) {
			c.Mongo.URI, c.Ingester.BatchEvents, c.Ingester.Prefetch = uri, 40, 400
		})
		messages, eventIDs := natives(800)
		stop := every(20*time.Millisecond, 250*time.Millisecond, database.Cut)
		trickle(ctx, f, messages, 50, 60*time.Millisecond)
		stop()
		eventuallyDone(ctx, f, 800, 30*time.Second, p)
		expectStoredOnce(ctx, f, eventIDs)
		expectNothingFailed(ctx, f)
	}, SpecTimeout(90*time.Second))

	It("stops within the drain's bound, and what it held is stored by the next", func(ctx SpecContext) {
		f := fleet.New(ctx)
		database, uri := throughProxy(f.MongoURI, direct)
		p := start(ctx, f, func(c *config.Config) { c.Mongo.URI, c.Shutdown.DrainTimeout = uri, 3*time.Second })
		database.Refuse(true)
		database.Cut()
		messages, eventIDs := natives(50)
		f.Publish(ctx, messages...)
		Eventually(ctx, func() float64 { return metric(p, "ea_deliveries_unsettled") }).Should(BeEquivalentTo(50))
		_ = p.Stop(ctx) // MongoDB's own parts may complain
		database.Refuse(false)
		p = start(ctx, f)
		eventuallyDone(ctx, f, 50, 20*time.Second, p)
		expectStoredOnce(ctx, f, eventIDs)
		expectNothingFailed(ctx, f)
	}, SpecTimeout(60*time.Second))
})

var _ = Describe("when connections to the broker are cut at random", func() {
	It("stores 5,000 published events, each once", func(ctx SpecContext) {
		f := fleet.New(ctx)
		amqp, url := throughProxy(f.AMQPURL, "")
		p := start(ctx, f, func(c *config.Config) {
			c.AMQP.URL, c.Ingester.BatchEvents, c.Ingester.Prefetch = url, 100, 600
		})
		messages, eventIDs := natives(5000)
		stop := every(50*time.Millisecond, 700*time.Millisecond, amqp.Cut)
		trickle(ctx, f, shuffled(append(messages, messages[:100]...)), 300, 150*time.Millisecond)
		stop()
		eventuallyDone(ctx, f, 5000, 30*time.Second, p)
		expectStoredOnce(ctx, f, eventIDs)
		expectNothingFailed(ctx, f)
	}, SpecTimeout(4*time.Minute))

	It("does so with two ingesters, while the database's connections are cut too", func(ctx SpecContext) {
		f := fleet.New(ctx)
		heard := listen(ctx, f)
		amqp, url := throughProxy(f.AMQPURL, "")
		database, uri := throughProxy(f.MongoURI, direct)
		unsafe := func(c *config.Config) {
			c.AMQP.URL, c.Mongo.URI = url, uri
			c.Ingester.BatchEvents, c.Ingester.Prefetch = 60, 300
		}
		one, two := start(ctx, f, unsafe), start(ctx, f, unsafe)
		messages, eventIDs := natives(1500)
		stopBroker := every(100*time.Millisecond, 800*time.Millisecond, amqp.Cut)
		stopDatabase := every(50*time.Millisecond, 500*time.Millisecond, database.Cut)
		trickle(ctx, f, shuffled(append(messages, messages[:100]...)), 150, 150*time.Millisecond)
		stopBroker()
		stopDatabase()
		eventuallyDone(ctx, f, 1500, 60*time.Second, one, two)
		expectStoredOnce(ctx, f, eventIDs)
		expectNothingFailed(ctx, f)
		rows := readBooks(ctx, f).rows
		Eventually(ctx, heard.heard).WithTimeout(20*time.Second).Should(HaveLen(len(rows)), "every batch is announced")
	}, SpecTimeout(4*time.Minute))

	It("handles alone what was given out again and again", func(ctx SpecContext) {
		f := fleet.New(ctx)
		amqp, url := throughProxy(f.AMQPURL, "")
		database, uri := throughProxy(f.MongoURI, direct)
		p := start(ctx, f, func(c *config.Config) { c.AMQP.URL, c.Mongo.URI = url, uri })
		database.Refuse(true)
		database.Cut()
		messages, eventIDs := natives(20)
		f.Publish(ctx, messages...)
		for i := range broker.SuspectDeliveries + 1 {
			Eventually(ctx, func() float64 { return metric(p, "ea_deliveries_total") + metric(p, "ea_deliveries_unsettled") }).
				WithTimeout(20 * time.Second).Should(BeNumerically(">=", 20*(i+1)))
			amqp.Cut()
		}
		database.Refuse(false)
		eventuallyDone(ctx, f, 20, 30*time.Second, p)
		expectStoredOnce(ctx, f, eventIDs)
		expectNothingFailed(ctx, f)
	}, SpecTimeout(90*time.Second))
})
