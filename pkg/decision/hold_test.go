package decision_test

import (
	"encoding/json"
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/decision"
	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/pkg/rule/interval"
)

// noon is when the specs begin.
var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

func length(text string) interval.Duration {
	GinkgoHelper()
	d, err := interval.Parse(text)
	Expect(err).NotTo(HaveOccurred())
	return d
}

func raw(d bson.D) bson.Raw {
	GinkgoHelper()
	b, err := bson.Marshal(d)
	Expect(err).NotTo(HaveOccurred())
	return b
}

func named(id string) *rule.Rule {
	return &rule.Rule{ID: id, Name: "rule " + id, Version: 3, Mode: rule.Live, Enabled: true}
}

// match is what a match of the rule by a user's event owes, for some actions.
func match(r *rule.Rule, at time.Time, user any, actions int) []decision.Owed {
	GinkgoHelper()
	e := raw(bson.D{{Key: "event_id", Value: fmt.Sprint(r.ID, at.UnixMilli(), user)}, {Key: "type", Value: "A"}, {Key: "user_id", Value: user},
		{Key: "metadata", Value: bson.D{{Key: "hops", Value: int32(1)}}}})
	id := e.Lookup("event_id").StringValue()
	owed := make([]decision.Owed, actions)
	for i := range owed {
		owed[i] = decision.Owed{Event: e, Rule: r, Notification: notification.Notification{
			ID: notification.ID(id, r.ID, r.Version, i), EventID: id, RuleID: r.ID, RuleVersion: r.Version,
			Status: notification.Pending, CreatedAt: at,
		}}
	}
	return owed
}

// database is what is remembered from one transaction to the next.
type database struct {
	throttles     map[string]decision.Throttle
	hours         map[string]decision.Hour
	groups        map[string]decision.Group
	announcements []decision.Announcement
	writes        int
}

func newDatabase() *database {
	return &database{throttles: map[string]decision.Throttle{}, hours: map[string]decision.Hour{}, groups: map[string]decision.Group{}}
}

// decide is one transaction.
func (d *database) decide(owed ...decision.Owed) []decision.Owed {
	h := decision.NewHolder(owed)
	for _, id := range h.Throttles.Needed() {
		if t, ok := d.throttles[id]; ok {
			h.Throttles.Put(id, t)
		}
	}
	for _, id := range h.Hours.Needed() {
		if hour, ok := d.hours[id]; ok {
			h.Hours.Put(id, hour)
		}
	}
	for _, id := range h.Groups.Needed() {
		if g, ok := d.groups[id]; ok {
			h.Groups.Put(id, g)
		}
	}
	held := h.Hold()
	d.writes = 0
	for _, id := range h.Groups.Changed() {
		d.groups[id] = h.Groups.Get(id)
		Expect(d.groups[id].ID).To(Equal(id))
	}
	for _, id := range h.Throttles.Changed() {
		d.throttles[id] = h.Throttles.Get(id)
		Expect(d.throttles[id].ID).To(Equal(id))
		d.writes++
	}
	for _, id := range h.Hours.Changed() {
		d.hours[id] = h.Hours.Get(id)
		Expect(d.hours[id].ID).To(Equal(id))
		d.writes++
	}
	for id, n := range decision.Throttled(held) {
		t := d.throttles[id]
		t.Suppressed += n
		d.throttles[id] = t
	}
	d.announcements = append(d.announcements, h.Announcements...)
	return held
}

// reasons are why notifications are held, "" for those that are not.
func reasons(owed []decision.Owed) []string {
	var all []string
	for _, o := range owed {
		if o.Status == notification.Pending {
			Expect(o.Held).To(BeNil())
			Expect(o.Reason).To(BeEmpty())
		}
		all = append(all, o.Reason)
	}
	return all
}

