package ruleworker_test

import (
	"context"
	"fmt"
	"slices"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/action/builtin"
	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/pkg/rule/interval"
	"github.com/events-aggregator/events-aggregator/pkg/rule/window"
	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
	"github.com/events-aggregator/events-aggregator/services/ruleworker"
	"github.com/events-aggregator/events-aggregator/test/support/fleet"
	"github.com/events-aggregator/events-aggregator/test/support/recount"
)

// windowRule writes a log line for every alert.
func windowRule(name, eventType string, spec window.Spec) rule.Rule {
	GinkgoHelper()
	r := logRule(name, eventType)
	r.Window = &spec
	Expect(r.Validate(builtin.Table())).To(Succeed())
	return r
}

func every(d time.Duration) interval.Duration { return interval.Duration(d) }

// one is a batch of events of a type, one for each pair of user and time.
type one struct {
	at     time.Time
	user   string
	more   bson.D
	stored time.Time // zero: as soon as it happened
}

func batchOf(eventType string, events ...one) event.Batch {
	b := batch(len(events), eventType, 5)
	for i, e := range events {
		raw := bson.D{}
		elements, err := b.Events[i].Elements()
		Expect(err).NotTo(HaveOccurred())
		for _, el := range elements {
			switch {
			case el.Key() == "timestamp":
				raw = append(raw, bson.E{Key: "timestamp", Value: e.at})
				continue
			case el.Key() == "created_at" && e.stored.IsZero():
				raw = append(raw, bson.E{Key: "created_at", Value: e.at})
				continue
			}
			raw = append(raw, bson.E{Key: el.Key(), Value: el.Value()})
		}
		if e.user != "" {
			raw = append(raw, bson.E{Key: "user_id", Value: e.user})
		}
		b.Events[i] = document(append(raw, e.more...))
	}
	return b
}

// notificationsOf are a rule's, the newest first.
func notificationsOf(ctx context.Context, f *fleet.Fleet, ruleID string) []notification.Notification {
	GinkgoHelper()
	const page = 200
	var all []notification.Notification
	var after *store.NotificationPosition
	for {
		some, err := f.Store.FindNotifications(ctx, store.NotificationFilter{RuleID: ruleID}, after, page)
		Expect(err).NotTo(HaveOccurred())
		all = append(all, some...)
		if len(some) < page {
			return all
		}
		last := some[page-1]
		after = &store.NotificationPosition{CreatedAt: last.CreatedAt, ID: last.ID}
	}
}

// alertsOf are the alerts of a rule that are in the database, each as key@slot.
func alertsOf(ctx context.Context, f *fleet.Fleet, ruleID string) []string {
	GinkgoHelper()
	all := []string{}
	for _, n := range notificationsOf(ctx, f, ruleID) {
		all = append(all, fmt.Sprintf("%s@%d", n.Alert.Key, n.Alert.Slot))
	}
	slices.Sort(all)
	return all
}

// recounted are the alerts that the stored events give, found by plain loops.
func recounted(ctx context.Context, f *fleet.Fleet, r rule.Rule, from, to time.Time) []string {
	GinkgoHelper()
	var events []bson.Raw
	err := f.Store.RuleSearch(r.Conditions).Events(ctx, from.Add(-48*time.Hour), to.Add(time.Hour), false, 0, nil, func(doc bson.Raw) bool {
		events = append(events, slices.Clone(doc))
		return true
	})
	Expect(err).NotTo(HaveOccurred())
	return recount.Alerts(*r.Window, events, from, to)
}

