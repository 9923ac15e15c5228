package e2e_test

import (
	"net/http"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/config"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/services/ingester"
	"github.com/events-aggregator/events-aggregator/services/ruleworker"
)

var _ = Describe("a silence", Ordered, func() {
	var p *product
	var ruleID string
	type shown struct {
		ID    string    `json:"silence_id"`
		State string    `json:"state"`
		Until time.Time `json:"until"`
		Held  int64     `json:"held"`
	}

	BeforeAll(func(ctx SpecContext) {
		p = start(ctx)
		var r struct {
			ID string `json:"rule_id"`
		}
		Expect(p.call(ctx, http.MethodPost, "/api/v1/rules", map[string]any{"name": "failed", "conditions": map[string]any{"type": "PAYMENT_FAILED"},
			"actions": []any{map[string]any{"type": "LOG", "config": map[string]any{"level": "info", "message": "m"}}}}, &r)).To(Equal(http.StatusCreated))
		ruleID = r.ID
		p.Start(ctx, "ingester", ingester.Wire)
		for range 2 {
			// The poll is too rare to help: what the workers know in time they were told.
			p.Start(ctx, "rule-worker", ruleworker.Wire, func(c *config.Config) { c.RuleWorker.Poll = time.Hour })
		}
	}, NodeTimeout(2*time.Minute))

	fail := func(ctx SpecContext, source string) {
		GinkgoHelper()
		p.Publish(ctx, broker.Message{RoutingKey: "events.payment.failed", ContentType: "application/json",
			Body: []byte(`{"type":"PAYMENT_FAILED","source":"` + source + `","severity":5,"timestamp":"` + time.Now().UTC().Format(time.RFC3339Nano) + `"}`)})
	}
	count := func(ctx SpecContext, f store.NotificationFilter) func() (int, error) {
		return func() (int, error) {
			found, err := p.Store.FindNotifications(ctx, f, nil, 100)
			return len(found), err
		}
	}

	It("is previewed, holds what it matches on every worker, which is told, and says how much", func(ctx SpecContext) {
		fail(ctx, "shop")
		fail(ctx, "bank")
		Eventually(ctx, count(ctx, store.NotificationFilter{Status: notification.Pending})).WithTimeout(20 * time.Second).Should(Equal(2))
		body := map[string]any{"condition": map[string]any{"source": "shop"}, "for": "1h", "comment": "deploy"}
		var seen struct {
			Events, Matched int64
		}
		Expect(p.call(ctx, http.MethodPost, "/api/v1/silences?dry_run=true", body, &seen)).To(Equal(http.StatusOK))
		Expect(seen.Events).To(BeEquivalentTo(1))
		Expect(seen.Matched).To(BeEquivalentTo(1))
		Expect(p.eactl(ctx, "silence", "list", "--all").Code).To(Equal(3), "a preview stores nothing")

		var s shown
		Expect(p.call(ctx, http.MethodPost, "/api/v1/silences", body, &s)).To(Equal(http.StatusCreated))
		Expect(s.State).To(Equal("active"))
		// Two seconds are promised, and a busy machine may need longer.
		told := time.After(5 * time.Second)
		Eventually(ctx, told).WithTimeout(10 * time.Second).Should(Receive())
		for range 6 { // to both workers
			fail(ctx, "shop")
		}
		fail(ctx, "bank")
		Eventually(ctx, count(ctx, store.NotificationFilter{Reason: notification.Silenced, HeldBy: s.ID})).WithTimeout(20 * time.Second).Should(Equal(6))
		Eventually(ctx, count(ctx, store.NotificationFilter{Status: notification.Pending})).Should(Equal(3))
		Expect(p.call(ctx, http.MethodGet, "/api/v1/silences/"+s.ID, nil, &s)).To(Equal(http.StatusOK))
		Expect(s.Held).To(BeEquivalentTo(6))
		var list struct {
			Items []struct {
				Reason string
				Held   struct{ ID string }
			}
		}
		Expect(p.call(ctx, http.MethodGet, "/api/v1/notifications?status=suppressed&held_by="+s.ID, nil, &list)).To(Equal(http.StatusOK))
		Expect(list.Items).To(HaveLen(6))
		Expect(list.Items[0].Reason).To(Equal("silenced"))

		Expect(p.call(ctx, http.MethodPost, "/api/v1/silences/"+s.ID+"/expire", nil, &s)).To(Equal(http.StatusOK))
		Expect(s.State).To(Equal("expired"))
		told = time.After(5 * time.Second)
		Eventually(ctx, told).WithTimeout(10 * time.Second).Should(Receive())
		fail(ctx, "shop")
		Eventually(ctx, count(ctx, store.NotificationFilter{Status: notification.Pending})).WithTimeout(20 * time.Second).Should(Equal(4))
	}, SpecTimeout(2*time.Minute))

	It("is kept with eactl, and ended for good by expire and by DELETE", func(ctx SpecContext) {
		added := p.eactl(ctx, "silence", "add", "--condition", `{"source":"x"}`, "--rule", ruleID, "--for", "30m", "--comment", "y", "-o", "json")
		Expect(added).To(done)
		id := added.lines()[0]["silence_id"].(string)
		Expect(added.lines()[0]).To(HaveKeyWithValue("rules", []any{ruleID}))
		Expect(p.eactl(ctx, "silence", "list").Out).To(ContainSubstring(id))
		Expect(p.eactl(ctx, "silence", "add", "--dry-run", "--condition", `{"source":"x"}`, "--for", "30m", "--comment", "y").Out).To(ContainSubstring("matches 0"))
		Expect(p.eactl(ctx, "silence", "expire", id).Out).To(ContainSubstring("expired"))
		again := p.eactl(ctx, "silence", "expire", id, "-o", "json")
		Expect(again).To(done)
		Expect(p.eactl(ctx, "silence", "list").Code).To(Equal(3))
		Expect(p.eactl(ctx, "silence", "list", "--state", "expired", "-o", "json").lines()).To(HaveLen(2))
		Expect(p.eactl(ctx, "silence", "expire", "none").Code).To(Equal(3))

		var s shown
		Expect(p.call(ctx, http.MethodPost, "/api/v1/silences", map[string]any{"condition": map[string]any{}, "for": "1h", "comment": "z"}, &s)).To(Equal(http.StatusCreated))
		Expect(p.call(ctx, http.MethodDelete, "/api/v1/silences/"+s.ID, nil, &s)).To(Equal(http.StatusOK))
		Expect(p.call(ctx, http.MethodGet, "/api/v1/silences/"+s.ID, nil, &s)).To(Equal(http.StatusOK), "it stays for those who ask")
	}, SpecTimeout(time.Minute))

	It("is refused with every mistake at its place", func(ctx SpecContext) {
		var answer struct {
			Code   string
			Errors []struct{ Pointer string }
		}
		Expect(p.call(ctx, http.MethodPost, "/api/v1/silences", map[string]any{"condition": map[string]any{"a": map[string]any{"$x": 1}}, "for": "1h"}, &answer)).
			To(Equal(http.StatusUnprocessableEntity))
		Expect(answer.Code).To(Equal("invalid_silence"))
		Expect(answer.Errors).To(HaveLen(2))
		s := p.eactl(ctx, "silence", "add", "--condition", "nonsense", "--for", "1h", "--comment", "x")
		Expect(s.Code).To(Equal(2))
		Expect(p.eactl(ctx, "silence", "add", "--condition", "{}", "--comment", "x").Err).To(ContainSubstring("/until"))
	}, SpecTimeout(time.Minute))
})
