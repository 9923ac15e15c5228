package explain_test

import (
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/explain"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/pkg/rule/window"
)

func TestExplain(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Explain")
}

func document(d bson.D) bson.Raw {
	GinkgoHelper()
	raw, err := bson.Marshal(d)
	Expect(err).NotTo(HaveOccurred())
	return raw
}

var _ = Describe("the first line of an explanation", func() {
	at := func(minute int) time.Time { return time.Date(2026, 3, 2, 10, minute, 0, 0, time.UTC) }
	amounts := func(least int) bson.Raw {
		return document(bson.D{{Key: "type", Value: "PAYMENT_FAILED"}, {Key: "payload.amount", Value: bson.D{{Key: "$gte", Value: least}}}})
	}
	payment := func(amount int, processed bool) bson.Raw {
		return document(bson.D{{Key: "event_id", Value: "e"}, {Key: "type", Value: "PAYMENT_FAILED"}, {Key: "processed", Value: processed},
			{Key: "payload", Value: bson.D{{Key: "amount", Value: int32(amount)}}}})
	}
	// facts are those of a rule that asks for 100, in version 3, and of an event
	// of 250 that it decided.
	facts := func(change ...func(f *explain.Facts)) explain.Facts {
		r := rule.Rule{ID: "r", Name: "payments", Conditions: amounts(100), Enabled: true, Mode: rule.Live, Version: 3, UpdatedAt: at(0),
			Actions: []rule.ActionSpec{{Type: "WEBHOOK"}}}
		now := r
		f := explain.Facts{Rule: r, Current: &now, Event: payment(250, true), Now: at(30), DecidedAt: at(10),
			InForce: explain.InForce{Known: true, Version: 3, Exact: true, Since: at(0), By: "ann@example.com"}}
		for _, c := range change {
			c(&f)
		}
		return f
	}
	with := func(n notification.Notification, attempts ...notification.Attempt) func(*explain.Facts) {
		return func(f *explain.Facts) {
			n.Action.Type, n.UpdatedAt, n.Attempts, n.AttemptCount = "WEBHOOK", at(11), attempts, len(attempts)
			f.Notifications = append(f.Notifications, n)
		}
	}
	held := func(reason string, by notification.Held) notification.Notification {
		return notification.Notification{Status: notification.Suppressed, Reason: reason, Held: &by}
	}
	until := at(45)
	seen := func(f *explain.Facts) { f.Event = payment(50, true) }

	DescribeTable("says what happened, and why",
		func(outcome explain.Outcome, text string, change ...func(*explain.Facts)) {
			a, err := explain.Explain(facts(change...))
			Expect(err).NotTo(HaveOccurred())
			Expect(a.Text).To(Equal(text))
			Expect(a.Outcome).To(Equal(outcome))
			Expect(a.Steps).NotTo(BeEmpty())
		},
		Entry("a clause", explain.NotFired, "did not fire: payload.amount is 50 (int), but must be >= 100", seen),
		Entry("delivered", explain.Delivered, "fired: delivered at 2026-03-02 10:11:00Z, at the first attempt (HTTP 200)",
			with(notification.Notification{Status: notification.Delivered}, notification.Attempt{StatusCode: 200})),
		Entry("dead", explain.Dead, "fired, but was not delivered: dead since 2026-03-02 10:11:00Z after 2 attempts; the last answer was HTTP 500: the server failed",
			with(notification.Notification{Status: notification.Dead}, notification.Attempt{StatusCode: 502}, notification.Attempt{StatusCode: 500, Error: "the server failed"})),
		Entry("tried again", explain.Pending, "fired: will be tried again at 2026-03-02 10:45:00Z, at the first attempt; the last error was: connection refused",
			with(notification.Notification{Status: notification.Pending, NextAttemptAt: &until}, notification.Attempt{Error: "connection refused"})),
		Entry("in its queue", explain.Pending, "fired: the message waits in the queue webhooks.default", with(notification.Notification{Status: notification.Pending, Queue: "webhooks.default"})),
		Entry("the worst of several", explain.Dead, "fired, but was not delivered: dead since 2026-03-02 10:11:00Z (2 notifications, of which this one stands worst)",
			with(notification.Notification{Status: notification.Delivered}), with(notification.Notification{Status: notification.Dead})),
		Entry("throttled", explain.Held, "matched, but was held back: its throttle had let another match of the same key through, and holds until 2026-03-02 10:45:00Z",
			with(held(notification.Throttled, notification.Held{Until: &until}))),
		Entry("paused", explain.Held, "matched, but was held back: the rule had its 5 matches of the hour, and is paused until 2026-03-02 10:45:00Z",
			func(f *explain.Facts) { f.Rule.MaxMatchesPerHour = 5 }, with(held(notification.Paused, notification.Held{Until: &until}))),
		Entry("muted", explain.Held, "matched, but was held back: the rule is muted at that time of the week, until 2026-03-02 10:45:00Z",
			with(held(notification.Muted, notification.Held{Until: &until}))),
		Entry("silenced", explain.Held, `matched, but was held back: the silence s1 is in force until 2026-03-02 10:45:00Z ("till maintenance")`,
			func(f *explain.Facts) { f.Silences = map[string]string{"s1": "till maintenance"} }, with(held(notification.Silenced, notification.Held{ID: "s1", Until: &until}))),
		Entry("shadow", explain.Held, "matched, but was held back: the rule's mode is shadow: it decides and does nothing", with(held(notification.Shadow, notification.Held{}))),
		Entry("grouped", explain.Held, "matched, but was held back: it was taken into a group, whose notification stands for it and was due by 2026-03-02 10:45:00Z",
			with(held(notification.Grouped, notification.Held{ID: "grp_1", Until: &until}))),
		Entry("told when it was disabled", explain.Held, "matched, but was held back: the rule was disabled or deleted before its group was told", with(held(notification.Disabled, notification.Held{}))),
		Entry("to nobody", explain.Held, "matched, but was held back: its receiver is disabled, since it answered 410 Gone or somebody disabled it; GET /api/v1/targets says why",
			with(held(notification.TargetDisabled, notification.Held{}))),
		Entry("cancelled", explain.Held, "matched, but was held back: somebody cancelled it", with(held(notification.Cancelled, notification.Held{}))),
		Entry("a reason that is new", explain.Held, "matched, but was held back: eclipsed, until 2026-03-02 10:45:00Z", with(held("eclipsed", notification.Held{Until: &until}))),
		Entry("no actions", explain.Nothing, "matched, and did nothing: the rule has no actions", func(f *explain.Facts) { f.Rule.Actions = nil }),
		Entry("not decided yet", explain.NotDecided, "not decided yet: the event waits for a rule-worker; 3 batches wait, the oldest for 12 s",
			func(f *explain.Facts) {
				f.Event, f.Waiting = payment(250, false), "; 3 batches wait, the oldest for 12 s"
			}),
		Entry("disabled then, enabled now", explain.NotFired, "did not fire: the rule was disabled when the event was decided (version 3, of 2026-03-02 10:00:00Z by ann@example.com); version 4, of 2026-03-02 10:20:00Z, is enabled",
			func(f *explain.Facts) { f.Rule.Enabled, f.Current.Version, f.Current.UpdatedAt = false, 4, at(20) }),
		Entry("not there yet", explain.NotFired, "did not fire: the rule did not exist yet when the event was decided at 2026-03-02 10:10:00Z; version 3, of 2026-03-02 10:20:00Z, is enabled",
			func(f *explain.Facts) {
				f.InForce, f.Current.UpdatedAt = explain.InForce{Known: true, Exact: true}, at(20)
			}),
		Entry("deleted before", explain.NotFired, "did not fire: the rule was deleted at 2026-03-02 10:05:00Z by bob, before the event was decided",
			func(f *explain.Facts) {
				f.Current, f.InForce = nil, explain.InForce{Known: true, Version: 4, Deleted: true, Exact: true, Since: at(5), By: "bob"}
			}),
		Entry("the hop limit", explain.NotFired, "did not fire: metadata.hops says that 8 actions stand between this event and its cause; from there on nothing is matched",
			func(f *explain.Facts) {
				f.Event = document(bson.D{{Key: "type", Value: "PAYMENT_FAILED"}, {Key: "processed", Value: true}, {Key: "metadata", Value: bson.D{{Key: "hops", Value: int32(8)}}}})
			}),
		Entry("another version now", explain.NotFired, "did not fire: payload.amount is 50 (int), but must be >= 100 (version 3; the current version 5 would match)",
			seen, func(f *explain.Facts) { f.Current.Version, f.Current.Conditions = 5, amounts(10) }),
		Entry("a window that was not full", explain.NotFired, "did not fire: the condition matches, but its frequency window did not: 2 events in the fullest 1m with it; 5 are needed",
			func(f *explain.Facts) {
				f.Rule.Window = &window.Spec{Kind: "frequency"}
				f.Tellings = []window.Telling{{Text: "2 events in the fullest 1m with it; 5 are needed"}}
			}),
		Entry("a window that is open", explain.Waits, "not decided yet: the condition matches, and its window is decided at noon",
			func(f *explain.Facts) {
				f.Rule.Window = &window.Spec{Kind: "flatline"}
				f.Tellings = []window.Telling{{Text: "its window is decided at noon", Waits: &until}}
			}),
		Entry("a draft that would", explain.WouldFire, "would fire: all 2 clauses hold", func(f *explain.Facts) { f.Draft = true }),
		Entry("a draft that would not", explain.WouldNot, "would not fire: payload.amount is 50 (int), but must be >= 100", seen, func(f *explain.Facts) { f.Draft = true }),
	)

	It("names the version by which the event was decided, and what the current one says", func() {
		a, err := explain.Explain(facts(seen, func(f *explain.Facts) { f.Current.Version, f.Current.Conditions = 5, amounts(10) }))
		Expect(err).NotTo(HaveOccurred())
		Expect(a.Steps[0].Text).To(Equal("decided at 2026-03-02 10:10:00Z, by version 3 of the rule"))
		Expect(a.Steps).To(ContainElement(explain.Step{Name: "now", OK: true, Text: "the current version 5 would match"}))
		Expect(a.ConditionNow.Matched).To(BeTrue())
		Expect(a.Condition.Matched).To(BeFalse())
	})

	It("is an error for a condition that this version cannot read", func() {
		_, err := explain.Explain(facts(func(f *explain.Facts) {
			f.Rule.Conditions = document(bson.D{{Key: "a", Value: bson.D{{Key: "$newer", Value: 1}}}})
		}))
		Expect(err).To(MatchError(ContainSubstring("$newer")))
	})
})
