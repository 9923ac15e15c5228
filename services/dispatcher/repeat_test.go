package dispatcher_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/app"
	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/config"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/services/dispatcher"
	"github.com/events-aggregator/events-aggregator/test/support/faultproxy"
	"github.com/events-aggregator/events-aggregator/test/support/fleet"
	"github.com/events-aggregator/events-aggregator/test/support/sink"
)

var _ = Describe("A message that comes again", func() {
	var f *fleet.Fleet
	var receiver *sink.Running

	BeforeEach(func(ctx SpecContext) {
		f = fleet.New(ctx)
		receiver = receive()
	}, NodeTimeout(30*time.Second))

	// Each of these is the state that a process leaves which dies between two
	// steps of a delivery.
	Context("from a process that died", func() {
		It("before its attempt was recorded: is called, under the same id", func(ctx SpecContext) {
			owed := oweHooks(ctx, f, 2, receiver.URL)
			sendRedelivered(ctx, f, owed...)
			start(ctx, f)
			for _, m := range owed {
				Expect(becomes(ctx, f, m, notification.Delivered).Attempts).To(HaveLen(1))
			}
			Expect(receiver.Stats().Distinct).To(Equal(2))
			empty(ctx, f)
		}, SpecTimeout(time.Minute))

		It("after it recorded a delivery: announces it and calls nobody", func(ctx SpecContext) {
			events := outcomes(ctx, f)
			owed := oweHooks(ctx, f, 1, receiver.URL)
			record(ctx, f, owed[0], notification.Delivered, notification.OutcomeOK, "")
			sendRedelivered(ctx, f, owed...)
			start(ctx, f)
			Eventually(ctx, events).Should(HaveLen(1))
			Expect(events()[0].EventID).To(Equal(notification.OutcomeEventID(owed[0].Notification.ID, notification.Delivered, 1)))
			empty(ctx, f)
			Expect(receiver.Stats().Calls).To(BeZero())
			Expect(becomes(ctx, f, owed[0], notification.Delivered).Attempts).To(HaveLen(1))
		}, SpecTimeout(time.Minute))

		It("after it recorded a failure: is tried again by the schedule", func(ctx SpecContext) {
			owed := oweHooks(ctx, f, 1, receiver.URL)
			record(ctx, f, owed[0], notification.Pending, notification.OutcomeRetry, "")
			sendRedelivered(ctx, f, owed...)
			start(ctx, f)
			n := becomes(ctx, f, owed[0], notification.Delivered)
			Expect(n.Attempts).To(HaveLen(2))
			Expect(n.Attempts[1].At.Sub(n.Attempts[0].At)).To(BeNumerically(">", 900*time.Millisecond))
			Expect(receiver.Stats().Calls).To(Equal(1))
			empty(ctx, f)
		}, SpecTimeout(time.Minute))

		DescribeTable("after it recorded the end: is announced and dead-lettered, and calls nobody",
			func(ctx SpecContext, outcome notification.Outcome, reason string) {
				events := outcomes(ctx, f)
				owed := oweHooks(ctx, f, 1, receiver.URL)
				record(ctx, f, owed[0], notification.Dead, outcome, reason)
				sendRedelivered(ctx, f, owed...)
				start(ctx, f)
				Eventually(ctx, func() int { return f.Depth(ctx, queue+".dead") }).Should(Equal(1))
				dead := f.DeadLetters(ctx, queue)
				Expect(dead[0].Reason).To(Equal(reason))
				Expect(dead[0].ErrorClass).To(Equal("http_5xx"))
				Eventually(ctx, events).Should(HaveLen(1))
				Expect(events()[0].Payload).To(HaveKeyWithValue("reason", reason))
				Expect(receiver.Stats().Calls).To(BeZero())
			},
			Entry("permanent", notification.OutcomePermanent, "permanent", SpecTimeout(time.Minute)),
			Entry("exhausted", notification.OutcomeRetry, "exhausted", SpecTimeout(time.Minute)),
		)

		It("long ago, when the next attempt is recorded, too: leaves no trace", func(ctx SpecContext) {
			events := outcomes(ctx, f)
			owed := oweHooks(ctx, f, 1, receiver.URL)
			record(ctx, f, owed[0], notification.Pending, notification.OutcomeRetry, "")
			second := owed[0]
			second.Attempt = 2
			record(ctx, f, second, notification.Delivered, notification.OutcomeOK, "")
			sendRedelivered(ctx, f, owed...)
			start(ctx, f)
			empty(ctx, f)
			Consistently(ctx, func() int { return receiver.Stats().Calls + len(events()) }, 300*time.Millisecond).Should(BeZero())
			Expect(becomes(ctx, f, owed[0], notification.Delivered).Attempts).To(HaveLen(2))
		}, SpecTimeout(time.Minute))

		It("while another holds the claim: waits for it, uncounted", func(ctx SpecContext) {
			owed := oweHooks(ctx, f, 1, receiver.URL)
			now := time.Now()
			answer, err := dispatcher.LedgerOf(f.Store).Claim(ctx, dispatcher.Claim{
				ID: owed[0].Notification.ID, Attempt: 1, Token: "theirs", Now: now, Until: now.Add(3 * time.Second)})
			Expect(err).NotTo(HaveOccurred())
			Expect(answer.Granted).To(BeTrue())
			sendRedelivered(ctx, f, owed...)
			start(ctx, f)
			n := becomes(ctx, f, owed[0], notification.Delivered)
			Expect(n.Attempts).To(HaveLen(1))
			Expect(n.Attempts[0].At).To(BeTemporally(">", now.Add(3*time.Second)))
			Expect(receiver.Stats().Calls).To(Equal(1))
			empty(ctx, f)
		}, SpecTimeout(time.Minute))

		It("while it is held back in a tier, after another recorded a failure and died: is tried again by the schedule", func(ctx SpecContext) {
			owed := oweHooks(ctx, f, 1, receiver.URL)
			now := time.Now()
			ledger := dispatcher.LedgerOf(f.Store)
			answer, err := ledger.Claim(ctx, dispatcher.Claim{
				ID: owed[0].Notification.ID, Attempt: 1, Token: "theirs", Now: now, Until: now.Add(time.Minute)})
			Expect(err).NotTo(HaveOccurred())
			Expect(answer.Granted).To(BeTrue())
			sendRedelivered(ctx, f, owed...)
			start(ctx, f)
			Eventually(ctx, func() int { return f.Depth(ctx, queue+".retry.10s") }).Should(Equal(1))
			next := now.Add(time.Second)
			recorded, err := ledger.RecordAttempts(ctx, now, []dispatcher.Record{{ID: owed[0].Notification.ID, Token: "theirs", Status: notification.Pending, NextAttemptAt: &next,
				Attempt: notification.Attempt{Number: 1, At: now, Outcome: notification.OutcomeRetry, Worker: "died"}}})
			Expect(err).NotTo(HaveOccurred())
			Expect(recorded[0].Accepted).To(BeTrue())
			n := becomes(ctx, f, owed[0], notification.Delivered)
			Expect(n.Attempts).To(HaveLen(2))
			Expect(receiver.Stats().Calls).To(Equal(1), "only the second is made here")
			empty(ctx, f)
		}, SpecTimeout(time.Minute))
	})

	It("after its attempt was recorded, while its target's breaker is open: is tried again all the same", func(ctx SpecContext) {
		owed := oweHooks(ctx, f, 1, receiver.URL)
		record(ctx, f, owed[0], notification.Pending, notification.OutcomeRetry, "")
		until := time.Now().Add(15 * time.Second)
		_, err := f.Store.OpenTarget(ctx, receiver.Host, "spec", "died", time.Now(), func(int) time.Time { return until })
		Expect(err).NotTo(HaveOccurred())
		sendRedelivered(ctx, f, owed...)
		start(ctx, f)
		Eventually(ctx, func() int { return f.Depth(ctx, queue+".retry.1s") }).Should(Equal(1), "held back")
		n := becomes(ctx, f, owed[0], notification.Delivered)
		Expect(n.Attempts).To(HaveLen(2))
		Expect(n.Attempts[1].At).To(BeTemporally(">=", until.Add(-time.Millisecond)))
		Expect(receiver.Stats().Calls).To(Equal(1))
		empty(ctx, f)
	}, SpecTimeout(time.Minute))

	It("while one claim after the other is held by processes that die: waits for each, and is delivered", func(ctx SpecContext) {
		owed := oweHooks(ctx, f, 1, receiver.URL)
		sendRedelivered(ctx, f, owed...)
		// There is always a claim that is about to end, so that the message waits in the
		// shortest tier, however long the dispatcher takes to start: the next process
		// takes over, as if long after the one before.
		var until time.Time
		dies := func() {
			GinkgoHelper()
			until = time.Now().Add(time.Second).Truncate(time.Millisecond)
			answer, err := dispatcher.LedgerOf(f.Store).Claim(ctx, dispatcher.Claim{
				ID: owed[0].Notification.ID, Attempt: 1, Token: "died at " + until.String(), Now: until.Add(time.Minute), Until: until})
			Expect(err).NotTo(HaveOccurred())
			Expect(answer.Granted).To(BeTrue())
		}
		dies()
		d := f.Launch(ctx, "action-dispatcher", dispatcher.Wire)
		Eventually(ctx, func() float64 { dies(); return heldElsewhere(d) }).WithPolling(20 * time.Millisecond).Should(BeNumerically(">=", 2))
		n := becomes(ctx, f, owed[0], notification.Delivered)
		Expect(n.Attempts).To(HaveLen(1))
		Expect(n.Attempts[0].At).To(BeTemporally(">=", until))
		Expect(receiver.Stats().Calls).To(Equal(1))
		empty(ctx, f)
	}, SpecTimeout(time.Minute))

	It("published twice and marked so is called once", func(ctx SpecContext) {
		events := outcomes(ctx, f)
		owed := oweHooks(ctx, f, 30, receiver.URL)
		start(ctx, f)
		for _, m := range owed {
			again := m
			again.Republished = true
			send(ctx, f, m, again)
		}
		for _, m := range owed {
			Expect(becomes(ctx, f, m, notification.Delivered).Attempts).To(HaveLen(1))
		}
		empty(ctx, f)
		Expect(receiver.Stats().Calls).To(Equal(30))
		Eventually(ctx, func() map[string]bool { return distinct(events()) }).Should(HaveLen(30))
	}, SpecTimeout(time.Minute))

	It("while it fails has one chain of attempts, not one for each copy", func(ctx SpecContext) {
		receiver.SetFaults(sink.Faults{Statuses: []int{500, 500}})
		owed := oweHooks(ctx, f, 5, receiver.URL)
		start(ctx, f, schedule(time.Second, time.Second, time.Second))
		for _, m := range owed {
			again := m
			again.Republished = true
			send(ctx, f, m, again, again)
		}
		for _, m := range owed {
			Expect(becomes(ctx, f, m, notification.Delivered).Attempts).To(HaveLen(3))
		}
		empty(ctx, f)
		Expect(receiver.Stats().Calls).To(Equal(15))
	}, SpecTimeout(time.Minute))

	It("out of the dead letters goes through its schedule once more, and is delivered", func(ctx SpecContext) {
		receiver.SetFaults(sink.Faults{Status: http.StatusInternalServerError})
		start(ctx, f, schedule(time.Second))
		owed := oweHooks(ctx, f, 2, receiver.URL)
		send(ctx, f, owed...)
		becomes(ctx, f, owed[0], notification.Dead)
		becomes(ctx, f, owed[1], notification.Dead)
		Eventually(ctx, func() int { return f.Depth(ctx, queue+".dead") }).Should(Equal(2))
		replay := func() {
			for _, d := range f.DeadLetters(ctx, queue) {
				Expect(f.Publisher.Publish(ctx, d.Replay(f.Topology.Work(queue)))).To(Succeed())
			}
		}
		replay() // still failing
		Eventually(ctx, func() int { return f.Depth(ctx, queue+".dead") }).Should(Equal(2))
		first := becomes(ctx, f, owed[0], notification.Dead).Attempts
		Expect(first).To(HaveLen(4))
		for _, d := range lettersOf(ctx, f) {
			if d.MessageID == owed[0].Notification.ID {
				Expect(d.FirstFailedAt).To(BeTemporally("==", first[0].At), "also of one that was replayed")
				Expect(d.Attempts).To(Equal(4))
			}
		}
		receiver.SetFaults(sink.Faults{})
		replay()
		for _, m := range owed {
			n := becomes(ctx, f, m, notification.Delivered)
			Expect(n.Attempts).To(HaveLen(5))
			Expect(n.Reason).To(BeEmpty())
		}
		empty(ctx, f)
		Expect(receiver.Stats().Distinct).To(Equal(2))
	}, SpecTimeout(time.Minute))

	It("out of the dead letters from a process that died after it recorded a failure: goes on with the one schedule", func(ctx SpecContext) {
		receiver.SetFaults(sink.Faults{Status: http.StatusInternalServerError})
		owed := oweHooks(ctx, f, 1, receiver.URL)
		record(ctx, f, owed[0], notification.Dead, notification.OutcomePermanent, "permanent")
		f.Dead(ctx, queue, func(*broker.Delivery) error { return errors.New("dead") }, ordersOf(f, owed[0])...)
		replayed := f.DeadLetters(ctx, queue)[0].Replay(f.Topology.Work(queue))
		now, ledger := time.Now().UTC(), dispatcher.LedgerOf(f.Store)
		n, _, err := ledger.Reopen(ctx, owed[0].Notification.ID, replayed.Headers["x-ea-replayed"].(string), now)
		Expect(err).NotTo(HaveOccurred())
		next := now.Add(time.Second)
		_, err = ledger.RecordAttempts(ctx, now, []dispatcher.Record{{ID: n.ID, Status: notification.Pending, NextAttemptAt: &next,
			Attempt: notification.Attempt{Number: 2, At: now, Outcome: notification.OutcomeRetry, Worker: "died"}}})
		Expect(err).NotTo(HaveOccurred())
		leaveRedelivered(ctx, f, replayed)
		start(ctx, f, schedule(time.Second))
		n = becomes(ctx, f, owed[0], notification.Dead)
		Expect(n.Attempts).To(HaveLen(3), "its schedule has one wait, and it did not begin anew")
		Expect(n.Attempts[2].At).To(BeTemporally(">", now.Add(900*time.Millisecond)))
		Expect(receiver.Stats().Calls).To(Equal(1))
		Eventually(ctx, func() int { return f.Depth(ctx, queue+".dead") }).Should(Equal(1))
		empty(ctx, f)
	}, SpecTimeout(time.Minute))

	It("after its first failure was long ago, and its message was lost and published again: its dead letter says so", func(ctx SpecContext) {
		receiver.SetFaults(sink.Faults{Status: http.StatusNotFound})
		owed := oweHooks(ctx, f, 1, receiver.URL)
		at := time.Now().Add(-2 * time.Hour).UTC().Truncate(time.Millisecond)
		recordPart(ctx, f, owed[0], at, at.Add(time.Minute))
		start(ctx, f, func(c *config.Config) { c.Sweep.AttemptsAfter = time.Second })
		becomes(ctx, f, owed[0], notification.Dead)
		Eventually(ctx, func() int { return f.Depth(ctx, queue+".dead") }).Should(Equal(1))
		died := f.DeadLetters(ctx, queue)[0]
		Expect(died.FirstFailedAt).To(BeTemporally("==", at))
		Expect(died.Attempts).To(Equal(2))
	}, SpecTimeout(time.Minute))

	It("out of the dead letters though it was delivered since is not called", func(ctx SpecContext) {
		receiver.SetFaults(sink.Faults{Statuses: []int{404}})
		events := outcomes(ctx, f)
		start(ctx, f)
		owed := oweHooks(ctx, f, 1, receiver.URL)
		send(ctx, f, owed...)
		becomes(ctx, f, owed[0], notification.Dead)
		Eventually(ctx, func() int { return f.Depth(ctx, queue+".dead") }).Should(Equal(1))
		again := f.DeadLetters(ctx, queue)[0].Replay(f.Topology.Work(queue))
		Expect(f.Publisher.Publish(ctx, again)).To(Succeed())
		becomes(ctx, f, owed[0], notification.Delivered)
		Eventually(ctx, events).Should(HaveLen(2)) // dead, delivered
		Expect(f.Publisher.Publish(ctx, again)).To(Succeed())
		empty(ctx, f)
		Expect(becomes(ctx, f, owed[0], notification.Delivered).Attempts).To(HaveLen(2))
		Expect(receiver.Stats().Calls).To(Equal(2))
		Eventually(ctx, events).Should(HaveLen(3), "whoever replayed it is told")
		Expect(events()[2].EventID).To(Equal(events()[1].EventID), "a duplicate")
	}, SpecTimeout(time.Minute))

	It("behind a record that has lost attempts takes the next number", func(ctx SpecContext) {
		start(ctx, f)
		owed := oweHooks(ctx, f, 2, receiver.URL)
		owed[0].Attempt, owed[1].Attempt, owed[1].Republished = 3, 3, true
		send(ctx, f, owed...)
		becomes(ctx, f, owed[0], notification.Delivered)
		becomes(ctx, f, owed[1], notification.Delivered)
	}, SpecTimeout(time.Minute))
})

