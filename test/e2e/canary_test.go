package e2e_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
	"github.com/events-aggregator/events-aggregator/services/dispatcher"
	"github.com/events-aggregator/events-aggregator/services/ingester"
	"github.com/events-aggregator/events-aggregator/services/ruleworker"
	"github.com/events-aggregator/events-aggregator/test/support/sink"
)

var _ = Describe("eactl dlq replay --canary", Ordered, func() {
	var p *product
	var receiver *sink.Running
	dead := func(ctx SpecContext, queue string) func() int {
		return func() int { return p.Depth(ctx, queue+".dead") }
	}

	BeforeAll(func(ctx SpecContext) {
		p = start(ctx)
		var err error
		receiver, err = sink.Start("")
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(receiver.Close)
		receiver.SetFaults(sink.Faults{Status: http.StatusNotFound})
		Expect(p.call(ctx, http.MethodPost, "/api/v1/rules", map[string]any{"name": "hooked", "conditions": map[string]any{"type": "ORDER_PAID"},
			"actions": []any{map[string]any{"type": "WEBHOOK", "config": map[string]any{"url": receiver.URL}}}}, nil)).To(Equal(http.StatusCreated))
		// Before anybody else takes it.
		p.Dead(ctx, topology.Ingest, func(*broker.Delivery) error { return classed{"odd", "odd"} },
			broker.Message{Exchange: p.Topology.Exchange(topology.ExchangeEvents), RoutingKey: "events.x", MessageID: "good", ContentType: "application/json",
				Body: []byte(`{"event_id":"00000000-0000-4000-8000-0000000000c1","type":"USER_LOGIN","source":"auth"}`)})
		p.Start(ctx, "ingester", ingester.Wire)
		p.Start(ctx, "rule-worker", ruleworker.Wire)
		p.Start(ctx, "action-dispatcher", dispatcher.Wire)
		for range 6 {
			p.Publish(ctx, broker.Message{RoutingKey: "events.order.paid", ContentType: "application/json",
				Body: []byte(`{"type":"ORDER_PAID","source":"shop","timestamp":"` + time.Now().UTC().Format(time.RFC3339Nano) + `"}`)})
		}
		Eventually(ctx, dead(ctx, topology.WebhooksDefault)).WithTimeout(30 * time.Second).Should(Equal(6))
	}, NodeTimeout(2*time.Minute))

	It("replays one, and no other when that fails again", func(ctx SpecContext) {
		s := dlq(ctx, p.Fleet, "replay", "webhooks.default", "--canary")
		Expect(s.Code).To(Equal(1), s.Err)
		Expect(s.Err).To(And(ContainSubstring("did not succeed"), ContainSubstring("404")))
		Expect(receiver.Stats().Calls).To(Equal(7))
		Eventually(ctx, dead(ctx, topology.WebhooksDefault)).WithTimeout(10 * time.Second).Should(Equal(6))
	}, SpecTimeout(time.Minute))

	It("replays none of what nothing is known of in time", func(ctx SpecContext) {
		receiver.SetFaults(sink.Faults{Hang: true})
		s := dlq(ctx, p.Fleet, "replay", "webhooks.default", "--canary", "--canary-wait", "500ms")
		Expect(s.Code).To(Equal(1), s.Err)
		Expect(s.Err).To(ContainSubstring("nothing is known of it after 500ms"))
		receiver.SetFaults(sink.Faults{})
		Eventually(ctx, func() int { return receiver.Stats().Accepted }).WithTimeout(30 * time.Second).Should(Equal(1))
		Expect(dead(ctx, topology.WebhooksDefault)()).To(Equal(5))
	}, SpecTimeout(time.Minute))

	It("replays all when it succeeds", func(ctx SpecContext) {
		s := dlq(ctx, p.Fleet, "replay", "webhooks.default", "--canary", "--limit", "3")
		Expect(s.Code).To(BeZero(), s.Err)
		Expect(s.Err).To(ContainSubstring("3 replayed"))
		s = dlq(ctx, p.Fleet, "replay", "webhooks.default", "--canary")
		Expect(s.Code).To(BeZero(), s.Err)
		Expect(s.Err).To(ContainSubstring("2 replayed"))
		Eventually(ctx, func() int { return receiver.Stats().Accepted }).WithTimeout(20 * time.Second).Should(Equal(6))
		Expect(receiver.Stats().AcceptedAgain).To(BeZero())
		Expect(dlq(ctx, p.Fleet, "replay", "webhooks.default", "--canary").Code).To(Equal(3))
	}, SpecTimeout(time.Minute))

	It("of another queue has succeeded when its owner let it go", func(ctx SpecContext) {
		Eventually(ctx, dead(ctx, topology.Ingest)).Should(Equal(1))
		s := dlq(ctx, p.Fleet, "replay", "ingester.events", "--canary")
		Expect(s.Code).To(BeZero(), s.Err)
		Expect(p.call(ctx, http.MethodGet, "/api/v1/events/00000000-0000-4000-8000-0000000000c1", nil, nil)).To(Equal(http.StatusOK))

		p.Publish(ctx, broker.Message{RoutingKey: "events.x", MessageID: "bad", ContentType: "application/json", Body: []byte(`{`)})
		Eventually(ctx, dead(ctx, topology.Ingest)).WithTimeout(10 * time.Second).Should(Equal(1))
		s = dlq(ctx, p.Fleet, "replay", "ingester.events", "--canary")
		Expect(s.Code).To(Equal(1), s.Err)
		Expect(s.Err).To(ContainSubstring("it failed again"))
	}, SpecTimeout(time.Minute))

	It("mends what ingest refused, by --set or by export and import", func(ctx SpecContext) {
		Expect(dlq(ctx, p.Fleet, "purge", "ingester.events", "--yes").Code).To(BeZero())
		body := func(id, severity string) []byte {
			return []byte(`{"event_id":"00000000-0000-4000-8000-0000000000` + id + `","type":"USER_LOGIN","source":"auth","severity":` + severity + `,"payload":{"b":1,"a":12345678901234567890}}`)
		}
		for _, id := range []string{"d1", "d2", "d3"} {
			p.Publish(ctx, broker.Message{RoutingKey: "events.x", MessageID: id, ContentType: "application/json", Body: body(id, "99")})
		}
		Eventually(ctx, dead(ctx, topology.Ingest)).WithTimeout(10 * time.Second).Should(Equal(3))
		Expect(dlq(ctx, p.Fleet, "replay", "webhooks.default", "--set", "severity=5").Code).To(Equal(2))
		Expect(dlq(ctx, p.Fleet, "replay", "ingester.events", "--set", "severity").Code).To(Equal(2))

		one := dlq(ctx, p.Fleet, "list", "ingester.events", "-o", "json").lines()[0]["dead_id"].(string)
		s := dlq(ctx, p.Fleet, "replay", "ingester.events", "--id", one, "--set", "severity=5", "--set", "payload.a=7", "--canary")
		Expect(s.Code).To(BeZero(), s.Err)
		Eventually(ctx, dead(ctx, topology.Ingest)).Should(Equal(2))

		s = dlq(ctx, p.Fleet, "export")
		Expect(s.Code).To(BeZero(), s.Err)
		Expect(s.lines()).To(HaveLen(2))
		Expect(s.Out).To(ContainSubstring(`"payload":{"b":1,"a":12345678901234567890}`), "as it was sent")
		file := filepath.Join(GinkgoT().TempDir(), "letters.jsonl")
		mended := strings.NewReplacer(`"severity":99`, `"severity":5`, "12345678901234567890", "1").Replace(s.Out)
		Expect(os.WriteFile(file, []byte(mended), 0o600)).To(Succeed())
		Expect(dlq(ctx, p.Fleet, "import", file, "--dry-run").Code).To(BeZero())
		s = dlq(ctx, p.Fleet, "import", file)
		Expect(s.Code).To(BeZero(), s.Err)
		Expect(s.Err).To(ContainSubstring("2 replayed"))
		for _, id := range []string{"d1", "d2", "d3"} {
			Eventually(ctx, func() int {
				return p.call(ctx, http.MethodGet, "/api/v1/events/00000000-0000-4000-8000-0000000000"+id, nil, nil)
			}).
				WithTimeout(20 * time.Second).Should(Equal(http.StatusOK))
		}
		s = dlq(ctx, p.Fleet, "import", file)
		Expect(s.Code).NotTo(BeZero())
		Expect(os.WriteFile(file, []byte("{\"dead_id\":\"a\"}\n"), 0o600)).To(Succeed())
		s = dlq(ctx, p.Fleet, "import", file)
		Expect(s.Code).To(Equal(2))
		Expect(s.Err).To(ContainSubstring("line 1: expected body"))
	}, SpecTimeout(2*time.Minute))
})
