package rule_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/test/support/querygen"
)

func parse(name, text string) []rule.Rule {
	GinkgoHelper()
	rules, err := rule.ParseFile(strings.NewReader(text), name)
	Expect(err).NotTo(HaveOccurred())
	return rules
}

func mistakes(name, text string) []string {
	GinkgoHelper()
	rules, err := rule.ParseFile(strings.NewReader(text), name)
	var e *rule.FileError
	Expect(errors.As(err, &e)).To(BeTrue(), "%v", err)
	Expect(rules).To(BeNil())
	return strings.Split(err.Error(), "\n")
}

var _ = Describe("A rule file", func() {
	DescribeTable("is the same in every form", func(file string) {
		text, err := os.ReadFile("testdata/files/" + file)
		Expect(err).NotTo(HaveOccurred())
		rules := parse(file, string(text))
		Expect(rules).To(HaveLen(2))
		r := rules[0]
		Expect(r.ID).To(Equal("r-1"))
		Expect(r.Name).To(Equal("big payments"))
		Expect(r.Description).To(Equal("Payments that fail\n"))
		Expect(r.Priority).To(Equal(3))
		Expect(r.Enabled).To(BeFalse())
		Expect(r.Mode).To(Equal(rule.Shadow))
		Expect(r.Conditions).To(Equal(querygen.Marshal(bson.D{
			{Key: "type", Value: "PAYMENT_FAILED"},
			{Key: "severity", Value: bson.D{{Key: "$gte", Value: int32(7)}}},
			{Key: "payload.amount", Value: bson.D{{Key: "$gt", Value: 1000.0}, {Key: "$lt", Value: int64(9007199254740993)}}},
			{Key: "timestamp", Value: bson.D{{Key: "$gte", Value: time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)}}},
			{Key: "payload.card", Value: bson.D{{Key: "z", Value: int32(1)}, {Key: "a", Value: nil}}},
			{Key: "source", Value: bson.D{{Key: "$in", Value: bson.A{"a", true, "010"}}}},
		})))
		Expect(r.Actions).To(HaveLen(2))
		Expect(r.Actions[0].Type).To(Equal("WEBHOOK"))
		Expect(r.Actions[0].Config.Lookup("url").StringValue()).To(Equal("https://example.com/hook"))
		Expect(r.Actions[1]).To(Equal(rule.ActionSpec{Type: "LOG", Config: querygen.Marshal(bson.D{})}))

		defaults := rules[1]
		Expect(defaults.Priority).To(Equal(rule.DefaultPriority))
		Expect(defaults.Enabled).To(BeTrue())
		Expect(defaults.Mode).To(Equal(rule.Live))
		Expect(defaults.Conditions).To(Equal(querygen.Marshal(bson.D{})))
	},
		Entry("a JSON array", "array.json"),
		Entry("JSON lines", "lines.jsonl"),
		Entry("canonical extended JSON, as mongoexport writes it", "extended.json"),
		Entry("YAML", "list.yaml"),
		Entry("YAML, a document a rule", "documents.yml"),
		Entry("YAML under a name", "named.yaml"),
	)

	It("is recognised by its text when its name says nothing", func() {
		Expect(parse("body", "- name: a\n  conditions: {}")).To(HaveLen(1))
		Expect(parse("body", ` [{"name": "a", "conditions": {}}]`)).To(HaveLen(1))
		Expect(parse("body", "\ufeff{\"name\": \"a\", \"conditions\": {}}\n\n{\"name\": \"b\", \"conditions\": {}}\n")).To(HaveLen(2))
	})

	It("may be empty", func() {
		Expect(parse("rules.json", "")).To(BeEmpty())
		Expect(parse("rules.json", "[]")).To(BeEmpty())
		Expect(parse("rules.yaml", "")).To(BeEmpty())
		Expect(parse("rules.yaml", "---\n")).To(BeEmpty())
	})

	It("may use YAML's anchors", func() {
		rules := parse("rules.yaml", "- name: a\n  conditions: &c {type: A}\n- name: b\n  conditions: *c\n")
		Expect(rules[1].Conditions).To(Equal(querygen.Marshal(bson.D{{Key: "type", Value: "A"}})))
	})

	It("is refused with every mistake, each with line, rule and place", func() {
		Expect(mistakes("rules.json", strings.Join([]string{
			`{"name": "one", "conditions": {"a": {"$gtt": 1}, "b": {"$in": 5}}}`,
			`{"name": "two", "conditions": {"a": 1, "a": 2}, "prioritty": 1, "window": {"query_key": "a"}, "enabled": "yes"}`,
			``,
			`{"rule_id": "three", "conditions": [], "mode": "dead", "priority": 1.5, "actions": [{"tipe": "LOG"}, 5]}`,
			`{"name": "one", "conditions": {}}`,
			`{"name": "six", "conditions": {"t": {"$date": "yesterday"}}}`,
			`7`,
		}, "\n"))).To(Equal([]string{
			`rules.json:1: rule 1 "one": /conditions/a/$gtt: there is no operator $gtt, did you mean $gt? Supported are $eq $ne $gt $gte $lt $lte $in $nin $exists $type $regex $options $mod $size $all $elemMatch $geoWithin $and $or $nor $not $comment`,
			`rules.json:1: rule 1 "one": /conditions/b/$in: $in takes a list of values`,
			`rules.json:2: rule 2 "two": /conditions/a: is there twice`,
			`rules.json:2: rule 2 "two": /prioritty: there is no prioritty, did you mean priority?`,
			`rules.json:2: rule 2 "two": /window/query_key: ElastAlert's query_key is called group_by here`,
			`rules.json:2: rule 2 "two": /enabled: must be true or false`,
			`rules.json:4: rule 3 "three": /conditions: must be an object, a MongoDB query document`,
			`rules.json:4: rule 3 "three": /mode: must be live or shadow`,
			`rules.json:4: rule 3 "three": /priority: must be a whole number, 0 or more`,
			`rules.json:4: rule 3 "three": /actions/0/tipe: there is no tipe, did you mean type?`,
			`rules.json:4: rule 3 "three": /actions/0/type: is missing`,
			`rules.json:4: rule 3 "three": /actions/1: an action is an object, {"type": …, "config": …}`,
			`rules.json:4: rule 3 "three": /name: is missing`,
			`rules.json:5: rule 4 "one": /name: "one" is also that of the rule at line 1`,
			`rules.json:6: rule 5 "six": /conditions/t: $date takes a time as "2006-01-02T15:04:05Z", or milliseconds since 1970`,
			`rules.json:7: rule 6: a rule is an object`,
		}))
	})

	It("names the line within a rule", func() {
		Expect(mistakes("r.yaml", "- name: a\n  conditions:\n    $or:\n      - a: 1\n      - b:\n          $regex: '('\n")).To(ConsistOf(
			HavePrefix(`r.yaml:6: rule 1 "a": /conditions/$or/1/b/$regex: the regular expression "(": missing closing )`)))
		Expect(mistakes("r.json", "[\n{\"name\": \"a\",\n\"conditions\": {\n\"a\": {\"$in\": 1}}}]")).To(ConsistOf(
			`r.json:4: rule 1 "a": /conditions/a/$in: $in takes a list of values`))
	})

	It("goes on behind a broken line", func() {
		Expect(mistakes("r.jsonl", "{\"name\": \"a\", \"conditions\": {}\n{\"name\": \"b\", \"conditions\": {}}\n{\"name\": \"c\", conditions: {}}\n{\"name\": \"d\"}\n")).To(Equal([]string{
			`r.jsonl:2: is not valid JSON at column 1: invalid character '{' after object key:value pair (the value begins in line 1)`,
			`r.jsonl:3: is not valid JSON at column 15: invalid character 'c' looking for beginning of object key string`,
			`r.jsonl:4: rule 1 "d": /conditions: are missing; {} matches every event`,
		}))
	})

	DescribeTable("is refused", func(name, text, want string) {
		Expect(mistakes(name, text)).To(ContainElement(ContainSubstring(want)))
	},
		Entry("cut in the middle", "r.json", `[{"name": "a"`, "it ends in the middle"),
		Entry("with text behind it", "r.json", `[] x`, "r.json:1: is not valid JSON"),
		Entry("that is not UTF-8", "r.json", "[\n\"\xff\"]", "r.json:2: is not UTF-8"),
		Entry("nested too deep", "r.json", strings.Repeat("[", 1000), "nested deeper than"),
		Entry("nested too deep in YAML", "r.yaml", strings.Repeat("[", 1000)+strings.Repeat("]", 1000), "nested deeper than"),
		Entry("broken YAML", "r.yaml", "a:\n  - b\n c: d\n", "is not valid YAML"),
		Entry("a YAML date that could be text", "r.yaml", "- name: a\n  conditions: {d: 2024-01-01}\n", `r.yaml:2: rule 1 "a": /conditions/d: 2024-01-01 could be`),
		Entry("a YAML merge key", "r.yaml", "- &a {name: a, conditions: {}}\n- <<: *a\n  name: b\n", "merge keys"),
		Entry("a YAML tag", "r.yaml", "- name: !!binary aGk=\n  conditions: {}\n", "tag !!binary"),
		Entry("a name twice in YAML", "r.yaml", "- name: a\n  name: b\n  conditions: {}\n", `r.yaml:2: rule 1 "a": /name: is there twice`),
		Entry("aliases that mean a billion values", "r.yaml", bomb(), "too long with its aliases"),
		Entry("an alias of itself", "r.yaml", "- &a [*a]\n", "nested deeper"),
		Entry("a number out of range", "r.json", `[{"name": "a", "conditions": {"a": 1e999}}]`, "out of range"),
		Entry("a NUL in a name", "r.json", `[{"name": "a", "conditions": {"a\u0000b": 1}}]`, "NUL"),
		Entry("an id twice", "r.json", `[{"rule_id": "x", "name": "a", "conditions": {}}, {"rule_id": "x", "name": "b", "conditions": {}}]`, `/rule_id: "x" is also that of the rule at line 1`),
		Entry("an id in both spellings", "r.json", `[{"rule_id": "x", "_id": "y", "name": "a", "conditions": {}}]`, "the id is there twice"),
		Entry("a length of time as a number", "r.json", `[{"name": "a", "conditions": {}, "throttle": {"for": 5}}]`, "/throttle/for: must be a length of time as text: 30s, 5m, 2h, 7d"),
		Entry("a length of time in words", "r.yaml", "- name: a\n  conditions: {}\n  group:\n    wait: half an hour\n", `r.yaml:4: rule 1 "a": /group/wait: "half an hour" is no length of time`),
		Entry("a muted time that is none", "r.json", `[{"name": "a", "conditions": {}, "mute": [{"form": "22:00"}]}]`, "/mute/0/form: there is no form, did you mean from?"),
		Entry("a fraction of a match", "r.json", `[{"name": "a", "conditions": {}, "max_matches_per_hour": 0.5}]`, "/max_matches_per_hour: must be a whole number"),
	)
})