// heldElsewhere is how often a dispatcher met another's claim.
func heldElsewhere(d *app.Running) float64 {
	GinkgoHelper()
	families, err := d.Process().Metrics.Gather()
	Expect(err).NotTo(HaveOccurred())
	met := 0.0
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if family.GetName() == "ea_dispatcher_claims_total" && m.GetLabel()[0].GetValue() == "elsewhere" {
				met += m.GetCounter().GetValue()
			}
		}
	}
	return met
}

// cutOff is a dispatcher whose servers can be taken away from it.
type cutOff struct {
	running       *app.Running
	mongo, rabbit *faultproxy.Proxy
}

// proxied is a fleet's address by way of a proxy.
func proxied(address string) (string, *faultproxy.Proxy) {
	GinkgoHelper()
	u, err := url.Parse(address)
	Expect(err).NotTo(HaveOccurred())
	p, err := faultproxy.Start(u.Host)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(p.Close)
	u.Host = p.Addr()
	if u.Scheme == "mongodb" { // else the driver goes where the server says
		q := u.Query()
		q.Del("replicaSet")
		q.Set("directConnection", "true")
		u.RawQuery = q.Encode()
	}
	return u.String(), p
}

func startCutOff(ctx context.Context, f *fleet.Fleet, change ...func(*config.Config)) *cutOff {
	GinkgoHelper()
	c := &cutOff{}
	mongoURI, mongo := proxied(f.MongoURI)
	amqpURL, rabbit := proxied(f.AMQPURL)
	c.mongo, c.rabbit = mongo, rabbit
	change = append(change, func(cfg *config.Config) { cfg.Mongo.URI, cfg.AMQP.URL = mongoURI, amqpURL })
	c.running = f.Start(ctx, "action-dispatcher", dispatcher.Wire, change...)
	return c
}

