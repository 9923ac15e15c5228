package rule_test

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/pkg/rule/window"
	"github.com/events-aggregator/events-aggregator/test/support/querygen"
)

// generated are rules with conditions of all kinds.
func generated(g querygen.Generator, n int) []rule.Rule {
	rules := make([]rule.Rule, n)
	for i := range rules {
		rules[i] = rule.Rule{
			ID: fmt.Sprintf("r-%04d", g.IntN(1<<30)<<12|i), Name: fmt.Sprint("rule ", i),
			Priority: 1 + g.IntN(5), Enabled: true, Mode: rule.Live, Version: i, Conditions: querygen.Marshal(g.Condition(2)),
		}
	}
	return rules
}

func ids(compiled []*rule.Compiled) []string {
	out := make([]string, len(compiled))
	for i, c := range compiled {
		out[i] = c.Rule.ID
	}
	return out
}

func rulesOf(conditions ...bson.D) []rule.Rule {
	var rules []rule.Rule
	for i, c := range conditions {
		rules = append(rules, rule.Rule{ID: fmt.Sprint(i), Enabled: true, Priority: 1, Conditions: querygen.Marshal(c)})
	}
	return rules
}

// naive is what the set must find, one condition after the other.
func naive(rules []rule.Rule, doc bson.Raw) []string {
	out := []string{}
	for _, r := range rules {
		c, err := rule.Compile(r.Conditions)
		ExpectWithOffset(1, err).NotTo(HaveOccurred())
		if c.Match(doc) {
			out = append(out, r.ID)
		}
	}
	return out
}

