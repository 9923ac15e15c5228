package process_test

import (
	"context"
	"strings"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/decision"
	"github.com/events-aggregator/events-aggregator/pkg/fault"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/pkg/rule/interval"
	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
	"github.com/events-aggregator/events-aggregator/test/support/fleet"
	"github.com/events-aggregator/events-aggregator/test/support/sink"
)

var _ = Describe("a rule-worker that is killed, or paused, while it announces that a rule is paused", func() {
	It("is announced by its next life or its successor, and the event is stored once", func(ctx SpecContext) {
		inParallel(ctx, []string{string(fault.RuleWorkerAnnounced) + ":kill", string(fault.RuleWorkerAnnounced) + ":stop"}, func(ctx context.Context, what string) {
			f := fleet.New(ctx)
			r := webhookRule("https://example.com/")
			r.MaxMatchesPerHour = 3
			_, err := f.Store.CreateRule(ctx, r)
			Expect(err).NotTo(HaveOccurred())
			launch(f, "ingester", "").waitReady(ctx)
			victim := launch(f, "rule-worker", what)
			victim.waitReady(ctx)
			publish(ctx, f, 10)
			if strings.HasSuffix(what, ":kill") {
				victim.waitEnded(ctx, killed)
			} else {
				victim.waitPaused(ctx)
			}
			announced, err := f.Store.Announcements(ctx, 10)
			Expect(err).NotTo(HaveOccurred())
			Expect(announced).To(HaveLen(1), "nobody knows that the broker has it")

			launch(f, "rule-worker", "").waitReady(ctx)
			announcedOnce(ctx, f)
			if strings.HasSuffix(what, ":stop") {
				victim.Signal(syscall.SIGCONT)
				victim.stop(ctx)
				announcedOnce(ctx, f)
			}
			Expect(f.DeadLetters(ctx, topology.Ingest)).To(BeEmpty())
		})
	}, SpecTimeout(3*time.Minute))
})

// announcedOnce is what must hold of a rule that is paused after three matches of
// ten: an event says so, and nothing else is owed for it.
func announcedOnce(ctx context.Context, f *fleet.Fleet) {
	GinkgoHelper()
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
}

// gather starts a fleet whose rule groups by source, and publishes some events.
func gather(ctx context.Context, faulty string) (f *fleet.Fleet, receiver *sink.Running, victim *running) {
	GinkgoHelper()
	f = fleet.New(ctx)
	receiver, err := sink.Start("")
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(receiver.Close)
	r := webhookRule(receiver.URL + "/hook")
	second := interval.Duration(time.Second)
	r.Group = &rule.Group{By: []string{"source"}, Wait: second, Interval: second, Repeat: second}
	_, err = f.Store.CreateRule(ctx, r)
	Expect(err).NotTo(HaveOccurred())
	started := []*running{launch(f, "ingester", ""), launch(f, "action-dispatcher", "")}
	victim = launch(f, "rule-worker", faulty)
	for _, r := range append(started, victim) {
		r.waitReady(ctx)
	}
	publish(ctx, f, 10)
	return f, receiver, victim
}

// told is what must hold: the groups' notifications stand for n matches, all are
// delivered, and the receiver knows each id, and no other.
func told(ctx context.Context, f *fleet.Fleet, receiver *sink.Running, n int) {
	GinkgoHelper()
	Eventually(ctx, func(g Gomega) {
		all, err := f.Store.FindNotifications(ctx, store.NotificationFilter{RuleID: "all"}, nil, 1000)
		g.Expect(err).NotTo(HaveOccurred())
		var ids []string
		matches, grouped := 0, 0
		for _, one := range all {
			if one.Group == nil {
				g.Expect(one.Reason).To(Equal(notification.Grouped))
				grouped++
				continue
			}
			g.Expect(one.Status).To(Equal(notification.Delivered))
			ids = append(ids, one.ID)
			matches += one.Group.Matches
		}
		g.Expect(grouped).To(Equal(n))
		g.Expect(matches).To(Equal(n))
		g.Expect(receiver.IDs()).To(ConsistOf(ids))
	}).WithTimeout(90 * time.Second).WithPolling(300 * time.Millisecond).Should(Succeed())
}

var _ = Describe("the timer of groups", func() {
	It("tells every match once, killed before it published, and does no harm when it wakes beside its successor", func(ctx SpecContext) {
		inParallel(ctx, []string{string(fault.RuleWorkerGroupFlushed) + ":kill", string(fault.RuleWorkerGroupFlushed) + ":stop"}, func(ctx context.Context, what string) {
			f, receiver, victim := gather(ctx, what)
			if strings.HasSuffix(what, ":kill") {
				victim.waitEnded(ctx, killed)
				publish(ctx, f, 10)
				launch(f, "rule-worker", "").waitReady(ctx)
				told(ctx, f, receiver, 20)
				return
			}
			victim.waitPaused(ctx)
			launch(f, "rule-worker", "").waitReady(ctx)
			publish(ctx, f, 10)
			told(ctx, f, receiver, 20)
			victim.Signal(syscall.SIGCONT)
			publish(ctx, f, 10)
			told(ctx, f, receiver, 30)
			victim.stop(ctx)
		})
	}, SpecTimeout(4*time.Minute))
})
