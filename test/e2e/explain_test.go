package e2e_test

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/services/dispatcher"
	"github.com/events-aggregator/events-aggregator/services/ruleworker"
)

// explanation is what a spec reads of one.
type explanation struct {
	Text, Outcome  string
	JudgedVersion  int `json:"judged_version"`
	CurrentVersion int `json:"current_version"`
	Exact          bool
	Steps          []struct {
		Name, Text string
		OK         bool
	}
	Condition struct {
		Clauses []struct {
			Path, Operator string
			Expected       any
			Matched        bool
			Actual         []struct {
				At, Type string
				Value    any
			}
		}
	}
	Notifications []object
}

func (p *product) explain(ctx context.Context, rule, event string) (e explanation) {
	GinkgoHelper()
	var text json.RawMessage
	Expect(p.call(ctx, http.MethodGet, "/api/v1/rules/"+rule+"/explain?event="+event, nil, &text)).To(Equal(http.StatusOK), "%s", text)
	Expect(json.Unmarshal(text, &e)).To(Succeed()) //nolint:musttag // names are found without regard to case
	return e
}

var _ = Describe("explaining a rule", func() {
	It("tells in one call why it did or did not fire, down to the attempt of delivery", func(ctx SpecContext) {
		p := start(ctx)
		condition := func(least int) object {
			return object{"type": "PAYMENT_FAILED", "payload.amount": object{"$gte": least}}
		}
		large := p.save(ctx, object{"name": "large", "conditions": condition(100)})
		throttled := p.save(ctx, object{"name": "throttled", "conditions": condition(0), "throttle": object{"for": "1h"}})
		disabled := p.save(ctx, object{"name": "disabled", "conditions": condition(0), "enabled": false})
		often := p.save(ctx, object{"name": "often", "conditions": condition(0), "window": object{"kind": "frequency", "timeframe": "5m", "num_events": 5, "group_by": []string{"user_id"}}})

		payment := func(amount int) object {
			return object{"type": "PAYMENT_FAILED", "source": "shop", "user_id": "u1", "payload": object{"amount": amount}}
		}
		b := p.keep(ctx, payment(250), payment(50))
		id := func(i int) string { return b.Events[i].Lookup("event_id").StringValue() }
		e := p.explain(ctx, large, id(0))
		Expect(e.Outcome).To(Equal("not_decided"))
		Expect(e.Text).To(MatchRegexp(`^not decided yet: the event waits for a rule-worker; 1 batches wait, the oldest for \d+ s$`))

		worker := p.Start(ctx, "rule-worker", ruleworker.Wire)
		p.Start(ctx, "action-dispatcher", dispatcher.Wire)
		p.offer(ctx, b)
		Eventually(ctx, func() string { return p.explain(ctx, large, id(0)).Outcome }).WithTimeout(30 * time.Second).Should(Equal("delivered"))
		Expect(p.explain(ctx, large, id(0)).Text).To(MatchRegexp(`^fired: delivered at .*, at the first attempt`))

		e = p.explain(ctx, large, id(1))
		Expect(e.Text).To(Equal("did not fire: payload.amount is 50 (int), but must be >= 100"))
		Expect(e.Outcome).To(Equal("not_fired"))
		clause := e.Condition.Clauses[0] // names are sorted on the way here
		Expect([]any{clause.Path, clause.Operator, clause.Expected, clause.Matched, clause.Actual[0].Type, clause.Actual[0].Value}).
			To(Equal([]any{"payload.amount", "$gte", 100.0, false, "int", 50.0}))

		first, second := p.explain(ctx, throttled, id(0)), p.explain(ctx, throttled, id(1))
		Expect([]string{first.Outcome, second.Outcome}).To(ContainElement("held"))
		Expect(first.Text + second.Text).To(ContainSubstring("its throttle had let another match of the same key through"))
		Expect(p.explain(ctx, disabled, id(0)).Text).To(ContainSubstring("the rule was disabled when the event was decided (version 1, of "))
		Expect(p.explain(ctx, often, id(0)).Text).To(Equal("did not fire: the condition matches, but its frequency window did not: 2 events in the fullest 5m with it; 5 are needed"))

		// What was in force then is what counts, and what is now is said, too.
		Expect(p.call(ctx, http.MethodPatch, "/api/v1/rules/"+large, object{"conditions": condition(10)}, nil)).To(Equal(http.StatusOK))
		e = p.explain(ctx, large, id(1))
		Expect(e.Text).To(HaveSuffix("(version 1; the current version 2 would match)"))
		Expect([]any{e.JudgedVersion, e.CurrentVersion, e.Exact}).To(Equal([]any{1, 2, true}))
		late := p.save(ctx, object{"name": "late", "conditions": condition(0)})
		Expect(p.explain(ctx, late, id(0)).Text).To(ContainSubstring("the rule did not exist yet when the event was decided"))
		Expect(p.call(ctx, http.MethodDelete, "/api/v1/rules/"+large, nil, nil)).To(Equal(http.StatusNoContent))
		Expect(p.explain(ctx, large, id(1)).Text).To(HavePrefix("did not fire: payload.amount is 50 (int)"), "a deleted rule explains what it did")

		var draft explanation
		Expect(p.call(ctx, http.MethodPost, "/api/v1/rules/"+late+"/explain", object{"event": id(1), "conditions": condition(60)}, &draft)).To(Equal(http.StatusOK))
		Expect(draft.Text).To(HavePrefix("would not fire: payload.amount is 50 (int), but must be >= 60"))
		var problem problemBody
		Expect(p.call(ctx, http.MethodGet, "/api/v1/rules/"+late+"/explain?event=none", nil, &problem)).To(Equal(http.StatusNotFound))
		Expect(problem.Detail).To(ContainSubstring("eactl dlq list ingester.events"))
		Expect(p.call(ctx, http.MethodGet, "/api/v1/rules/nobody/explain?event="+id(0), nil, &problem)).To(Equal(http.StatusNotFound))
		Expect(p.call(ctx, http.MethodGet, "/api/v1/rules/"+late+"/explain", nil, &problem)).To(Equal(http.StatusBadRequest))

		s := p.eactl(ctx, "rules", "explain", "throttled", id(0), "-o", "table")
		Expect(s).To(done)
		Expect(s.Out).To(And(HavePrefix(p.explain(ctx, throttled, id(0)).Text+"\n"), ContainSubstring("✓ payload.amount is 250 (int)")))
		Expect(p.eactl(ctx, "rules", "explain", "late", id(0), "-o", "table").Out).To(ContainSubstring("✗ the rule did not exist yet"))
		Expect(p.eactl(ctx, "rules", "explain", "late", id(0)).lines()[0]).To(HaveKeyWithValue("outcome", "not_fired"))
		Expect(p.eactl(ctx, "rules", "explain", "late", "none").Code).To(Equal(3))
		Expect(worker.Stop(ctx)).To(Succeed())
	}, SpecTimeout(3*time.Minute))
})