// bomb is YAML whose aliases stand for 10^9 values.
func bomb() string {
	var b strings.Builder
	b.WriteString("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n")
	for i := 1; i < 9; i++ {
		at := string(rune('0' + i))
		b.WriteString("a" + at + ": &a" + at + " [" + strings.TrimSuffix(strings.Repeat("*a"+string(rune('0'+i-1))+",", 10), ",") + "]\n")
	}
	return b.String()
}

var _ = Describe("Extended JSON", func() {
	It("gives every BSON type", func() {
		raw, err := rule.ParseCondition([]byte(`{
			"a": {"$oid": "507f1f77bcf86cd799439011"}, "b": {"$date": {"$numberLong": "-1"}}, "c": {"$numberInt": "1"},
			"d": {"$numberLong": "2"}, "e": {"$numberDouble": "NaN"}, "f": {"$numberDecimal": "1.5"},
			"g": {"$binary": {"base64": "AQI=", "subType": "80"}}, "h": {"$uuid": "c8edabc3-f738-4ca3-b68d-ab92a91478a3"},
			"i": {"$regularExpression": {"pattern": "a", "options": "i"}}, "j": {"$timestamp": {"t": 1, "i": 2}},
			"k": {"$minKey": 1}, "l": {"$maxKey": 1}, "q": {"$code": "x"}, "r": {"$symbol": "y"}, "m": 2147483648, "n": 1.0, "o": [null, true, {"x": "y"}], "p": -2147483648}`))
		Expect(err).NotTo(HaveOccurred())
		Expect(raw.Validate()).To(Succeed())
		var want bson.Raw
		Expect(bson.UnmarshalExtJSON([]byte(`{
			"a": {"$oid": "507f1f77bcf86cd799439011"}, "b": {"$date": {"$numberLong": "-1"}}, "c": {"$numberInt": "1"},
			"d": {"$numberLong": "2"}, "e": {"$numberDouble": "NaN"}, "f": {"$numberDecimal": "1.5"},
			"g": {"$binary": {"base64": "AQI=", "subType": "80"}}, "h": {"$uuid": "c8edabc3-f738-4ca3-b68d-ab92a91478a3"},
			"i": {"$regularExpression": {"pattern": "a", "options": "i"}}, "j": {"$timestamp": {"t": 1, "i": 2}},
			"k": {"$minKey": 1}, "l": {"$maxKey": 1}, "q": {"$code": "x"}, "r": {"$symbol": "y"}, "m": {"$numberLong": "2147483648"}, "n": {"$numberDouble": "1.0"}, "o": [null, true, {"x": "y"}], "p": -2147483648}`), false, &want)).To(Succeed())
		Expect(raw).To(Equal(want))
	})
	DescribeTable("is refused where it is none", func(text, at string) {
		_, err := rule.ParseCondition([]byte(text))
		var refused *rule.CompileError
		Expect(errors.As(err, &refused)).To(BeTrue(), "%s", text)
		Expect(refused.Path).To(Equal(at))
	},
		Entry(nil, `{"a": {"$oid": "x"}}`, "/a"),
		Entry(nil, `{"a": [1, {"$date": "x"}]}`, "/a/1"),
		Entry(nil, `{"a": {"$numberInt": "3000000000"}}`, "/a"),
		Entry(nil, `{"a": {"$numberLong": 5}}`, "/a"),
		Entry(nil, `{"a": {"$numberDouble": "x"}}`, "/a"),
		Entry(nil, `{"a": {"$numberDecimal": "x"}}`, "/a"),
		Entry(nil, `{"a": {"$binary": {"base64": "!", "subType": "00"}}}`, "/a"),
		Entry(nil, `{"a": {"$uuid": "x"}}`, "/a"),
		Entry(nil, `{"a": {"$code": 1}}`, "/a"),
		Entry(nil, `{"a": {"$code": "x", "$scope": {}}}`, "/a"),
		Entry(nil, `{"a": {"$regularExpression": {"pattern": "a"}}}`, "/a"),
		Entry(nil, `{"a": {"$timestamp": {"t": -1, "i": 0}}}`, "/a"),
		Entry(nil, `{"a": {"$oid": "507f1f77bcf86cd799439011", "b": 1}}`, "/a"),
		Entry(nil, `[]`, ""),
		Entry(nil, `{} {}`, ""),
		Entry(nil, ``, ""),
		Entry(nil, "{\"a\": \"\xff\"}", ""),
	)
})

