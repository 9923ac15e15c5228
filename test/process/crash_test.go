package process_test

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/fault"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/test/support/fleet"
	"github.com/events-aggregator/events-aggregator/test/support/sink"
)

// eventsEach is how many events a spec publishes, in two halves around the
// death: small, since each spec runs five processes.
const eventsEach = 40

// owner is the process that passes a fault point: its name's first part.
func owner(p fault.Point) string {
	name, _, _ := strings.Cut(string(p), ".")
	if name == "dispatcher" {
		return "action-dispatcher"
	}
	return name
}

func document(d bson.D) bson.Raw {
	GinkgoHelper()
	raw, err := bson.Marshal(d)
	Expect(err).NotTo(HaveOccurred())
	return raw
}

// webhookRule calls the receiver for every event of the specs.
func webhookRule(url string) rule.Rule {
	now := time.Now().UTC()
	return rule.Rule{ID: "all", Name: "all", Conditions: document(bson.D{{Key: "type", Value: "CRASH_TEST"}}),
		Actions:  []rule.ActionSpec{{Type: "WEBHOOK", Config: document(bson.D{{Key: "url", Value: url}, {Key: "method", Value: "POST"}})}},
		Priority: 5, Enabled: true, Mode: rule.Live, CreatedAt: now, UpdatedAt: now, CreatedBy: "spec"}
}

// publish sends n events and returns their ids.
func publish(ctx context.Context, f *fleet.Fleet, n int) []string {
	GinkgoHelper()
	var ids []string
	var messages []broker.Message
	for range n {
		id := uuid.NewString()
		ids = append(ids, id)
		messages = append(messages, broker.Message{RoutingKey: "events.crash.test", ContentType: "application/json",
			Body: fmt.Appendf(nil, `{"event_id":%q,"type":"CRASH_TEST","source":"spec","severity":5}`, id)})
	}
	f.Publish(ctx, messages...)
	return ids
}

// balanced is what must hold in the end: each event stored once and processed,
// each notification delivered, each webhook-id known, all counted once.
func balanced(ctx context.Context, f *fleet.Fleet, receiver *sink.Running, ids []string) {
	GinkgoHelper()
	Eventually(ctx, func(g Gomega) {
		yes := true
		n, err := f.Store.CountEvents(ctx, store.EventFilter{Type: "CRASH_TEST", Processed: &yes}, 0)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(n).To(BeEquivalentTo(len(ids)), "stored and processed")
		counts, err := f.Store.CountNotifications(ctx, store.NotificationFilter{})
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(counts).To(Equal(map[notification.Status]int64{notification.Delivered: int64(len(ids)),
			notification.Pending: 0, notification.Dead: 0, notification.Suppressed: 0}))
		outcomes, err := f.Store.CountEvents(ctx, store.EventFilter{Type: rule.DeliveryType, Processed: &yes}, 0)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(outcomes).To(BeEquivalentTo(len(ids)), "one outcome event for each notification")
		lag, err := f.Store.Lag(ctx, time.Now())
		g.Expect(err).NotTo(HaveOccurred())
		for _, stage := range lag {
			g.Expect(stage.Batches).To(BeZero(), "%s", stage.Stage)
		}
	}).WithTimeout(100 * time.Second).WithPolling(250 * time.Millisecond).Should(Succeed())
	known, err := f.Store.KnownEvents(ctx, ids)
	Expect(err).NotTo(HaveOccurred())
	Expect(known).To(HaveLen(len(ids)))

	owed := map[string]bool{}
	for _, id := range ids {
		owed[notification.ID(id, "all", 1, 0)] = true
	}
	for _, id := range receiver.IDs() {
		Expect(owed).To(HaveKey(id))
	}
	Expect(receiver.IDs()).To(HaveLen(len(owed)))

	now := time.Now().UTC()
	totals, err := f.Store.Totals(ctx, now.Add(-time.Hour).Truncate(time.Minute), now.Add(time.Hour).Truncate(time.Minute))
	Expect(err).NotTo(HaveOccurred())
	counted := map[string]int64{}
	for _, t := range totals {
		counted[t.Type] += t.Count
	}
	Expect(counted).To(Equal(map[string]int64{"CRASH_TEST": int64(len(ids)), rule.DeliveryType: int64(len(ids))}), "counted once")
}

// begin makes a fleet with the rule and a receiver, and starts all but victim.
func begin(ctx context.Context, victim string) (*fleet.Fleet, *sink.Running) {
	GinkgoHelper()
	f := fleet.New(ctx)
	receiver, err := sink.Start("")
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(receiver.Close)
	_, err = f.Store.CreateRule(ctx, webhookRule(receiver.URL+"/hook"))
	Expect(err).NotTo(HaveOccurred())
	var others []*running
	for _, name := range names[:4] {
		if name != victim {
			others = append(others, launch(f, name, ""))
		}
	}
	for _, r := range others {
		r.waitReady(ctx)
	}
	return f, receiver
}

var _ = Describe("a process that is killed between two steps", func() {
	entries := []any{func(ctx SpecContext, p fault.Point) {
		f, receiver := begin(ctx, owner(p))
		victim := launch(f, owner(p), string(p)+":kill")
		victim.waitReady(ctx)
		ids := publish(ctx, f, eventsEach/2)
		Eventually(ctx, victim.ended).WithTimeout(30 * time.Second).Should(BeClosed())
		Expect(victim.cmd.ProcessState.Sys().(syscall.WaitStatus).Signal()).To(Equal(syscall.SIGKILL))
		launch(f, owner(p), "").waitReady(ctx)
		ids = append(ids, publish(ctx, f, eventsEach/2)...)
		balanced(ctx, f, receiver, ids)
	}}
	for _, p := range []fault.Point{
		fault.IngesterInserted, fault.IngesterPublished, fault.IngesterMarked,
		fault.RuleWorkerDecided, fault.RuleWorkerPublished, fault.RuleWorkerMarked,
		fault.DispatcherCalled, fault.DispatcherRecorded, fault.DispatcherSettled,
		fault.AggregatorCounted,
	} {
		entries = append(entries, Entry(string(p), p, SpecTimeout(3*time.Minute)))
	}
	DescribeTable("loses nothing, counts nothing twice, and repeats only under the same id", entries...)
})

var _ = Describe("a process that is paused between two steps", func() {
	entries := []any{func(ctx SpecContext, p fault.Point) {
		f, receiver := begin(ctx, owner(p))
		victim := launch(f, owner(p), string(p)+":stop")
		victim.waitReady(ctx)
		ids := publish(ctx, f, eventsEach/2)
		Eventually(ctx, func() string { return state(victim.cmd.Process.Pid) }).WithTimeout(30 * time.Second).Should(Equal("T"))
		// Its successor takes over what the broker gives back and the leases;
		// then it wakes beside it.
		launch(f, owner(p), "").waitReady(ctx)
		ids = append(ids, publish(ctx, f, eventsEach/2)...)
		woken := time.After(3 * time.Second) // longer than every lease of these specs
		Eventually(ctx, woken).WithTimeout(10 * time.Second).Should(Receive())
		Expect(victim.cmd.Process.Signal(syscall.SIGCONT)).To(Succeed())
		balanced(ctx, f, receiver, ids)
		victim.stop(ctx)
	}}
	for _, p := range []fault.Point{fault.IngesterInserted, fault.RuleWorkerDecided, fault.DispatcherCalled, fault.AggregatorCounted} {
		entries = append(entries, Entry(string(p), p, SpecTimeout(3*time.Minute)))
	}
	DescribeTable("wakes up and does no harm", entries...)
})
