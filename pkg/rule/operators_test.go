package rule_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/rule"
)

// operatorCase states MongoDB's documented behaviour: a condition, documents
// that it matches and that it does not, or where and why it is refused.
type operatorCase struct {
	Says      string            `json:"says"`
	Condition json.RawMessage   `json:"condition"`
	Matches   []json.RawMessage `json:"matches"`
	Not       []json.RawMessage `json:"not"`
	Refused   map[string]string `json:"refused"`
	// Unparsable is Refused where the text itself is, before it is compiled.
	Unparsable map[string]string `json:"unparsable"`
}

func casesOf(file string) []operatorCase {
	var cases []operatorCase
	text, err := os.ReadFile(filepath.Join("testdata", file))
	if err == nil {
		err = json.Unmarshal(text, &cases)
	}
	if err != nil {
		panic(file + ": " + err.Error())
	}
	return cases
}

// document reads extended JSON by the driver, not by the code under test.
func document(text []byte) bson.Raw {
	GinkgoHelper()
	var raw bson.Raw
	Expect(bson.UnmarshalExtJSON(text, false, &raw)).To(Succeed(), string(text))
	return raw
}

func (c operatorCase) check() {
	GinkgoHelper()
	raw, err := rule.ParseCondition(c.Condition)
	if c.Unparsable != nil {
		c.checkRefusal(err, c.Unparsable)
		return
	}
	Expect(err).NotTo(HaveOccurred())
	cond, err := rule.Compile(raw)
	if c.Refused != nil {
		c.checkRefusal(err, c.Refused)
		return
	}
	Expect(err).NotTo(HaveOccurred())
	Expect(len(c.Matches)+len(c.Not)).To(BeNumerically(">", 0), "a case needs documents")
	// The same question to an index, also where it stands in a disjunction.
	or, err := bson.Marshal(bson.D{{Key: "$or", Value: bson.A{raw, bson.D{{Key: "surely_absent", Value: 1}}}}})
	Expect(err).NotTo(HaveOccurred())
	set, err := rule.NewSet([]rule.Rule{
		{ID: "plain", Enabled: true, Priority: 1, Conditions: raw},
		{ID: "or", Enabled: true, Priority: 2, Conditions: or},
	})
	Expect(err).NotTo(HaveOccurred())
	for _, d := range c.Matches {
		Expect(cond.Match(document(d))).To(BeTrue(), "%s should match %s", c.Condition, d)
		Expect(set.Match(document(d), nil)).To(HaveLen(2), "the set: %s should match %s", c.Condition, d)
	}
	for _, d := range c.Not {
		Expect(cond.Match(document(d))).To(BeFalse(), "%s should not match %s", c.Condition, d)
		Expect(set.Match(document(d), nil)).To(BeEmpty(), "the set: %s should not match %s", c.Condition, d)
	}
}

func (c operatorCase) checkRefusal(err error, want map[string]string) {
	GinkgoHelper()
	var refused *rule.CompileError
	Expect(errors.As(err, &refused)).To(BeTrue(), "%s should be refused", c.Condition)
	got := map[string]string{}
	for _, e := range refused.All() {
		got[e.Path] = e.Reason
	}
	Expect(got).To(HaveLen(len(want)), "%v", got)
	for path, reason := range want {
		Expect(got).To(HaveKey(path), "%v", got)
		Expect(got[path]).To(ContainSubstring(reason))
	}
}

