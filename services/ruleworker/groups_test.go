package ruleworker_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/decision"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/pkg/silence"
	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
	"github.com/events-aggregator/events-aggregator/services/ruleworker"
	"github.com/events-aggregator/events-aggregator/test/support/fleet"
)

// groupRule groups by source, with lengths that specs can wait for.
func groupRule(wait time.Duration) rule.Rule {
	r := logRule("grouped", "PAYMENT_FAILED")
	r.Group = &rule.Group{By: []string{"source"}, Wait: every(wait), Interval: every(time.Second), Repeat: every(time.Second)}
	return r
}

// unreadable cannot read the rules whose name says so.
type unreadable struct{ ruleworker.GroupStore }

func (u unreadable) RuleThen(ctx context.Context, id string, version int) (r rule.Rule, live, known bool, err error) {
	if strings.HasPrefix(id, "broken") {
		return r, false, false, errors.New("it cannot be decoded")
	}
	return u.GroupStore.RuleThen(ctx, id, version)
}

var _ = Describe("a rule that groups its matches", func() {
	It("tells each match once, many by one message, with two workers and repeated batches", func(ctx SpecContext) {
		f := fleet.New(ctx)
		_, err := f.Store.CreateRule(ctx, groupRule(time.Second))
		Expect(err).NotTo(HaveOccurred())
		orders := collect(ctx, f, topology.NotificationsDefault)
		for range 2 {
			f.Start(ctx, "rule-worker", ruleworker.Wire)
		}
		const batches, size = 20, 5
		for i := range batches {
			b := batch(size, "PAYMENT_FAILED", 5)
			offer(ctx, f, b)
			if i%4 == 0 {
				republish(ctx, f, b)
			}
		}
		told := func() int {
			n := 0
			seen := map[string]bool{}
			for _, m := range orders() {
				if !seen[m.Notification.ID] {
					seen[m.Notification.ID] = true
					n += m.Notification.Group.Matches
				}
			}
			return n
		}
		Eventually(ctx, told).WithTimeout(time.Minute).Should(Equal(batches * size))
		Consistently(ctx, told, 2*time.Second).Should(Equal(batches * size))
		Expect(len(orders())).To(BeNumerically("<", batches), "fewer messages than batches")
		first := orders()[0]
		Expect(first.Notification.Group.Key.Lookup("source").StringValue()).To(Equal("spec"))
		for _, m := range orders() { // also of a group that got matches while it was told
			Expect(m.Event.Lookup("event_id").StringValue()).To(Equal(m.Notification.EventID))
			Expect(m.Event.Lookup("type").StringValue()).To(Equal("PAYMENT_FAILED"))
		}
		grouped, err := f.Store.FindNotifications(ctx, store.NotificationFilter{Reason: notification.Grouped}, nil, 1000)
		Expect(err).NotTo(HaveOccurred())
		Expect(grouped).To(HaveLen(batches * size))
		Eventually(ctx, func() (int, error) {
			left, err := f.Store.UnpublishedNotifications(ctx, time.Now().Add(time.Minute), nil, 10)
			return len(left), err
		}).Should(BeZero())
	}, SpecTimeout(2*time.Minute))

	It("carries an event that was read, also when ten others came since", func() {
		old := document(bson.D{{Key: "event_id", Value: "old"}, {Key: "type", Value: "PAYMENT_FAILED"}})
		listed := decision.Group{ID: "g", Matches: 1, Samples: []string{"old"}}
		now := decision.Group{ID: "g", Matches: 11, Samples: []string{"1", "2", "3", "4", "5", "6", "7", "8", "9", "10"}}
		events := map[string]bson.Raw{"old": old}
		event, _, _ := ruleworker.EventOfGroup(listed, now, events)
		Expect(event).To(Equal(old))
		now.Sequence = 1 // it was told meanwhile: the old event belongs to the notification before
		event, _, _ = ruleworker.EventOfGroup(listed, now, events)
		Expect(event.Lookup("type").StringValue()).To(Equal(decision.GroupType))
	})

	It("asks silences about each of its alerts, also of those that no event completed, and tells the newest that passes", func() {
		g := decision.Group{ID: "g", RuleID: "silent", Matches: 3, Samples: []string{"1", "2", "3"}}
		for _, user := range []string{"a", "b", "c"} {
			g.Alerts = append(g.Alerts, notification.Alert{Kind: "flatline", Key: document(bson.D{{Key: "user_id", Value: user}}), To: time.Now(), Text: user})
		}
		quiet := func(users ...string) silence.Silence {
			return silence.Silence{ID: "s", Condition: document(bson.D{{Key: "user_id", Value: bson.D{{Key: "$in", Value: users}}}}),
				From: time.Now().Add(-time.Hour), Until: time.Now().Add(time.Hour)}
		}
		for _, c := range []struct {
			silences []silence.Silence
			alert    string
			by       string
		}{{nil, "c", ""}, {[]silence.Silence{quiet("c")}, "b", ""}, {[]silence.Silence{quiet("b", "c")}, "a", ""}, {[]silence.Silence{quiet("a", "b", "c")}, "c", "s"}} {
			event, alert, by := ruleworker.EventOfGroup(g, g, nil, c.silences...)
			Expect(alert.Text).To(Equal(c.alert))
			Expect(event.Lookup("payload", "text").StringValue()).To(Equal(c.alert))
			Expect(event.Lookup("payload", "rule", "name").StringValue()).To(Equal("rule"))
			Expect(by).To(Equal(c.by))
		}
	})

	It("records that it was disabled before its group was told, and tells nobody", func(ctx SpecContext) {
		f := fleet.New(ctx)
		r, err := f.Store.CreateRule(ctx, groupRule(8*time.Second))
		Expect(err).NotTo(HaveOccurred())
		f.Start(ctx, "rule-worker", ruleworker.Wire)
		offer(ctx, f, batch(3, "PAYMENT_FAILED", 5))
		Eventually(ctx, func() int64 { return unprocessed(ctx, f) }).Should(BeZero())
		Expect(f.Store.DeleteRule(ctx, r.ID, 0, time.Now().UTC(), "spec")).To(Succeed())
		Eventually(ctx, func() ([]notification.Notification, error) {
			return f.Store.FindNotifications(ctx, store.NotificationFilter{Reason: notification.Disabled}, nil, 10)
		}).WithTimeout(20 * time.Second).Should(ConsistOf(HaveField("Group.Matches", 3)))
		Expect(f.Depth(ctx, topology.NotificationsDefault)).To(BeZero())
	}, SpecTimeout(time.Minute))

	It("is told with the others when a rule of some cannot be read, and by itself when it can again", func(ctx SpecContext) {
		f := fleet.New(ctx)
		const broken = 25 // more groups than are told together
		for i := range broken + 1 {
			r := groupRule(time.Second)
			r.ID, r.Name = fmt.Sprint("broken", i), fmt.Sprint("broken", i)
			if i == broken {
				r.ID, r.Name = "grouped", "grouped"
			}
			_, err := f.Store.CreateRule(ctx, r)
			Expect(err).NotTo(HaveOccurred())
		}
		orders := collect(ctx, f, topology.NotificationsDefault)
		f.Start(ctx, "rule-worker", ruleworker.WireGroupsOn(func(s ruleworker.GroupStore) ruleworker.GroupStore { return unreadable{s} }))
		offer(ctx, f, batch(3, "PAYMENT_FAILED", 5))
		Eventually(ctx, func() map[string]int { return ids(orders()) }).WithTimeout(20 * time.Second).Should(HaveLen(1))
		Expect(orders()[0].Notification.RuleID).To(Equal("grouped"))
		Eventually(ctx, func() (int, error) {
			left, err := f.Store.DueGroups(ctx, time.Now().Add(2*time.Minute), 100)
			return len(left), err
		}).Should(Equal(broken), "they wait")
		Eventually(ctx, func() (int, error) {
			left, err := f.Store.DueGroups(ctx, time.Now(), 100)
			return len(left), err
		}).Should(BeZero())
	}, SpecTimeout(time.Minute))

	It("is told once with the others when the queue of one is gone", func(ctx SpecContext) {
		f := fleet.New(ctx)
		for i := range 4 {
			r := groupRule(time.Second)
			r.ID, r.Name = fmt.Sprint("grouped", i), fmt.Sprint("grouped", i)
			if i == 0 {
				r.Actions[0].Config = document(bson.D{{Key: "level", Value: "info"}, {Key: "queue", Value: "a.queue.that.is.gone"}})
			}
			_, err := f.Store.CreateRule(ctx, r)
			Expect(err).NotTo(HaveOccurred())
		}
		orders := collect(ctx, f, topology.NotificationsDefault)
		f.Start(ctx, "rule-worker", ruleworker.Wire)
		offer(ctx, f, batch(3, "PAYMENT_FAILED", 5))
		Eventually(ctx, func() map[string]int { return ids(orders()) }).WithTimeout(20 * time.Second).Should(HaveLen(3))
		Consistently(ctx, orders, 2*time.Second).Should(HaveLen(3), "none is left to the sweep")
		Expect(f.Store.UnpublishedNotifications(ctx, time.Now().Add(time.Minute), nil, 10)).To(HaveExactElements(HaveField("RuleID", "grouped0")))
	}, SpecTimeout(time.Minute))

	It("is silenced by what began while it waited", func(ctx SpecContext) {
		f := fleet.New(ctx)
		_, err := f.Store.CreateRule(ctx, groupRule(8*time.Second))
		Expect(err).NotTo(HaveOccurred())
		f.Start(ctx, "rule-worker", ruleworker.Wire, quickPoll)
		offer(ctx, f, batch(3, "PAYMENT_FAILED", 5))
		Eventually(ctx, func() int64 { return unprocessed(ctx, f) }).Should(BeZero())
		now := time.Now().UTC().Truncate(time.Millisecond)
		Expect(f.Store.CreateSilence(ctx, silence.Silence{ID: "s1", Condition: document(bson.D{}), Rules: []string{"grouped"},
			From: now, Until: now.Add(time.Hour), Author: "spec", Comment: "spec", CreatedAt: now, ExpiresAt: now.Add(time.Hour)})).To(Succeed())
		Eventually(ctx, func() ([]notification.Notification, error) {
			return f.Store.FindNotifications(ctx, store.NotificationFilter{HeldBy: "s1"}, nil, 10)
		}).WithTimeout(20 * time.Second).Should(ConsistOf(And(HaveField("Reason", notification.Silenced), HaveField("Group.Matches", 3))))
		Expect(f.Depth(ctx, topology.NotificationsDefault)).To(BeZero())
	}, SpecTimeout(time.Minute))
})