// loseBroker takes RabbitMQ away, as a pause does that the broker notices.
func (c *cutOff) loseBroker() { c.rabbit.Refuse(true); c.rabbit.Cut() }

// wake gives everything back.
func (c *cutOff) wake() {
	c.mongo.Stall(false)
	c.mongo.Refuse(false)
	c.rabbit.Stall(false)
	c.rabbit.Refuse(false)
}

var _ = Describe("A dispatcher that is paused and wakes beside its successor", func() {
	var f *fleet.Fleet
	var receiver *sink.Running

	BeforeEach(func(ctx SpecContext) {
		f = fleet.New(ctx)
		receiver = receive()
	}, NodeTimeout(30*time.Second))

	It("after its call: the call is repeated under the same id, and one delivery stands", func(ctx SpecContext) {
		receiver.SetFaults(sink.Faults{LatencyMS: 300})
		events := outcomes(ctx, f)
		first := startCutOff(ctx, f)
		owed := oweHooks(ctx, f, 5, receiver.URL)
		send(ctx, f, owed...)
		Eventually(ctx, func() int { return receiver.Stats().Calls }).Should(Equal(5))
		first.mongo.Stall(true)
		Eventually(ctx, func() int { return receiver.Stats().Accepted }).Should(Equal(5))
		first.loseBroker()

		start(ctx, f)
		var workers []string
		for _, m := range owed {
			n := becomes(ctx, f, m, notification.Delivered)
			Expect(n.Attempts).To(HaveLen(1))
			workers = append(workers, n.Attempts[0].Worker)
		}
		first.wake()
		empty(ctx, f)
		Consistently(ctx, func(g Gomega) {
			for i, m := range owed {
				n := notificationOf(ctx, g, f, m)
				g.Expect(n.Status).To(Equal(notification.Delivered))
				g.Expect(n.Attempts).To(HaveLen(1))
				g.Expect(n.Attempts[0].Worker).To(Equal(workers[i]))
			}
		}, time.Second, 100*time.Millisecond).Should(Succeed())
		stats := receiver.Stats()
		Expect(stats.Distinct).To(Equal(5))
		Expect(stats.Calls).To(Equal(10))
		Eventually(ctx, func() map[string]bool { return distinct(events()) }).Should(HaveLen(5))
	}, SpecTimeout(time.Minute))

	It("after its record: nobody is called again", func(ctx SpecContext) {
		receiver.SetFaults(sink.Faults{LatencyMS: 300})
		events := outcomes(ctx, f)
		first := startCutOff(ctx, f)
		owed := oweHooks(ctx, f, 5, receiver.URL)
		send(ctx, f, owed...)
		Eventually(ctx, func() int { return receiver.Stats().Calls }).Should(Equal(5))
		first.rabbit.Stall(true)
		for _, m := range owed {
			becomes(ctx, f, m, notification.Delivered)
		}
		Consistently(ctx, events, 200*time.Millisecond).Should(BeEmpty())
		first.loseBroker()

		start(ctx, f)
		Eventually(ctx, func() map[string]bool { return distinct(events()) }).Should(HaveLen(5))
		first.wake()
		empty(ctx, f)
		Consistently(ctx, func() int { return receiver.Stats().Calls }, time.Second).Should(Equal(5))
		Expect(distinct(events())).To(HaveLen(5))
	}, SpecTimeout(time.Minute))

	It("after the record of a failure: the next attempt is made once it is due", func(ctx SpecContext) {
		receiver.SetFaults(sink.Faults{LatencyMS: 300, Statuses: []int{503}})
		first := startCutOff(ctx, f)
		owed := oweHooks(ctx, f, 5, receiver.URL)
		send(ctx, f, owed...)
		Eventually(ctx, func() int { return receiver.Stats().Calls }).Should(Equal(5))
		first.rabbit.Stall(true)
		for _, m := range owed {
			Eventually(ctx, func(g Gomega) {
				g.Expect(notificationOf(ctx, g, f, m).AttemptCount).To(Equal(1))
			}).Should(Succeed())
		}
		first.loseBroker()

		start(ctx, f)
		for _, m := range owed {
			Expect(becomes(ctx, f, m, notification.Delivered).Attempts).To(HaveLen(2))
		}
		first.wake() // and publishes its next attempts, too
		empty(ctx, f)
		for _, m := range owed {
			Expect(becomes(ctx, f, m, notification.Delivered).Attempts).To(HaveLen(2))
		}
		stats := receiver.Stats()
		Expect(stats.Distinct).To(Equal(5))
		Expect(stats.Calls).To(BeNumerically("<=", 15), "at worst the second chain calls once more each")
	}, SpecTimeout(time.Minute))
})

