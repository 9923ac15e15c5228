package e2e_test

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/services/ruleworker"
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
		Expect(s.Err).To(ContainSubstring(bad + `:1: rule "bad": /actions/0/config/url: `))
		Expect(names(ctx)).To(BeEmpty())
	}, SpecTimeout(time.Minute))

	It("are saved with a warning beside the result when they can match the outcomes of their own notifications", func(ctx SpecContext) {
		file := write("loop.yaml", "- name: fine\n  conditions: {type: A}\n  actions: [{type: LOG, config: {level: info, message: m}}]\n"+
			"- name: loop\n  conditions:\n    type: NOTIFICATION_DELIVERY\n  actions: [{type: LOG, config: {level: info, message: m}}]\n")
		for _, command := range []string{"apply", "import"} {
			s := p.eactl(ctx, "rules", command, "-f", file)
			Expect(s).To(done)
			Expect(s.Err).To(MatchRegexp(`^warning: `+regexp.QuoteMeta(file)+`:6: rule "loop": /conditions: the rule can match .*\n$`), command)
		}
		one := write("one.json", `{"name":"loop","conditions":{"type":"NOTIFICATION_DELIVERY"},`+actions+`}`)
		s := p.eactl(ctx, "rules", "test", "-f", one, "--event", write("event.json", `{"type":"NOTIFICATION_DELIVERY","source":"s"}`))
		Expect(s).To(done)
		Expect(s.Err).To(And(HavePrefix("warning: /conditions: the rule can match "), HaveSuffix("\n")))
		for _, name := range []string{"fine", "loop"} {
			Expect(p.eactl(ctx, "rules", "delete", name)).To(done)
		}
	}, SpecTimeout(time.Minute))

	It("are exported and imported back to the same, whatever their texts and numbers look like", func(ctx SpecContext) {
		file := write("odd.json", `[{"name":"yes","description":"line\nbreak: [not] {yaml} # no","conditions":{"a":{"$in":["no","1e3","2026-01-01","null","~","0x1F","",true,null,1.0,
			{"$numberLong":"5"},9007199254740993,{"$numberDecimal":"1.10"},{"$date":"2026-01-02T03:04:05.678Z"}]},"b":{"$regex":"^a.b\\d$","$options":"i"}},`+actions+`},
			{"name":"a webhook","conditions":{"type":"A"},"enabled":false,"mode":"shadow","priority":3,
			 "actions":[{"type":"WEBHOOK","config":{"url":"https://example.com/","method":"POST","secret":"a secret of sixteen"}}]}]`)
		Expect(p.eactl(ctx, "rules", "import", "-f", file)).To(And(done, HaveField("Out", "2 created, 0 changed, 0 unchanged\n")))
		for name, output := range map[string]string{"all.json": "table", "all.yaml": "yaml"} {
			s := p.eactl(ctx, "rules", "export", "-o", output)
			Expect(s).To(done)
			Expect(s.Out).NotTo(Or(ContainSubstring("a secret of"), ContainSubstring("created_at"), ContainSubstring("version")))
			again := write(name, s.Out)
			Expect(p.eactl(ctx, "rules", "import", "-f", again)).To(And(done, HaveField("Out", "0 created, 0 changed, 2 unchanged\n")), s.Out)
			Expect(p.eactl(ctx, "rules", "delete", "yes")).To(done)
			Expect(p.eactl(ctx, "rules", "import", "-f", again)).To(And(done, HaveField("Out", "1 created, 0 changed, 1 unchanged\n")), s.Out)
			Expect(p.eactl(ctx, "rules", "import", "-f", file)).To(And(done, HaveField("Out", "0 created, 0 changed, 2 unchanged\n")), s.Out)
		}
		for _, name := range []string{"yes", "a webhook"} {
			Expect(p.eactl(ctx, "rules", "delete", name)).To(done)
		}
		Expect(p.eactl(ctx, "rules", "export")).To(And(done, HaveField("Out", "[]\n")))
	}, SpecTimeout(time.Minute))

	It("have versions that are listed, compared and rolled back to, by id or by name", func(ctx SpecContext) {
		for _, amount := range []string{"100", "200"} {
			file := write("r.json", `{"name":"large payments","conditions":{"payload.amount":{"$gte":`+amount+`}},`+actions+`}`)
			Expect(p.eactl(ctx, "rules", "apply", "-f", file)).To(done)
		}
		s := p.eactl(ctx, "rules", "diff", "large payments")
		Expect(s.Out).To(And(MatchRegexp(`(?m)^--- version 1, .* by admin@localhost$`), MatchRegexp(`(?m)^\+\+\+ version 2, `),
			ContainSubstring("/conditions/payload.amount/$gte\n- 100\n+ 200\n")))
		Expect(p.eactl(ctx, "rules", "diff", "large payments", "--from", "7").Code).To(Equal(3))
		Expect(p.eactl(ctx, "rules", "rollback", "large payments").Err).To(ContainSubstring("eactl rules versions"))
		Expect(p.eactl(ctx, "rules", "rollback", "large payments", "--to", "1").Out).To(Equal("\"large payments\" is at version 3, with the content of version 1\n"))
		s = p.eactl(ctx, "rules", "versions", "large payments")
		Expect(s.Out).To(And(MatchRegexp(`3 .* rolled back to 1`), MatchRegexp(`(?m)^ +1 `)))
		Expect(p.eactl(ctx, "rules", "versions", "large payments", "-o", "json").lines()).To(HaveLen(3))
		s = p.eactl(ctx, "rules", "versions", "no such rule")
		Expect(s.Code).To(Equal(3))
		Expect(s.Err).To(ContainSubstring("no rule has the id or name no such rule"))

		id := p.eactl(ctx, "rules", "get", "large payments", "-o", "json").lines()[0]["rule_id"].(string)
		Expect(p.eactl(ctx, "rules", "delete", id)).To(done)
		Expect(p.eactl(ctx, "rules", "rollback", id, "--to", "2")).To(done)
		Expect(p.eactl(ctx, "rules", "get", id, "-o", "json").lines()[0]).To(HaveKeyWithValue("version", 5.0))

		s = p.eactl(ctx, "rules", "status", "--rule", "large payments")
		Expect(s.Code).To(Equal(1))
		Expect(s.Out).To(ContainSubstring("no rule-worker has said"))
		p.Start(ctx, "rule-worker", ruleworker.Wire)
		s = p.eactl(ctx, "rules", "status", "--rule", "large payments", "--wait", "10s")
		Expect(s).To(done)
		Expect(s.Out).To(MatchRegexp(`current .* 5 *\n`))
		Expect(p.eactl(ctx, "rules", "delete", id)).To(done)
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
