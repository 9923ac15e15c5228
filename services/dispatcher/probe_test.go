package dispatcher_test

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/services/dispatcher"
	"github.com/events-aggregator/events-aggregator/test/support/fleet"
	"github.com/events-aggregator/events-aggregator/test/support/sink"
)

// awayAtProbe is a database that is away when somebody asks for the probe, so often.
type awayAtProbe struct {
	dispatcher.Targets
	left atomic.Int64
}

type away struct{ error }

func (away) Outage() bool { return true }

func (a *awayAtProbe) Probe(ctx context.Context, target, by string, now, until time.Time) (bool, error) {
	if a.left.Add(-1) >= 0 {
		return false, away{errors.New("the database is away")}
	}
	return a.Targets.Probe(ctx, target, by, now, until)
}

var _ = Describe("A breaker that is due for its probe", func() {
	var f *fleet.Fleet
	var receiver *sink.Running
	BeforeEach(func(ctx SpecContext) { f, receiver = fleet.New(ctx), receive() }, NodeTimeout(30*time.Second))

	due := func(ctx context.Context) {
		GinkgoHelper()
		_, err := f.Store.OpenTarget(ctx, receiver.Host, "10 of 10 calls failed", "died", time.Now(), func(int) time.Time { return time.Now() })
		Expect(err).NotTo(HaveOccurred())
	}
	closed := func(ctx context.Context) {
		GinkgoHelper()
		Eventually(ctx, func() (store.Target, error) { return f.Store.Target(ctx, receiver.Host) }).Should(HaveField("State", store.TargetClosed))
	}

	It("while MongoDB is away keeps its messages in a tier, without the claim that they had, and is probed afterwards", func(ctx SpecContext) {
		due(ctx)
		owed := oweHooks(ctx, f, 2, receiver.URL)
		sendRedelivered(ctx, f, owed...) // each is claimed before its call
		database := &awayAtProbe{}
		database.left.Store(2)
		f.Start(ctx, "action-dispatcher", dispatcher.WireTargetsOn(func(t dispatcher.Targets) dispatcher.Targets {
			database.Targets = t
			return database
		}), breakerWait(time.Second))
		Eventually(ctx, func() int { return f.Depth(ctx, queue+".retry.1s") }).WithPolling(10 * time.Millisecond).Should(BeNumerically(">", 0))
		Expect(receiver.Stats().Calls).To(BeZero())
		Eventually(ctx, func(g Gomega) {
			for _, m := range owed {
				n := notificationOf(ctx, g, f, m)
				g.Expect(n.Claim == nil || n.AttemptCount > 0).To(BeTrue(), "nobody waits for the end of a claim that is not used")
			}
		}).WithPolling(20 * time.Millisecond).Should(Succeed())
		for _, m := range owed {
			Expect(becomes(ctx, f, m, notification.Delivered).Attempts).To(HaveLen(1))
		}
		closed(ctx)
		empty(ctx, f)
		Expect(receiver.Stats().Calls).To(Equal(2))
		Expect(f.Depth(ctx, queue+".dead")).To(BeZero())
	}, SpecTimeout(time.Minute))

	It("and loses RabbitMQ in the middle of it is closed by what the probe said, and nobody is called twice", func(ctx SpecContext) {
		due(ctx)
		receiver.SetFaults(sink.Faults{LatencyMS: 500})
		owed := oweHooks(ctx, f, 1, receiver.URL)
		cut := startCutOff(ctx, f, breakerWait(time.Second))
		owed[0].Republished = true // it is claimed before its call
		send(ctx, f, owed...)
		Eventually(ctx, func() int { return receiver.Stats().Calls }).WithPolling(5 * time.Millisecond).Should(Equal(1))
		cut.loseBroker()
		Eventually(ctx, func() int { return now(ctx, f, owed[0]).AttemptCount }).Should(Equal(1))
		closed(ctx)
		cut.wake()
		becomes(ctx, f, owed[0], notification.Delivered)
		empty(ctx, f)
		Expect(receiver.Stats().Calls).To(Equal(1))
	}, SpecTimeout(time.Minute))

	It("and fails it while RabbitMQ is away is opened again, and probed again", func(ctx SpecContext) {
		due(ctx)
		receiver.SetFaults(sink.Faults{LatencyMS: 500, Status: http.StatusInternalServerError, First: 1})
		owed := oweHooks(ctx, f, 1, receiver.URL)
		cut := startCutOff(ctx, f, breakerWait(time.Second), schedule(time.Second, time.Second))
		owed[0].Republished = true
		send(ctx, f, owed...)
		Eventually(ctx, func() int { return receiver.Stats().Calls }).WithPolling(5 * time.Millisecond).Should(Equal(1))
		cut.loseBroker()
		Eventually(ctx, func() (store.Target, error) { return f.Store.Target(ctx, receiver.Host) }).Should(And(HaveField("State", store.TargetOpen), HaveField("Reason", "the probe failed")))
		cut.wake()
		Expect(becomes(ctx, f, owed[0], notification.Delivered).Attempts).To(HaveLen(2))
		closed(ctx)
		Expect(receiver.Stats().Calls).To(Equal(2))
		empty(ctx, f)
	}, SpecTimeout(time.Minute))
})
