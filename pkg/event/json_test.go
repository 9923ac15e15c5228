package event_test

import (
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"

	"github.com/events-aggregator/events-aggregator/pkg/event"
)

var _ = Describe("FromJSON", func() {
	It("keeps key order, integers and their width", func() {
		doc, err := event.FromJSON([]byte(`{"z":1,"a":2147483648,"m":1.0,"b":-0,"l":[1,"x",null,true,{}]}`))
		Expect(err).NotTo(HaveOccurred())
		Expect(doc.Validate()).To(Succeed())
		want, err := bson.Marshal(bson.D{
			{Key: "z", Value: int32(1)},
			{Key: "a", Value: int64(2147483648)},
			{Key: "m", Value: 1.0},
			{Key: "b", Value: int32(0)},
			{Key: "l", Value: bson.A{int32(1), "x", nil, true, bson.D{}}},
		})
		Expect(err).NotTo(HaveOccurred())
		Expect(doc).To(Equal(bson.Raw(want)))
	})

	It("makes dates of an event's own times, and of no other", func() {
		doc, err := event.FromJSON([]byte(`{"timestamp":"2026-03-04T05:06:07.0899Z","created_at":"2026-03-04T05:06:07+01:00","expires_at":"never","payload":{"timestamp":"2026-03-04T05:06:07Z"},"user_id":"2026-03-04T05:06:07Z"}`))
		Expect(err).NotTo(HaveOccurred())
		Expect(doc.Validate()).To(Succeed())
		Expect(doc.Lookup("timestamp").Time()).To(BeTemporally("==", now))
		Expect(doc.Lookup("created_at").Time()).To(BeTemporally("==", time.Date(2026, 3, 4, 4, 6, 7, 0, time.UTC)))
		Expect(doc.Lookup("expires_at").StringValue()).To(Equal("never"))
		Expect(doc.Lookup("payload", "timestamp").StringValue()).To(Equal("2026-03-04T05:06:07Z"))
		Expect(doc.Lookup("user_id").StringValue()).To(Equal("2026-03-04T05:06:07Z"))
	})

	It("takes keys that begin with $, as conditions have them", func() {
		doc, err := event.FromJSON([]byte(` {"$or":[{"severity":{"$gte":8}}]} `))
		Expect(err).NotTo(HaveOccurred())
		Expect(doc.Lookup("$or", "0", "severity", "$gte").Int32()).To(Equal(int32(8)))
	})

	It("goes as deep as MongoDB", func() {
		nest := func(n int) []byte {
			return []byte(strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n))
		}
		_, err := event.FromJSON(nest(100))
		Expect(err).NotTo(HaveOccurred())
		_, err = event.FromJSON(nest(101))
		Expect(err).To(MatchError(HaveSuffix("nested deeper than 100 levels")))
	})

	DescribeTable("refuses",
		func(text, message string) {
			doc, err := event.FromJSON([]byte(text))
			Expect(doc).To(BeNil())
			Expect(err).To(BeAssignableToTypeOf(&event.Invalid{}))
			Expect(err).To(MatchError(message))
		},
		Entry("nothing", "", "byte 0: the text ends, expected a value"),
		Entry("a list", "[1]", "expected an object, found an array"),
		Entry("what is no JSON", "{]", "byte 1: expected a key in double quotes, found \"]\""),
		Entry("more than one value", "{} {}", "byte 3: expected the end of the message, found \"{\""),
		Entry("a key twice", `{"a":{"b":1,"b":2}}`, "/a/b: the key is there twice"),
		Entry("a key with NUL", `{"\u0000":1}`, `"/\x00": a key must not contain NUL (\u0000)`),
		Entry("an integer beyond 64 bits", `{"a":[18446744073709551615]}`,
			"/a/0: expected an integer of at most 64 bits, found 18446744073709551615; send it as a string, or with a fraction if a double will do"),
		Entry("a number beyond a double", `{"a":1e309}`, "/a: expected a number in the range of a 64-bit double, found 1e309"),
		Entry("invalid UTF-8", "{\"a\":\"\xff\"}", "/a: byte 6: not valid UTF-8"),
	)
})