var _ = Describe("a frequency rule", func() {
	It("fires once for each key and slot, whichever events come last", func(ctx SpecContext) {
		f := fleet.New(ctx)
		r, err := f.Store.CreateRule(ctx, windowRule("often", "LOGIN_FAILED", window.Spec{Kind: "frequency", Timeframe: every(time.Minute), NumEvents: 3, GroupBy: []string{"user_id"}}))
		Expect(err).NotTo(HaveOccurred())
		orders := collect(ctx, f, topology.NotificationsDefault)
		f.Start(ctx, "rule-worker", ruleworker.Wire)

		start := time.Now().UTC().Truncate(time.Minute).Add(-10 * time.Minute)
		at := start.Add
		first := batchOf("LOGIN_FAILED", one{at: at(0), user: "a"}, one{at: at(2 * time.Second), user: "a"}, one{at: at(time.Second), user: "b"})
		offer(ctx, f, first)
		offer(ctx, f, batchOf("LOGIN_FAILED", one{at: at(90 * time.Second), user: "c"}, one{at: at(91 * time.Second), user: "c"}))
		Eventually(ctx, func() int64 { return unprocessed(ctx, f) }).Should(BeZero())
		Consistently(ctx, orders, time.Second).Should(BeEmpty())

		// a's window is full by one that lies between the others, c's by one that
		// comes late: the window that it fills ends at an event of another batch.
		late := batchOf("LOGIN_FAILED", one{at: at(time.Second), user: "a"}, one{at: at(50 * time.Second), user: "c"})
		offer(ctx, f, late)
		Eventually(ctx, orders).Should(HaveLen(2))
		for _, m := range orders() {
			Expect(m.Notification.Alert.Kind).To(Equal("frequency"))
			user := m.Notification.Alert.Key.Lookup("user_id").StringValue()
			Expect(m.Event.Lookup("user_id").StringValue()).To(Equal(user))
			Expect(m.Event.Lookup("event_id").StringValue()).To(Equal(m.Notification.EventID))
			end := map[string]time.Duration{"a": 2 * time.Second, "c": 90*time.Second + time.Second}[user]
			Expect(m.Event.Lookup("timestamp").Time()).To(BeTemporally("==", at(end)), "the event that the full window ends with")
		}
		matched, err := f.Store.CountEvents(ctx, store.EventFilter{Rule: "often"}, 0)
		Expect(err).NotTo(HaveOccurred())
		Expect(matched).To(BeEquivalentTo(7), "what counts is marked as matched, alert or not")

		// The windows of d's events lie in two slots, and both find the same alert.
		republish(ctx, f, first)
		offer(ctx, f, batchOf("LOGIN_FAILED", one{at: at(3 * time.Second), user: "a"},
			one{at: at(115 * time.Second), user: "d"}, one{at: at(118 * time.Second), user: "d"}, one{at: at(122 * time.Second), user: "d"}))
		Eventually(ctx, func() int64 { return unprocessed(ctx, f) }).Should(BeZero())
		Eventually(ctx, func() map[string]int { return ids(orders()) }).Should(HaveLen(3))
		Consistently(ctx, func() map[string]int { return ids(orders()) }, time.Second).Should(HaveLen(3))
		Expect(alertsOf(ctx, f, "often")).To(Equal(recounted(ctx, f, r, start.Add(-time.Hour), start.Add(time.Hour))))
		waiting, err := f.Store.UnpublishedNotifications(ctx, time.Now().Add(time.Hour), nil, 10)
		Expect(err).NotTo(HaveOccurred())
		Expect(waiting).To(BeEmpty())
	}, SpecTimeout(time.Minute))

	It("whose query takes too long holds no batch up, and is decided by the timer", func(ctx SpecContext) {
		f := fleet.New(ctx)
		r, err := f.Store.CreateRule(ctx, windowRule("often", "LOGIN_FAILED", window.Spec{Kind: "frequency", Timeframe: every(time.Minute), NumEvents: 3, GroupBy: []string{"user_id"}}))
		Expect(err).NotTo(HaveOccurred())
		_, err = f.Store.CreateRule(ctx, logRule("each", "LOGIN_FAILED"))
		Expect(err).NotTo(HaveOccurred())
		orders := collect(ctx, f, topology.NotificationsDefault)
		f.Start(ctx, "rule-worker", ruleworker.WireImpatient)
		start := time.Now().UTC().Truncate(time.Minute).Add(-10 * time.Minute)
		for i := range 4 {
			offer(ctx, f, batchOf("LOGIN_FAILED", one{at: start.Add(time.Duration(i) * time.Second), user: "a"}, one{at: start.Add(time.Duration(i) * time.Hour), user: "b"}))
		}
		Eventually(ctx, func() map[string]int { return ids(orders()) }).WithTimeout(10 * time.Second).Should(HaveLen(8))
		Eventually(ctx, func() []string { return alertsOf(ctx, f, "often") }).WithTimeout(20 * time.Second).
			Should(Equal(recounted(ctx, f, r, start.Add(-time.Hour), start.Add(time.Hour))))
		Eventually(ctx, func() map[string]int { return ids(orders()) }).Should(HaveLen(9))
		Expect(f.DeadLetters(ctx, topology.RuleWorkerNormal)).To(BeEmpty())
	}, SpecTimeout(time.Minute))
})