var _ = Describe("trying a rule on events", func() {
	It("gives a verdict about each clause, for stored events, pasted ones, and what is no event", func(ctx SpecContext) {
		p := start(ctx)
		b := p.keep(ctx, object{"type": "PAYMENT_FAILED", "source": "shop", "payload": object{"amount": 250}})
		id := b.Events[0].Lookup("event_id").StringValue()
		rule := object{"name": "draft", "conditions": object{"type": "PAYMENT_FAILED", "payload.amount": object{"$gte": 100}, "timestamp": object{"$type": "date"}}}
		var answer struct {
			Items []struct {
				EventID, Text, Note string
				Matched             bool
			}
		}
		Expect(p.call(ctx, http.MethodPost, "/api/v1/rules/test", object{"rule": rule, "events": []any{
			id, object{"type": "PAYMENT_FAILED", "source": "shop", "payload": object{"amount": 99}}, object{"type": "PAYMENT_FAILED", "payload": object{"amount": 500}},
			object{"type": "PAYMENT_FAILED", "source": "shop", "payload": object{"amount": 500}, "metadata": object{"hops": 8}},
		}}, &answer)).To(Equal(http.StatusOK))
		Expect(answer.Items).To(HaveExactElements(
			And(HaveField("Matched", true), HaveField("Text", "all 3 clauses hold")),
			And(HaveField("Matched", false), HaveField("Text", ContainSubstring("payload.amount is 99 (int), but must be >= 100")), HaveField("Note", "")),
			And(HaveField("Matched", false), HaveField("Text", ContainSubstring("timestamp is missing")), HaveField("Note", ContainSubstring("/source"))),
			And(HaveField("Matched", false), HaveField("Text", ContainSubstring("metadata.hops"))),
		))
		var problem problemBody
		Expect(p.call(ctx, http.MethodPost, "/api/v1/rules/test", object{"rule": rule, "events": []any{id, "none"}}, &problem)).To(Equal(http.StatusNotFound))
		Expect(problem.Detail).To(HavePrefix(`event 1: no event "none" is stored`))
		Expect(p.call(ctx, http.MethodPost, "/api/v1/rules/test", object{"rule": rule, "events": []any{}}, &problem)).To(Equal(http.StatusBadRequest))

		dir := GinkgoT().TempDir()
		file, events := filepath.Join(dir, "rule.yaml"), filepath.Join(dir, "events.jsonl")
		Expect(os.WriteFile(file, []byte("name: draft\nconditions: {type: PAYMENT_FAILED, payload.amount: {$gte: 100}}\n"), 0o600)).To(Succeed())
		Expect(os.WriteFile(events, []byte(`{"type":"PAYMENT_FAILED","source":"shop","payload":{"amount":99}}`+"\n"+`{"type":"PAYMENT_FAILED","source":"shop","payload":{"amount":100}}`+"\n"), 0o600)).To(Succeed())
		s := p.eactl(ctx, "rules", "test", "-f", file, "--event", id, "--event", events)
		Expect(s).To(done)
		Expect(s.Out).To(And(ContainSubstring("✓ "+id+": all 2 clauses hold"), ContainSubstring("✗ "+events+":1: payload.amount is 99 (int), but must be >= 100"), ContainSubstring("✓ "+events+":2: ")))
		Expect(p.eactl(ctx, "rules", "test", "-f", file, "--event", events, "-o", "json").lines()).To(HaveLen(2))
		Expect(p.eactl(ctx, "rules", "test", "-f", file).Code).To(Equal(2))
	}, SpecTimeout(time.Minute))
})
