package process_test

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/decision"
	"github.com/events-aggregator/events-aggregator/pkg/fault"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
	"github.com/events-aggregator/events-aggregator/test/support/fleet"
)

var _ = Describe("a rule-worker that is killed while it announces that a rule is paused", func() {
	It("announces it in its next life, and the event is stored once", func(ctx SpecContext) {
		f := fleet.New(ctx)
		r := webhookRule("https://example.com/")
		r.MaxMatchesPerHour = 3
		_, err := f.Store.CreateRule(ctx, r)
		Expect(err).NotTo(HaveOccurred())
		launch(f, "ingester", "").waitReady(ctx)
		victim := launch(f, "rule-worker", string(fault.RuleWorkerAnnounced)+":kill")
		victim.waitReady(ctx)
		publish(ctx, f, 10)
		victim.waitEnded(ctx, killed)
		announced, err := f.Store.Announcements(ctx, 10)
		Expect(err).NotTo(HaveOccurred())
		Expect(announced).To(HaveLen(1), "nobody knows that the broker has it")

		launch(f, "rule-worker", "").waitReady(ctx)
		Eventually(ctx, func(g Gomega) {
			left, err := f.Store.Announcements(ctx, 10)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(left).To(BeEmpty())
			yes := true
			n, err := f.Store.CountEvents(ctx, store.EventFilter{Type: decision.RulePaused, Processed: &yes}, 0)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(n).To(BeEquivalentTo(1))
			counts, err := f.Store.CountNotifications(ctx, store.NotificationFilter{})
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(counts).To(And(HaveKeyWithValue(notification.Pending, BeEquivalentTo(3)), HaveKeyWithValue(notification.Suppressed, BeEquivalentTo(7))))
			g.Expect(f.Depth(ctx, topology.Ingest)).To(BeZero(), "its repeat was a duplicate")
		}).WithTimeout(100 * time.Second).WithPolling(250 * time.Millisecond).Should(Succeed())
		Expect(f.DeadLetters(ctx, topology.Ingest)).To(BeEmpty())
	}, SpecTimeout(3*time.Minute))
})
