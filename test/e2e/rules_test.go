package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/types"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/config"
	"github.com/events-aggregator/events-aggregator/services/ruleworker"
)

// object is a JSON object as a spec writes or reads it.
type object = map[string]any

// problemBody is the API's error.
type problemBody struct {
	Code   string `json:"code"`
	Detail string `json:"detail"`
	Errors []struct {
		Line    int    `json:"line"`
		Rule    string `json:"rule"`
		Pointer string `json:"pointer"`
		Message string `json:"message"`
	} `json:"errors"`
}

// logAction is the plainest action.
var logAction = []any{object{"type": "LOG", "config": object{"level": "info", "message": "seen"}}}

// raw is an object as BSON.
func raw(o object) bson.Raw {
	GinkgoHelper()
	doc, err := bson.Marshal(o)
	Expect(err).NotTo(HaveOccurred())
	return doc
}

// save makes a rule and returns its id.
func (p *product) save(ctx context.Context, rule object) string {
	GinkgoHelper()
	var saved struct {
		RuleID string `json:"rule_id"`
	}
	if rule["actions"] == nil {
		rule["actions"] = logAction
	}
	Expect(p.call(ctx, http.MethodPost, "/api/v1/rules", rule, &saved)).To(Equal(http.StatusCreated))
	return saved.RuleID
}

// sendText posts a body that is not made from an object.
func (p *product) sendText(ctx context.Context, path, body string, result any) int {
	GinkgoHelper()
	return p.request(ctx, http.MethodPost, path, adminKey, strings.NewReader(body), result)
}

// withMatch makes a request with If-Match.
func (p *product) withMatch(ctx context.Context, method, path, match string, body map[string]any) int {
	GinkgoHelper()
	var text []byte
	if body != nil {
		var err error
		text, err = json.Marshal(body)
		Expect(err).NotTo(HaveOccurred())
	}
	r, err := http.NewRequestWithContext(ctx, method, p.base+path, bytes.NewReader(text))
	Expect(err).NotTo(HaveOccurred())
	r.Header.Set("Authorization", "Bearer "+adminKey)
	r.Header.Set("If-Match", match)
	answer, err := http.DefaultClient.Do(r)
	Expect(err).NotTo(HaveOccurred())
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, answer.Body)
	Expect(err).NotTo(HaveOccurred())
	return answer.StatusCode
}

