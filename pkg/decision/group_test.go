package decision_test

import (
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/decision"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/rule"
)

var _ = Describe("A group", func() {
	var d *database
	var r *rule.Rule
	BeforeEach(func() {
		d, r = newDatabase(), named("r")
		r.Group = &rule.Group{By: []string{"metadata.hops"}, Wait: length("30s"), Interval: length("5m"), Repeat: length("4h"), Identity: []string{"user_id"}}
	})
	at := func(text string) time.Time { GinkgoHelper(); return noon.Add(length(text).Std()) }
	the := func() decision.Group {
		GinkgoHelper()
		Expect(d.groups).To(HaveLen(1))
		for _, g := range d.groups {
			return g
		}
		return decision.Group{}
	}
	flush := func(when time.Time, owed ...decision.Owed) notification.Group {
		GinkgoHelper()
		g := the()
		Expect(g.Due(when.Add(-time.Millisecond))).To(BeFalse())
		Expect(g.Due(when)).To(BeTrue())
		d.groups[g.ID] = g.Flushed(r.Group, when, owed)
		return g.Told()
	}

	It("is told once for all that came within its wait", func() {
		held := d.decide(append(match(r, at("0s"), "u1", 2), match(r, at("10s"), "u2", 2)...)...)
		Expect(reasons(held)).To(Equal([]string{"grouped", "grouped", "grouped", "grouped"}))
		Expect(held[0].Held.ID).To(Equal(the().ID))
		Expect(*held[0].Held.Until).To(Equal(at("30s")))
		d.decide(match(r, at("29s"), "u3", 2)...)
		told := flush(at("30s"))
		Expect(told.Matches).To(Equal(3), "matches, not actions")
		Expect(told.Sequence).To(Equal(1))
		Expect(told.Samples).To(HaveLen(3))
		Expect(told.Samples[0]).To(ContainSubstring("u3"), "the newest first")
		Expect(told.Key.Lookup("metadata.hops").AsInt64()).To(BeEquivalentTo(1))
		Expect(the().FlushAt).To(BeNil())
		Expect(*the().ExpiresAt).To(BeTemporally(">", at("4h")))
	})

	It("is told again an interval later when something new came, and at the repeat when more of the same did", func() {
		d.decide(match(r, at("0s"), "u1", 1)...)
		flush(at("30s"))
		d.decide(match(r, at("1m"), "u1", 1)...)
		Expect(*the().FlushAt).To(Equal(at("4h30s")))
		Expect(the().ExpiresAt).To(BeNil(), "what waits is not forgotten")
		d.decide(match(r, at("2m"), "u2", 1)...)
		Expect(flush(at("5m30s"))).To(HaveField("Matches", 2))
		d.decide(append(match(r, at("6m"), "u1", 1), match(r, at("7m"), "u2", 1)...)...)
		Expect(flush(at("4h5m30s"))).To(And(HaveField("Matches", 2), HaveField("Sequence", 3)))
	})

	It("waits again after a quiet time, so that what comes together is told together", func() {
		d.decide(match(r, at("0s"), "u1", 1)...)
		flush(at("30s"))
		d.decide(match(r, at("1h"), "u2", 1)...)
		Expect(flush(at("1h30s"))).To(HaveField("Matches", 1))
		d.decide(match(r, at("6h"), "u2", 1)...)
		Expect(flush(at("6h30s"))).To(HaveField("Matches", 1))
	})

	It("is as new as before when all that it owed was silenced or muted", func() {
		held := func(reasons ...string) (owed []decision.Owed) {
			for _, why := range reasons {
				o := match(r, at("0s"), "u1", 1)[0]
				o.Suppress(why, notification.Held{})
				owed = append(owed, o)
			}
			return owed
		}
		d.decide(match(r, at("0s"), "u1", 1)...)
		flush(at("30s"), held(notification.Silenced, notification.Muted)...)
		d.decide(match(r, at("1m"), "u1", 1)...)
		Expect(*the().FlushAt).To(Equal(at("1m30s")), "nobody has heard of it")
		Expect(the().ExpiresAt).To(BeNil())
		Expect(flush(at("1m30s"))).To(And(HaveField("Matches", 1), HaveField("Sequence", 2)))

		d.decide(match(r, at("7m"), "u2", 1)...)
		flush(at("7m30s"), held(notification.Muted)...)
		d.decide(append(match(r, at("8m"), "u1", 1), match(r, at("8m"), "u2", 1)...)...)
		Expect(*the().FlushAt).To(Equal(at("8m30s")), "u2 is still new, and the interval since u1 was told is over")
		flush(at("8m30s"), append(held(notification.Silenced), match(r, at("8m"), "u1", 1)...)...)
		d.decide(match(r, at("9m"), "u2", 1)...)
		Expect(*the().FlushAt).To(Equal(at("4h8m30s")), "one of its actions was heard")
	})

	It("has an identity that a forgotten group of the same key does not share", func() {
		d.decide(match(r, at("0s"), "u1", 1)...)
		first := flush(at("30s"))
		clear(d.groups)
		d.decide(match(r, at("24h"), "u1", 1)...)
		second := flush(at("24h30s"))
		Expect(second.ID).To(Equal(first.ID))
		Expect(notification.GroupID(second, 0)).NotTo(Equal(notification.GroupID(first, 0)))
		Expect(notification.GroupID(first, 1)).NotTo(Equal(notification.GroupID(first, 0)))
	})

	It("belongs to one version of one rule and to one key", func() {
		d.decide(match(r, at("0s"), "u1", 1)...)
		next := *r
		next.Version++
		d.decide(match(&next, at("1s"), "u1", 1)...)
		other := named("other")
		other.Group = r.Group
		d.decide(match(other, at("1s"), "u1", 1)...)
		Expect(d.groups).To(HaveLen(3))
		r.Group.By = []string{"user_id"}
		d.decide(append(match(r, at("1s"), 1, 1), match(r, at("2s"), 1.0, 1)...)...)
		Expect(d.groups).To(HaveLen(4))
	})

	It("keeps few samples and bounds what it remembers; what it does not know is new", func() {
		for i := range 1100 {
			d.decide(match(r, at("1s"), fmt.Sprintf("u%d", i), 1)...)
		}
		g := the()
		Expect(g.Samples).To(HaveLen(10))
		Expect(g.Fresh).To(HaveLen(1000))
		told := flush(at("31s"))
		Expect(told.Matches).To(Equal(1100))
		Expect(told.Samples[0]).To(ContainSubstring("u1099"))
		d.decide(match(r, at("1m"), "u1099", 1)...)
		Expect(*the().FlushAt).To(Equal(at("5m31s")))
		Expect(the().Fresh).To(BeEmpty())
	})

	It("comes after the throttle and the hour's bound: what they hold is not in it", func() {
		r.Throttle = &rule.Throttle{For: length("1m")}
		r.MaxMatchesPerHour = 1
		Expect(reasons(d.decide(append(append(match(r, at("0s"), "u1", 1), match(r, at("1s"), "u2", 1)...), match(r, at("2m"), "u3", 1)...)...))).
			To(Equal([]string{"grouped", "paused", "paused"}))
		Expect(the().Matches).To(Equal(1))
	})

	It("tells when its events happened, not when they were decided", func() {
		owed := match(r, at("1h"), "u1", 1)
		owed[0].Event = raw(bson.D{{Key: "timestamp", Value: at("0s")}, {Key: "metadata", Value: bson.D{{Key: "hops", Value: 1}}}})
		owed = append(owed, match(r, at("1h"), "u2", 1)...)
		owed[1].Event = raw(bson.D{{Key: "timestamp", Value: noon.Add(-time.Minute)}, {Key: "metadata", Value: bson.D{{Key: "hops", Value: 1}}}})
		d.decide(owed...)
		told := flush(at("1h30s"))
		Expect(told.FirstAt).To(BeTemporally("==", noon.Add(-time.Minute)))
		Expect(told.LastAt).To(BeTemporally("==", noon))
	})

	It("does not take its own notification in again", func() {
		own := match(r, at("0s"), "u1", 1)
		own[0].Group = &notification.Group{}
		Expect(reasons(d.decide(own...))).To(Equal([]string{""}))
	})
})
