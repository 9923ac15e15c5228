package dispatcher_test

import (
	"context"
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/config"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/test/support/fleet"
	"github.com/events-aggregator/events-aggregator/test/support/sink"
)

// mixed takes one from each list in turn.
func mixed(lists ...[]notification.Message) []notification.Message {
	var all []notification.Message
	for i := 0; ; i++ {
		before := len(all)
		for _, l := range lists {
			if i < len(l) {
				all = append(all, l[i])
			}
		}
		if len(all) == before {
			return all
		}
	}
}

var _ = Describe("An endpoint that hangs", Serial, func() {
	// The receivers take 100 ms for an answer, so the rates hang on waiting and
	// not on what else the machine does.
	const window, each = 2 * time.Second, 200

	// deliveries counts what three receivers accept in the window, out of a
	// queue that was filled before.
	deliveries := func(ctx SpecContext, hanging bool) (accepted int, f *fleet.Fleet) {
		f = fleet.New(ctx)
		var receivers []*sink.Running
		var lists [][]notification.Message
		for range 3 {
			r := receive()
			r.SetFaults(sink.Faults{LatencyMS: 100})
			receivers = append(receivers, r)
			lists = append(lists, oweHooks(ctx, f, each, r.URL))
		}
		if hanging {
			r := receive()
			r.SetFaults(sink.Faults{Hang: true})
			lists = append(lists, oweHooks(ctx, f, 3*each, r.URL), oweHooks(ctx, f, each, r.URL))
		}
		send(ctx, f, mixed(lists...)...)
		count := func() (n int) {
			for _, r := range receivers {
				n += r.Stats().Accepted
			}
			return n
		}
		start(ctx, f)
		Eventually(ctx, count).WithPolling(time.Millisecond).Should(BeNumerically(">", 0))
		select {
		case <-time.After(window):
		case <-ctx.Done():
		}
		return count(), f
	}

	// Whatever else the machine does in one of the two windows spoils a round, and
	// only an endpoint that does take something spoils all of them.
	const rounds, share = 4, 0.9

	It("takes nothing from the others", measures, func(ctx SpecContext) {
		var seen []string
		for range rounds {
			without, _ := deliveries(ctx, false)
			with, f := deliveries(ctx, true)
			seen = append(seen, fmt.Sprintf("%d without, %d with", without, with))
			Expect(without).To(BeNumerically(">", 30), "the comparison needs a rate")
			Eventually(ctx, func() int { return f.Depth(ctx, queue+".retry.1m") }).Should(BeNumerically(">", 0), "its messages wait in a tier")
			if float64(with) >= share*float64(without) {
				AddReportEntry("deliveries", seen)
				return
			}
		}
		Fail(fmt.Sprintf("in none of the rounds did the others keep %v of their rate: %v", share, seen))
	}, SpecTimeout(3*time.Minute))

	It("loses no message, and gets those that wait in its line when it recovers", func(ctx SpecContext) {
		f, receiver := fleet.New(ctx), receive()
		receiver.SetFaults(sink.Faults{Hang: true})
		owed := oweHooks(ctx, f, 700, receiver.URL)
		send(ctx, f, owed...)
		start(ctx, f)
		inTiers := func() int { return f.Depth(ctx, queue+".retry.1m") + f.Depth(ctx, queue+".retry.10s") }
		Eventually(ctx, inTiers).Should(BeNumerically(">", 100))
		receiver.SetFaults(sink.Faults{}) // the hanging calls end without an answer
		Eventually(ctx, func() int { return receiver.Stats().Accepted }).WithPolling(20*time.Millisecond).
			Should(BeNumerically(">", 100), "long before the tier gives back the others")
		Eventually(ctx, func() int { return receiver.Stats().Accepted + inTiers() }).Should(Equal(700))
		Expect(receiver.Stats().AcceptedAgain).To(BeZero())
		for _, m := range owed {
			Expect(notificationOf(ctx, Default, f, m).AttemptCount).To(BeNumerically("<=", 2))
		}
		Expect(f.Depth(ctx, queue+".dead")).To(BeZero())
	}, SpecTimeout(time.Minute))
})

var _ = Describe("A message that was held back for a day", func() {
	It("pays for it with an attempt, so that it comes to an end", func(ctx SpecContext) {
		f, receiver := fleet.New(ctx), receive()
		receiver.SetFaults(sink.Faults{Hang: true})
		owed := oweHooks(ctx, f, 700, receiver.URL)
		w := f.Topology.Work(queue)
		old := make([]broker.Message, len(owed))
		for i, m := range owed {
			encoded, err := f.Topology.Actions().Encode(m)
			Expect(err).NotTo(HaveOccurred())
			old[i] = encoded
			old[i].Exchange, old[i].RoutingKey = w.RetryExchange, w.Name
			old[i].Headers = map[string]any{
				"x-ea-exchange": encoded.Exchange, "x-ea-routing-key": encoded.RoutingKey, "x-ea-attempt": 1,
				"x-ea-held-since": time.Now().Add(-23*time.Hour - 30*time.Minute).UTC().Format(time.RFC3339),
			}
		}
		Expect(f.Publisher.Publish(ctx, old...)).To(Succeed())
		start(ctx, f)
		Eventually(ctx, func(g Gomega) {
			n := notificationOf(ctx, g, f, owed[699])
			g.Expect(n.AttemptCount).To(Equal(1))
			g.Expect(n.Attempts[0].ErrorClass).To(Equal("held_back"))
			g.Expect(n.Status).To(Equal(notification.Pending))
			g.Expect(n.NextAttemptAt).NotTo(BeNil())
		}).Should(Succeed())
	}, SpecTimeout(time.Minute))
})