var _ = Describe("The set", func() {
	DescribeTable("finds exactly the rules whose conditions match", func(seed uint64) {
		g := querygen.New(seed)
		rules := generated(g, 1000)
		set, err := rule.NewSet(rules)
		Expect(err).NotTo(HaveOccurred())
		conds := map[string]*rule.Condition{}
		for _, r := range rules {
			conds[r.ID], err = rule.Compile(r.Conditions)
			Expect(err).NotTo(HaveOccurred())
		}
		var dst []*rule.Compiled
		hits := 0
		for range 300 {
			doc := querygen.Marshal(g.Document(3))
			var want []string
			for _, r := range rules {
				if conds[r.ID].Match(doc) {
					want = append(want, r.ID)
				}
			}
			dst = set.Match(doc, dst[:0])
			hits += len(dst)
			got := ids(dst)
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				for _, id := range append(got, want...) {
					if slices.Contains(got, id) != slices.Contains(want, id) {
						Fail(fmt.Sprintf("%s: %s in set: %v, alone: %v", conds[id].Raw(), doc, slices.Contains(got, id), slices.Contains(want, id)))
					}
				}
			}
		}
		Expect(hits).To(BeNumerically(">", 1000), "the generator makes nothing that matches")
	}, Entry(nil, uint64(1)), Entry(nil, uint64(2)), Entry(nil, uint64(3)), Entry(nil, uint64(4)), Entry(nil, uint64(5)))

	It("lists them by priority, then id", func() {
		var rules []rule.Rule
		for i := range 500 {
			rules = append(rules, rule.Rule{ID: fmt.Sprintf("%03d", 499-i), Priority: 1 + i%3, Enabled: true, Conditions: querygen.Marshal(bson.D{})})
		}
		set, err := rule.NewSet(rules)
		Expect(err).NotTo(HaveOccurred())
		got := set.Match(querygen.Marshal(bson.D{}), nil)
		Expect(got).To(HaveLen(500))
		Expect(slices.IsSortedFunc(got, func(a, b *rule.Compiled) int {
			if a.Rule.Priority != b.Rule.Priority {
				return a.Rule.Priority - b.Rule.Priority
			}
			if a.Rule.ID < b.Rule.ID {
				return -1
			}
			return 1
		})).To(BeTrue())
	})

	It("appends to what is there", func() {
		set, err := rule.NewSet(rulesOf(bson.D{}))
		Expect(err).NotTo(HaveOccurred())
		dst := set.Match(querygen.Marshal(bson.D{}), nil)
		Expect(set.Match(querygen.Marshal(bson.D{}), dst)).To(HaveLen(2))
	})

	It("leaves out rules that are not enabled and keeps shadows", func() {
		rules := rulesOf(bson.D{}, bson.D{})
		rules[0].Enabled = false
		rules[1].Mode, rules[1].Version = rule.Shadow, 7
		set, err := rule.NewSet(rules)
		Expect(err).NotTo(HaveOccurred())
		got := set.Match(querygen.Marshal(bson.D{}), nil)
		Expect(ids(got)).To(Equal([]string{"1"}))
		Expect(got[0].Rule.Mode).To(Equal(rule.Shadow))
		Expect(set.Versions()).To(Equal(map[string]int{"1": 7}))
		Expect(set.Len()).To(Equal(1))
	})

	It("leaves out broken rules, names them, and serves the others", func() {
		rules := rulesOf(bson.D{{Key: "a", Value: 1}}, bson.D{{Key: "a", Value: bson.D{{Key: "$what", Value: 1}}}})
		rules[1].Name = "the broken one"
		set, err := rule.NewSet(rules)
		var broken *rule.SetError
		Expect(errors.As(err, &broken)).To(BeTrue())
		Expect(broken.Rules).To(HaveLen(1))
		Expect(broken.Rules[0].ID).To(Equal("1"))
		Expect(err).To(MatchError(ContainSubstring(`rule "the broken one" (1): /a/$what: there is no operator $what`)))
		var refused *rule.CompileError
		Expect(errors.As(err, &refused)).To(BeTrue())
		Expect(ids(set.Match(querygen.Marshal(bson.D{{Key: "a", Value: 1}}), nil))).To(Equal([]string{"0"}))
	})

	It("leaves out rules with a mode or a window that nobody here knows: they would never fire", func() {
		rules := rulesOf(bson.D{{Key: "a", Value: 1}}, bson.D{{Key: "a", Value: 1}}, bson.D{{Key: "a", Value: 1}}, bson.D{{Key: "a", Value: 1}})
		rules[1].Mode = "canary"
		rules[2].Window = &window.Spec{Kind: "seasonal"}
		rules[3].Window = &window.Spec{Kind: "frequency", NumEvents: 1}
		set, err := rule.NewSet(rules)
		var broken *rule.SetError
		Expect(errors.As(err, &broken)).To(BeTrue())
		Expect(broken.Rules).To(HaveLen(3))
		Expect(err).To(MatchError(And(ContainSubstring(`mode "canary" is not known here`), ContainSubstring("window/kind: must be one of"), ContainSubstring("window/timeframe: is missing"))))
		Expect(set.Len()).To(Equal(1))
	})

	It("is empty without rules", func() {
		set, err := rule.NewSet(nil)
		Expect(err).NotTo(HaveOccurred())
		Expect(set.Match(querygen.Marshal(bson.D{{Key: "a", Value: 1}}), nil)).To(BeEmpty())
		Expect(set.Versions()).To(BeEmpty())
	})

	It("takes the first of two fields of one name, as MongoDB does", func() {
		twice := querygen.Marshal(bson.D{{Key: "a", Value: 1}, {Key: "a", Value: 2}, {Key: "d", Value: bson.D{{Key: "x", Value: 1}}}, {Key: "d", Value: bson.D{{Key: "y", Value: 1}}}})
		rules := rulesOf(bson.D{{Key: "a", Value: 1}}, bson.D{{Key: "a", Value: 2}}, bson.D{{Key: "d.y", Value: 1}}, bson.D{{Key: "d.x", Value: 1}})
		set, err := rule.NewSet(rules)
		Expect(err).NotTo(HaveOccurred())
		Expect(ids(set.Match(twice, nil))).To(Equal([]string{"0", "3"}))
		Expect(naive(rules, twice)).To(Equal([]string{"0", "3"}))
	})

	It("may be used by many at once", func() {
		g := querygen.New(9)
		rules := generated(g, 300)
		set, err := rule.NewSet(rules)
		Expect(err).NotTo(HaveOccurred())
		docs := make([]bson.Raw, 50)
		want := make([][]string, len(docs))
		for i := range docs {
			docs[i] = querygen.Marshal(g.Document(3))
			want[i] = ids(set.Match(docs[i], nil))
		}
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				defer GinkgoRecover()
				for i := range 10 * len(docs) {
					Expect(ids(set.Match(docs[i%len(docs)], nil))).To(Equal(want[i%len(docs)]))
				}
			})
		}
		wg.Wait()
	})

	It("allocates nothing", func() {
		g := querygen.New(3)
		set, err := rule.NewSet(generated(g, 500))
		Expect(err).NotTo(HaveOccurred())
		docs := make([]bson.Raw, 100)
		for i := range docs {
			docs[i] = querygen.Marshal(g.Document(3))
		}
		dst := make([]*rule.Compiled, 0, 500)
		for _, d := range docs { // what the pool and the regular expressions keep
			dst = set.Match(d, dst[:0])
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for i := range 10_000 {
			dst = set.Match(docs[i%len(docs)], dst[:0])
		}
		runtime.ReadMemStats(&after)
		// The race detector empties pools at random.
		if !raceDetector {
			Expect(after.Mallocs - before.Mallocs).To(BeNumerically("<", 1000))
		}
	})

	It("looks at a long array once, whatever the number of thresholds", func() {
		var conditions []bson.D
		for i := range 2000 {
			conditions = append(conditions, bson.D{{Key: "a", Value: bson.D{{Key: "$gt", Value: i}, {Key: "$lt", Value: i - 1}}}})
		}
		set, err := rule.NewSet(rulesOf(conditions...))
		Expect(err).NotTo(HaveOccurred())
		doc := querygen.Marshal(bson.D{{Key: "a", Value: make([]int32, 20_000)}})
		Expect(set.Match(doc, nil)).To(BeEmpty())
	})
})

