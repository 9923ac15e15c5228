package dispatcher_test

import (
	"context"
	"net/http"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/config"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
	"github.com/events-aggregator/events-aggregator/services/dispatcher"
	"github.com/events-aggregator/events-aggregator/test/support/fleet"
	"github.com/events-aggregator/events-aggregator/test/support/sink"
)

var _ = Describe("A notification that somebody wants again", func() {
	var f *fleet.Fleet
	var receiver *sink.Running
	BeforeEach(func(ctx SpecContext) { f, receiver = fleet.New(ctx), receive() }, NodeTimeout(30*time.Second))

	// order is the message that the api publishes.
	order := func(n notification.Notification, of notification.Message) notification.Message {
		m := notification.Message{Notification: n, Event: of.Event, Attempt: n.AttemptCount + 1, Republished: true, Receipts: n.Receipts()}
		if n.Forced != nil && !n.Forced.Done {
			m.Force = n.Forced.Nonce
		}
		return m
	}

	It("and is dead goes through its schedule once more, as often as it is asked for", func(ctx SpecContext) {
		receiver.SetFaults(sink.Faults{Status: http.StatusInternalServerError})
		start(ctx, f, schedule(time.Second))
		owed := oweHooks(ctx, f, 1, receiver.URL)
		send(ctx, f, owed...)
		Expect(becomes(ctx, f, owed[0], notification.Dead).Attempts).To(HaveLen(2))
		for round := 2; round <= 3; round++ {
			n, err := f.Store.RetryNotification(ctx, owed[0].Notification.ID, "ops", time.Now())
			Expect(err).NotTo(HaveOccurred())
			Expect(n.Status).To(Equal(notification.Pending))
			_, err = f.Store.RetryNotification(ctx, n.ID, "ops", time.Now())
			Expect(err).To(MatchError(store.ErrConflict), "it is under way")
			send(ctx, f, order(n, owed[0]))
			Eventually(ctx, func() int { return len(now(ctx, f, owed[0]).Attempts) }).Should(Equal(2 * round))
			Expect(becomes(ctx, f, owed[0], notification.Dead).Reason).To(Equal("exhausted"))
		}
	}, SpecTimeout(time.Minute))

	It("and waits for its next attempt is hurried; its old message calls nobody then", func(ctx SpecContext) {
		receiver.SetFaults(sink.Faults{Statuses: []int{503}})
		start(ctx, f, schedule(10*time.Second))
		owed := oweHooks(ctx, f, 1, receiver.URL)
		send(ctx, f, owed...)
		Eventually(ctx, func() int { return now(ctx, f, owed[0]).AttemptCount }).Should(Equal(1))
		n, err := f.Store.RetryNotification(ctx, owed[0].Notification.ID, "ops", time.Now())
		Expect(err).NotTo(HaveOccurred())
		send(ctx, f, order(n, owed[0]))
		becomes(ctx, f, owed[0], notification.Delivered)
		Expect(f.Depth(ctx, queue+".retry.10s")).To(Equal(1))
		empty(ctx, f)
		Expect(receiver.Stats().Calls).To(Equal(2))
	}, SpecTimeout(time.Minute))

	It("by force, and then by its schedule, is called by the schedule alone", func(ctx SpecContext) {
		receiver.SetFaults(sink.Faults{Status: http.StatusInternalServerError, First: 1})
		start(ctx, f, schedule())
		owed := oweHooks(ctx, f, 1, receiver.URL)
		send(ctx, f, owed...)
		becomes(ctx, f, owed[0], notification.Dead)
		forced, err := f.Store.ForceNotification(ctx, owed[0].Notification.ID, "one", "ops", time.Now())
		Expect(err).NotTo(HaveOccurred())
		retried, err := f.Store.RetryNotification(ctx, owed[0].Notification.ID, "ops", time.Now())
		Expect(err).NotTo(HaveOccurred())
		// The forced attempt would take the number that the retry's message asks for,
		// and nobody would be left to go on.
		send(ctx, f, order(forced, owed[0]))
		empty(ctx, f)
		send(ctx, f, order(retried, owed[0]))
		Expect(becomes(ctx, f, owed[0], notification.Delivered).Attempts).To(HaveLen(2))
		Expect(receiver.Stats().Calls).To(Equal(2))
		empty(ctx, f)
	}, SpecTimeout(time.Minute))

	It("no more is cancelled while it waits, and its message calls nobody", func(ctx SpecContext) {
		receiver.SetFaults(sink.Faults{Status: http.StatusServiceUnavailable})
		start(ctx, f, schedule(10*time.Second))
		owed := oweHooks(ctx, f, 1, receiver.URL)
		_, err := f.Store.CancelNotification(ctx, owed[0].Notification.ID, "ops", time.Now())
		Expect(err).To(MatchError(store.ErrConflict), "its first attempt cannot be called back")
		send(ctx, f, owed...)
		Eventually(ctx, func() int { return now(ctx, f, owed[0]).AttemptCount }).Should(Equal(1))
		n, err := f.Store.CancelNotification(ctx, owed[0].Notification.ID, "ops", time.Now())
		Expect(err).NotTo(HaveOccurred())
		Expect(n.Status).To(Equal(notification.Suppressed))
		Expect(n.Reason).To(Equal("cancelled"))
		empty(ctx, f)
		Expect(receiver.Stats().Calls).To(Equal(1))
		Expect(now(ctx, f, owed[0]).Status).To(Equal(notification.Suppressed))
	}, SpecTimeout(time.Minute))

	It("although it is delivered is called once for each request, under the same id, and stays delivered", func(ctx SpecContext) {
		events := outcomes(ctx, f)
		start(ctx, f)
		owed := oweHooks(ctx, f, 1, receiver.URL)
		send(ctx, f, owed...)
		becomes(ctx, f, owed[0], notification.Delivered)
		id := owed[0].Notification.ID

		first, err := f.Store.ForceNotification(ctx, id, "one", "ops", time.Now())
		Expect(err).NotTo(HaveOccurred())
		m := order(first, owed[0])
		send(ctx, f, m, m, m) // copies are one request
		Eventually(ctx, func() int { return now(ctx, f, owed[0]).AttemptCount }).Should(Equal(2))
		empty(ctx, f)
		Expect(receiver.Stats().Calls).To(Equal(2))

		receiver.SetFaults(sink.Faults{Status: http.StatusNotFound})
		second, err := f.Store.ForceNotification(ctx, id, "two", "ops", time.Now())
		Expect(err).NotTo(HaveOccurred())
		send(ctx, f, order(second, owed[0]))
		Eventually(ctx, func() int { return now(ctx, f, owed[0]).AttemptCount }).Should(Equal(3))
		n := now(ctx, f, owed[0])
		Expect(n.Status).To(Equal(notification.Delivered), "a failure undoes no delivery")
		Expect(n.Attempts[1].Forced).To(Equal("one"))
		Expect(n.Attempts[2].Forced).To(Equal("two"))
		Expect(receiver.Stats().Distinct).To(Equal(1))
		Eventually(ctx, func() []outcomeEvent { return events() }).Should(HaveLen(2))
		Expect(distinct(events())).To(HaveLen(2))
	}, SpecTimeout(time.Minute))
})

