package decision_test

import (
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/decision"
	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/pkg/rule"
)

var _ = Describe("What a rule exceeds", func() {
	batchOf := func(r *rule.Rule, ids ...int) decision.Batch {
		b := decision.Batch{}
		for _, id := range ids {
			b.Excesses = append(b.Excesses, decision.Excess{Rule: r, EventID: fmt.Sprint("e", id), Event: raw(bson.D{})})
		}
		return b
	}

	It("is counted for its version up to the number that disables it", func() {
		r := named("r")
		next := *r
		next.Version++
		batches := []decision.Batch{batchOf(r, 1, 2), batchOf(&next, 3)}
		Expect(decision.ExcessesOf(batches)).To(Equal([]string{"r:3", "r:4"}))
		c := decision.NewExcessCounter(batches)
		c.Count(noon)
		Expect(c.Rules.Get("r:3").EventIDs).To(Equal([]string{"e1", "e2"}))
		Expect(c.Rules.Get("r:3").TooMany()).To(BeFalse())
		Expect(c.Rules.Get("r:4").EventIDs).To(Equal([]string{"e3"}))

		later := decision.NewExcessCounter([]decision.Batch{batchOf(r, 4, 5)})
		later.Rules.Put("r:3", c.Rules.Get("r:3"))
		later.Count(noon)
		Expect(later.Rules.Get("r:3").EventIDs).To(Equal([]string{"e1", "e2", "e4"}))
		Expect(later.Rules.Get("r:3").TooMany()).To(BeTrue())

		last := decision.NewExcessCounter([]decision.Batch{batchOf(r, 6)})
		last.Rules.Put("r:3", later.Rules.Get("r:3"))
		last.Count(noon)
		Expect(last.Rules.Changed()).To(BeEmpty(), "workers that wait for the rule to go do not conflict")
	})

	It("is announced by an event that the ingester takes, with one id for a version", func() {
		x := decision.Excesses{EventIDs: []string{"e1", "e2", "e3"}, Hops: 2}
		a := decision.Disable(*named("r"), x, noon)
		Expect(a.RoutingKey).To(Equal("events.rule.disabled"))
		Expect(decision.Disable(*named("r"), x, noon.Add(time.Hour)).EventID).To(Equal(a.EventID))
		docs, err := newDecoder().Decode(event.Input{Body: a.Body, ContentType: "application/json", Now: noon.Add(time.Hour)})
		Expect(err).NotTo(HaveOccurred())
		Expect(docs[0].EventID).To(Equal(a.EventID))
		Expect(rule.Hops(docs[0].Raw)).To(Equal(3))
	})

	It("is announced once a day when its windows cannot be decided", func() {
		a := decision.Failing(*named("r"), 10, "refused", noon)
		Expect(a.RoutingKey).To(Equal("events.rule.failing"))
		Expect(decision.Failing(*named("r"), 300, "slow", noon.Add(time.Hour)).EventID).To(Equal(a.EventID))
		Expect(decision.Failing(*named("r"), 10, "refused", noon.Add(24*time.Hour)).EventID).NotTo(Equal(a.EventID))
		_, err := newDecoder().Decode(event.Input{Body: a.Body, ContentType: "application/json", Now: noon})
		Expect(err).NotTo(HaveOccurred())
	})
})