var _ = Describe("The loop guard", func() {
	event := func(kind any, hops any) bson.Raw {
		return querygen.Marshal(bson.D{{Key: "type", Value: kind}, {Key: "metadata", Value: bson.D{{Key: "hops", Value: hops}}}})
	}
	delivery := rule.DeliveryType
	rules := rulesOf(
		bson.D{},
		bson.D{{Key: "type", Value: delivery}},
		bson.D{{Key: "type", Value: bson.D{{Key: "$in", Value: bson.A{"A", delivery}}}}},
		bson.D{{Key: "$and", Value: bson.A{bson.D{{Key: "type", Value: bson.D{{Key: "$eq", Value: delivery}}}}, bson.D{}}}},
		bson.D{{Key: "$or", Value: bson.A{bson.D{{Key: "type", Value: delivery}}, bson.D{{Key: "type", Value: delivery}, {Key: "a", Value: 1}}}}},
		bson.D{{Key: "$or", Value: bson.A{bson.D{{Key: "type", Value: delivery}}, bson.D{{Key: "type", Value: bson.D{{Key: "$exists", Value: true}}}}}}},
		bson.D{{Key: "type", Value: bson.D{{Key: "$regex", Value: "^NOTIFICATION"}}}},
		bson.D{{Key: "type", Value: bson.D{{Key: "$ne", Value: "A"}}}},
		bson.D{{Key: "$nor", Value: bson.A{bson.D{{Key: "type", Value: "A"}}}}},
	)
	set, _ := rule.NewSet(rules)

	It("lets delivery outcomes match only rules that require their type", func() {
		Expect(ids(set.Match(event(delivery, 1), nil))).To(Equal([]string{"1", "2", "3", "4"}))
	})
	It("leaves other types alone", func() {
		Expect(ids(set.Match(event("B", 1), nil))).To(Equal([]string{"0", "5", "7", "8"}))
	})
	DescribeTable("ends chains of too many hops", func(hops any, want int, matches bool) {
		Expect(rule.Hops(event("B", hops))).To(Equal(want))
		found := set.Match(event("B", hops), nil)
		if matches {
			Expect(found).NotTo(BeEmpty())
		} else {
			Expect(found).To(BeEmpty())
		}
	},
		Entry("none", nil, 0, true),
		Entry("one", int32(1), 1, true),
		Entry("seven", int64(7), 7, true),
		Entry("eight", int32(8), 8, false),
		Entry("eight as a double", 8.0, 8, false),
		Entry("very many", int64(1)<<62, 8, false),
		Entry("less than none", -5, 0, true),
		Entry("text", "8", 0, true),
		Entry("an array", bson.A{9}, 0, true),
	)
})