var _ = Describe("A throttle", func() {
	var d *database
	var r *rule.Rule
	BeforeEach(func() {
		d, r = newDatabase(), named("r")
		r.Throttle = &rule.Throttle{Per: []string{"user_id"}, For: length("5m")}
	})
	at := noon.Add

	It("lets one match of a key through with all its actions, and holds the others until its end", func() {
		held := d.decide(append(match(r, at(0), "u1", 2), match(r, at(0), "u2", 2)...)...)
		Expect(reasons(held)).To(Equal([]string{"", "", "", ""}))
		held = d.decide(match(r, at(5*time.Minute-time.Millisecond), "u1", 2)...)
		Expect(reasons(held)).To(Equal([]string{"throttled", "throttled"}))
		Expect(*held[0].Held.Until).To(Equal(at(5 * time.Minute)))
		Expect(d.throttles).To(HaveKey(held[0].Held.ID))
		Expect(reasons(d.decide(match(r, at(5*time.Minute), "u1", 2)...))).To(Equal([]string{"", ""}))
	})

	It("holds what comes in the same transaction", func() {
		Expect(reasons(d.decide(append(match(r, at(0), 7, 1), match(r, at(time.Millisecond), 7.0, 1)...)...))).To(Equal([]string{"", "throttled"}))
	})

	It("takes a field that is not there for null, and no paths for one key", func() {
		r.Throttle.Per = []string{"payload.shop"}
		Expect(reasons(d.decide(append(match(r, at(0), "u1", 1), match(r, at(1), "u2", 1)...)...))).To(Equal([]string{"", "throttled"}))
		r.Throttle.Per = nil
		Expect(reasons(d.decide(append(match(r, at(0), "u1", 1), match(r, at(1), "u2", 1)...)...))).To(Equal([]string{"", "throttled"}))
	})

	It("belongs to the rule in all its versions, and to no other rule", func() {
		d.decide(match(r, at(0), "u1", 1)...)
		next := *r
		next.Version++
		Expect(reasons(d.decide(match(&next, at(time.Second), "u1", 1)...))).To(Equal([]string{"throttled"}))
		other := named("other")
		other.Throttle = r.Throttle
		Expect(reasons(d.decide(match(other, at(time.Second), "u1", 1)...))).To(Equal([]string{""}))
	})

	It("writes only what lets something through", func() {
		d.decide(match(r, at(0), "u1", 1)...)
		Expect(d.writes).To(Equal(1))
		d.decide(match(r, at(time.Second), "u1", 1)...)
		Expect(d.writes).To(BeZero())
	})

	It("tells the next one how many matches it held", func() {
		d.decide(match(r, at(0), "u1", 2)...)
		for i := range 3 {
			d.decide(match(r, at(time.Duration(i+1)*time.Second), "u1", 2)...)
		}
		next := d.decide(match(r, at(time.Hour), "u1", 2)...)
		Expect(next).To(HaveEach(HaveField("HeldBack", 3)))
		Expect(d.decide(match(r, at(2*time.Hour), "u1", 1)...)).To(HaveEach(HaveField("HeldBack", 0)))
	})

	It("asks nothing of what is held already, and of rules without one", func() {
		shadow := match(r, at(0), "u1", 1)
		shadow[0].Suppress(notification.Shadow, notification.Held{})
		Expect(reasons(d.decide(shadow...))).To(Equal([]string{"shadow"}))
		Expect(reasons(d.decide(match(named("plain"), at(0), "u1", 1)...))).To(Equal([]string{""}))
		Expect(d.throttles).To(BeEmpty())
	})

	It("leaves what it was given as it is, since a transaction may run again", func() {
		d.decide(match(r, at(0), "u1", 1)...)
		owed := match(r, at(time.Second), "u1", 1)
		d.decide(owed...)
		Expect(owed[0].Status).To(Equal(notification.Pending))
	})

	DescribeTable("with max doubles while matches keep coming, and comes down in quiet times",
		func(longest string, steps ...any) {
			r.Throttle.For, r.Throttle.Max = length("1m"), length(longest)
			now := noon
			for i := 0; i < len(steps); i += 2 {
				now = now.Add(length(steps[i].(string)).Std())
				o := d.decide(match(r, now, "u1", 1)...)[0]
				Expect(o.Status).To(Equal(notification.Pending), "step %d", i/2)
				for _, t := range d.throttles {
					Expect(t.Until.Sub(now)).To(Equal(length(steps[i+1].(string)).Std()), "step %d", i/2)
					Expect(t.ExpiresAt).To(BeTemporally(">", t.Until.Add(t.Until.Sub(now))))
				}
				// Just before its end it still holds.
				for _, t := range d.throttles {
					Expect(d.decide(match(r, t.Until.Add(-time.Millisecond), "u1", 1)...)[0].Reason).To(Equal("throttled"))
				}
			}
		},
		Entry("each comes at once after the hold", "10m", "0s", "1m", "1m", "2m", "2m", "4m", "4m", "8m", "8m", "10m", "10m", "10m"),
		Entry("after a quiet time as long as the hold it is one shorter", "1h", "0s", "1m", "1m", "2m", "2m", "4m", "8m", "2m"),
		Entry("after a long quiet time it begins anew", "1h", "0s", "1m", "1m", "2m", "2m", "4m", "4m", "8m", "1h", "1m"),
		Entry("a bound equal to for never doubles", "1m", "0s", "1m", "1m", "1m", "1m", "1m"),
	)
})

