package e2e_test

import (
	"net/http"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/test/support/sink"
)

var _ = Describe("the trace of an event", func() {
	It("leads from its batch to each attempt, and to the events around it", func(ctx SpecContext) {
		p := start(ctx)
		receiver, err := sink.Start("")
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(receiver.Close)
		var rule object
		Expect(p.call(ctx, http.MethodPost, "/api/v1/rules", object{
			"name": "traced", "conditions": object{"type": "TRACE_SPEC"},
			"actions": []any{object{"type": "WEBHOOK", "config": object{"url": receiver.URL + "/hook"}}},
		}, &rule)).To(Equal(http.StatusCreated))
		p.startWorkers(ctx)
		id, trace := uuid.NewString(), uuid.NewString()
		Expect(p.call(ctx, http.MethodPost, "/api/v1/events", []object{
			{"event_id": id, "type": "TRACE_SPEC", "source": "shop", "severity": 8, "trace_id": trace},
			{"type": "TRACE_OTHER", "source": "shop", "trace_id": trace},
		}, nil)).To(Equal(http.StatusAccepted))

		var told struct {
			Event object
			Batch object
			Rules []struct {
				RuleID        string `json:"rule_id"`
				RuleName      string `json:"rule_name"`
				RuleVersion   int    `json:"rule_version"`
				Notifications []struct {
					Status   string
					Attempts []struct{ Outcome string }
				}
			}
			Caused    []object
			SameTrace []object `json:"same_trace"`
		}
		Eventually(ctx, func(g Gomega) {
			told.Rules, told.Caused, told.SameTrace, told.Batch = nil, nil, nil, nil
			g.Expect(p.call(ctx, http.MethodGet, "/api/v1/events/"+id+"/trace", nil, &told)).To(Equal(http.StatusOK))
			g.Expect(told.Rules).To(HaveLen(1))
			g.Expect(told.Rules[0].Notifications).To(HaveLen(1))
			g.Expect(told.Rules[0].Notifications[0]).To(And(HaveField("Status", "delivered"), HaveField("Attempts", HaveExactElements(HaveField("Outcome", "ok")))))
			g.Expect(told.Caused).To(HaveExactElements(HaveKeyWithValue("type", "NOTIFICATION_DELIVERY")))
			g.Expect(told.Batch).To(HaveKeyWithValue("aggregated_at", Not(BeNil())))
		}).WithTimeout(30 * time.Second).WithPolling(200 * time.Millisecond).Should(Succeed())
		Expect(told.Event).To(HaveKeyWithValue("event_id", id))
		Expect(told.Batch).To(And(HaveKey("decided_at"), HaveKeyWithValue("published_at", Not(BeNil())), HaveKeyWithValue("matched_at", Not(BeNil()))))
		Expect(told.Rules[0]).To(And(HaveField("RuleID", rule["rule_id"]), HaveField("RuleName", "traced"), HaveField("RuleVersion", 1)))
		Expect(told.SameTrace).To(HaveExactElements(HaveKeyWithValue("type", "TRACE_OTHER")))

		var outcome struct {
			CausedBy object `json:"caused_by"`
		}
		Expect(p.call(ctx, http.MethodGet, "/api/v1/events/"+told.Caused[0]["event_id"].(string)+"/trace", nil, &outcome)).To(Equal(http.StatusOK))
		Expect(outcome.CausedBy).To(HaveKeyWithValue("event_id", id))
		Expect(p.call(ctx, http.MethodGet, "/api/v1/events/"+uuid.NewString()+"/trace", nil, nil)).To(Equal(http.StatusNotFound))

		s := p.eactl(ctx, "events", "trace", id)
		Expect(s).To(done, s.Err)
		Expect(s.Out).To(And(MatchRegexp(`(?m)^├─ batch \w+ of [12] event\(s\)`), MatchRegexp(`(?m)^│  └─ counted +20`), MatchRegexp(`(?m)^│  └─ WEBHOOK delivered`),
			MatchRegexp(`(?m)^│     └─ attempt 1 at .*: ok in \d+ ms, HTTP 200`), ContainSubstring("caused"), ContainSubstring("TRACE_OTHER")))
		Expect(s.Out).NotTo(ContainSubstring("\x1b["))
	}, SpecTimeout(2*time.Minute))
})
