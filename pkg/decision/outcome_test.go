package decision_test

import (
	"encoding/json"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/decision"
	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
)

var _ = Describe("The outcome event of a notification that somebody cancelled", func() {
	config, _ := bson.Marshal(bson.D{{Key: "url", Value: "https://example.com:8443/hook?token=secret"}})
	n := notification.Notification{ID: "ntf_1", EventID: "e-1", RuleID: "r-1", RuleName: "rule", Queue: "webhooks.default", AttemptCount: 2,
		Status: notification.Suppressed, Reason: notification.Cancelled, Action: notification.Action{Type: "WEBHOOK", Config: config},
		UpdatedAt: time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC)}
	matched, _ := bson.Marshal(bson.D{{Key: "event_id", Value: "e-1"}, {Key: "type", Value: "A"}, {Key: "trace_id", Value: "t"},
		{Key: "metadata", Value: bson.D{{Key: "hops", Value: int32(7)}, {Key: "region", Value: "eu"}}}})

	It("is the same each time, and says who is not told, why, and what caused it", func() {
		o := decision.Cancelled(n, matched)
		body, err := o.Body()
		Expect(err).NotTo(HaveOccurred())
		Expect(decision.Cancelled(n, matched).Body()).To(Equal(body))
		Expect(string(body)).NotTo(ContainSubstring("secret"))
		var e struct {
			EventID  string         `json:"event_id"`
			Type     string         `json:"type"`
			Payload  map[string]any `json:"payload"`
			Metadata map[string]any `json:"metadata"`
		}
		Expect(json.Unmarshal(body, &e)).To(Succeed())
		Expect(e.EventID).To(Equal(notification.OutcomeEventID("ntf_1", notification.Cancelled, 2)))
		Expect(e.Type).To(Equal("NOTIFICATION_DELIVERY"))
		Expect(e.Payload).To(And(HaveKeyWithValue("status", "suppressed"), HaveKeyWithValue("reason", "cancelled"),
			HaveKeyWithValue("target", "example.com:8443"), HaveKeyWithValue("event_type", "A")))
		Expect(e.Metadata).To(Equal(map[string]any{"hops": 8.0, "caused_by": "e-1", "region": "eu"}), "one hop more, so that no rule goes on for ever")
		_, err = event.FromJSON(body)
		Expect(err).NotTo(HaveOccurred())
	})

	It("is told also when the event is no longer stored, and apart from a suppression at the same attempt", func() {
		o := decision.Cancelled(n, nil)
		Expect(o.Body()).To(ContainSubstring(`"caused_by":"e-1"`))
		Expect(o.EventID()).NotTo(Equal(decision.Outcome{Notification: n, Status: notification.Suppressed, Reason: notification.TargetDisabled,
			Attempt: notification.Attempt{Number: 2}}.EventID()))
	})
})
