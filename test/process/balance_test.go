package process_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/config"
	"github.com/events-aggregator/events-aggregator/pkg/metric"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
	"github.com/events-aggregator/events-aggregator/test/support/fleet"
)

// eventType is that of all events that a spec owes notifications for.
const eventType = "CRASH_TEST"

func document(d bson.D) bson.Raw {
	GinkgoHelper()
	raw, err := bson.Marshal(d)
	Expect(err).NotTo(HaveOccurred())
	return raw
}

// webhookRule calls the receiver for every event of the specs.
func webhookRule(url string) rule.Rule {
	now := time.Now().UTC()
	return rule.Rule{ID: "all", Name: "all", Conditions: document(bson.D{{Key: "type", Value: eventType}}),
		Actions:  []rule.ActionSpec{{Type: "WEBHOOK", Config: document(bson.D{{Key: "url", Value: url}, {Key: "method", Value: "POST"}})}},
		Priority: 5, Enabled: true, Mode: rule.Live, CreatedAt: now, UpdatedAt: now, CreatedBy: "spec"}
}

// newMessage is an event of that severity, and its id.
func newMessage(severity int) (broker.Message, string) {
	id := uuid.NewString()
	return broker.Message{RoutingKey: "events.crash.test", ContentType: "application/json",
		Body: fmt.Appendf(nil, `{"event_id":%q,"type":%q,"source":"spec","severity":%d}`, id, eventType, severity)}, id
}

// publish sends n events and returns their ids.
func publish(ctx context.Context, f *fleet.Fleet, n int) []string {
	GinkgoHelper()
	ids, messages := make([]string, n), make([]broker.Message, n)
	for i := range n {
		messages[i], ids[i] = newMessage(5)
	}
	f.Publish(ctx, messages...)
	return ids
}

// balanced is what must hold in the end: each event stored once and processed,
// each notification delivered (or dead, if the receiver refuses them), each
// webhook-id known, all counted once.
func balanced(ctx context.Context, c *crew, ids []string) {
	GinkgoHelper()
	n := int64(len(ids))
	counts := map[notification.Status]int64{notification.Delivered: n, notification.Pending: 0, notification.Dead: 0, notification.Suppressed: 0}
	if c.faults.Status != 0 {
		counts[notification.Delivered], counts[notification.Dead] = 0, n
	}
	Eventually(ctx, func(g Gomega) {
		yes := true
		stored, err := c.Store.CountEvents(ctx, store.EventFilter{Type: eventType, Processed: &yes}, 0)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(stored).To(Equal(n), "stored and processed")
		got, err := c.Store.CountNotifications(ctx, store.NotificationFilter{})
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(got).To(Equal(counts), func() string { return whatIsPending(ctx, c.Fleet) })
		outcomes, err := c.Store.CountEvents(ctx, store.EventFilter{Type: rule.DeliveryType, Processed: &yes}, 0)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(outcomes).To(Equal(n), "one outcome event for each notification")
		lag, err := c.Store.Lag(ctx, time.Now())
		g.Expect(err).NotTo(HaveOccurred())
		for _, stage := range lag {
			g.Expect(stage.Batches).To(BeZero(), "%s", stage.Stage)
		}
	}).WithTimeout(150 * time.Second).WithPolling(200 * time.Millisecond).Should(Succeed())
	known, err := c.Store.KnownEvents(ctx, ids)
	Expect(err).NotTo(HaveOccurred())
	Expect(known).To(HaveLen(len(ids)))

	owed := make([]string, len(ids))
	for i, id := range ids {
		owed[i] = notification.ID(id, "all", 1, 0)
	}
	slices.Sort(owed)
	if c.faults.Status != 0 {
		refused(ctx, c, owed)
	} else {
		Expect(c.receiver.IDs()).To(Equal(owed), "webhook-ids")
	}
	if len(c.faults.Statuses) > 0 {
		triedAgain(ctx, c, len(owed))
	}
	counted(ctx, c.Store, map[string]int64{eventType: n, rule.DeliveryType: n})
}