var _ = Describe("a rule's versions", func() {
	It("are kept, compared without secrets, and rolled back to", func(ctx SpecContext) {
		p := start(ctx)
		hook := func(secret string) []any {
			return []any{object{"type": "WEBHOOK", "config": object{"url": "https://example.com/hook", "method": "POST", "secret": secret}}}
		}
		id := p.save(ctx, object{"name": "r", "conditions": object{"type": "A", "payload.n": object{"$gte": 100}}, "actions": hook("the first secret 0123")})
		path := "/api/v1/rules/" + id
		Expect(p.call(ctx, http.MethodPut, path, object{"name": "r", "conditions": object{"type": "A", "payload.n": object{"$gte": 200}},
			"actions": hook("the second secret 0123")}, nil)).To(Equal(http.StatusOK))

		var diff struct {
			From, To struct{ Version int }
			Changes  []struct {
				Path     string
				Old, New any
				Secret   bool
			}
		}
		Expect(p.call(ctx, http.MethodGet, path+"/diff", nil, &diff)).To(Equal(http.StatusOK))
		Expect([]int{diff.From.Version, diff.To.Version}).To(Equal([]int{1, 2}))
		Expect(diff.Changes).To(HaveExactElements(
			And(HaveField("Path", "/conditions/payload.n/$gte"), HaveField("Old", 100.0), HaveField("New", 200.0)),
			And(HaveField("Path", "/actions/0/config/secret"), HaveField("Old", "********"), HaveField("New", "********"), HaveField("Secret", true)),
		))

		rollback := path + "/rollback"
		Expect(p.withMatch(ctx, http.MethodPost, rollback, `"1"`, object{"version": 1})).To(Equal(http.StatusPreconditionFailed))
		Expect(p.withMatch(ctx, http.MethodPost, rollback, `"2"`, object{"version": 1})).To(Equal(http.StatusOK))
		var version object
		Expect(p.call(ctx, http.MethodGet, path+"/versions/3", nil, &version)).To(Equal(http.StatusOK))
		Expect(version).To(And(HaveKeyWithValue("rolled_back_to", 1.0), HaveKeyWithValue("conditions", object{"type": "A", "payload.n": object{"$gte": 100.0}})))
		Expect(p.call(ctx, http.MethodPost, rollback, object{"version": 1}, &version)).To(Equal(http.StatusOK))
		Expect(version).To(HaveKeyWithValue("version", 3.0), "it has that content already")
		var problem problemBody
		Expect(p.call(ctx, http.MethodPost, rollback, object{"version": 9}, &problem)).To(Equal(http.StatusNotFound))
		Expect(problem.Detail).To(ContainSubstring("has no version 9"))
		Expect(p.call(ctx, http.MethodPost, rollback, object{"vesion": 1}, &problem)).To(Equal(http.StatusBadRequest))

		stored, err := p.Store.Rule(ctx, id)
		Expect(err).NotTo(HaveOccurred())
		Expect(stored.Actions[0].Config.String()).To(ContainSubstring("the first secret 0123"), "secrets come back, too")

		Expect(p.call(ctx, http.MethodDelete, path, nil, nil)).To(Equal(http.StatusNoContent))
		Expect(p.call(ctx, http.MethodPost, rollback, object{"version": 2}, &version)).To(Equal(http.StatusOK))
		Expect(version).To(HaveKeyWithValue("version", 5.0), "a deleted rule is back")
		var list struct{ Items []object }
		Expect(p.call(ctx, http.MethodGet, path+"/versions?limit=2", nil, &list)).To(Equal(http.StatusOK))
		Expect(list.Items).To(HaveExactElements(HaveKeyWithValue("rolled_back_to", 2.0), HaveKeyWithValue("deleted", true)))
	}, SpecTimeout(time.Minute))
})

var _ = Describe("a rule that can match the outcomes of its own notifications", func() {
	It("is saved with a warning wherever it is saved or tried, and what was answered can be sent back", func(ctx SpecContext) {
		p := start(ctx)
		type answer struct {
			RuleID   string `json:"rule_id"`
			Warnings []struct{ Rule, Pointer, Message string }
		}
		warned := func(pointer string) types.GomegaMatcher {
			return HaveField("Warnings", HaveExactElements(And(HaveField("Pointer", pointer), HaveField("Message", ContainSubstring(`{"payload.rule_name": {"$ne": "loop"}}`)))))
		}
		loop := object{"name": "loop", "conditions": object{"type": "NOTIFICATION_DELIVERY"}, "actions": logAction}
		var a answer
		Expect(p.call(ctx, http.MethodPost, "/api/v1/rules", loop, &a)).To(Equal(http.StatusCreated))
		Expect(a).To(warned("/conditions"))
		path := "/api/v1/rules/" + a.RuleID
		for _, method := range []string{http.MethodPut, http.MethodGet} {
			a = answer{}
			Expect(p.call(ctx, method, path, loop, &a)).To(Equal(http.StatusOK))
			Expect(a).To(warned("/conditions"), method)
		}
		a = answer{}
		Expect(p.call(ctx, http.MethodPatch, path, object{"priority": 2}, &a)).To(Equal(http.StatusOK))
		Expect(a).To(warned("/conditions"))
		var back object
		Expect(p.call(ctx, http.MethodGet, path, nil, &back)).To(Equal(http.StatusOK))
		Expect(p.call(ctx, http.MethodPut, path, back, nil)).To(Equal(http.StatusOK))

		a = answer{}
		Expect(p.call(ctx, http.MethodPost, "/api/v1/rules/import", []object{{"name": "fine", "conditions": object{"type": "A"}, "actions": logAction}, loop}, &a)).To(Equal(http.StatusOK))
		Expect(a).To(warned("/1/conditions"))
		Expect(a.Warnings[0].Rule).To(Equal("loop"))
		a = answer{}
		Expect(p.call(ctx, http.MethodPost, "/api/v1/rules/test", object{"rule": loop, "events": []object{{"type": "A", "source": "s"}}}, &a)).To(Equal(http.StatusOK))
		Expect(a).To(warned("/conditions"))

		a = answer{}
		Expect(p.call(ctx, http.MethodPatch, path, object{"conditions": object{"type": "NOTIFICATION_DELIVERY", "payload.rule_name": object{"$ne": "loop"}}}, &a)).To(Equal(http.StatusOK))
		Expect(a.Warnings).To(BeEmpty())
	}, SpecTimeout(time.Minute))
})