var _ = Describe("While MongoDB is away", func() {
	It("keeps what was called, calls nobody else, and records it afterwards", func(ctx SpecContext) {
		f, receiver := fleet.New(ctx), receive()
		receiver.SetFaults(sink.Faults{LatencyMS: 500})
		d := startCutOff(ctx, f)
		owed := oweHooks(ctx, f, 40, receiver.URL)
		send(ctx, f, owed...)
		Eventually(ctx, func() int { return receiver.Stats().Calls }).Should(Equal(8), "one target's share")
		d.mongo.Refuse(true)
		d.mongo.Cut()
		// What was called before the dispatcher noticed ends, a wave or two later.
		calls := -1
		Eventually(ctx, func() bool {
			before, now := calls, receiver.Stats()
			calls = now.Calls
			return calls == before && calls == now.Accepted
		}).WithPolling(time.Second).Should(BeTrue())
		Consistently(ctx, func() int { return receiver.Stats().Calls }, 2*time.Second).Should(Equal(calls))
		Expect(calls).To(BeNumerically("<", 40))
		for _, m := range owed {
			Expect(notificationOf(ctx, Default, f, m).AttemptCount).To(BeZero())
		}
		receiver.SetFaults(sink.Faults{})
		d.wake()
		for _, m := range owed {
			Expect(becomes(ctx, f, m, notification.Delivered).Attempts).To(HaveLen(1))
		}
		empty(ctx, f)
		Expect(receiver.Stats().Calls).To(Equal(40), "nobody was called twice")
	}, SpecTimeout(time.Minute))
})

var _ = Describe("A stop", func() {
	stop := func(ctx context.Context, c *cutOff) time.Duration {
		GinkgoHelper()
		began := time.Now()
		Expect(c.running.Stop(ctx)).To(Succeed())
		return time.Since(began)
	}

	It("lets calls end, and costs what waits no attempt", func(ctx SpecContext) {
		f, receiver := fleet.New(ctx), receive()
		receiver.SetFaults(sink.Faults{LatencyMS: 1500})
		d := startCutOff(ctx, f, func(c *config.Config) { c.Shutdown.DrainTimeout = 20 * time.Second })
		owed := oweHooks(ctx, f, 60, receiver.URL)
		send(ctx, f, owed...)
		Eventually(ctx, func() int { return receiver.Stats().Calls }).Should(Equal(8))
		Expect(stop(ctx, d)).To(BeNumerically("<", 10*time.Second))
		Expect(receiver.Stats().Accepted).To(Equal(8))
		Eventually(ctx, func() int { return f.Depth(ctx, queue) }).Should(Equal(52))

		receiver.SetFaults(sink.Faults{})
		start(ctx, f)
		for _, m := range owed {
			Expect(becomes(ctx, f, m, notification.Delivered).Attempts).To(HaveLen(1))
		}
		Expect(receiver.Stats().Calls).To(Equal(60))
		empty(ctx, f)
	}, SpecTimeout(time.Minute))

	It("cuts calls off at its bound, and costs them no attempt", func(ctx SpecContext) {
		f, receiver := fleet.New(ctx), receive()
		receiver.SetFaults(sink.Faults{Hang: true})
		d := startCutOff(ctx, f, func(c *config.Config) { c.Shutdown.DrainTimeout = time.Second })
		owed := oweHooks(ctx, f, 3, receiver.URL)
		send(ctx, f, owed...)
		Eventually(ctx, func() int { return receiver.Stats().Calls }).Should(Equal(3))
		Expect(stop(ctx, d)).To(BeNumerically("<", 10*time.Second))
		Eventually(ctx, func() int { return f.Depth(ctx, queue) }).Should(Equal(3))
		for _, m := range owed {
			Expect(notificationOf(ctx, Default, f, m).AttemptCount).To(BeZero())
		}
		receiver.SetFaults(sink.Faults{})
		start(ctx, f)
		for _, m := range owed {
			Expect(becomes(ctx, f, m, notification.Delivered).Attempts).To(HaveLen(1))
		}
		empty(ctx, f)
	}, SpecTimeout(time.Minute))

	It("with MongoDB away ends in time, and the messages stay", func(ctx SpecContext) {
		f, receiver := fleet.New(ctx), receive()
		d := startCutOff(ctx, f, func(c *config.Config) { c.Shutdown.DrainTimeout = time.Second })
		receiver.SetFaults(sink.Faults{LatencyMS: 300})
		owed := oweHooks(ctx, f, 3, receiver.URL)
		send(ctx, f, owed...)
		Eventually(ctx, func() int { return receiver.Stats().Calls }).Should(Equal(3))
		d.mongo.Refuse(true)
		d.mongo.Cut()
		Eventually(ctx, func() int { return receiver.Stats().Accepted }).Should(Equal(3))
		Expect(stop(ctx, d)).To(BeNumerically("<", 10*time.Second))
		Eventually(ctx, func() int { return f.Depth(ctx, queue) }).Should(Equal(3))
		start(ctx, f)
		for _, m := range owed {
			Expect(becomes(ctx, f, m, notification.Delivered).Attempts).To(HaveLen(1))
		}
		Expect(receiver.Stats().Distinct).To(Equal(3))
	}, SpecTimeout(time.Minute))
})