var _ = Describe("A bound on matches in an hour", func() {
	var d *database
	var r *rule.Rule
	BeforeEach(func() {
		d, r = newDatabase(), named("r")
		r.MaxMatchesPerHour = 3
	})

	It("counts matches, not actions, and pauses the rule until the hour's end", func() {
		for i := range 3 {
			Expect(reasons(d.decide(match(r, noon.Add(time.Duration(i)*time.Minute), i, 2)...))).To(Equal([]string{"", ""}))
		}
		held := d.decide(append(match(r, noon.Add(4*time.Minute), "x", 2), match(r, noon.Add(59*time.Minute), "y", 1)...)...)
		Expect(reasons(held)).To(Equal([]string{"paused", "paused", "paused"}))
		Expect(*held[0].Held.Until).To(Equal(noon.Add(time.Hour)))
		Expect(reasons(d.decide(match(r, noon.Add(time.Hour), "z", 1)...))).To(Equal([]string{""}))
	})

	It("says so once, with an id that every worker gives", func() {
		for i := range 6 {
			d.decide(match(r, noon.Add(time.Duration(i)*time.Minute), i, 1)...)
		}
		Expect(d.writes).To(BeZero(), "a paused rule costs no more writes")
		Expect(d.announcements).To(HaveLen(1))
		a := d.announcements[0]
		Expect(a.RoutingKey).To(Equal("events.rule.paused"))
		var e struct {
			Type     string         `json:"type"`
			Payload  map[string]any `json:"payload"`
			Metadata map[string]any `json:"metadata"`
		}
		Expect(json.Unmarshal(a.Body, &e)).To(Succeed())
		Expect(e.Type).To(Equal(decision.RulePaused))
		Expect(e.Payload).To(HaveKeyWithValue("rule_id", "r"))
		Expect(e.Payload).To(HaveKeyWithValue("paused_until", "2026-03-02T13:00:00Z"))
		Expect(e.Metadata).To(HaveKeyWithValue("hops", 2.0))

		other := newDatabase()
		other.decide(append(append(match(r, noon, 1, 1), match(r, noon, 2, 1)...), append(match(r, noon, 3, 1), match(r, noon.Add(time.Minute), 4, 1)...)...)...)
		Expect(other.announcements).To(ConsistOf(HaveField("EventID", a.EventID)))
		docs, err := newDecoder().Decode(event.Input{Body: a.Body, ContentType: "application/json", Now: noon.Add(time.Hour)})
		Expect(err).NotTo(HaveOccurred(), "the ingester takes it")
		Expect(docs[0].EventID).To(Equal(a.EventID))
	})

	It("begins anew with a new version, since that is how a rule is mended", func() {
		for i := range 4 {
			d.decide(match(r, noon, i, 1)...)
		}
		r.Version++
		Expect(reasons(d.decide(match(r, noon, 5, 1)...))).To(Equal([]string{""}))
	})

	It("is not about what a replay makes, which neither pauses the rule nor is held by its pause", func() {
		replayed := func(user any) []decision.Owed {
			owed := match(r, noon, user, 2)
			for i := range owed {
				owed[i].ReplayID = "again"
			}
			return owed
		}
		for i := range 5 {
			Expect(reasons(d.decide(replayed(i)...))).To(Equal([]string{"", ""}))
		}
		for i := range 4 {
			d.decide(match(r, noon, 10+i, 1)...)
		}
		Expect(d.announcements).To(HaveLen(1), "the fourth of those that came")
		Expect(reasons(d.decide(append(match(r, noon, 20, 1), replayed(21)...)...))).To(Equal([]string{"paused", "", ""}))
	})

	It("does not count in the throttle what it holds, and holds before the throttle", func() {
		r.MaxMatchesPerHour, r.Throttle = 1, &rule.Throttle{For: length("1m")}
		d.decide(match(r, noon, 1, 1)...)
		Expect(reasons(d.decide(match(r, noon.Add(time.Second), 2, 1)...))).To(Equal([]string{"paused"}))
		Expect(d.throttles).To(HaveLen(1))
		for _, t := range d.throttles {
			Expect(t.Suppressed).To(BeZero())
		}
	})
})

func newDecoder() *event.Decoder {
	GinkgoHelper()
	d, err := event.NewDecoder(event.Options{})
	Expect(err).NotTo(HaveOccurred())
	return d
}