var _ = Describe("An attempt whose message is lost", func() {
	It("is found by the sweep, and made", func(ctx SpecContext) {
		f, receiver := fleet.New(ctx), receive()
		owed := oweHooks(ctx, f, 3, receiver.URL)
		for _, m := range owed[:2] {
			record(ctx, f, m, notification.Pending, notification.OutcomeRetry, "") // and then somebody purged its tier
		}
		start(ctx, f, func(c *config.Config) { c.Sweep.AttemptsAfter, c.Sweep.FirstAttemptsAfter = time.Second, 2*time.Second })
		for _, m := range owed[:2] {
			Expect(becomes(ctx, f, m, notification.Delivered).Attempts).To(HaveLen(2))
		}
		Expect(becomes(ctx, f, owed[2], notification.Delivered).Attempts).To(HaveLen(1), "its first message is lost, too: nothing waits in the queue")
		Expect(receiver.Stats().Calls).To(Equal(3))
	}, SpecTimeout(time.Minute))

	It("is found although somebody had it tried again before, or its target's breaker was left open", func(ctx SpecContext) {
		f, receiver := fleet.New(ctx), receive()
		owed := oweHooks(ctx, f, 2, receiver.URL)
		record(ctx, f, owed[0], notification.Dead, notification.OutcomePermanent, "permanent")
		n, err := f.Store.RetryNotification(ctx, owed[0].Notification.ID, "ops", time.Now())
		Expect(err).NotTo(HaveOccurred())
		Expect(f.Store.MarkPublished(ctx, n)).To(Succeed()) // and then its message was lost
		record(ctx, f, owed[1], notification.Pending, notification.OutcomeRetry, "")
		_, err = f.Store.OpenTarget(ctx, receiver.Host, "10 of 10 calls failed", "died", time.Now(), func(int) time.Time { return time.Now().Add(2 * time.Second) })
		Expect(err).NotTo(HaveOccurred())
		start(ctx, f, breakerWait(time.Second), func(c *config.Config) { c.Sweep.AttemptsAfter, c.Sweep.FirstAttemptsAfter = time.Second, 2*time.Second })
		for _, m := range owed {
			Expect(becomes(ctx, f, m, notification.Delivered).Attempts).To(HaveLen(2))
		}
		Expect(receiver.Stats().Calls).To(Equal(2))
		Expect(f.Store.HeldTargets(ctx)).To(BeEmpty())
	}, SpecTimeout(time.Minute))
})

