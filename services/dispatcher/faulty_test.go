package dispatcher_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/config"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/test/support/fleet"
	"github.com/events-aggregator/events-aggregator/test/support/sink"
)

// faultyReceiver misbehaves in one way.
type faultyReceiver struct {
	name   string
	faults sink.Faults
	owed   int
	more   []bson.E // of the action
	dies   string   // the reason of all that do not get through; "": all do
}

// One of two calls fails at the most, so that breakers are mostly closed: they
// have specs of their own.
var faultyReceivers = []faultyReceiver{
	{name: "healthy", faults: sink.Faults{LatencyMS: 5}, owed: 30},
	{name: "unavailable at first", faults: sink.Faults{Status: http.StatusServiceUnavailable, First: 1, Share: 0.5}, owed: 30},
	{name: "asks for time", faults: sink.Faults{Status: http.StatusTooManyRequests, RetryAfter: "1", First: 1, Share: 0.5}, owed: 30},
	{name: "resets", faults: sink.Faults{Reset: true, First: 1, Share: 0.5}, owed: 30},
	{name: "cuts its answers off", faults: sink.Faults{CutOff: true, First: 1, Share: 0.5}, owed: 30},
	{name: "hangs", faults: sink.Faults{Hang: true, First: 1, Share: 0.4}, owed: 30},
	{name: "answers too late", faults: sink.Faults{LatencyMS: 2500, First: 1, Share: 0.4}, owed: 30},
	{name: "refuses some", faults: sink.Faults{Status: http.StatusNotFound, Share: 0.3}, owed: 30, dies: "permanent"},
	{name: "always fails", faults: sink.Faults{Status: http.StatusBadGateway}, owed: 3, more: []bson.E{{Key: "retry", Value: bson.A{"1s"}}}, dies: "exhausted"},
	{name: "never answers", faults: sink.Faults{Hang: true}, owed: 3, more: []bson.E{{Key: "retry", Value: bson.A{"1s"}}}, dies: "exhausted"},
	{name: "everything at once", owed: 60, dies: "exhausted", faults: sink.Faults{Mix: []sink.Faults{
		{}, {}, {}, {LatencyMS: 100}, {LatencyMS: 20}, {Status: 500}, {Status: 503, RetryAfter: "1"}, {Reset: true}, {CutOff: true}, {Hang: true},
	}}},
}

// unheard are the classes of attempts after which nobody knows whether the call
// had its effect.
var unheard = []string{"timeout", "connection", "cut_off"}

var _ = Describe("Receivers that misbehave in every way", func() {
	It("get each notification, or it is dead with the reason; only what they did not confirm is repeated", func(ctx SpecContext) {
		f := fleet.New(ctx)
		events := outcomes(ctx, f)
		running := make([]*sink.Running, len(faultyReceivers))
		owed := make([][]notification.Message, len(faultyReceivers))
		for i, r := range faultyReceivers {
			running[i] = receive()
			running[i].SetFaults(r.faults)
			owed[i] = oweHooks(ctx, f, r.owed, running[i].URL, r.more...)
		}
		start(ctx, f, schedule(slices.Repeat([]time.Duration{time.Second}, 9)...), func(c *config.Config) { c.Dispatcher.Timeout = time.Second })
		send(ctx, f, mixed(owed...)...)

		dead, all := map[string]bool{}, 0
		for i, r := range faultyReceivers {
			for _, m := range owed[i] {
				n := settled(ctx, f, m)
				confirmed(ctx, r.name, n, running[i])
				if all++; n.Status == notification.Dead {
					dead[n.ID] = true
					Expect(n.Reason).To(Equal(r.dies), "%s: %+v", r.name, n.Attempts)
				}
			}
			stats := running[i].Stats()
			AddReportEntry(r.name, fmt.Sprintf("%d calls for %d, %d unheard, %d effects repeated", stats.Calls, stats.Distinct, stats.Unheard, stats.EffectsAgain))
			Expect(stats.Distinct).To(Equal(r.owed), r.name)
			Expect(stats.EffectsAgain).To(BeNumerically("<=", stats.Unheard), r.name)
			Expect(stats.BadSignatures).To(BeZero(), r.name)
		}
		Expect(dead).NotTo(BeEmpty())
		empty(ctx, f)
		Eventually(ctx, func() map[string]bool { return distinct(events()) }).Should(HaveLen(all), "one outcome event for each")
		letters := map[string]bool{}
		for _, l := range f.DeadLetters(ctx, queue) {
			order, err := f.Topology.Actions().Decode(l.Message)
			Expect(err).NotTo(HaveOccurred())
			Expect(letters).NotTo(HaveKey(order.Notification.ID))
			letters[order.Notification.ID] = true
		}
		Expect(slices.Sorted(maps.Keys(letters))).To(Equal(slices.Sorted(maps.Keys(dead))))
	}, SpecTimeout(2*time.Minute))
})

// settled waits until a notification is delivered or dead.
func settled(ctx context.Context, f *fleet.Fleet, m notification.Message) notification.Notification {
	GinkgoHelper()
	var n notification.Notification
	Eventually(ctx, func(g Gomega) {
		n = notificationOf(ctx, g, f, m)
		g.Expect(n.Status).NotTo(Equal(notification.Pending), "%+v", n.Attempts)
	}).WithPolling(50 * time.Millisecond).Should(Succeed())
	return n
}

// confirmed compares a record with what its receiver saw: every call is an
// attempt, delivered is the last of them, and each effect is a delivery or one
// that nobody heard of.
func confirmed(ctx context.Context, name string, n notification.Notification, by *sink.Running) {
	GinkgoHelper()
	delivered, unknown := 0, 0
	for i, a := range n.Attempts {
		Expect(a.Number).To(Equal(i+1), name)
		switch {
		case a.Outcome == notification.OutcomeOK:
			delivered++
			Expect(i).To(Equal(len(n.Attempts)-1), name)
		case slices.Contains(unheard, a.ErrorClass):
			unknown++
		default:
			Expect(a.StatusCode).NotTo(BeZero(), "%s: %+v", name, a)
		}
	}
	wanted := 0
	if n.Status == notification.Delivered {
		wanted = 1
	}
	Expect(delivered).To(Equal(wanted), name)
	// A receiver that is left notices it a moment later.
	Eventually(ctx, func() []int {
		calls, effects := by.Of(n.ID)
		return []int{calls, effects}
	}).WithTimeout(10*time.Second).Should(Equal([]int{len(n.Attempts), delivered + unknown}), "%s: %+v", name, n.Attempts)
}
