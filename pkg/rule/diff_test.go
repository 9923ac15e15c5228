package rule_test

import (
	"encoding/json"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/action/builtin"
	"github.com/events-aggregator/events-aggregator/pkg/rule"
)

// change is a rule.Change as it is read.
type change struct {
	path, old, now string
	secret         bool
}

func changes(from, to string) []change {
	GinkgoHelper()
	parse := func(text string) rule.Rule {
		r, err := rule.ParseJSON([]byte(text))
		Expect(err).NotTo(HaveOccurred())
		return r
	}
	found, err := rule.Diff(parse(from), parse(to), func(r rule.Rule) rule.Rule { return r.Masked(builtin.Table()) })
	Expect(err).NotTo(HaveOccurred())
	all := []change{}
	for _, c := range found {
		all = append(all, change{c.Path, string(c.Old), string(c.New), c.Secret})
	}
	return all
}

var _ = Describe("the difference between two versions", func() {
	const head = `"name":"r","actions":[],`

	DescribeTable("names each place that changed, with both values",
		func(from, to string, expected ...change) {
			Expect(changes(`{`+head+from+`}`, `{`+head+to+`}`)).To(Equal(append([]change{}, expected...)))
		},
		Entry("nothing", `"conditions":{"a":1}`, `"conditions":{"a":1},"version":7,"rule_id":"other","created_by":"me"`),
		Entry("a bound", `"conditions":{"n":{"$gte":100}}`, `"conditions":{"n":{"$gte":200}}`, change{"/conditions/n/$gte", "100", "200", false}),
		Entry("a number's type", `"conditions":{"n":1}`, `"conditions":{"n":1.0}`, change{"/conditions/n", "1", "1.0", false}),
		Entry("a field more and one less", `"conditions":{"a":1,"b/c":2}`, `"conditions":{"a":1,"d":3}`,
			change{"/conditions/b~1c", "2", "", false}, change{"/conditions/d", "", "3", false}),
		Entry("an item inserted first", `"conditions":{"a":{"$in":["x","y"]}}`, `"conditions":{"a":{"$in":["w","x","y"]}}`,
			change{"/conditions/a/$in/0", "", `"w"`, false}),
		Entry("an item removed in the middle", `"conditions":{"a":{"$in":["x","y","z"]}}`, `"conditions":{"a":{"$in":["x","z"]}}`,
			change{"/conditions/a/$in/1", `"y"`, "", false}),
		Entry("another kind of value", `"conditions":{"a":[1]}`, `"conditions":{"a":{"b":1}}`, change{"/conditions/a", "[1]", `{"b":1}`, false}),
		Entry("the order of names, which embedded documents are compared by", `"conditions":{"a":{"x":1,"y":2}}`, `"conditions":{"a":{"y":2,"x":1}}`,
			change{"/conditions/a", `{"x":1,"y":2}`, `{"y":2,"x":1}`, false}),
		Entry("settings", `"conditions":{},"priority":5`, `"conditions":{},"enabled":false,"mode":"shadow"`,
			change{"/priority", "5", "100", false}, change{"/enabled", "true", "false", false}, change{"/mode", `"live"`, `"shadow"`, false}),
	)

	It("says that a secret changed, and shows neither", func() {
		withSecret := func(secret, url string) string {
			text, err := json.Marshal(map[string]any{"name": "r", "conditions": map[string]any{}, "actions": []any{
				map[string]any{"type": "WEBHOOK", "config": map[string]any{"url": url, "method": "POST", "secret": secret}},
			}})
			Expect(err).NotTo(HaveOccurred())
			return string(text)
		}
		found := changes(withSecret("first secret 0123456789", "https://a.example/"), withSecret("second secret 0123456789", "https://b.example/"))
		Expect(found).To(ConsistOf(
			change{"/actions/0/config/secret", `"********"`, `"********"`, true},
			change{"/actions/0/config/url", `"https://a.example/"`, `"https://b.example/"`, false},
		))
	})

	It("shows nothing of an action whose type nobody knows", func() {
		old := `{"name":"r","conditions":{},"actions":[{"type":"PIGEON","config":{"coop":"north"}}]}`
		now := `{"name":"r","conditions":{},"actions":[{"type":"PIGEON","config":{"coop":"south"}}]}`
		Expect(changes(old, now)).To(Equal([]change{{"/actions/0/config/coop", `"********"`, `"********"`, true}}))
	})
})

var _ = Describe("a rendered rule", func() {
	It("is read back as the same, types of numbers included", func() {
		r, err := rule.ParseJSON([]byte(`{"name":"r","actions":[],"conditions":{
			"long":{"$numberLong":"5"},"int":5,"double":5.0,"decimal":{"$numberDecimal":"5.10"},"nan":{"$numberDouble":"NaN"},
			"date":{"$date":"2026-01-02T03:04:05.678Z"},"old":{"$date":{"$numberLong":"-99999999999999"}},"re":{"$regex":"^a","$options":"i"}}}`))
		Expect(err).NotTo(HaveOccurred())
		text, err := r.JSON()
		Expect(err).NotTo(HaveOccurred())
		again, err := rule.ParseJSON(text)
		Expect(err).NotTo(HaveOccurred())
		Expect(again.SameAs(r)).To(BeTrue(), "%s", text)
	})
})