var _ = Describe("an import of rules", func() {
	It("refuses an id under whose path something else is, as creating does: nobody could read that rule", func(ctx SpecContext) {
		p := start(ctx)
		var lines []string
		for _, id := range []string{"status", "matches", "import", "backtest", "test"} {
			var problem problemBody
			Expect(p.call(ctx, http.MethodPost, "/api/v1/rules", object{"rule_id": id, "name": id, "conditions": object{"type": "A"}}, &problem)).To(Equal(http.StatusUnprocessableEntity), id)
			Expect(problem.Errors).To(HaveExactElements(HaveField("Pointer", "/rule_id")), id)
			lines = append(lines, fmt.Sprintf(`{"rule_id":%q,"name":%q,"conditions":{"type":"A"},"actions":[]}`, id, id))
		}
		var problem problemBody
		Expect(p.sendText(ctx, "/api/v1/rules/import", strings.Join(lines, "\n"), &problem)).To(Equal(http.StatusUnprocessableEntity))
		Expect(problem.Errors).To(HaveLen(len(lines)))
		for i, flaw := range problem.Errors {
			Expect(flaw).To(And(HaveField("Pointer", fmt.Sprintf("/%d/rule_id", i)), HaveField("Line", i+1)))
		}
		var list struct{ Items []object }
		Expect(p.call(ctx, http.MethodGet, "/api/v1/rules", nil, &list)).To(Equal(http.StatusOK))
		Expect(list.Items).To(BeEmpty())
	}, SpecTimeout(time.Minute))

	It("names the one broken rule among 10,000, and saves none", func(ctx SpecContext) {
		p := start(ctx)
		lines := make([]string, 10_000)
		for i := range lines {
			lines[i] = fmt.Sprintf(`{"name":"rule %d","conditions":{"type":"T%d","payload.n":{"$gte":%d}},"actions":[{"type":"LOG","config":{"level":"info","message":"m"}}]}`, i, i%50, i)
		}
		good := lines[7000]
		for broken, message := range map[string]string{
			strings.Replace(good, "$gte", "$gteq", 1):         "$gteq",
			strings.Replace(good, `"info"`, `"loud"`, 1):      "must be one of",
			strings.Replace(good, `"type":"T0"`, `"type"`, 1): "is not valid JSON",
		} {
			lines[7000] = broken
			var problem problemBody
			Expect(p.sendText(ctx, "/api/v1/rules/import", strings.Join(lines, "\n"), &problem)).To(Equal(http.StatusUnprocessableEntity))
			Expect(problem.Errors).To(HaveLen(1))
			Expect(problem.Errors[0].Message).To(ContainSubstring(message))
			if strings.Contains(message, "JSON") {
				Expect(problem.Errors[0].Line).To(Equal(7001))
			} else {
				Expect(problem.Errors[0].Line).To(Equal(7001), "also of what only the action's type can tell")
				Expect(problem.Errors[0].Pointer).To(HavePrefix("/7000/"))
				Expect(problem.Errors[0].Rule).To(Equal("rule 7000"))
			}
		}
		var list struct{ Items []object }
		Expect(p.call(ctx, http.MethodGet, "/api/v1/rules", nil, &list)).To(Equal(http.StatusOK))
		Expect(list.Items).To(BeEmpty())
		var problem problemBody
		Expect(p.sendText(ctx, "/api/v1/rules/import", "- name: long\n"+strings.Repeat("#\n", 1<<20), &problem)).To(Equal(http.StatusRequestEntityTooLarge))
		Expect(problem.Detail).To(ContainSubstring("send JSON"), "YAML takes fifty times its length")
	}, SpecTimeout(2*time.Minute))

	It("gives only changed rules a version, keeps secrets, and knows rules by id or name", func(ctx SpecContext) {
		p := start(ctx)
		rules := make([]object, 120)
		for i := range rules {
			rules[i] = object{"name": fmt.Sprintf("rule %d", i), "conditions": object{"type": "T", "payload.n": i}, "actions": []any{
				object{"type": "WEBHOOK", "config": object{"url": "https://example.com/", "method": "POST", "secret": fmt.Sprintf("a secret of rule %d", i)}}}}
		}
		var counts struct{ Created, Changed, Unchanged int }
		type tally = struct{ Created, Changed, Unchanged int }
		Expect(p.call(ctx, http.MethodPost, "/api/v1/rules/import", rules, &counts)).To(Equal(http.StatusOK))
		Expect(counts).To(Equal(tally{120, 0, 0}))

		var list struct{ Items []object }
		Expect(p.call(ctx, http.MethodGet, "/api/v1/rules?limit=500", nil, &list)).To(Equal(http.StatusOK))
		Expect(p.call(ctx, http.MethodPost, "/api/v1/rules/import", list.Items, &counts)).To(Equal(http.StatusOK))
		Expect(counts).To(Equal(tally{0, 0, 120}), "what was read is what is stored, secrets included")

		list.Items[0]["priority"], list.Items[1]["name"] = 7, "another name"
		Expect(p.call(ctx, http.MethodPost, "/api/v1/rules/import", list.Items[:2], &counts)).To(Equal(http.StatusOK))
		Expect(counts).To(Equal(tally{0, 2, 0}))
		renamed, err := p.Store.Rule(ctx, list.Items[1]["rule_id"].(string))
		Expect(err).NotTo(HaveOccurred())
		Expect(renamed.Name).To(Equal("another name"))
		Expect(renamed.Version).To(Equal(2))
		Expect(renamed.Actions[0].Config.String()).To(ContainSubstring("a secret of rule"))

		var problem problemBody
		Expect(p.call(ctx, http.MethodPost, "/api/v1/rules/import", []object{{"rule_id": renamed.ID, "name": list.Items[2]["name"],
			"conditions": object{}, "actions": logAction}}, &problem)).To(Equal(http.StatusUnprocessableEntity))
		Expect(problem.Errors).To(ConsistOf(And(HaveField("Pointer", "/0/name"), HaveField("Message", ContainSubstring("taken by the rule "+list.Items[2]["rule_id"].(string))))))
		other := list.Items[3]
		other["rule_id"], other["name"] = "elsewhere", "from another server"
		Expect(p.call(ctx, http.MethodPost, "/api/v1/rules/import", []object{other}, &problem)).To(Equal(http.StatusUnprocessableEntity))
		Expect(problem.Errors).To(ConsistOf(HaveField("Message", ContainSubstring("is masked"))))
	}, SpecTimeout(2*time.Minute))
})

