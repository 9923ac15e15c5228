package process_test

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/pkg/store"
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
// each notification delivered, each webhook-id known, all counted once.
func balanced(ctx context.Context, c *crew, ids []string) {
	GinkgoHelper()
	n := int64(len(ids))
	Eventually(ctx, func(g Gomega) {
		yes := true
		stored, err := c.Store.CountEvents(ctx, store.EventFilter{Type: eventType, Processed: &yes}, 0)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(stored).To(Equal(n), "stored and processed")
		counts, err := c.Store.CountNotifications(ctx, store.NotificationFilter{})
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(counts).To(Equal(map[notification.Status]int64{notification.Delivered: n,
			notification.Pending: 0, notification.Dead: 0, notification.Suppressed: 0}))
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
	Expect(c.receiver.IDs()).To(Equal(owed), "webhook-ids")
	counted(ctx, c.Store, map[string]int64{eventType: n, rule.DeliveryType: n})
}

// counted compares the counters with what there should be, and counters and
// metrics with the stored events.
func counted(ctx context.Context, s *store.Store, want map[string]int64) {
	GinkgoHelper()
	from := time.Now().UTC().Add(-time.Hour).Truncate(time.Hour)
	to := from.Add(3 * time.Hour)
	totals, err := s.Totals(ctx, from, to)
	Expect(err).NotTo(HaveOccurred())
	got := map[string]int64{}
	for _, t := range totals {
		got[t.Type] += t.Count
	}
	Expect(got).To(Equal(want), "counted once")
	Eventually(ctx, func(g Gomega) {
		report, err := s.Verify(ctx, store.VerifyOptions{From: from, To: to, Retention: 24 * time.Hour, Pause: 200 * time.Millisecond})
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(report.Drift).To(BeEmpty())
		g.Expect(report.LeftOut).To(BeEmpty()) // until all is materialised
	}).WithTimeout(time.Minute).WithPolling(200 * time.Millisecond).Should(Succeed())
}
