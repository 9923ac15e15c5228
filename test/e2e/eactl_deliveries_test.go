package e2e_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/services/dispatcher"
	"github.com/events-aggregator/events-aggregator/services/ingester"
	"github.com/events-aggregator/events-aggregator/services/ruleworker"
	"github.com/events-aggregator/events-aggregator/test/support/sink"
)

var _ = Describe("eactl, about deliveries", Ordered, func() {
	var p *product
	var receiver *sink.Running

	BeforeAll(func(ctx SpecContext) {
		p = start(ctx)
		var err error
		receiver, err = sink.Start("")
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(receiver.Close)
		p.Start(ctx, "ingester", ingester.Wire)
		p.Start(ctx, "rule-worker", ruleworker.Wire)
		p.Start(ctx, "action-dispatcher", dispatcher.Wire)
		Expect(p.call(ctx, http.MethodPost, "/api/v1/rules", map[string]any{"name": "hook", "conditions": map[string]any{"type": "PAYMENT_FAILED"},
			"actions": []any{map[string]any{"type": "WEBHOOK", "config": map[string]any{"url": receiver.URL + "/hook"}}}}, nil)).To(Equal(http.StatusCreated))
		Eventually(ctx, func() int { return p.eactl(ctx, "rules", "status", "--wait", "10s").Code }).WithTimeout(20 * time.Second).Should(BeZero())
	}, NodeTimeout(2*time.Minute))

	publish := func(ctx SpecContext) {
		GinkgoHelper()
		p.Publish(ctx, broker.Message{RoutingKey: "events.payment.failed", ContentType: "application/json",
			Body: []byte(`{"type":"PAYMENT_FAILED","source":"shop","severity":5,"timestamp":"` + time.Now().UTC().Format(time.RFC3339Nano) + `"}`)})
	}
	listed := func(ctx SpecContext, args ...string) []map[string]any {
		GinkgoHelper()
		return p.eactl(ctx, append([]string{"notifications", "list", "-o", "json"}, args...)...).lines()
	}

	It("lists what died, shows its attempts, and tries it again", func(ctx SpecContext) {
		receiver.SetFaults(sink.Faults{Status: http.StatusNotFound})
		publish(ctx)
		Eventually(ctx, func() []map[string]any { return listed(ctx, "--status", "dead", "--rule", "hook") }).WithTimeout(20 * time.Second).Should(HaveLen(1))
		id := listed(ctx, "--status", "dead")[0]["notification_id"].(string)
		Expect(p.eactl(ctx, "notifications", "get", id).Out).To(And(ContainSubstring(`"status_code": 404`), ContainSubstring("permanent")))

		receiver.SetFaults(sink.Faults{})
		Expect(p.eactl(ctx, "notifications", "retry", "--status", "dead", "--rule", "hook", "--dry-run")).To(And(HaveField("Code", 0), HaveField("Out", "1 fit, 0 are tried again\n")))
		Expect(p.eactl(ctx, "notifications", "retry", "--status", "dead", "--rule", "hook")).To(HaveField("Out", "1 fit, 1 are tried again\n"))
		Eventually(ctx, func() []map[string]any { return listed(ctx, "--status", "delivered") }).WithTimeout(20 * time.Second).Should(HaveLen(1))
		Expect(p.eactl(ctx, "notifications", "retry", id)).To(And(HaveField("Code", Not(BeZero())), HaveField("Err", ContainSubstring("delivered"))))
		before := receiver.Stats().Calls
		Expect(p.eactl(ctx, "notifications", "retry", id, "--force")).To(HaveField("Code", 0))
		Eventually(ctx, func() int { return receiver.Stats().Calls }).WithTimeout(20 * time.Second).Should(Equal(before + 1))
		Expect(receiver.Stats().Distinct).To(Equal(1), "the same webhook-id each time")
	}, SpecTimeout(2*time.Minute))

	It("cancels what waits for its next attempt", func(ctx SpecContext) {
		receiver.SetFaults(sink.Faults{Status: http.StatusServiceUnavailable, RetryAfter: "3600"})
		publish(ctx)
		Eventually(ctx, func() []map[string]any { return listed(ctx, "--status", "pending") }).WithTimeout(20 * time.Second).
			Should(ConsistOf(HaveKeyWithValue("attempt_count", BeEquivalentTo(1))))
		id := listed(ctx, "--status", "pending")[0]["notification_id"].(string)
		Expect(p.eactl(ctx, "notifications", "cancel", id)).To(HaveField("Out", id+" is suppressed\n"))
		Expect(p.eactl(ctx, "notifications", "cancel", id)).To(HaveField("Code", Not(BeZero())))
		outcome := notification.OutcomeEventID(id, notification.Cancelled, 1)
		Eventually(ctx, func() said { return p.eactl(ctx, "events", "get", outcome) }).WithTimeout(20 * time.Second).Should(And(HaveField("Code", 0),
			HaveField("Out", And(ContainSubstring(`"status": "suppressed"`), ContainSubstring(`"reason": "cancelled"`), ContainSubstring(id), ContainSubstring(receiver.Host)))))

		p.Spoil(ctx, "notifications", id, "attempts")
		for _, again := range []string{"retry", "retry?force=true", "cancel"} {
			var wrong struct{ Code, Detail string }
			Expect(p.call(ctx, http.MethodPost, "/api/v1/notifications/"+id+"/"+again, nil, &wrong)).To(Equal(http.StatusInternalServerError))
			Expect(wrong.Code).To(Equal("unreadable_document"))
			Expect(wrong.Detail).To(ContainSubstring(id), "it is said which")
		}
	}, SpecTimeout(time.Minute))

	It("lists an endpoint that is gone, enables it, and disables it by hand", func(ctx SpecContext) {
		receiver.SetFaults(sink.Faults{Status: http.StatusGone})
		publish(ctx)
		disabled := func() string { return p.eactl(ctx, "targets", "list", "--state", "disabled", "-o", "json").Out }
		Eventually(ctx, disabled).WithTimeout(20 * time.Second).Should(ContainSubstring("410"))
		var endpoint struct {
			ID string `json:"target_id"`
		}
		Expect(json.Unmarshal([]byte(disabled()), &endpoint)).To(Succeed())
		Expect(p.eactl(ctx, "targets", "enable", endpoint.ID)).To(HaveField("Code", 0))
		Expect(disabled()).To(BeEmpty())
		Expect(p.eactl(ctx, "targets", "disable", endpoint.ID, "--reason", "moved")).To(HaveField("Out", endpoint.ID+" is disabled\n"))
		Expect(p.eactl(ctx, "targets", "get", endpoint.ID)).To(HaveField("Out", ContainSubstring("moved")))
	}, SpecTimeout(time.Minute))

	It("previews a template of a file, saves it, shows it, and deletes it", func(ctx SpecContext) {
		file := filepath.Join(GinkgoT().TempDir(), "outage.yaml")
		Expect(os.WriteFile(file, []byte("name: outage\nsubject: 'Outage of {{.Event.source}}'\ntext: 'Look at {{.Event.type}}'\n"), 0o600)).To(Succeed())
		var event struct {
			ID string `json:"event_id"`
		}
		Expect(json.Unmarshal([]byte(p.eactl(ctx, "events", "list", "--type", "PAYMENT_FAILED", "--limit", "1", "-o", "json").Out), &event)).To(Succeed())
		preview := HaveField("Out", And(ContainSubstring("Subject: Outage of shop"), ContainSubstring("Look at PAYMENT_FAILED")))
		Expect(p.eactl(ctx, "templates", "preview", "-f", file, "--event", event.ID)).To(preview)
		Expect(p.eactl(ctx, "templates", "apply", "-f", file)).To(HaveField("Out", "outage is saved, version 1\n"))
		Expect(p.eactl(ctx, "templates", "preview", "outage", "--event", event.ID)).To(preview)
		Expect(os.WriteFile(file, []byte(p.eactl(ctx, "templates", "get", "outage", "-o", "yaml").Out), 0o600)).To(Succeed())
		Expect(p.eactl(ctx, "templates", "apply", "-f", file)).To(HaveField("Code", 0), "what get prints can be applied")
		Expect(p.eactl(ctx, "templates", "list")).To(HaveField("Out", ContainSubstring("outage")))
		Expect(p.eactl(ctx, "templates", "delete", "outage")).To(HaveField("Out", "deleted outage\n"))
		Expect(os.WriteFile(file, []byte("name: wrong\nsubject: '{{.Event'\ntext: x\n"), 0o600)).To(Succeed())
		Expect(p.eactl(ctx, "templates", "apply", "-f", file)).To(And(HaveField("Code", Not(BeZero())), HaveField("Err", ContainSubstring("/subject"))))
	}, SpecTimeout(time.Minute))
})
