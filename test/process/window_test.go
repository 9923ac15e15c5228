package process_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/fault"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/pkg/rule/interval"
	"github.com/events-aggregator/events-aggregator/pkg/rule/window"
	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/test/support/fleet"
	"github.com/events-aggregator/events-aggregator/test/support/sink"
)

// silentRule calls the receiver for every two seconds in which a user is silent.
func silentRule(url string) rule.Rule {
	r := webhookRule(url)
	settle := interval.Duration(0)
	r.ID, r.Name = "silent", "silent"
	r.Conditions = document(bson.D{{Key: "type", Value: "HEARTBEAT"}})
	r.Window = &window.Spec{Kind: "flatline", Timeframe: interval.Duration(2 * time.Second), Threshold: 1, GroupBy: []string{"user_id"}, Settle: &settle}
	return r
}

// silences are the alerts of the rule, and their slots in order.
func silences(ctx context.Context, f *fleet.Fleet) (all []notification.Notification, slots []int64) {
	GinkgoHelper()
	all, err := f.Store.FindNotifications(ctx, store.NotificationFilter{RuleID: "silent"}, nil, 1000)
	Expect(err).NotTo(HaveOccurred())
	for _, n := range all {
		slots = append(slots, n.Alert.Slot)
	}
	slices.Sort(slots)
	return all, slots
}

// watch starts a fleet in which a user was heard once and is silent since.
func watch(ctx context.Context, faulty string) (f *fleet.Fleet, receiver *sink.Running, victim *running) {
	GinkgoHelper()
	f = fleet.New(ctx)
	receiver, err := sink.Start("")
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(receiver.Close)
	_, err = f.Store.CreateRule(ctx, silentRule(receiver.URL+"/hook"))
	Expect(err).NotTo(HaveOccurred())
	var started []*running
	for _, name := range []string{"ingester", "action-dispatcher"} {
		started = append(started, launch(f, name, ""))
	}
	victim = launch(f, "rule-worker", faulty)
	for _, r := range append(started, victim) {
		r.waitReady(ctx)
	}
	f.Publish(ctx, broker.Message{RoutingKey: "events.heart.beat", ContentType: "application/json",
		Body: fmt.Appendf(nil, `{"type":"HEARTBEAT","source":"spec","user_id":"a","timestamp":%q}`, time.Now().UTC().Format(time.RFC3339Nano))})
	return f, receiver, victim
}

// complete is what must hold: no slot since the first alert is left out, each
// alert is delivered, and the receiver knows each id, and no other.
func complete(ctx context.Context, f *fleet.Fleet, receiver *sink.Running) {
	GinkgoHelper()
	Eventually(ctx, func() int { all, _ := silences(ctx, f); return len(all) }).
		WithTimeout(60 * time.Second).Should(BeNumerically(">=", 5))
	Expect(f.Store.DeleteRule(ctx, "silent", 0, time.Now(), "spec")).To(Succeed())
	Eventually(ctx, func(g Gomega) {
		all, slots := silences(ctx, f)
		for i, s := range slots {
			g.Expect(s).To(Equal(slots[0] + int64(i)))
		}
		var ids []string
		for _, n := range all {
			g.Expect(n.Status).To(Equal(notification.Delivered))
			ids = append(ids, n.ID)
		}
		g.Expect(receiver.IDs()).To(ConsistOf(ids))
	}).WithTimeout(60 * time.Second).WithPolling(500 * time.Millisecond).Should(Succeed())
}

var _ = Describe("the timer of windows", func() {
	It("decides every slot once, killed between two steps, and does nothing more when it wakes beside its successor", func(ctx SpecContext) {
		inParallel(ctx, []string{
			string(fault.RuleWorkerWindowEvaluated) + ":kill", string(fault.RuleWorkerWindowDecided) + ":kill",
			string(fault.RuleWorkerWindowPublished) + ":kill", string(fault.RuleWorkerWindowEvaluated) + ":stop",
			string(fault.RuleWorkerWindowDecided) + ":stop", string(fault.RuleWorkerWindowPublished) + ":stop",
		}, func(ctx context.Context, what string) {
			f, receiver, victim := watch(ctx, what)
			if strings.HasSuffix(what, ":kill") {
				victim.waitEnded(ctx, killed)
				launch(f, "rule-worker", "").waitReady(ctx)
				complete(ctx, f, receiver)
				return
			}
			victim.waitPaused(ctx)
			launch(f, "rule-worker", "").waitReady(ctx)
			Eventually(ctx, func() []int64 { _, slots := silences(ctx, f); return slots }).WithTimeout(patience).ShouldNot(BeEmpty())
			victim.Signal(syscall.SIGCONT)
			complete(ctx, f, receiver)
			victim.stop(ctx)
		})
	}, SpecTimeout(4*time.Minute))
})

var _ = Describe("a rule-worker that is killed with an alert that a batch completed", func() {
	It("delivers it in its next life, once, though it is no batch's own", func(ctx SpecContext) {
		f := fleet.New(ctx)
		receiver, err := sink.Start("")
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(receiver.Close)
		r := webhookRule(receiver.URL + "/hook")
		r.Window = &window.Spec{Kind: "frequency", Timeframe: interval.Duration(time.Minute), NumEvents: 1, GroupBy: []string{"source"}}
		_, err = f.Store.CreateRule(ctx, r)
		Expect(err).NotTo(HaveOccurred())
		started := []*running{launch(f, "ingester", ""), launch(f, "action-dispatcher", "")}
		victim := launch(f, "rule-worker", string(fault.RuleWorkerDecided)+":kill")
		for _, r := range append(started, victim) {
			r.waitReady(ctx)
		}
		publish(ctx, f, 1)
		victim.waitEnded(ctx, killed)
		found, err := f.Store.FindNotifications(ctx, store.NotificationFilter{}, nil, 10)
		Expect(err).NotTo(HaveOccurred())
		Expect(found).NotTo(BeEmpty(), "decided")
		var ids []string
		for _, n := range found {
			Expect(n.Alert).NotTo(BeNil())
			Expect(n.Status).To(Equal(notification.Pending), "not published")
			ids = append(ids, n.ID)
		}
		Expect(receiver.Stats().Calls).To(BeZero())

		launch(f, "rule-worker", "").waitReady(ctx)
		Eventually(ctx, func(g Gomega) {
			found, err := f.Store.FindNotifications(ctx, store.NotificationFilter{}, nil, 10)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(found).To(HaveLen(len(ids)))
			g.Expect(found).To(HaveEach(HaveField("Status", notification.Delivered)))
		}).WithTimeout(60 * time.Second).WithPolling(200 * time.Millisecond).Should(Succeed())
		Expect(receiver.IDs()).To(ConsistOf(ids))
	}, SpecTimeout(2*time.Minute))
})