var _ = Describe("The condition language", func() {
	for _, op := range rule.Operators() {
		Describe(op.Name, func() {
			for _, c := range casesOf(filepath.Join("operators", strings.TrimPrefix(op.Name, "$")+".json")) {
				It(c.Says, c.check)
			}
			It("has documentation", func() { Expect(op.Doc).To(HaveSuffix(".")) })
		})
	}
	for _, shape := range rule.Shapes() {
		Describe(shape.Name, func() {
			for _, c := range casesOf(filepath.Join("shapes", strings.TrimPrefix(shape.Name, "$")+".json")) {
				It(c.Says, c.check)
			}
			It("has documentation", func() { Expect(shape.Doc).To(HaveSuffix(".")) })
		})
	}
	Describe("a path", func() {
		for _, c := range casesOf("paths.json") {
			It(c.Says, c.check)
		}
	})
	Describe("refuses", func() {
		for _, c := range casesOf("refused.json") {
			It(c.Says, c.check)
		}
	})
	It("has no cases without an operator", func() {
		files, err := filepath.Glob("testdata/operators/*.json")
		Expect(err).NotTo(HaveOccurred())
		Expect(files).To(HaveLen(len(rule.Operators())))
		files, err = filepath.Glob("testdata/shapes/*.json")
		Expect(err).NotTo(HaveOccurred())
		Expect(files).To(HaveLen(len(rule.Shapes())))
	})
	Describe("a regular expression is refused by name for its", func() {
		for _, c := range rule.RefusedConstructs() {
			It(c.Name, func() {
				_, err := rule.Compile(must(bson.Marshal(bson.D{{Key: "a", Value: bson.D{{Key: "$regex", Value: c.Example}}}})))
				Expect(err).To(MatchError(ContainSubstring(c.Name)))
				Expect(err).To(MatchError(ContainSubstring("linear time")))
				Expect(err).To(MatchError(ContainSubstring(c.Instead)))
			})
		}
	})
	It("knows the fields that a condition speaks of", func() {
		cond, err := rule.Compile(document([]byte(`{"$or": [{"a.b": 1}, {"a.b": {"$ne": 2}, "c": {"$not": {"$size": 1}}}],
			"items": {"$elemMatch": {"sku": "x", "$nor": [{"tags": {"$elemMatch": {"$gt": 1}}}]}}, "$comment": "x"}`)))
		Expect(err).NotTo(HaveOccurred())
		Expect(cond.Paths()).To(Equal([]string{"a.b", "c", "items.sku", "items.tags"}))
	})
	It("keeps the remark", func() {
		cond, err := rule.Compile(document([]byte(`{"$comment": "why", "a": 1}`)))
		Expect(err).NotTo(HaveOccurred())
		Expect(cond.Comment()).To(Equal("why"))
		Expect(cond.Raw()).To(Equal(document([]byte(`{"$comment": "why", "a": 1}`))))
	})
})

