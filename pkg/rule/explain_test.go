package rule_test

import (
	"encoding/json"
	"fmt"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/test/support/querygen"
)

func explained(condition, doc string) rule.Explanation {
	GinkgoHelper()
	raw, err := rule.ParseCondition([]byte(condition))
	Expect(err).NotTo(HaveOccurred())
	cond, err := rule.Compile(raw)
	Expect(err).NotTo(HaveOccurred())
	return cond.Explain(document([]byte(doc)))
}

var _ = Describe("An explanation", func() {
	DescribeTable("says in a line why a clause holds or not", func(condition, doc, want string) {
		Expect(explained(condition, doc).Text).To(Equal(want))
	},
		Entry("a number too small", `{"severity": {"$gte": 7}}`, `{"severity": 3}`,
			`severity is 3 (int), but must be >= 7`),
		Entry("a number that is enough", `{"severity": {"$gte": 7}}`, `{"severity": 9}`,
			`severity is 9 (int), and must be >= 7`),
		Entry("a field that is missing", `{"payload.amount": {"$gt": 100}}`, `{"payload": {"total": 5}}`,
			`payload.amount is missing, but must be > 100`),
		Entry("a field whose name is misspelt", `{"payload.amount": {"$gt": 100}}`, `{"payload": {"amuont": 5}}`,
			`payload.amount is missing, but must be > 100: there is payload.amuont`),
		Entry("a document that is none", `{"payload.card.country": "DE"}`, `{"payload": {"card": "visa"}}`,
			`payload.card.country is missing, but must be "DE": payload.card is "visa" (string), no document`),
		Entry("a document that is missing", `{"payload.card.country": "DE"}`, `{"payload": {}}`,
			`payload.card.country is missing, but must be "DE": payload has no card`),
		Entry("a number in text", `{"payload.amount": {"$gt": 100}}`, `{"payload": {"amount": "250"}}`,
			`payload.amount is "250" (string), but must be > 100: string and int are never compared`),
		Entry("equality across types", `{"a": 5}`, `{"a": "5"}`, `a is "5" (string), but must be 5: string and int are never equal`),
		Entry("letters in another case", `{"type": "PAYMENT_FAILED"}`, `{"type": "Payment_Failed"}`,
			`type is "Payment_Failed" (string), but must be "PAYMENT_FAILED": only upper and lower case differ`),
		Entry("a blank too much", `{"source": {"$in": ["shop", "till"]}}`, `{"source": "shop "}`,
			`source is "shop " (string), but must be one of "shop" or "till": only white space at an end differs`),
		Entry("absence as null", `{"user_id": null}`, `{}`, `user_id is missing, and must be null: an absent field counts as null`),
		Entry("absence as null, unwanted", `{"user_id": {"$ne": null}}`, `{}`, `user_id is missing, but must not be null: an absent field counts as null`),
		Entry("null is there", `{"user_id": {"$exists": false}}`, `{"user_id": null}`, `user_id is null, but must not be there: null is a value`),
		Entry("an element that is right", `{"tags": "x"}`, `{"tags": ["y", "x"]}`, `tags.1 is "x" (string), and one must be "x"`),
		Entry("no element that is right", `{"tags": "x"}`, `{"tags": ["y", 5]}`, `tags has 2 values, "y" (string) and 5 (int), but one must be "x"`),
		Entry("an element that may not be", `{"tags": {"$nin": ["x", "z"]}}`, `{"tags": ["y", "x"]}`, `tags.1 is "x" (string), but none may be one of "x" or "z"`),
		Entry("values in the documents of an array", `{"items.sku": "x"}`, `{"items": [{"sku": "a"}, {"sku": "b"}, {}]}`,
			`items.sku has 3 values, "a" (string), "b" (string) and missing, but one must be "x"`),
		Entry("an array of no documents", `{"items.sku": "x"}`, `{"items": []}`, `items.sku leads to nothing, but one must be "x"`),
		Entry("an empty array", `{"tags": "x"}`, `{"tags": []}`, `tags is an empty array, but must be "x"`),
		Entry("text that does not match", `{"source": {"$regex": "^shop-", "$options": "i"}}`, `{"source": "till"}`, `source is "till" (string), but must match /^shop-/i`),
		Entry("no text to match", `{"source": {"$regex": "5"}}`, `{"source": 5}`, `source is 5 (int), but must match /5/: only text is searched`),
		Entry("a date", `{"timestamp": {"$lt": {"$date": "2024-01-01T00:00:00Z"}}}`, `{"timestamp": {"$date": "2024-03-01T12:00:00.5Z"}}`,
			`timestamp is 2024-03-01T12:00:00.5Z (date), but must be < 2024-01-01T00:00:00Z`),
		Entry("a date in text", `{"timestamp": {"$lt": {"$date": "2024-01-01T00:00:00Z"}}}`, `{"timestamp": "2023-01-01"}`,
			`timestamp is "2023-01-01" (string), but must be < 2024-01-01T00:00:00Z: string and date are never compared`),
		Entry("a type", `{"a": {"$type": ["string", "null"]}}`, `{"a": 1}`, `a is 1 (int), but must be of type "string" or "null"`),
		Entry("a remainder", `{"a": {"$mod": [4, 1]}}`, `{"a": 6}`, `a is 6 (int), but must leave 1 when divided by 4`),
		Entry("a size", `{"a": {"$size": 2}}`, `{"a": [1, 2, 3]}`, `a is [1,2,3] (array), but must be an array of 2 elements: it has 3`),
		Entry("a place", `{"at": {"$geoWithin": {"$center": [[0, 0], 1]}}}`, `{"at": {"type": "Point", "coordinates": [5, 5]}}`,
			`at is {"type":"Point","coordinates":[5,5]} (object), but must lie within $center [[0,0],1]`),
		Entry("no place", `{"at": {"$geoWithin": {"$center": [[0, 0], 1]}}}`, `{"at": "Paris"}`,
			`at is "Paris" (string), but must lie within $center [[0,0],1]: it is no place`),
		Entry("all clauses", `{"a": 1, "b": 2}`, `{"a": 1, "b": 2}`, `all 2 clauses hold`),
		Entry("one clause of several", `{"a": 1, "b": 2}`, `{"a": 1, "b": 3}`, `b is 3 (int), but must be 2`),
		Entry("several clauses", `{"a": 1, "b": 2, "c": 3}`, `{"a": 1, "b": 3}`, `b is 3 (int), but must be 2 (2 of 3 clauses fail)`),
		Entry("the empty condition", `{}`, `{"a": 1}`, `there is nothing to fulfil`),
		Entry("an alternative that holds", `{"$or": [{"a": 1}, {"b": 2}]}`, `{"b": 2}`, `b is 2 (int), and must be 2`),
		Entry("no alternative that holds", `{"$or": [{"a": 1}, {"b": 2}]}`, `{"a": 5}`,
			`none of 2 alternatives holds: a is 5 (int), but must be 1; b is missing, but must be 2`),
		Entry("what must not be", `{"$nor": [{"a": 1}, {"b": 2}]}`, `{"b": 2}`, `b is 2 (int), but must not be 2 ($nor)`),
		Entry("the opposite of operators", `{"a": {"$not": {"$gt": 5}}}`, `{"a": 6}`, `a is 6 (int), but must not be > 5 ($not)`),
		Entry("the opposite of operators that holds", `{"a": {"$not": {"$gt": 5}}}`, `{}`, `a is missing, and must not be > 5 ($not)`),
		Entry("the opposite of a negative", `{"a": {"$not": {"$ne": 5}}}`, `{"a": 6}`, `a is 6 (int), but must be 5 ($not)`),
		Entry("the opposite of several", `{"a": {"$not": {"$gt": 5, "$lt": 9}}}`, `{"a": 6}`, `all 2 clauses hold, but $not asks for the opposite`),
		Entry("the opposite for many values", `{"tags": {"$not": {"$in": ["x"]}}}`, `{"tags": ["y", "x"]}`, `tags.1 is "x" (string), but none may be one of "x" ($not)`),
		Entry("an element that none may be", `{"items": {"$not": {"$elemMatch": {"sku": "B"}}}}`, `{"items": [{"sku": "B"}]}`,
			`items.0 fulfils what no element may: items.0.sku is "B" (string), and must be "B" ($not)`),
		Entry("a position that an array does not have", `{"items.2.sku": "C"}`, `{"items": [{"sku": "A"}, {"sku": "B"}]}`,
			`items.2.sku is missing, but must be "C": items is an array of 2 elements`),
		Entry("a document whose fields are in another order", `{"card": {"country": "DE", "brand": "visa"}}`, `{"card": {"brand": "visa", "country": "DE"}}`,
			`card is {"brand":"visa","country":"DE"} (object), but must be {"country":"DE","brand":"visa"}: a document is compared as a whole, with all its fields in their order; one field is asked for by its path`),
		Entry("an array that is another", `{"tags": ["x"]}`, `{"tags": ["x", "y"]}`, `tags has 2 values, "x" (string) and "y" (string), but one must be ["x"]: an array is compared as a whole, in its order`),
		Entry("text in another case", `{"source": {"$regex": "^SHOP"}}`, `{"source": "shop-1"}`, `source is "shop-1" (string), but must match /^SHOP/: only upper and lower case differ, which the option i ignores`),
		Entry("text for a date", `{"timestamp": {"$gte": "2024-01-01"}}`, `{"timestamp": {"$date": "2024-03-01T12:00:00Z"}}`,
			`timestamp is 2024-03-01T12:00:00Z (date), but must be >= "2024-01-01": date and string are never compared; a date is written {"$date": "2006-01-02T15:04:05Z"}`),
		Entry("a place too far away", `{"at": {"$geoWithin": {"$centerSphere": [[0, 0], 0.01]}}}`, `{"at": {"type": "Point", "coordinates": [5, 5]}}`,
			`at is {"type":"Point","coordinates":[5,5]} (object), but must lie within $centerSphere [[0,0],0.01] (63.8 km around it)`),
		Entry("all values", `{"tags": {"$all": ["x", "y"]}}`, `{"tags": ["x"]}`, `tags has one value, "x" (string), but one must be "y"`),
		Entry("no values", `{"tags": {"$all": []}}`, `{"tags": ["x"]}`, `an empty $all never holds`),
		Entry("an element that fulfils all", `{"items": {"$elemMatch": {"sku": "x", "qty": {"$gt": 2}}}}`, `{"items": [{"sku": "y"}, {"sku": "x", "qty": 3}]}`,
			`items.1 fulfils all of it`),
		Entry("no element that does", `{"items": {"$elemMatch": {"sku": "x", "qty": {"$gt": 2}}}}`, `{"items": [{"sku": "y"}, {"sku": "x", "qty": 1}]}`,
			`none of the 2 elements of items fulfils all of it; the closest: items.1.qty is 1 (int), but must be > 2`),
		Entry("elements that are no documents", `{"items": {"$elemMatch": {"sku": "x"}}}`, `{"items": ["x"]}`,
			`the one element of items does not fulfil all of it: items.0 is "x" (string), but must be a document`),
		Entry("elements by themselves", `{"n": {"$elemMatch": {"$gt": 1, "$lt": 5}}}`, `{"n": [0, 9]}`,
			`none of the 2 elements of n fulfils all of it; the closest: n.0 is 0 (int), but must be > 1`),
		Entry("no array", `{"items": {"$elemMatch": {"sku": "x"}}}`, `{"items": {"sku": "x"}}`,
			`items is {"sku":"x"} (object), but must be an array with an element that fulfils it`),
		Entry("long text is cut", `{"a": "x"}`, fmt.Sprintf(`{"a": %q}`, strings.Repeat("y", 500)), `a is "`+strings.Repeat("y", 79)+`… (string), but must be "x"`),
	)

	It("says what the loop guard holds back, whatever the condition says", func() {
		every, err := rule.Compile(querygen.Marshal(bson.D{}))
		Expect(err).NotTo(HaveOccurred())
		outcomes, err := rule.Compile(querygen.Marshal(bson.D{{Key: "type", Value: rule.DeliveryType}}))
		Expect(err).NotTo(HaveOccurred())
		Expect(every.Guarded(document([]byte(`{"type": "A", "metadata": {"hops": 7}}`)))).To(BeEmpty())
		Expect(every.Guarded(document([]byte(`{"type": "A", "metadata": {"hops": 8}}`)))).To(ContainSubstring("8 actions"))
		Expect(every.Guarded(document([]byte(`{"type": "NOTIFICATION_DELIVERY"}`)))).To(ContainSubstring("require that type"))
		Expect(outcomes.Guarded(document([]byte(`{"type": "NOTIFICATION_DELIVERY"}`)))).To(BeEmpty())
	})

	It("has the path, operator, operand, values with their types and the verdict of each clause", func() {
		b, err := json.MarshalIndent(explained(
			`{"type": "ORDER", "$or": [{"payload.items": {"$elemMatch": {"sku": "x", "qty": {"$gt": 2}}}}, {"payload.total": {"$gte": 100}}]}`,
			`{"type": "ORDER", "payload": {"items": [{"sku": "x", "qty": 1}], "total": 99.5}}`), "", "  ")
		Expect(err).NotTo(HaveOccurred())
		Expect(string(b)).To(MatchJSON(`{
		  "operator": "$and", "matched": false,
		  "text": "none of 2 alternatives holds: the one element of payload.items does not fulfil all of it: payload.items.0.qty is 1 (int), but must be > 2; payload.total is 99.5 (double), but must be >= 100",
		  "clauses": [
		    {"path": "type", "operator": "$eq", "expected": "ORDER", "matched": true, "text": "type is \"ORDER\" (string), and must be \"ORDER\"",
		     "actual": [{"at": "type", "type": "string", "value": "ORDER", "decides": true}]},
		    {"operator": "$or", "matched": false,
		     "text": "none of 2 alternatives holds: the one element of payload.items does not fulfil all of it: payload.items.0.qty is 1 (int), but must be > 2; payload.total is 99.5 (double), but must be >= 100",
		     "clauses": [
		       {"operator": "$and", "matched": false, "text": "the one element of payload.items does not fulfil all of it: payload.items.0.qty is 1 (int), but must be > 2",
		        "clauses": [
		          {"path": "payload.items", "operator": "$elemMatch", "expected": {"sku": "x", "qty": {"$gt": 2}}, "matched": false,
		           "text": "the one element of payload.items does not fulfil all of it: payload.items.0.qty is 1 (int), but must be > 2",
		           "actual": [{"at": "payload.items", "type": "array", "value": [{"sku": "x", "qty": 1}]}],
		           "clauses": [
		             {"path": "payload.items.0", "operator": "$and", "matched": false, "text": "payload.items.0.qty is 1 (int), but must be > 2",
		              "clauses": [
		                {"path": "sku", "operator": "$eq", "expected": "x", "matched": true, "text": "payload.items.0.sku is \"x\" (string), and must be \"x\"",
		                 "actual": [{"at": "payload.items.0.sku", "type": "string", "value": "x", "decides": true}]},
		                {"path": "qty", "operator": "$gt", "expected": 2, "matched": false, "text": "payload.items.0.qty is 1 (int), but must be > 2",
		                 "actual": [{"at": "payload.items.0.qty", "type": "int", "value": 1}]}
		              ]}
		           ]}
		        ]},
		       {"operator": "$and", "matched": false, "text": "payload.total is 99.5 (double), but must be >= 100",
		        "clauses": [
		          {"path": "payload.total", "operator": "$gte", "expected": 100, "matched": false, "text": "payload.total is 99.5 (double), but must be >= 100",
		           "actual": [{"at": "payload.total", "type": "double", "value": 99.5}]}
		        ]}
		     ]}
		  ]}`))
	})

	It("shows a few of many values, the deciding one among them", func() {
		n := make([]string, 100)
		for i := range n {
			n[i] = fmt.Sprint(i)
		}
		e := explained(`{"n": 77}`, `{"n": [`+strings.Join(n, ",")+`]}`)
		Expect(e.Clauses[0].Actual).To(HaveLen(10))
		Expect(e.Clauses[0].Actual[9].At).To(Equal("n.77"))
		Expect(e.Clauses[0].Actual[9].Decides).To(BeTrue())
		Expect(e.Clauses[0].More).To(Equal(91))
		e = explained(`{"n": {"$elemMatch": {"$gt": 1000}}}`, `{"n": [`+strings.Join(n, ",")+`]}`)
		Expect(e.Clauses[0].Clauses).To(HaveLen(10))
		Expect(e.Clauses[0].More).To(Equal(90))
	})

	It("leaves out values that nobody can read", func() {
		e := explained(`{"a": "x"}`, fmt.Sprintf(`{"a": %q}`, strings.Repeat("y", 5000)))
		Expect(e.Clauses[0].Actual[0].Value).To(BeNil())
		Expect(e.Clauses[0].Actual[0].Type).To(Equal("string"))
	})

	DescribeTable("comes to the verdict of the matcher", func(seed uint64) {
		g := querygen.New(seed)
		matches := 0
		for range 400 {
			cond, err := rule.Compile(querygen.Marshal(g.Condition(2)))
			Expect(err).NotTo(HaveOccurred())
			for range 15 {
				doc := querygen.Marshal(g.Document(3))
				e := cond.Explain(doc)
				Expect(e.Matched).To(Equal(cond.Match(doc)), "%s: %s: %s", cond.Raw(), doc, e.Text)
				matches += len(e.Clauses) * map[bool]int{true: 1}[e.Matched]
				checkExplanation(e, cond.Raw(), doc)
				b, err := json.Marshal(e)
				Expect(err).NotTo(HaveOccurred())
				Expect(json.Valid(b)).To(BeTrue())
			}
		}
		Expect(matches).To(BeNumerically(">", 100))
	}, Entry(nil, uint64(1)), Entry(nil, uint64(2)), Entry(nil, uint64(3)))
})

// checkExplanation: every clause has a text and, if it compares, values of
// which one decides exactly if the verdict needs one.
func checkExplanation(e rule.Explanation, condition, doc bson.Raw) {
	GinkgoHelper()
	Expect(e.Text).NotTo(BeEmpty())
	negative := map[string]bool{"$ne": true, "$nin": true}[e.Operator] || e.Operator == "$exists" && (string(e.Expected) == "false" || string(e.Expected) == "0")
	if e.Clauses == nil && e.Path != "" && e.Operator != "$all" && e.Operator != "$elemMatch" && e.Operator != "$and" {
		deciding := 0
		for _, a := range e.Actual {
			Expect(a.Type).NotTo(BeEmpty())
			if a.Decides {
				deciding++
			}
		}
		want := 0
		if e.Matched != negative {
			want = 1
		}
		Expect(deciding).To(Equal(want), "%s %s of %s: %s", e.Path, e.Operator, condition, doc)
	}
	for _, c := range e.Clauses {
		checkExplanation(c, condition, doc)
	}
}