var _ = Describe("ToJSON", func() {
	render := func(d bson.D) string {
		GinkgoHelper()
		raw, err := bson.Marshal(d)
		Expect(err).NotTo(HaveOccurred())
		text, err := event.ToJSON(raw)
		Expect(err).NotTo(HaveOccurred())
		return string(text)
	}

	It("leaves out _id at the top alone", func() {
		Expect(render(bson.D{{Key: "_id", Value: 1}})).To(Equal(`{}`))
		Expect(render(bson.D{{Key: "a", Value: 1}, {Key: "_id", Value: 1}, {Key: "b", Value: bson.D{{Key: "_id", Value: 1}}}})).
			To(Equal(`{"a":1,"b":{"_id":1}}`))
	})

	id := primitive.ObjectID{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}
	DescribeTable("renders",
		func(value any, want string) {
			Expect(render(bson.D{{Key: "v", Value: value}})).To(Equal(`{"v":` + want + `}`))
		},
		Entry("a time in UTC with milliseconds", time.Date(2026, 3, 4, 5, 0, 0, 0, time.FixedZone("", 3600)), `"2026-03-04T04:00:00.000Z"`),
		Entry("a time before 1970", time.Date(1, 1, 1, 0, 0, 0, 1e6, time.UTC), `"0001-01-01T00:00:00.001Z"`),
		Entry("a time that RFC 3339 cannot write", primitive.DateTime(1<<62), `{"$date":{"$numberLong":"4611686018427387904"}}`),
		Entry("a 64-bit integer", int64(9223372036854775807), "9223372036854775807"),
		Entry("a double as one", 3.0, "3.0"),
		Entry("a large double", 1e21, "1e+21"),
		Entry("a small double", 1.5e-7, "1.5e-07"),
		Entry("a double below zero", -0.25, "-0.25"),
		Entry("the negative zero", negativeZero(), "-0.0"),
		Entry("what JSON has no number for", infinity(), `{"$numberDouble":"Infinity"}`),
		Entry("null", nil, "null"),
		Entry("booleans", bson.A{true, false}, "[true,false]"),
		Entry("an ObjectID", id, `"0102030405060708090a0b0c"`),
		Entry("a regular expression", primitive.Regex{Pattern: "a\"b", Options: "i"}, `{"$regularExpression":{"pattern":"a\"b","options":"i"}}`),
		Entry("a decimal", primitive.NewDecimal128(0x3040000000000000, 15), `{"$numberDecimal":"15"}`),
		Entry("characters that must be escaped", "\"\\\n\r\t\x00\x1f\u2028\u2029/<é🙂\x7f", `"\"\\\n\r\t\u0000\u001f\u2028\u2029/<é🙂`+"\x7f"+`"`),
		Entry("bytes that are no text", "a\xffb", `"a\ufffdb"`),
		Entry("empty containers", bson.A{bson.A{}, bson.D{}}, "[[],{}]"),
	)

	DescribeTable("refuses what is no document",
		func(raw bson.Raw) {
			_, err := event.ToJSON(raw)
			Expect(err).To(HaveOccurred())
		},
		Entry("nothing", bson.Raw(nil)),
		Entry("a wrong length", bson.Raw{6, 0, 0, 0, 0}),
		Entry("an element cut off", bson.Raw{8, 0, 0, 0, 0x10, 'a', 0, 0}),
		Entry("a type that there is not", bson.Raw{9, 0, 0, 0, 0x77, 'a', 0, 0, 0}),
	)

	It("gives back what FromJSON was given", func() {
		text := `{"timestamp":"2026-03-04T05:06:07.089Z","b":[1,2.5,-3.0,"x\ny",{"c":null}],"a":9223372036854775807}`
		doc, err := event.FromJSON([]byte(text))
		Expect(err).NotTo(HaveOccurred())
		back, err := event.ToJSON(doc)
		Expect(err).NotTo(HaveOccurred())
		Expect(string(back)).To(Equal(text))
	})

	It("appends to what is there", func() {
		doc, err := event.FromJSON([]byte(`{"a":1}`))
		Expect(err).NotTo(HaveOccurred())
		text, err := event.AppendJSON([]byte("data: "), doc)
		Expect(err).NotTo(HaveOccurred())
		Expect(string(text)).To(Equal(`data: {"a":1}`))
	})
})
