package ruleworker_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/pkg/rule/window"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
	"github.com/events-aggregator/events-aggregator/services/ruleworker"
	"github.com/events-aggregator/events-aggregator/test/support/fleet"
)

// stored stores batches, and publishes them when all are stored: what is decided
// after that sees all of them.
func stored(ctx context.Context, f *fleet.Fleet, batches ...event.Batch) {
	GinkgoHelper()
	for _, b := range batches {
		Expect(f.Store.SaveBatch(ctx, b, "spec")).To(Succeed())
	}
	for _, b := range batches {
		republish(ctx, f, b)
	}
}

// settledBy is the end of the last slot that is decided by now.
func settledBy(r rule.Rule) time.Time {
	p := r.Window.Parts()[0]
	from, _ := p.Slot(p.SlotOf(time.Now().Add(-p.Settle())))
	return time.UnixMilli(from)
}

var _ = Describe("a flatline rule", func() {
	It("fires for keys that fall silent, slot after slot, with an event of its own", func(ctx SpecContext) {
		f := fleet.New(ctx)
		settle := every(0)
		r, err := f.Store.CreateRule(ctx, windowRule("silent", "HEARTBEAT", window.Spec{
			Kind: "flatline", Timeframe: every(time.Minute), Threshold: 2, GroupBy: []string{"user_id"}, Settle: &settle}))
		Expect(err).NotTo(HaveOccurred())
		orders := collect(ctx, f, topology.NotificationsDefault)
		f.Start(ctx, "rule-worker", ruleworker.Wire)

		start := time.Now().UTC().Truncate(time.Minute).Add(-5 * time.Minute)
		beat := func(user string, minute, second int) one {
			return one{at: start.Add(time.Duration(minute)*time.Minute + time.Duration(second)*time.Second), user: user}
		}
		stored(ctx, f,
			batchOf("HEARTBEAT", beat("a", 0, 0), beat("a", 0, 1), beat("b", 0, 5), beat("b", 1, 5), beat("b", 1, 6)),
			batchOf("HEARTBEAT", beat("a", 1, 0), beat("a", 2, 1), beat("a", 2, 2), beat("b", 2, 59)))
		Eventually(ctx, func(g Gomega) {
			want := recounted(ctx, f, r, start, settledBy(r))
			g.Expect(len(want)).To(BeNumerically(">=", 6))
			g.Expect(alertsOf(ctx, f, "silent")).To(Equal(want))
			g.Expect(ids(orders())).To(HaveLen(len(want)))
		}).WithTimeout(20 * time.Second).Should(Succeed())
		m := orders()[0]
		Expect(m.Notification.Alert.Kind).To(Equal("flatline"))
		Expect(m.Notification.EventID).To(Equal(m.Event.Lookup("event_id").StringValue()))
		Expect(m.Event.Lookup("type").StringValue()).To(Equal(window.AlertType))
		Expect(m.Event.Lookup("user_id")).To(Equal(m.Notification.Alert.Key.Lookup("user_id")), "throttles and templates find it where events have it")
		Expect(m.Event.Lookup("timestamp").Time()).To(BeTemporally("==", m.Notification.Alert.To))
		Expect(m.Event.Lookup("payload", "text").StringValue()).To(Equal(m.Notification.Alert.Text))

		// An event that comes late makes the slots after it due again.
		before := len(alertsOf(ctx, f, "silent"))
		offer(ctx, f, batchOf("HEARTBEAT", beat("c", 0, 30)))
		Eventually(ctx, func(g Gomega) {
			got := alertsOf(ctx, f, "silent")
			g.Expect(len(got)).To(BeNumerically(">=", before+3), "c is silent since the slot after its event")
			g.Expect(got).To(Equal(recounted(ctx, f, r, start, settledBy(r))))
		}).WithTimeout(20 * time.Second).Should(Succeed())
	}, SpecTimeout(2*time.Minute))

	It("watches from the start when it has no keys, and those seen before it when it has", func(ctx SpecContext) {
		f := fleet.New(ctx)
		settle := every(0)
		start := time.Now().UTC()
		Expect(f.Store.SaveBatch(ctx, batchOf("HEARTBEAT", one{at: start, user: "a"}), "spec")).To(Succeed())
		keyed := window.Spec{Kind: "flatline", Timeframe: every(2 * time.Second), Threshold: 1, GroupBy: []string{"user_id"}, Settle: &settle}
		whole := keyed
		whole.GroupBy = nil
		for name, spec := range map[string]window.Spec{"keyed": keyed, "whole": whole} {
			_, err := f.Store.CreateRule(ctx, windowRule(name, map[string]string{"keyed": "HEARTBEAT", "whole": "NEVER_SEEN"}[name], spec))
			Expect(err).NotTo(HaveOccurred())
		}
		f.Start(ctx, "rule-worker", ruleworker.Wire)
		for _, name := range []string{"keyed", "whole"} {
			Eventually(ctx, func() []string { return alertsOf(ctx, f, name) }).WithTimeout(20*time.Second).ShouldNot(BeEmpty(), "%s", name)
		}
	}, SpecTimeout(time.Minute))

	It("is decided no more when it is deleted, and by the new version when it is changed", func(ctx SpecContext) {
		f := fleet.New(ctx)
		settle := every(0)
		spec := window.Spec{Kind: "flatline", Timeframe: every(time.Second), Threshold: 1, Settle: &settle}
		for _, name := range []string{"deleted", "changed"} {
			_, err := f.Store.CreateRule(ctx, windowRule(name, "NEVER_SEEN", spec))
			Expect(err).NotTo(HaveOccurred())
		}
		f.Start(ctx, "rule-worker", ruleworker.Wire, quickPoll)
		Eventually(ctx, func() []string { return alertsOf(ctx, f, "deleted") }).WithTimeout(10 * time.Second).ShouldNot(BeEmpty())
		Expect(f.Store.DeleteRule(ctx, "deleted", 0, time.Now(), "spec")).To(Succeed())
		_, err := f.Store.ReplaceRule(ctx, windowRule("changed", "NEVER_SEEN", spec), 1)
		Expect(err).NotTo(HaveOccurred())
		Eventually(ctx, func() map[string]int { return versions(ctx, f, "changed") }).WithTimeout(10 * time.Second).Should(HaveKey("2"))
		one, deleted := versions(ctx, f, "changed")["1"], len(alertsOf(ctx, f, "deleted"))
		Eventually(ctx, func() int { return versions(ctx, f, "changed")["2"] }).WithTimeout(10 * time.Second).Should(BeNumerically(">=", 3))
		Expect(versions(ctx, f, "changed")["1"]).To(Equal(one))
		Expect(alertsOf(ctx, f, "deleted")).To(HaveLen(deleted))
	}, SpecTimeout(time.Minute))
})

