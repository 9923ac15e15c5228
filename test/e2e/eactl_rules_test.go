package e2e_test

import (
	"context"
	"os"
	"path/filepath"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("eactl rules", Ordered, func() {
	var p *product
	BeforeAll(func(ctx SpecContext) { p = start(ctx) }, NodeTimeout(2*time.Minute))

	write := func(name, text string) string {
		GinkgoHelper()
		path := filepath.Join(GinkgoT().TempDir(), name)
		Expect(os.WriteFile(path, []byte(text), 0o600)).To(Succeed())
		return path
	}
	names := func(ctx context.Context) []string {
		GinkgoHelper()
		var all []string
		for _, r := range p.eactl(ctx, "rules", "list", "-o", "json").lines() {
			all = append(all, r["name"].(string))
		}
		return all
	}
	const actions = `"actions":[{"type":"LOG","config":{"level":"info","message":"m"}}]`

	DescribeTable("are applied from every form of file, again without a change, and deleted", func(ctx SpecContext, name, text string) {
		file := write(name, text)
		Expect(p.eactl(ctx, "rules", "apply", "-f", file)).To(And(done, HaveField("Out", "2 created, 0 changed, 0 unchanged\n")))
		Expect(p.eactl(ctx, "rules", "apply", "-f", file, "-o", "json").lines()).To(Equal([]map[string]any{{"created": 0.0, "changed": 0.0, "unchanged": 2.0}}))
		for _, r := range p.eactl(ctx, "rules", "list", "-o", "json").lines() {
			id := r["rule_id"].(string)
			Expect(p.eactl(ctx, "rules", "get", id, "-o", "json").lines()).To(ConsistOf(HaveKeyWithValue("name", r["name"])))
			Expect(p.eactl(ctx, "rules", "delete", id)).To(done)
			s := p.eactl(ctx, "rules", "delete", id)
			Expect(s.Code).To(Equal(3))
			Expect(s.Err).To(ContainSubstring("eactl rules list"))
		}
		Expect(p.eactl(ctx, "rules", "list").Code).To(Equal(3))
	},
		Entry("a JSON array", SpecTimeout(time.Minute), "rules.json", `[{"name":"a","conditions":{"type":"A"},`+actions+`},{"name":"b","conditions":{"type":"B"},`+actions+`}]`),
		Entry("JSON lines", SpecTimeout(time.Minute), "rules.jsonl", `{"name":"a","conditions":{"type":"A"},`+actions+"}\n"+`{"name":"b","conditions":{"type":"B"},`+actions+"}\n"),
		Entry("extended JSON", SpecTimeout(time.Minute), "rules.json", `[{"name":"a","conditions":{"payload.n":{"$gte":{"$numberLong":"9007199254740993"}}},`+actions+`},{"name":"b","conditions":{"timestamp":{"$gt":{"$date":"2026-01-01T00:00:00Z"}}},`+actions+`}]`),
		Entry("YAML", SpecTimeout(time.Minute), "rules.yaml", "- name: a\n  conditions: {type: A}\n  actions: [{type: LOG, config: {level: info, message: m}}]\n- name: b\n  conditions: {type: B}\n  actions: [{type: LOG, config: {level: info, message: m}}]\n"),
		Entry("YAML documents", SpecTimeout(time.Minute), "rules.yml", "name: a\nconditions: {type: A}\nactions: [{type: LOG, config: {level: info, message: m}}]\n---\nname: b\nconditions: {type: B}\nactions: [{type: LOG, config: {level: info, message: m}}]\n"))

	It("are none saved when one is broken: it is named with file, line and path", func(ctx SpecContext) {
		file := write("rules.yaml", "- name: good\n  conditions: {type: A}\n  actions: [{type: LOG, config: {level: info, message: m}}]\n"+
			"- name: bad\n  conditions:\n    payload.n:\n      $where: 1\n  actions: []\n")
		s := p.eactl(ctx, "rules", "apply", "-f", file)
		Expect(s.Code).To(Equal(2))
		Expect(s.Err).To(And(ContainSubstring(file+":7: "), ContainSubstring(`"bad"`), ContainSubstring("/conditions/payload.n"), ContainSubstring("$where")))
		Expect(names(ctx)).To(BeEmpty())
	}, SpecTimeout(time.Minute))

	It("are none saved when an action is broken: the rule is named, not its number", func(ctx SpecContext) {
		dir := GinkgoT().TempDir()
		Expect(os.WriteFile(filepath.Join(dir, "1.json"), []byte(`{"name":"good","conditions":{"type":"A"},`+actions+`}`), 0o600)).To(Succeed())
		bad := filepath.Join(dir, "2.json")
		Expect(os.WriteFile(bad, []byte(`{"name":"bad","conditions":{"type":"A"},"actions":[{"type":"WEBHOOK","config":{"url":"not a url"}}]}`), 0o600)).To(Succeed())
		s := p.eactl(ctx, "rules", "apply", "-f", dir)
		Expect(s.Code).To(Equal(2))
		Expect(s.Err).To(ContainSubstring(bad + `: rule "bad": /actions/0/config/url: `))
		Expect(names(ctx)).To(BeEmpty())
	}, SpecTimeout(time.Minute))

	It("names every mistake of every file of a folder", func(ctx SpecContext) {
		dir := GinkgoT().TempDir()
		for _, name := range []string{"1.json", "2.json"} {
			Expect(os.WriteFile(filepath.Join(dir, name), []byte(`{"name":"same","conditions":{"type":"A"},`+actions+`}`), 0o600)).To(Succeed())
		}
		Expect(os.WriteFile(filepath.Join(dir, "3.jsonl"), []byte("{\"name\":\"x\"\n"), 0o600)).To(Succeed())
		s := p.eactl(ctx, "rules", "apply", "-f", dir)
		Expect(s.Code).To(Equal(2))
		Expect(s.Err).To(And(ContainSubstring(`2.json: rule "same" is in `), ContainSubstring("3.jsonl:2: ")))
	}, SpecTimeout(time.Minute))
})
