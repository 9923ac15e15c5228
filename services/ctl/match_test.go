package ctl_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/services/ctl"
)

var _ = Describe("rules match", func() {
	file := func(name string) string { return filepath.Join("testdata", "match", name) }
	const want = `{"event_id":"11111111-1111-4111-8111-111111111111","rules":["large","r-any"]}
{"event_id":"22222222-2222-4222-8222-222222222222","rules":["r-any"]}
{"event_id":"33333333-3333-4333-8333-333333333333","rules":["since","r-any"]}
`

	DescribeTable("reads rules and events in every form, and says the same", func(ctx SpecContext, rules, events string) {
		Expect(run(ctx, "rules", "match", "--rules", file(rules), "--events", file(events))).To(Equal(said{0, want, ""}))
	},
		Entry("JSON arrays", "rules.json", "events.json"),
		Entry("JSON lines", "rules.jsonl", "events.jsonl"),
		Entry("extended JSON", "rules-extended.json", "events-extended.json"),
		Entry("YAML lists", "rules.yaml", "events.yaml"),
		Entry("YAML documents", "documents.yml", "documents-events.yml"),
		Entry("no ending to go by", "rules.yaml", "events"),
	)

	It("names a rule that cannot be compiled with its file, line and path, and matches nothing", func(ctx SpecContext) {
		s := run(ctx, "rules", "match", "--rules", file("broken.json"), "--events", file("events.json"))
		Expect(s.Code).To(Equal(2))
		Expect(s.Err).To(ContainSubstring(file("broken.json") + `:4: rule 2 "broken": /conditions/payload/$where: `))
		Expect(s.Out).To(BeEmpty())
	})

	It("names the rules of an event in the order of their file, whatever their priorities, by id or else by name", func(ctx SpecContext) {
		path := filepath.Join(GinkgoT().TempDir(), "rules.jsonl")
		Expect(os.WriteFile(path, []byte(`{"name":"late","priority":9,"conditions":{},"actions":[]}
{"rule_id":"z","name":"first","priority":1,"conditions":{},"actions":[]}
{"name":"a","conditions":{"type":"PAYMENT_FAILED"},"actions":[]}
`), 0o600)).To(Succeed())
		s := run(ctx, "rules", "match", "--rules", path, "--events", file("events.jsonl"))
		Expect(s.Code).To(BeZero(), s.Err)
		Expect(strings.Split(s.Out, "\n")).To(HaveExactElements(HaveSuffix(`"rules":["late","z","a"]}`), HaveSuffix(`"rules":["late","z"]}`), HaveSuffix(`"rules":["late","z"]}`), ""))
	})

	It("names an event that is none, and matches it all the same with --raw", func(ctx SpecContext) {
		s := run(ctx, "rules", "match", "--rules", file("rules.json"), "--events", file("odd.jsonl"))
		Expect(s.Code).To(Equal(2))
		Expect(s.Err).To(And(ContainSubstring("event 2: /source"), ContainSubstring("--raw")))
		Expect(s.Out).To(Equal(`{"event_id":"22222222-2222-4222-8222-222222222222","rules":["r-any"]}` + "\n"))

		s = run(ctx, "rules", "match", "--raw", "--rules", file("rules.json"), "--events", file("odd.jsonl"))
		Expect(s.Code).To(BeZero(), s.Err)
		Expect(s.Out).To(Equal(`{"event_id":"22222222-2222-4222-8222-222222222222","rules":["r-any"]}
{"event_id":"","rules":["large"]}
{"event_id":"","rules":[]}
{"event_id":"","rules":[]}
`))
	})

	It("says where a file of events ends being one", func(ctx SpecContext) {
		dir := GinkgoT().TempDir()
		match := func(name, text string) said {
			path := filepath.Join(dir, name)
			Expect(os.WriteFile(path, []byte(text), 0o600)).To(Succeed())
			return run(ctx, "rules", "match", "--raw", "--rules", file("rules.json"), "--events", path)
		}
		Expect(match("a.json", `{"a":1} {"b"`)).To(And(HaveField("Code", 2), HaveField("Err", ContainSubstring("event 2 is not JSON"))))
		Expect(match("b.json", `[{"a":1},`)).To(And(HaveField("Code", 2), HaveField("Err", ContainSubstring("no end"))))
		Expect(match("c.yaml", "a: 1\n---\nb: [\n")).To(And(HaveField("Code", 2), HaveField("Err", ContainSubstring("line"))))
		Expect(match("d.yaml", "a: &a [1,1,1,1,1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\n"+
			"d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]\n"+
			"g: [*f,*f,*f,*f,*f,*f,*f,*f,*f,*f]\n")).To(And(HaveField("Code", 2), HaveField("Err", ContainSubstring("too many values"))))
		Expect(match("e.json", "")).To(HaveField("Code", 3))
	})
})

var _ = Describe("YAML", func() {
	It("keeps the order of names, all digits, and what is text", func() {
		var out bytes.Buffer
		Expect(ctl.YAML(&out, []byte(`{"z":9223372036854775807,"a":1.50,"t":["true","12","2026-01-01",null,true,"a\nb","\u0000"],"o":{},"e":1e5}`))).To(Succeed())
		Expect(out.String()).To(Equal(strings.TrimLeft(`
---
z: 9223372036854775807
a: 1.50
t:
  - "true"
  - "12"
  - "2026-01-01"
  - null
  - true
  - |-
    a
    b
  - "\0"
o: {}
e: 1e5
`, "\n")))
	})
})