var _ = Describe("A schedule", func() {
	It("is the action's, else the queue's, else the default", func(ctx SpecContext) {
		f, receiver := fleet.New(ctx), receive()
		receiver.SetFaults(sink.Faults{Status: http.StatusInternalServerError})
		start(ctx, f, schedule(), func(c *config.Config) { c.Dispatcher.Schedules = map[string][]time.Duration{queue: {time.Second}} })
		owed := append(oweHooks(ctx, f, 1, receiver.URL),
			oweHooks(ctx, f, 1, receiver.URL, bson.E{Key: "retry", Value: bson.A{"1s", "1s"}})...)
		owed = append(owed, oweHooks(ctx, f, 1, receiver.URL, bson.E{Key: "retry", Value: bson.A{}})...)
		send(ctx, f, owed...)
		Expect(becomes(ctx, f, owed[0], notification.Dead).Attempts).To(HaveLen(2))
		Expect(becomes(ctx, f, owed[1], notification.Dead).Attempts).To(HaveLen(3))
		Expect(becomes(ctx, f, owed[2], notification.Dead).Attempts).To(HaveLen(1))
	}, SpecTimeout(time.Minute))
})

// now is a message's notification as it is now.
func now(ctx context.Context, f *fleet.Fleet, m notification.Message) notification.Notification {
	GinkgoHelper()
	n, err := f.Store.Notification(ctx, m.Notification.ID)
	Expect(err).NotTo(HaveOccurred())
	return n
}

var _ = Describe("A process that dies after a record and before its outcome event", func() {
	It("leaves a message that tells it again, of a disabled endpoint and of a forced attempt", func(ctx SpecContext) {
		f, receiver := fleet.New(ctx), receive()
		events := outcomes(ctx, f)
		owed := oweHooks(ctx, f, 2, receiver.URL)
		at := time.Now().UTC().Truncate(time.Millisecond)
		ledger := dispatcher.LedgerOf(f.Store)
		_, err := ledger.RecordAttempts(ctx, at, []dispatcher.Record{
			{ID: owed[0].Notification.ID, Suppress: true, Status: notification.Suppressed, Reason: notification.TargetDisabled},
			{ID: owed[1].Notification.ID, Status: notification.Delivered, Attempt: notification.Attempt{Number: 1, At: at, Outcome: notification.OutcomeOK, Worker: "died"}},
		})
		Expect(err).NotTo(HaveOccurred())
		n, err := f.Store.ForceNotification(ctx, owed[1].Notification.ID, "one", "ops", at)
		Expect(err).NotTo(HaveOccurred())
		Expect(ledger.RecordForced(ctx, n.ID, "one", notification.Attempt{Number: 2, At: at, Outcome: notification.OutcomeOK, Forced: "one", Worker: "died"}, at)).To(BeTrue())
		owed[1].Notification, owed[1].Attempt, owed[1].Republished, owed[1].Force = n, 2, true, "one"
		sendRedelivered(ctx, f, owed...)
		start(ctx, f)
		Eventually(ctx, func() []outcomeEvent { return events() }).Should(ConsistOf(
			HaveField("Payload", And(HaveKeyWithValue("notification_id", owed[0].Notification.ID), HaveKeyWithValue("status", "suppressed"))),
			HaveField("Payload", And(HaveKeyWithValue("notification_id", n.ID), HaveKeyWithValue("status", "delivered"), HaveKeyWithValue("attempt", BeNumerically("==", 2))))))
		empty(ctx, f)
		Expect(receiver.Stats().Calls).To(BeZero())
	}, SpecTimeout(time.Minute))
})

var _ = Describe("An outcome that no queue takes", func() {
	DescribeTable("waits for one, and nobody is called again", func(ctx SpecContext, status int, ends notification.Status, dead int) {
		f, receiver := fleet.New(ctx), receive()
		receiver.SetFaults(sink.Faults{Status: status})
		start(ctx, f)
		f.Foreign().Delete(f.Prefix + topology.Ingest)
		owed := oweHooks(ctx, f, 1, receiver.URL)
		send(ctx, f, owed...)
		becomes(ctx, f, owed[0], ends)
		Eventually(ctx, func() int { return f.Depth(ctx, topology.WebhooksDefault+".retry.1s") }).Should(Equal(1))
		Expect(f.Depth(ctx, topology.WebhooksDefault+".dead")).To(BeZero())
		start(ctx, f) // declares it again
		Eventually(ctx, func() int { return f.Depth(ctx, topology.Ingest) }).Should(Equal(1), "the outcome event")
		Eventually(ctx, func() int { return f.Depth(ctx, topology.WebhooksDefault+".dead") }).Should(Equal(dead))
		empty(ctx, f)
		Expect(receiver.Stats().Calls).To(Equal(1))
	},
		Entry("of what is delivered", 0, notification.Delivered, 0, SpecTimeout(30*time.Second)),
		Entry("of what is dead, whose dead letter comes then", http.StatusNotFound, notification.Dead, 1, SpecTimeout(30*time.Second)))
})