// workers is the answer of rules/status.
type workersHold struct {
	Stamp   int64
	Current bool
	Workers []struct {
		Worker, State, Why string
		Version            *int
		Broken             []object
	}
}

var _ = Describe("a change of rules", func() {
	It("reaches three workers at once by broadcast, and by their poll when that is lost; the status says so", func(ctx SpecContext) {
		p := start(ctx)
		id := p.save(ctx, object{"name": "r", "conditions": object{"type": "A"}})
		poll := 8 * time.Second // longer than a broadcast takes, short enough to wait for
		for range 3 {
			p.Start(ctx, "rule-worker", ruleworker.Wire, func(c *config.Config) { c.RuleWorker.Poll = poll })
		}
		status := func() (s workersHold) {
			GinkgoHelper()
			Expect(p.call(ctx, http.MethodGet, "/api/v1/rules/status?rule="+id, nil, &s)).To(Equal(http.StatusOK))
			return s
		}
		holdAll := func(version int) func(g Gomega) {
			return func(g Gomega) {
				s := status()
				g.Expect(s.Workers).To(HaveLen(3))
				g.Expect(s.Current).To(BeTrue())
				for _, w := range s.Workers {
					g.Expect(w.State).To(Equal("current"))
					g.Expect(w.Version).To(HaveValue(Equal(version)), w.Why)
				}
			}
		}
		Eventually(ctx, holdAll(1)).WithTimeout(10 * time.Second).Should(Succeed())

		Expect(p.call(ctx, http.MethodPatch, "/api/v1/rules/"+id, object{"priority": 1}, nil)).To(Equal(http.StatusOK))
		Eventually(ctx, holdAll(2)).WithTimeout(poll / 2).WithPolling(50 * time.Millisecond).Should(Succeed())

		// A change that nobody is told of: the store does not broadcast.
		r, err := p.Store.Rule(ctx, id)
		Expect(err).NotTo(HaveOccurred())
		r.Priority = 2
		_, err = p.Store.ReplaceRule(ctx, r, 2)
		Expect(err).NotTo(HaveOccurred())
		s := status()
		Expect(s.Current).To(BeFalse(), "nobody has noticed yet")
		Expect(s.Workers).To(ContainElement(HaveField("State", "behind")))
		Eventually(ctx, holdAll(3)).WithTimeout(poll + 4*time.Second).WithPolling(100 * time.Millisecond).Should(Succeed())

		r.Enabled = false
		_, err = p.Store.ReplaceRule(ctx, r, 3)
		Expect(err).NotTo(HaveOccurred())
		Eventually(ctx, func(g Gomega) {
			for _, w := range status().Workers {
				g.Expect(w.Version).To(BeNil())
				g.Expect(w.Why).To(ContainSubstring("disabled (version 4)"))
			}
		}).WithTimeout(poll + 4*time.Second).Should(Succeed())
	}, SpecTimeout(2*time.Minute))

	It("that a worker cannot compile is named, and the others go on; a worker that ends is gone", func(ctx SpecContext) {
		p := start(ctx)
		good, bad := p.save(ctx, object{"name": "good", "conditions": object{"type": "A"}}), p.save(ctx, object{"name": "bad", "conditions": object{"type": "B"}})
		r, err := p.Store.Rule(ctx, bad)
		Expect(err).NotTo(HaveOccurred())
		r.Conditions = raw(object{"a": object{"$newer": 1}})
		_, err = p.Store.ReplaceRule(ctx, r, 1)
		Expect(err).NotTo(HaveOccurred())
		worker := p.Start(ctx, "rule-worker", ruleworker.Wire)
		status := func(rule string) (s workersHold) {
			GinkgoHelper()
			Expect(p.call(ctx, http.MethodGet, "/api/v1/rules/status?rule="+rule, nil, &s)).To(Equal(http.StatusOK))
			return s
		}
		Eventually(ctx, func() any { return status(good).Workers }).WithTimeout(5 * time.Second).Should(ConsistOf(And(
			HaveField("State", "current"), HaveField("Version", HaveValue(Equal(1))), HaveField("Broken", ConsistOf(HaveKeyWithValue("name", "bad"))))))
		Expect(status(bad).Workers).To(ConsistOf(And(HaveField("Version", BeNil()), HaveField("Why", ContainSubstring("$newer")))))
		Expect(worker.Stop(ctx)).To(Succeed())
		Expect(status(good).Workers).To(BeEmpty())
	}, SpecTimeout(time.Minute))
})
