package rule_test

import (
	"math"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"

	"github.com/events-aggregator/events-aggregator/pkg/rule"
)

// decimal128 is a number of the database that Go has no type for.
func decimal128(text string) primitive.Decimal128 {
	GinkgoHelper()
	d, err := primitive.ParseDecimal128(text)
	Expect(err).NotTo(HaveOccurred())
	return d
}

var _ = Describe("The key of an event", func() {
	raw := func(d any) bson.Raw {
		GinkgoHelper()
		b, err := bson.Marshal(d)
		Expect(err).NotTo(HaveOccurred())
		return b
	}
	one := func(v any) bson.Raw { return rule.Key(raw(bson.D{{Key: "v", Value: v}}), []string{"v"}) }

	DescribeTable("is the same for values that MongoDB takes for equal",
		func(a, b any) { Expect(one(a)).To(Equal(one(b))) },
		Entry("int and double", int32(1), 1.0),
		Entry("int and long", int32(-7), int64(-7)),
		Entry("int and decimal", int32(12), decimal128("12.00")),
		Entry("zeros", 0.0, math.Copysign(0, -1)),
		Entry("a large long and its double", int64(1)<<60, math.Ldexp(1, 60)),
		Entry("a long without a double and its decimal", int64(1)<<53+1, decimal128("9007199254740993.0")),
		Entry("decimals", decimal128("0.10"), decimal128("1E-1")),
		Entry("decimals without a double", decimal128("1.00000000000000000001"), decimal128("1.000000000000000000010")),
		Entry("a double and its decimal", 0.5, decimal128("0.5")),
		Entry("no number", math.NaN(), decimal128("NaN")),
		Entry("infinity", math.Inf(1), decimal128("Infinity")),
		Entry("a symbol and a string", primitive.Symbol("a"), "a"),
		Entry("undefined and null", primitive.Undefined{}, nil),
		Entry("inside objects", bson.D{{Key: "a", Value: 1.0}}, bson.D{{Key: "a", Value: int32(1)}}),
		Entry("inside arrays", bson.A{1.0, "x"}, bson.A{int64(1), "x"}),
	)

	DescribeTable("differs for values that are not equal",
		func(a, b any) { Expect(one(a)).NotTo(Equal(one(b))) },
		Entry("a number and its text", int32(1), "1"),
		Entry("null and empty", nil, ""),
		Entry("true and 1", true, int32(1)),
		Entry("longs that share a double", int64(1)<<53, int64(1)<<53+1),
		Entry("decimals that share a double", decimal128("1.00000000000000000001"), int32(1)),
		Entry("a value and the array of it", int32(1), bson.A{int32(1)}),
		Entry("an array and an object of the same names", bson.A{int32(1)}, bson.D{{Key: "0", Value: int32(1)}}),
		Entry("orders of an object's fields", bson.D{{Key: "a", Value: 1}, {Key: "b", Value: 2}}, bson.D{{Key: "b", Value: 2}, {Key: "a", Value: 1}}),
		Entry("dates and numbers", primitive.DateTime(1), int64(1)),
	)

	It("follows paths through objects and arrays", func() {
		doc := raw(bson.D{
			{Key: "user_id", Value: "u1"},
			{Key: "payload", Value: bson.D{{Key: "items", Value: bson.A{
				bson.D{{Key: "sku", Value: "a"}}, int32(5), bson.D{{Key: "sku", Value: "b"}}, bson.D{},
			}}}},
		})
		key := rule.Key(doc, []string{"user_id", "payload.items.sku", "payload.items.2.sku", "payload.none.x", "user_id.x"})
		Expect(bson.MarshalExtJSON(key, false, false)).To(MatchJSON(
			`{"user_id": "u1", "payload.items.sku": ["a", "b"], "payload.items.2.sku": "b", "payload.none.x": null, "user_id.x": null}`))
	})

	It("of no path is the same for all", func() {
		Expect(rule.Key(raw(bson.D{{Key: "a", Value: 1}}), nil)).To(Equal(rule.Key(raw(bson.D{}), nil)))
		Expect(rule.Key(raw(bson.D{}), nil).Validate()).To(Succeed())
	})
})
