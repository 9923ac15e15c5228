package replay_test

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"

	"github.com/events-aggregator/events-aggregator/pkg/decision"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/replay"
)

var now = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

const version = 3

// row is a stored notification of e1 by a version of the rule r.
func row(version, place int, status notification.Status, change ...func(*notification.Notification)) notification.Notification {
	n := notification.Notification{ID: notification.ID("e1", "r", version, place), EventID: "e1", RuleID: "r", RuleVersion: version,
		Status: status, AttemptCount: 2, Attempts: []notification.Attempt{{Number: 1}, {Number: 2}}}
	for _, c := range change {
		c(&n)
	}
	return n
}

// owes is what the rule owes for e1 now, an action for each place.
func owes(places ...int) replay.Page {
	event, err := bson.Marshal(bson.D{{Key: "_id", Value: primitive.NewObjectID()}, {Key: "event_id", Value: "e1"}})
	Expect(err).NotTo(HaveOccurred())
	m := replay.Match{Event: event}
	for _, place := range places {
		n := notification.Notification{ID: notification.ID("e1", "r", version, place), EventID: "e1", RuleID: "r", RuleVersion: version, RuleName: "rule", Status: notification.Pending}
		m.Owed = append(m.Owed, decision.Owed{Notification: n, Event: event, Place: place})
	}
	return replay.Page{Events: 1, Matches: []replay.Match{m}}
}

func forced(done bool, nonce string) func(*notification.Notification) {
	return func(n *notification.Notification) { n.Forced = &notification.Forced{Nonce: nonce, Done: done} }
}

var _ = Describe("The plan of a page", func() {
	skips, repeats := replay.Job{ID: "j1", SkipDelivered: true}, replay.Job{ID: "j1", CreatedBy: "admin"}

	DescribeTable("never makes what exists a second time", func(j replay.Job, want replay.Counts, existing ...notification.Notification) {
		w := j.Plan(owes(0), existing, now)
		Expect(w.Page.Counts).To(Equal(want))
		Expect(w.Page.Matches).To(BeEquivalentTo(1))
		Expect(w.Make).To(HaveLen(int(want.Made)))
		Expect(w.Retry).To(HaveLen(int(want.Retried)))
		Expect(w.Repeat).To(HaveLen(int(want.Repeated)))
		messages, err := w.Messages()
		Expect(err).NotTo(HaveOccurred())
		Expect(messages).To(HaveLen(int(want.Sent())))
		for _, m := range messages {
			Expect(m.Republished).To(BeTrue(), "who carries it out asks the record first")
		}
	},
		Entry("nothing is there", skips, replay.Counts{Made: 1}),
		Entry("another action's is delivered", skips, replay.Counts{Made: 1}, row(version, 1, notification.Delivered)),
		Entry("a group's is delivered", skips, replay.Counts{Made: 1}, row(version, 0, notification.Delivered, func(n *notification.Notification) { n.ID, n.Group = "g", &notification.Group{} })),
		Entry("it is delivered", skips, replay.Counts{Delivered: 1}, row(version, 0, notification.Delivered)),
		Entry("it is delivered, and is to be repeated", repeats, replay.Counts{Repeated: 1}, row(version, 0, notification.Delivered)),
		Entry("this replay has repeated it", repeats, replay.Counts{UnderWay: 1}, row(version, 0, notification.Delivered, forced(true, "j1"))),
		Entry("another replay has repeated it", repeats, replay.Counts{Repeated: 1}, row(version, 0, notification.Delivered, forced(true, "j0"))),
		Entry("another replay is repeating it", repeats, replay.Counts{UnderWay: 1}, row(version, 0, notification.Delivered, forced(false, "j0"))),
		Entry("an older version's is delivered", skips, replay.Counts{Delivered: 1}, row(2, 0, notification.Delivered)),
		Entry("an older version's is delivered, and is to be repeated by this one", repeats, replay.Counts{Made: 1}, row(2, 0, notification.Delivered)),
		Entry("it is under way", repeats, replay.Counts{UnderWay: 1}, row(version, 0, notification.Pending)),
		Entry("an older version's is under way", repeats, replay.Counts{UnderWay: 1}, row(1, 0, notification.Pending)),
		Entry("it is dead", skips, replay.Counts{Retried: 1}, row(version, 0, notification.Dead)),
		Entry("it is dead, and somebody is calling", skips, replay.Counts{UnderWay: 1}, row(version, 0, notification.Dead, func(n *notification.Notification) {
			n.Claim = &notification.Claim{Token: "t", Until: now.Add(time.Second)}
		})),
		Entry("it is dead, and an older version's was delivered", skips, replay.Counts{Delivered: 1}, row(version, 0, notification.Dead), row(2, 0, notification.Delivered)),
		Entry("an older version's is dead", skips, replay.Counts{Made: 1}, row(2, 0, notification.Dead)),
		Entry("nobody understands what has its id", skips, replay.Counts{UnderWay: 1}, row(version, 0, notification.Pending, func(n *notification.Notification) { n.RuleID, n.RuleVersion = "", 0 })),
		Entry("it was held back", skips, replay.Counts{Held: 1}, row(version, 0, notification.Suppressed)),
	)

	It("records what is held back now, and wakes nothing that is dead", func() {
		p := owes(0, 1)
		for i := range p.Matches[0].Owed {
			p.Matches[0].Owed[i].Suppress(notification.Silenced, notification.Held{ID: "s"})
		}
		w := skips.Plan(p, []notification.Notification{row(version, 1, notification.Dead)}, now)
		Expect(w.Page.Counts).To(Equal(replay.Counts{Held: 2}))
		Expect(w.Make).To(ConsistOf(And(HaveField("Status", notification.Suppressed), HaveField("ReplayID", "j1"), HaveField("Unpublished", false))))
		Expect(w.Retry).To(BeEmpty())
		Expect(w.Messages()).To(BeEmpty())
	})

	It("begins the schedule of what is dead anew, and asks for one attempt of what is delivered, by its own nonce", func() {
		w := repeats.Plan(owes(0, 1), []notification.Notification{row(version, 0, notification.Dead), row(version, 1, notification.Delivered)}, now)
		Expect(w.Retry[0].Notification).To(And(HaveField("Status", notification.Pending), HaveField("Base", 2), HaveField("Unpublished", true)))
		Expect(w.Repeat[0].Notification).To(And(HaveField("Status", notification.Delivered), HaveField("Unpublished", true), HaveField("Forced", HaveValue(Equal(notification.Forced{Nonce: "j1", At: now, By: "admin"})))))
		messages, err := w.Messages()
		Expect(err).NotTo(HaveOccurred())
		Expect(messages).To(HaveExactElements(And(HaveField("Attempt", 3), HaveField("Force", "")), And(HaveField("Attempt", 3), HaveField("Force", "j1"))))
	})

	It("counts what the rules' memories held back only in the transaction", func() {
		w := skips.Plan(owes(0, 1), nil, now)
		Expect(w.Page.Counts).To(Equal(replay.Counts{Made: 2}))
		made := append([]decision.Owed{}, w.Make...)
		made[1].Suppress(notification.Throttled, notification.Held{ID: "t"})
		after := w.Held(made)
		Expect(after.Page.Counts).To(Equal(replay.Counts{Made: 1, Held: 1}))
		Expect(after.Page.Rules[0].Counts).To(Equal(replay.Counts{Made: 1, Held: 1}))
		Expect(w.Page.Rules[0].Counts).To(Equal(replay.Counts{Made: 2}), "the transaction may run again")
		Expect(after.Messages()).To(HaveLen(1))
	})
})

