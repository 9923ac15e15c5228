package dispatcher_test

import (
	"context"
	"net/http"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/config"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
	"github.com/events-aggregator/events-aggregator/services/dispatcher"
	"github.com/events-aggregator/events-aggregator/test/support/fleet"
	"github.com/events-aggregator/events-aggregator/test/support/sink"
)

func breakerWait(d time.Duration) func(*config.Config) {
	return func(c *config.Config) { c.Dispatcher.BreakerWait = d }
}

var _ = Describe("A circuit breaker", func() {
	var f *fleet.Fleet
	var failing, healthy *sink.Running
	BeforeEach(func(ctx SpecContext) {
		f = fleet.New(ctx)
		failing, healthy = receive(), receive()
		failing.SetFaults(sink.Faults{Status: http.StatusInternalServerError})
	}, NodeTimeout(30*time.Second))

	target := func(ctx SpecContext) func() (store.Target, error) {
		return func() (store.Target, error) { return f.Store.Target(ctx, failing.Host) }
	}

	It("opens for a target that fails, holds its messages back at no cost, and closes when a probe succeeds", func(ctx SpecContext) {
		// Two dispatchers: one finds out, both keep to it.
		for range 2 {
			start(ctx, f, breakerWait(time.Second), schedule(time.Second, time.Second, time.Second))
		}
		owed := oweHooks(ctx, f, 60, failing.URL)
		others := oweHooks(ctx, f, 60, healthy.URL)
		send(ctx, f, mixed(owed, others)...)
		Eventually(ctx, target(ctx)).WithPolling(20 * time.Millisecond).Should(And(HaveField("State", store.TargetOpen), HaveField("Reason", ContainSubstring("calls failed"))))
		for _, m := range others {
			becomes(ctx, f, m, notification.Delivered)
		}
		// Opened again by each probe that fails, later each time.
		Eventually(ctx, target(ctx)).WithTimeout(20 * time.Second).WithPolling(20 * time.Millisecond).Should(HaveField("Opened", BeNumerically(">=", 2)))
		calls := func() int { return failing.Stats().Calls }
		before := calls()
		Expect(before).To(BeNumerically("<", 60+20), "most were never called")
		failing.SetFaults(sink.Faults{})
		Eventually(ctx, target(ctx)).WithTimeout(20 * time.Second).WithPolling(20 * time.Millisecond).Should(HaveField("State", store.TargetClosed))
		for _, m := range owed {
			n := becomes(ctx, f, m, notification.Delivered)
			for _, a := range n.Attempts {
				Expect(a.ErrorClass).NotTo(Equal("breaker_open"), "held back is no attempt")
			}
		}
		Expect(failing.Stats().Accepted).To(Equal(60))
		Expect(failing.Stats().AcceptedAgain).To(BeZero())
	}, SpecTimeout(2*time.Minute))

	It("stays closed for a target that only refuses", func(ctx SpecContext) {
		failing.SetFaults(sink.Faults{Status: http.StatusBadRequest})
		start(ctx, f)
		owed := oweHooks(ctx, f, 30, failing.URL)
		send(ctx, f, owed...)
		for _, m := range owed {
			becomes(ctx, f, m, notification.Dead)
		}
		_, err := target(ctx)()
		Expect(err).To(MatchError(store.ErrNotFound))
	}, SpecTimeout(time.Minute))
})

var _ = Describe("An endpoint that is gone", func() {
	It("is disabled; what is owed to it is suppressed, and others of its host are called", func(ctx SpecContext) {
		f := fleet.New(ctx)
		receiver := receive()
		events := outcomes(ctx, f)
		start(ctx, f)
		receiver.SetFaults(sink.Faults{Status: http.StatusGone})
		owed := oweHooks(ctx, f, 3, receiver.URL+"/gone")
		send(ctx, f, owed[0])
		n := becomes(ctx, f, owed[0], notification.Dead)
		Expect(n.Attempts[0].ErrorClass).To(Equal("gone"))
		receiver.SetFaults(sink.Faults{})
		var endpoint store.Target
		Eventually(ctx, func(g Gomega) {
			held, err := f.Store.HeldTargets(ctx)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(held).To(HaveLen(1))
			endpoint = held[0]
		}).Should(Succeed())
		Expect(endpoint.State).To(Equal(store.TargetDisabled))
		Expect(endpoint.Target).To(Equal(receiver.Host))
		Expect(endpoint.Reason).To(ContainSubstring("410"))

		other := oweHooks(ctx, f, 1, receiver.URL+"/hook")
		send(ctx, f, owed[1], other[0])
		becomes(ctx, f, other[0], notification.Delivered)
		n = becomes(ctx, f, owed[1], notification.Suppressed)
		Expect(n.Reason).To(Equal(notification.TargetDisabled))
		Expect(n.Attempts).To(BeEmpty())
		Eventually(ctx, func() []outcomeEvent { return events() }).Should(ContainElement(HaveField("Payload", And(
			HaveKeyWithValue("notification_id", owed[1].Notification.ID), HaveKeyWithValue("status", "suppressed"), HaveKeyWithValue("reason", "target_disabled")))))

		_, err := f.Store.EnableTarget(ctx, endpoint.ID, "ops@example.com", time.Now(), nil)
		Expect(err).NotTo(HaveOccurred())
		Eventually(ctx, func() ([]store.Target, error) { return f.Store.HeldTargets(ctx) }).Should(BeEmpty())
		audit, err := f.Store.FindAudit(ctx, store.AuditFilter{Subject: endpoint.ID}, nil, 10)
		Expect(err).NotTo(HaveOccurred())
		Expect(audit).To(HaveLen(2))
		empty(ctx, f)
	}, SpecTimeout(time.Minute))
})

