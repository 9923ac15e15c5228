package rule_test

import (
	"fmt"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/test/support/querygen"
)

var _ = Describe("The budget of a rule", func() {
	// As much text and as many numbers as an event may have.
	large := querygen.Marshal(bson.D{
		{Key: "type", Value: "A"},
		{Key: "text", Value: strings.Repeat("no such word here ", 14_000)},
		{Key: "list", Value: make([]int32, 60_000)},
	})
	small := querygen.Marshal(bson.D{{Key: "type", Value: "A"}, {Key: "text", Value: "word 1"}, {Key: "list", Value: bson.A{1}}})

	regexes := func(join string, n int) bson.D {
		list := bson.A{}
		for i := range n {
			list = append(list, bson.D{{Key: "text", Value: bson.D{{Key: "$regex", Value: fmt.Sprintf("word+ %d", i)}}}})
		}
		return bson.D{{Key: join, Value: list}}
	}
	elements := func(n int) bson.D {
		list := bson.A{}
		for i := range n {
			list = append(list, bson.D{{Key: "list", Value: bson.D{{Key: "$elemMatch", Value: bson.D{{Key: "$gte", Value: 0}, {Key: "$ne", Value: i + 1}, {Key: "$type", Value: "int"}}}}}})
		}
		return bson.D{{Key: "$nor", Value: bson.A{bson.D{{Key: "list", Value: bson.D{{Key: "$elemMatch", Value: bson.D{{Key: "$gt", Value: 5}}}}}}, bson.D{{Key: "$nor", Value: list}}}}}
	}
	judged := func(doc bson.Raw, conditions ...bson.D) (matched, over []string) {
		GinkgoHelper()
		set, err := rule.NewSet(rulesOf(conditions...))
		Expect(err).NotTo(HaveOccurred())
		m, o := set.MatchBudget(doc, nil, nil)
		return ids(m), ids(o)
	}

	It("is enough for any rule of a few clauses and the largest event", func() {
		matched, over := judged(large, bson.D{{Key: "type", Value: "A"}},
			bson.D{{Key: "text", Value: bson.D{{Key: "$regex", Value: "word here $"}}}},
			bson.D{{Key: "list", Value: 0}}, elements(1))
		Expect(matched).To(Equal([]string{"0", "1", "2", "3"}))
		Expect(over).To(BeEmpty())
	})

	DescribeTable("is exceeded by many clauses that each look at all of a large event", func(condition bson.D) {
		matched, over := judged(large, condition, bson.D{{Key: "type", Value: "A"}})
		Expect(matched).To(Equal([]string{"1"}), "the others go on")
		Expect(over).To(Equal([]string{"0"}))
		_, over = judged(small, condition)
		Expect(over).To(BeEmpty(), "a small event costs little")
	},
		Entry("expressions that find the rule", regexes("$or", 20)),
		Entry("expressions that are left to check", bson.D{{Key: "type", Value: "A"}, {Key: "$nor", Value: bson.A{regexes("$or", 20)}}}),
		Entry("elements of an array", bson.D{{Key: "type", Value: "A"}, {Key: "$and", Value: bson.A{
			bson.D{{Key: "$nor", Value: bson.A{repeated(30)}}},
		}}}),
	)

	It("does not depend on what other rules ask", func() {
		_, alone := judged(large, regexes("$or", 3))
		_, among := judged(large, regexes("$or", 3), regexes("$or", 2), regexes("$nor", 3))
		Expect(alone).To(BeEmpty())
		Expect(among).To(BeEmpty())
		_, alone = judged(large, regexes("$or", 8))
		_, among = judged(large, regexes("$or", 8), regexes("$or", 7), regexes("$or", 6))
		Expect(alone).To(Equal([]string{"0"}))
		Expect(among).To(Equal([]string{"0", "1", "2"}))
	})

	It("begins anew with each event", func() {
		set, err := rule.NewSet(rulesOf(regexes("$or", 20)))
		Expect(err).NotTo(HaveOccurred())
		for range 3 {
			matched, over := set.MatchBudget(large, nil, nil)
			Expect(matched).To(BeEmpty())
			Expect(over).To(HaveLen(1))
			matched, over = set.MatchBudget(small, nil, nil)
			Expect(matched).To(HaveLen(1))
			Expect(over).To(BeEmpty())
		}
	})
})

// repeated asks n times for an element that no array has.
func repeated(n int) bson.D {
	list := bson.A{}
	for i := range n {
		list = append(list, bson.D{{Key: "list", Value: bson.D{{Key: "$elemMatch", Value: bson.D{{Key: "$gt", Value: i + 5}}}}}})
	}
	return bson.D{{Key: "$or", Value: list}}
}