var _ = Describe("A replay", func() {
	It("adds its pages up, by rule, with a few samples", func() {
		j := replay.Job{From: now, To: now.Add(time.Hour), SkipDelivered: true}.Begin("j1", "admin", now)
		Expect(j.State).To(Equal(replay.Waiting))
		Expect(j.Position).To(Equal(replay.Position{Timestamp: now}))
		for range 7 {
			w := j.Plan(owes(0), nil, now)
			j = j.After(w.Page, replay.Position{Timestamp: now.Add(30 * time.Minute)}, false, now)
		}
		Expect(j.Part()).To(Equal(0.5))
		Expect(j.Progress).To(And(HaveField("Events", int64(7)), HaveField("Matches", int64(7)), HaveField("Made", int64(7))))
		Expect(j.Progress.Rules).To(ConsistOf(And(HaveField("Name", "rule"), HaveField("Matches", int64(7)), HaveField("Made", int64(7)), HaveField("Samples", HaveLen(5)))))
		Expect(j.Step).To(BeEquivalentTo(7))
		j = j.After(replay.Progress{}, replay.Position{Timestamp: j.To}, true, now)
		Expect(j.State).To(Equal(replay.Done))
		Expect(j.Part()).To(Equal(1.0))
		Expect(*j.ExpiresAt).To(Equal(now.Add(replay.Retention)))
	})

	It("asks the chosen rules, or all", func() {
		Expect(replay.Job{}.Asks("r")).To(BeTrue())
		Expect(replay.Job{Rules: []string{"r"}}.Asks("r")).To(BeTrue())
		Expect(replay.Job{Rules: []string{"r"}}.Asks("s")).To(BeFalse())
	})
})