var _ = Describe("a file with many rules and one broken", func() {
	file := func(broken, sep, indent string) string {
		items := make([]string, 1000)
		for i := range items {
			items[i] = fmt.Sprintf(`%s{"name":"r%d","actions":[],"conditions":{"type":"T","n":{"$gte":%d}}}`, indent, i, i)
		}
		items[500] = broken
		return strings.Join(items, sep+"\n")
	}

	DescribeTable("is refused for that rule alone, named with its line",
		func(broken, message string) {
			for name, text := range map[string]string{
				"lines.jsonl": file(broken, "", ""), "list.json": "[\n" + file(broken, ",", "") + "\n]", "indented.json": "[\n" + file(broken, ",", "    ") + "\n]\n",
			} {
				line := 501
				if strings.HasPrefix(text, "[") {
					line = 502
				}
				_, err := rule.ParseFile(strings.NewReader(text), name)
				var wrong *rule.FileError
				Expect(errors.As(err, &wrong)).To(BeTrue(), "%s: %v", name, err)
				Expect(wrong.Mistakes).To(HaveLen(1), "%s: %v", name, err)
				Expect(wrong.Mistakes[0].Line).To(Or(Equal(line), Equal(line+1)), name)
				if wrong.Mistakes[0].Line > line { // what is missing at a line's end is missed at the next one's start
					Expect(err).To(MatchError(ContainSubstring(fmt.Sprintf("(the value begins in line %d)", line))), name)
				}
				Expect(err).To(MatchError(ContainSubstring(message)), name)
			}
		},
		Entry("a brace too few", `    {"name":"bad","conditions":{"type":"T"}`, "is not valid JSON"),
		Entry("a brace too many", `    {"name":"bad","conditions":{"type":"T"}}}`, "is not valid JSON"),
		Entry("an operator that is none", `{"name":"bad","conditions":{"n":{"$gt3":1}}}`, `"bad": /conditions/n/$gt3: `),
		Entry("no name", `{"conditions":{}}`, "/name: is missing"),
		Entry("no rule", `{"name":"bad","conditions":[]}`, "/conditions: must be an object"),
	)

	It("is read item by item, and lists within it stay what they are", func() {
		for text, message := range map[string]string{
			`[{"name":"a","conditions":{}}`:        "the list has no end",
			`[{"name":"a","conditions":{}} {}]`:    "expected , and the next item",
			`[[{"name":"a","conditions":{}}]]`:     "a rule is an object",
			`[{"name":"a","conditions":{}},]`:      "looking for beginning of value",
			`[{"name":"a","conditions":{}}] trash`: "is not valid JSON",
		} {
			_, err := rule.ParseFile(strings.NewReader(text), "x.json")
			Expect(err).To(MatchError(ContainSubstring(message)), text)
		}
		rules, err := rule.ParseFile(strings.NewReader(`[]`+"\n"+`[{"name":"a","conditions":{}},{"name":"b","conditions":{}}] {"name":"c","conditions":{}}`), "x.json")
		Expect(err).NotTo(HaveOccurred())
		Expect(rules).To(HaveLen(3))
	})
})