var _ = Describe("Two dispatchers that lose their sessions under load", func() {
	It("deliver everything, number attempts without gaps, and repeat only under the same id", func(ctx SpecContext) {
		f, receiver := fleet.New(ctx), receive()
		// Of half of the first calls: with more of them the breaker would open.
		receiver.SetFaults(sink.Faults{Status: http.StatusServiceUnavailable, First: 1, Share: 0.5, LatencyMS: 5})
		events := outcomes(ctx, f)
		quick := func(c *config.Config) {
			c.Dispatcher.Schedule = []time.Duration{time.Second, time.Second, time.Second, time.Second, time.Second}
			c.Dispatcher.Timeout, c.Dispatcher.ClaimFor = time.Second, 7*time.Second
		}
		one, two := startCutOff(ctx, f, quick), startCutOff(ctx, f, quick)
		owed := oweHooks(ctx, f, 300, receiver.URL)
		stop := make(chan struct{})
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			tick := time.NewTicker(150 * time.Millisecond)
			defer tick.Stop()
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				case <-tick.C:
					[]*cutOff{one, two}[i%2].rabbit.Cut()
				}
			}
		}()
		for i, m := range owed {
			send(ctx, f, m)
			if i%5 == 0 {
				again := m
				again.Republished = true
				send(ctx, f, again)
			}
		}
		close(stop)
		<-ended
		for _, m := range owed {
			n := becomes(ctx, f, m, notification.Delivered)
			Expect(len(n.Attempts)).To(BeNumerically("<=", 3))
		}
		empty(ctx, f)
		stats := receiver.Stats()
		Expect(stats.Distinct).To(Equal(300))
		Expect(stats.Accepted).To(Equal(300))
		Eventually(ctx, func() map[string]bool { return distinct(events()) }).Should(HaveLen(300))
		AddReportEntry("calls", stats.Calls)
		Expect(f.DeadLetters(ctx, queue)).To(BeEmpty())
	}, SpecTimeout(2*time.Minute))
})
