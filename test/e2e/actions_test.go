package e2e_test

import (
	"net/http"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/config"
	"github.com/events-aggregator/events-aggregator/services/dispatcher"
	"github.com/events-aggregator/events-aggregator/services/ingester"
	"github.com/events-aggregator/events-aggregator/services/ruleworker"
	"github.com/events-aggregator/events-aggregator/test/support/sink"
)

var _ = Describe("actions", Ordered, func() {
	var p *product
	type flaws struct {
		Code   string
		Errors []struct{ Pointer, Message string }
	}
	withRoom := func(c *config.Config) {
		c.Channels = config.Channels{URLs: map[string]string{"room": "log:"}, Default: "room"}
	}
	rule := func(name string, actions ...any) map[string]any {
		return map[string]any{"name": name, "conditions": map[string]any{"type": "PAYMENT_FAILED"}, "actions": actions}
	}
	act := func(kind string, config map[string]any) map[string]any {
		return map[string]any{"type": kind, "config": config}
	}

	BeforeAll(func(ctx SpecContext) {
		p = start(ctx, withRoom)
		p.Start(ctx, "ingester", ingester.Wire)
		p.Start(ctx, "rule-worker", ruleworker.Wire)
		p.Start(ctx, "action-dispatcher", dispatcher.Wire, withRoom)
	}, NodeTimeout(2*time.Minute))

	It("that name what does not exist are refused, each by its path, with what there is", func(ctx SpecContext) {
		var wrong flaws
		Expect(p.call(ctx, http.MethodPost, "/api/v1/rules", rule("wrong",
			act("LOG", map[string]any{"queue": "fast"}),
			act("SEND_NOTIFICATION", map[string]any{"recipients": []string{"nobody"}, "template": "none", "channel": "chat"}),
		), &wrong)).To(Equal(http.StatusUnprocessableEntity))
		Expect(wrong.Errors).To(ConsistOf(
			And(HaveField("Pointer", "/actions/0/config/queue"), HaveField("Message", ContainSubstring("webhooks.default"))),
			And(HaveField("Pointer", "/actions/1/config/template"), HaveField("Message", ContainSubstring("default, short"))),
			And(HaveField("Pointer", "/actions/1/config/channel"), HaveField("Message", ContainSubstring("room, log"))),
			And(HaveField("Pointer", "/actions/1/config/recipients/0"), HaveField("Message", ContainSubstring(`no user "nobody"`))),
		))
	}, SpecTimeout(time.Minute))

	It("are listed with a schema, and so are the channels, without their URLs", func(ctx SpecContext) {
		var types struct {
			Items []struct {
				Type   string
				Schema map[string]any
			}
			Queues []string
		}
		Expect(p.call(ctx, http.MethodGet, "/api/v1/action-types", nil, &types)).To(Equal(http.StatusOK))
		Expect(types.Items).To(HaveLen(5))
		Expect(types.Items[0].Schema).To(HaveKeyWithValue("title", "WEBHOOK"))
		Expect(types.Queues).To(ContainElement("webhooks.critical"))
		var channels struct{ Items []map[string]any }
		Expect(p.call(ctx, http.MethodGet, "/api/v1/channels", nil, &channels)).To(Equal(http.StatusOK))
		Expect(channels.Items).To(Equal([]map[string]any{
			{"name": "room", "kind": "log", "default": true}, {"name": "log", "kind": "log", "default": false},
		}))
	}, SpecTimeout(time.Minute))

	It("say by templates what people read, which are previewed, versioned and not deleted under a rule", func(ctx SpecContext) {
		p.Publish(ctx, broker.Message{RoutingKey: "events.payment.failed", ContentType: "application/json",
			Body: []byte(`{"event_id":"00000000-0000-4000-8000-0000000000a1","type":"PAYMENT_FAILED","source":"shop","timestamp":"` + time.Now().UTC().Format(time.RFC3339Nano) + `"}`)})
		Eventually(ctx, func() int {
			return p.call(ctx, http.MethodGet, "/api/v1/events/00000000-0000-4000-8000-0000000000a1", nil, nil)
		}).WithTimeout(20 * time.Second).Should(Equal(http.StatusOK))

		const path = "/api/v1/templates/mine"
		var wrong flaws
		Expect(p.call(ctx, http.MethodPut, path, map[string]any{"subject": "{{", "text": ""}, &wrong)).To(Equal(http.StatusUnprocessableEntity))
		Expect(wrong.Code).To(Equal("invalid_template"))
		Expect(wrong.Errors).To(HaveLen(2))
		draft := map[string]any{"subject": "{{.Event.source}}", "text": "x", "html": "<b>{{.Event.type}}</b>"}
		var seen map[string]string
		Expect(p.call(ctx, http.MethodPost, path+"/preview?event_id=00000000-0000-4000-8000-0000000000a1", draft, &seen)).To(Equal(http.StatusOK))
		Expect(seen).To(Equal(map[string]string{"subject": "shop", "text": "x", "html": "<b>PAYMENT_FAILED</b>"}))
		Expect(p.call(ctx, http.MethodGet, path, nil, nil)).To(Equal(http.StatusNotFound), "a preview stores nothing")

		Expect(p.call(ctx, http.MethodPut, path, draft, nil)).To(Equal(http.StatusCreated))
		Expect(p.call(ctx, http.MethodPut, path, draft, nil)).To(Equal(http.StatusOK))
		Expect(p.withMatch(ctx, http.MethodPut, path, `"1"`, draft)).To(Equal(http.StatusPreconditionFailed))
		Expect(p.call(ctx, http.MethodPost, "/api/v1/rules", rule("told", act("SEND_NOTIFICATION", map[string]any{"channel": "room", "template": "mine"})), nil)).To(Equal(http.StatusCreated))
		Expect(p.call(ctx, http.MethodDelete, path, nil, &wrong)).To(Equal(http.StatusConflict))
		Expect(wrong.Code).To(Equal("in_use"))
		Expect(p.call(ctx, http.MethodDelete, "/api/v1/templates/short", nil, nil)).To(Equal(http.StatusNoContent))
		Expect(p.call(ctx, http.MethodPost, "/api/v1/templates/default/preview?event_id=00000000-0000-4000-8000-0000000000a1", nil, &seen)).To(Equal(http.StatusOK))
		Expect(seen["subject"]).To(Equal("[info] preview"))
		Expect(seen["text"]).To(ContainSubstring("Source:    shop"))
	}, SpecTimeout(time.Minute))

	It("can be tried one at a time, by the way that all go", func(ctx SpecContext) {
		receiver, err := sink.Start("")
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(receiver.Close)
		var r struct {
			ID string `json:"rule_id"`
		}
		Expect(p.call(ctx, http.MethodPost, "/api/v1/rules", map[string]any{"name": "tried", "conditions": map[string]any{"type": "NEVER_SEEN"}, "actions": []any{
			act("LOG", map[string]any{}), act("WEBHOOK", map[string]any{"url": receiver.URL, "format": "alertmanager"}),
		}}, &r)).To(Equal(http.StatusCreated))
		path := "/api/v1/rules/" + r.ID + "/actions/"
		var wrong flaws
		Expect(p.call(ctx, http.MethodPost, path+"1/try", nil, &wrong)).To(Equal(http.StatusUnprocessableEntity))
		Expect(wrong.Code).To(Equal("no_event"))
		Expect(p.call(ctx, http.MethodPost, path+"2/try", nil, &wrong)).To(Equal(http.StatusNotFound))
		var n struct {
			ID       string `json:"notification_id"`
			Status   string
			Trial    bool
			Attempts []struct{ Outcome string }
		}
		Expect(p.call(ctx, http.MethodPost, path+"1/try?event_id=00000000-0000-4000-8000-0000000000a1", nil, &n)).To(Equal(http.StatusOK))
		Expect(n.Status).To(Equal("delivered"))
		Expect(n.Trial).To(BeTrue())
		Expect(n.Attempts).To(HaveLen(1))
		Expect(receiver.Stats().Accepted).To(Equal(1))
		receiver.SetFaults(sink.Faults{Status: http.StatusNotFound})
		Expect(p.call(ctx, http.MethodPost, path+"1/try?event_id=00000000-0000-4000-8000-0000000000a1", nil, &n)).To(Equal(http.StatusOK))
		Expect(n.Status).To(Equal("dead"))
	}, SpecTimeout(time.Minute))

	It("are retried, cancelled and forced by people, also many at once; endpoints that are gone are enabled again", func(ctx SpecContext) {
		receiver, err := sink.Start("")
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(receiver.Close)
		receiver.SetFaults(sink.Faults{Status: http.StatusGone})
		var r struct {
			ID string `json:"rule_id"`
		}
		Expect(p.call(ctx, http.MethodPost, "/api/v1/rules", map[string]any{"name": "mended", "conditions": map[string]any{"type": "ORDER_LOST"}, "actions": []any{
			act("WEBHOOK", map[string]any{"url": receiver.URL + "/gone"}),
		}}, &r)).To(Equal(http.StatusCreated))
		Eventually(ctx, func() int { return p.eactl(ctx, "rules", "status", "--wait", "10s").Code }).WithTimeout(20 * time.Second).Should(BeZero())
		lost := func() {
			p.Publish(ctx, broker.Message{RoutingKey: "events.order.lost", ContentType: "application/json",
				Body: []byte(`{"type":"ORDER_LOST","source":"shop","timestamp":"` + time.Now().UTC().Format(time.RFC3339Nano) + `"}`)})
		}
		type list struct {
			Items []struct {
				ID       string `json:"notification_id"`
				Status   string
				Reason   string
				Attempts []struct{ Outcome string }
			}
		}
		of := func(status string) func() (l list) {
			return func() (l list) {
				p.call(ctx, http.MethodGet, "/api/v1/notifications?rule="+r.ID+"&status="+status, nil, &l)
				return l
			}
		}
		lost()
		Eventually(ctx, of("dead")).WithTimeout(20 * time.Second).Should(HaveField("Items", HaveLen(1)))
		var targets struct {
			Items []struct {
				ID     string `json:"target_id"`
				Target string
				Reason string
			}
		}
		Eventually(ctx, func() int {
			p.call(ctx, http.MethodGet, "/api/v1/targets?state=disabled", nil, &targets)
			return len(targets.Items)
		}).Should(Equal(1))
		Expect(targets.Items[0].Target).To(Equal(receiver.Host))
		lost()
		lost()
		Eventually(ctx, of("suppressed")).WithTimeout(20 * time.Second).Should(HaveField("Items", HaveLen(2)))

		receiver.SetFaults(sink.Faults{})
		Expect(p.call(ctx, http.MethodPost, "/api/v1/targets/"+strings.ReplaceAll(targets.Items[0].ID, ":", "%3A")+"/enable", nil, nil)).To(Equal(http.StatusOK), "as browsers write it")
		var retried struct{ Matched, Retried int }
		Expect(p.call(ctx, http.MethodPost, "/api/v1/notifications/retry", map[string]any{"status": "delivered"}, nil)).To(Equal(http.StatusUnprocessableEntity))
		Expect(p.call(ctx, http.MethodPost, "/api/v1/notifications/retry", map[string]any{"status": "suppressed", "reason": "target_disabled", "rule": r.ID}, &retried)).To(Equal(http.StatusOK))
		Expect(retried.Retried).To(Equal(2))
		// The dispatcher sees that the endpoint is enabled within two seconds; what it
		// suppresses until then is retried as before.
		Eventually(ctx, func(g Gomega) {
			p.call(ctx, http.MethodPost, "/api/v1/notifications/retry", map[string]any{"status": "suppressed", "reason": "target_disabled", "rule": r.ID}, &retried)
			g.Expect(of("delivered")().Items).To(HaveLen(2))
		}).WithTimeout(20 * time.Second).WithPolling(time.Second).Should(Succeed())
		dead := of("dead")().Items[0].ID
		Expect(p.call(ctx, http.MethodPost, "/api/v1/notifications/"+dead+"/retry", nil, nil)).To(Equal(http.StatusAccepted))
		Eventually(ctx, of("delivered")).WithTimeout(20 * time.Second).Should(HaveField("Items", HaveLen(3)))
		Expect(p.call(ctx, http.MethodPost, "/api/v1/notifications/"+dead+"/retry", nil, nil)).To(Equal(http.StatusConflict))
		Expect(p.call(ctx, http.MethodPost, "/api/v1/notifications/"+dead+"/cancel", nil, nil)).To(Equal(http.StatusConflict))
		calls := receiver.Stats().Calls
		Expect(p.call(ctx, http.MethodPost, "/api/v1/notifications/"+dead+"/retry?force=true", nil, nil)).To(Equal(http.StatusAccepted))
		Eventually(ctx, func() int { return receiver.Stats().Calls }).WithTimeout(20 * time.Second).Should(Equal(calls + 1))
		Expect(receiver.Stats().Distinct).To(Equal(3))
	}, SpecTimeout(2*time.Minute))
})