var _ = Describe("Hostile conditions", func() {
	nested := func(depth int) bson.Raw {
		d := bson.D{{Key: "a", Value: 1}}
		for range depth {
			d = bson.D{{Key: "$or", Value: bson.A{d}}}
		}
		raw, err := bson.Marshal(d)
		Expect(err).NotTo(HaveOccurred())
		return raw
	}
	marshal := func(d bson.D) bson.Raw {
		raw, err := bson.Marshal(d)
		Expect(err).NotTo(HaveOccurred())
		return raw
	}
	refused := func(raw bson.Raw) string {
		GinkgoHelper()
		_, err := rule.Compile(raw)
		var e *rule.CompileError
		Expect(errors.As(err, &e)).To(BeTrue())
		return e.Error()
	}
	It("may not be nested too deep", func() {
		Expect(rule.Compile(nested(10))).NotTo(BeNil())
		Expect(refused(nested(100))).To(ContainSubstring("nested deeper"))
		Expect(refused(nested(5000))).To(ContainSubstring("nested deeper"))
	})
	It("may not nest $not too deep", func() {
		v := bson.D{{Key: "$gt", Value: 1}}
		for range 60 {
			v = bson.D{{Key: "$not", Value: v}}
		}
		Expect(refused(marshal(bson.D{{Key: "a", Value: v}}))).To(ContainSubstring("nested deeper"))
	})
	It("may not be too long", func() {
		Expect(refused(marshal(bson.D{{Key: "a", Value: strings.Repeat("x", 300<<10)}}))).To(ContainSubstring("at most"))
	})
	It("may not have too many comparisons", func() {
		var all bson.A
		for range 1001 {
			all = append(all, bson.D{{Key: "a", Value: 1}})
		}
		Expect(refused(marshal(bson.D{{Key: "$or", Value: all}}))).To(ContainSubstring("at most 1000 comparisons"))
	})
	It("may not have too many parts in a path", func() {
		Expect(refused(marshal(bson.D{{Key: strings.Repeat("0.", 40) + "0", Value: 1}}))).To(ContainSubstring("at most 32 parts"))
	})
	It("may have ten thousand values in a list", func() {
		var ids bson.A
		for i := range 10_000 {
			ids = append(ids, strings.Repeat("x", 8)+string(rune('0'+i%10)))
		}
		Expect(rule.Compile(marshal(bson.D{{Key: "a", Value: bson.D{{Key: "$in", Value: ids}}}}))).NotTo(BeNil())
	})
	DescribeTable("may not have a name twice", func(d any, at string) {
		raw, err := bson.Marshal(d)
		Expect(err).NotTo(HaveOccurred())
		Expect(refused(raw)).To(HavePrefix(at + ": is there twice"))
	},
		Entry("at the top", bson.D{{Key: "a", Value: 1}, {Key: "a", Value: 2}}, "/a"),
		Entry("among operators", bson.D{{Key: "a", Value: bson.D{{Key: "$gt", Value: 1}, {Key: "$gt", Value: 2}}}}, "/a/$gt"),
		Entry("in a document to compare with", bson.D{{Key: "a", Value: bson.D{{Key: "x", Value: 1}, {Key: "x", Value: 2}}}}, "/a/x"),
		Entry("in a list", bson.D{{Key: "$or", Value: bson.A{bson.D{{Key: "a", Value: 1}, {Key: "a", Value: 2}}}}}, "/$or/0/a"),
	)
	DescribeTable("may not be broken", func(raw bson.Raw) {
		Expect(func() { refused(raw) }).NotTo(Panic())
	},
		Entry("nothing", bson.Raw(nil)),
		Entry("short", bson.Raw{5, 0, 0}),
		Entry("a length beyond the end", bson.Raw{200, 0, 0, 0, 0}),
		Entry("a negative length", bson.Raw{255, 255, 255, 255, 0}),
		Entry("an element that is cut", bson.Raw{12, 0, 0, 0, 16, 'a', 0, 1, 0, 0, 0, 0}[:11]),
		Entry("a text that is cut", bson.Raw{15, 0, 0, 0, 2, 'a', 0, 100, 0, 0, 0, 'x', 0, 0, 0}),
		Entry("an unknown type", bson.Raw{8, 0, 0, 0, 99, 'a', 0, 0}),
		Entry("bytes behind the end", bson.Raw{5, 0, 0, 0, 0, 0}),
		Entry("no end", bson.Raw{5, 0, 0, 0, 1}),
		Entry("text that is not UTF-8", bson.Raw{15, 0, 0, 0, 2, 'a', 0, 3, 0, 0, 0, 0xff, 0xfe, 0, 0}),
		Entry("a name that is not UTF-8", bson.Raw{8, 0, 0, 0, 10, 0xff, 0, 0}),
		Entry("undefined", bson.Raw{8, 0, 0, 0, 6, 'a', 0, 0}),
	)
})

var _ = Describe("Hostile documents", func() {
	cond, _ := rule.Compile(must(bson.Marshal(bson.D{{Key: "a.0.0.0.0.0.0.0.b", Value: 1}})))
	DescribeTable("harm nobody", func(raw bson.Raw) {
		Expect(cond.Match(raw)).To(BeFalse())
		Expect(rule.Hops(raw)).To(Equal(0))
		set, err := rule.NewSet([]rule.Rule{{ID: "a", Enabled: true, Conditions: cond.Raw()}})
		Expect(err).NotTo(HaveOccurred())
		Expect(set.Match(raw, nil)).To(BeEmpty())
	},
		Entry("nothing", bson.Raw(nil)),
		Entry("short", bson.Raw{5, 0, 0}),
		Entry("a length beyond the end", bson.Raw{200, 0, 0, 0, 0}),
		Entry("an array that is cut", bson.Raw{14, 0, 0, 0, 4, 'a', 0, 200, 0, 0, 0, 0, 0, 0}),
		Entry("no names' end", bson.Raw{8, 0, 0, 0, 4, 'a', 'a', 0}),
		Entry("arrays in documents in arrays", alternating(40)),
	)
})

// alternating is the document for which a path of positions has the most ways.
func alternating(depth int) bson.Raw {
	var v any = 1
	for range depth {
		v = bson.A{bson.D{{Key: "0", Value: v}}}
	}
	return must(bson.Marshal(bson.D{{Key: "a", Value: v}}))
}

func must(raw []byte, err error) bson.Raw {
	if err != nil {
		panic(err)
	}
	return raw
}