// slowToTell is a database whose view of all targets comes late, when asked to.
type slowToTell struct {
	dispatcher.Targets
	asked, tell chan struct{}
}

func (s slowToTell) Held(ctx context.Context) ([]dispatcher.HeldTarget, error) {
	held, err := s.Targets.Held(ctx)
	select {
	case s.asked <- struct{}{}:
		select {
		case <-s.tell:
		case <-ctx.Done():
		}
	default:
	}
	return held, err
}

var _ = Describe("A view of all targets that comes late", func() {
	It("does not undo what this dispatcher has disabled since", func(ctx SpecContext) {
		f, receiver := fleet.New(ctx), receive()
		database := slowToTell{asked: make(chan struct{}), tell: make(chan struct{})}
		f.Start(ctx, "action-dispatcher", dispatcher.WireTargetsOn(func(t dispatcher.Targets) dispatcher.Targets {
			database.Targets = t
			return database
		}))
		select {
		case <-database.asked:
		case <-ctx.Done():
			Fail("nobody asks for the targets")
		}
		receiver.SetFaults(sink.Faults{Status: http.StatusGone})
		owed := oweHooks(ctx, f, 11, receiver.URL)
		send(ctx, f, owed[0])
		becomes(ctx, f, owed[0], notification.Dead)
		Eventually(ctx, func() ([]store.Target, error) { return f.Store.HeldTargets(ctx) }).Should(HaveLen(1))
		Eventually(ctx, func() int { return f.Depth(ctx, queue+".dead") }).Should(Equal(1)) // after it is disabled
		close(database.tell)
		send(ctx, f, owed[1:]...)
		for _, m := range owed[1:] {
			becomes(ctx, f, m, notification.Suppressed)
		}
		Expect(receiver.Stats().Calls).To(Equal(1))
	}, SpecTimeout(time.Minute))
})

var _ = Describe("A target's rate", func() {
	It("is kept, and others are not held up", func(ctx SpecContext) {
		f := fleet.New(ctx)
		slow, free := receive(), receive()
		owed, others := oweHooks(ctx, f, 60, slow.URL), oweHooks(ctx, f, 10, free.URL)
		send(ctx, f, append(owed, others...)...)
		start(ctx, f, func(c *config.Config) { c.Dispatcher.TargetRate = 20 })
		for _, m := range owed {
			becomes(ctx, f, m, notification.Delivered)
		}
		calls := slow.Calls()
		took := calls[len(calls)-1].At.Sub(calls[0].At)
		Expect(took).To(BeNumerically(">=", 2500*time.Millisecond), "58 calls after the first burst of two at 20 a second")
		last := free.Calls()[9]
		Expect(last.At).To(BeTemporally("<", calls[len(calls)-1].At))
	}, SpecTimeout(time.Minute))

	It("is kept when messages come one by one, and by all queues together", func(ctx SpecContext) {
		f, receiver := fleet.New(ctx), receive()
		start(ctx, f, func(c *config.Config) { c.Dispatcher.TargetRate = 10 })
		owed := oweHooks(ctx, f, 100, receiver.URL)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		began := time.Now()
		for i, m := range owed {
			if i%2 == 1 {
				m.Notification.Queue = topology.WebhooksCritical
			}
			send(ctx, f, m)
			<-tick.C
		}
		calls := receiver.Stats().Calls
		Expect(calls).To(And(BeNumerically(">", 5), BeNumerically("<=", 2+10*time.Since(began).Seconds())))
	}, SpecTimeout(time.Minute))
})