// whatIsPending says of notifications what a failed spec must be understood by.
func whatIsPending(ctx context.Context, f *fleet.Fleet) string {
	pending, err := f.Store.FindNotifications(ctx, store.NotificationFilter{Status: notification.Pending}, nil, 10)
	text := fmt.Sprintf("%v pending: ", err)
	for _, n := range pending {
		text += fmt.Sprintf("%s next %v, claim %+v, attempts %+v\n", n.ID, n.NextAttemptAt, n.Claim, n.Attempts)
	}
	for _, w := range f.Topology.Queues() {
		for _, queue := range append([]string{w.Name, w.Name + ".dead"}, tiersOf(w)...) {
			if n := f.Depth(ctx, queue); n > 0 {
				text += fmt.Sprintf("%d in %s\n", n, queue)
			}
		}
	}
	targets, err := f.Store.Targets(ctx, "", "", 10)
	return text + fmt.Sprintf("targets %+v %v", targets, err)
}

func tiersOf(w topology.Work) (names []string) {
	for _, tier := range w.Tiers {
		names = append(names, w.Name+".retry."+broker.DelayLabel(tier))
	}
	return names
}

// refused: each was called and is a dead letter, recorded as such.
func refused(ctx context.Context, c *crew, owed []string) {
	GinkgoHelper()
	Expect(c.receiver.IDs()).To(BeEmpty())
	called := map[string]bool{}
	for _, call := range c.receiver.Calls() {
		called[call.ID] = true
	}
	Expect(slices.Sorted(maps.Keys(called))).To(Equal(owed), "webhook-ids")
	Eventually(ctx, func(g Gomega) {
		records, err := c.Store.FindDeadLetters(ctx, store.DeadLetterFilter{Queue: topology.WebhooksDefault}, nil, 10*len(owed))
		g.Expect(err).NotTo(HaveOccurred())
		dead := map[string]bool{}
		for _, r := range records {
			dead[r.NotificationID] = true
		}
		g.Expect(slices.Sorted(maps.Keys(dead))).To(Equal(owed))
	}).WithTimeout(30 * time.Second).Should(Succeed())
}

// triedAgain: the record of each knows of the attempts that it says, and of no
// more than there were calls.
func triedAgain(ctx context.Context, c *crew, n int) {
	GinkgoHelper()
	calls := map[string]int{}
	for _, call := range c.receiver.Calls() {
		calls[call.ID]++
	}
	all, err := c.Store.FindNotifications(ctx, store.NotificationFilter{}, nil, 2*n)
	Expect(err).NotTo(HaveOccurred())
	Expect(all).To(HaveLen(n))
	twice := 0
	for _, one := range all {
		Expect(len(one.Attempts)).To(And(BeNumerically("<=", 2), BeNumerically("<=", calls[one.ID])), one.ID)
		for i, a := range one.Attempts {
			Expect(a.Number).To(Equal(i+1), one.ID)
			if i < len(one.Attempts)-1 {
				Expect(a.StatusCode).To(Equal(c.faults.Statuses[0]), one.ID)
			}
		}
		if len(one.Attempts) == 2 {
			twice++
		}
	}
	// One that was called and not recorded before the death is called again, and
	// its first attempt succeeds.
	Expect(twice).To(BeNumerically(">=", n/2), "refused once, then delivered")
}

// counted compares the counters with what there should be, and counters and
// metrics with the stored events.
func counted(ctx context.Context, s *store.Store, want map[string]int64) {
	GinkgoHelper()
	from := time.Now().UTC().Add(-time.Hour).Truncate(time.Hour)
	to := from.Add(3 * time.Hour)
	kept := config.Defaults("aggregator").Aggregator.CounterRetention // as the aggregator counts: a day would end at midnight
	rows, err := s.Sums(ctx, store.SumsQuery{Range: metric.Range{From: from, To: to}, By: []metric.Dimension{metric.Type}}, time.Now())
	Expect(err).NotTo(HaveOccurred())
	got := map[string]int64{}
	for _, r := range rows {
		got[r.Type] += r.Count
	}
	Expect(got).To(Equal(want), "counted once")
	Eventually(ctx, func(g Gomega) {
		report, err := s.Verify(ctx, store.VerifyOptions{From: from, To: to, Retention: kept, Pause: 200 * time.Millisecond})
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(report.Drift).To(BeEmpty())
		g.Expect(report.LeftOut).To(BeEmpty()) // until all is materialised
	}).WithTimeout(time.Minute).WithPolling(time.Second).Should(Succeed()) // it reads everything
}