var _ = Describe("a key that is silent already", func() {
	// slots are those of a rule's alerts, by its version.
	slots := func(ctx context.Context, f *fleet.Fleet, ruleID string) map[int][]int64 {
		found := map[int][]int64{}
		for _, n := range notificationsOf(ctx, f, ruleID) {
			found[n.RuleVersion] = append(found[n.RuleVersion], n.Alert.Slot)
		}
		for _, s := range found {
			slices.Sort(s)
		}
		return found
	}

	It("is still watched when its rule is edited, or disabled and enabled again", func(ctx SpecContext) {
		f := fleet.New(ctx)
		rules := map[string]rule.Rule{}
		for _, name := range []string{"edited", "recut", "paused"} {
			r, err := f.Store.CreateRule(ctx, silent(name, "user_id"))
			Expect(err).NotTo(HaveOccurred())
			rules[name] = r
		}
		f.Start(ctx, "rule-worker", ruleworker.Wire, quickPoll)
		offer(ctx, f, batchOf("HEARTBEAT", one{at: time.Now().UTC(), user: "a"}))
		for name := range rules {
			Eventually(ctx, func() int { return len(slots(ctx, f, name)[1]) }).WithTimeout(20*time.Second).Should(BeNumerically(">", 3), name)
		}
		save := func(name string, change func(*rule.Rule)) {
			r := rules[name]
			change(&r)
			saved, err := f.Store.ReplaceRule(ctx, r, r.Version)
			Expect(err).NotTo(HaveOccurred())
			rules[name] = saved
		}
		save("edited", func(r *rule.Rule) { r.Description = "other words" })
		save("recut", func(r *rule.Rule) {
			spec := *r.Window
			spec.Timeframe = every(2 * time.Second)
			r.Window = &spec
		})
		save("paused", func(r *rule.Rule) { r.Enabled = false })
		for _, name := range []string{"edited", "recut"} {
			Eventually(ctx, func() int { return len(slots(ctx, f, name)[2]) }).WithTimeout(20*time.Second).Should(BeNumerically(">=", 3), name)
		}
		edited := slots(ctx, f, "edited")
		all := slices.Concat(edited[1], edited[2])
		slices.Sort(all)
		all = slices.Compact(all)
		Expect(all[len(all)-1]-all[0]).To(BeEquivalentTo(len(all)-1), "no slot is left out: %v", edited)

		enabled := silent("paused").Window.Parts()[0].SlotOf(time.Now())
		save("paused", func(r *rule.Rule) { r.Enabled = true })
		Eventually(ctx, func() int { return len(slots(ctx, f, "paused")[3]) }).WithTimeout(20 * time.Second).Should(BeNumerically(">=", 3))
		Expect(slots(ctx, f, "paused")[3][0]).To(BeNumerically(">=", enabled), "what it slept through is not told")
	}, SpecTimeout(2*time.Minute))
})

var _ = Describe("a window that is evaluated while its rule is edited", func() {
	It("is told by one version, the new one", func(ctx SpecContext) {
		f := fleet.New(ctx)
		r, err := f.Store.CreateRule(ctx, silent("edited"))
		Expect(err).NotTo(HaveOccurred())
		holding, release := make(chan struct{}), make(chan struct{})
		var evaluated, handedOver sync.Once
		trouble := &troubled{
			asked: func(ctx context.Context, _ string, _ window.Query) error {
				evaluated.Do(func() {
					close(holding)
					select {
					case <-release:
					case <-ctx.Done():
					}
				})
				return nil
			},
			added: func(dues []window.Due) error {
				if slices.ContainsFunc(dues, func(d window.Due) bool { return d.RuleVersion == 2 }) {
					handedOver.Do(func() { close(release) })
				}
				return nil
			},
		}
		f.Start(ctx, "rule-worker", ruleworker.WireOn(trouble.of), quickPoll)
		Eventually(ctx, holding).WithTimeout(20 * time.Second).Should(BeClosed())
		r.Description = "other words"
		_, err = f.Store.ReplaceRule(ctx, r, 1)
		Expect(err).NotTo(HaveOccurred())
		Eventually(ctx, func() int { return versions(ctx, f, "edited")["2"] }).WithTimeout(20 * time.Second).Should(BeNumerically(">=", 3))
		Expect(versions(ctx, f, "edited")).NotTo(HaveKey("1"), "it was deciding its first window")
	}, SpecTimeout(time.Minute))
})

// versions counts a rule's notifications by its version.
func versions(ctx context.Context, f *fleet.Fleet, ruleID string) map[string]int {
	GinkgoHelper()
	counts := map[string]int{}
	for _, n := range notificationsOf(ctx, f, ruleID) {
		counts[fmt.Sprint(n.RuleVersion)]++
	}
	return counts
}
