package alert_test

import (
	"encoding/json"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/action/actiontest"
	"github.com/events-aggregator/events-aggregator/pkg/action/alert"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
)

var _ = Describe("The type", func() {
	actiontest.DescribeType(alert.Type{}, "webhooks.critical", "webhooks.default")
})

func parse(config bson.D) alert.Config {
	GinkgoHelper()
	raw, err := bson.Marshal(config)
	Expect(err).NotTo(HaveOccurred())
	cfg, problems := alert.Parse(raw)
	Expect(problems).To(BeEmpty())
	return cfg
}

var at = time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC)

func message() notification.Message {
	GinkgoHelper()
	raw, err := bson.Marshal(bson.D{{Key: "type", Value: "PAYMENT_FAILED"}, {Key: "source", Value: "shop"}, {Key: "severity", Value: int32(8)},
		{Key: "timestamp", Value: at}, {Key: "payload", Value: bson.D{{Key: "shop", Value: "s7"}}}})
	Expect(err).NotTo(HaveOccurred())
	return notification.Message{Event: raw, Attempt: 1, Notification: notification.Notification{ID: "ntf_1", EventID: "e-1", RuleID: "r-1", RuleName: "failed payments"}}
}

func one(body []byte) alert.Alert {
	GinkgoHelper()
	var alerts []alert.Alert
	Expect(json.Unmarshal(body, &alerts)).To(Succeed())
	Expect(alerts).To(HaveLen(1))
	return alerts[0]
}

var _ = Describe("An alert", func() {
	now := at.Add(time.Minute)

	DescribeTable("goes to the API of the Alertmanager at the URL", func(url, want string) {
		Expect(parse(bson.D{{Key: "url", Value: url}}).URL).To(Equal(want))
	},
		Entry("its address", "http://am:9093", "http://am:9093/api/v2/alerts"),
		Entry("with a prefix", "http://am:9093/alerts/", "http://am:9093/alerts/api/v2/alerts"),
		Entry("the API itself", "http://am:9093/x/api/v2/alerts", "http://am:9093/x/api/v2/alerts"),
		Entry("with a query", "http://am:9093?token=a", "http://am:9093/api/v2/alerts?token=a"),
	)
	It("says which rule and event it is, and ends by itself", func() {
		body, err := parse(bson.D{{Key: "url", Value: "http://am"}}).Body(message(), now)
		Expect(err).NotTo(HaveOccurred())
		Expect(one(body)).To(Equal(alert.Alert{
			Labels:      map[string]string{"alertname": "failed payments", "rule_id": "r-1", "event_type": "PAYMENT_FAILED", "source": "shop", "severity": "error"},
			Annotations: map[string]string{"summary": "rule failed payments matched event e-1", "event_id": "e-1", "notification_id": "ntf_1"},
			StartsAt:    at, EndsAt: now.Add(5 * time.Minute),
		}))
	})
	It("takes the rule's own labels and annotations, and leaves out what is empty", func() {
		body, err := parse(bson.D{{Key: "url", Value: "http://am"}, {Key: "resolve_after", Value: "1h"},
			{Key: "labels", Value: bson.D{{Key: "shop", Value: "{{.Event.payload.shop}}"}, {Key: "severity", Value: "page"}, {Key: "source", Value: "{{.Event.nothing}}"}}},
			{Key: "annotations", Value: bson.D{{Key: "summary", Value: "{{.Rule.Name}}!"}}}}).Body(message(), now)
		Expect(err).NotTo(HaveOccurred())
		a := one(body)
		Expect(a.Labels).To(HaveKeyWithValue("shop", "s7"))
		Expect(a.Labels).To(HaveKeyWithValue("severity", "page"))
		Expect(a.Labels).NotTo(HaveKey("source"))
		Expect(a.Annotations).To(HaveKeyWithValue("summary", "failed payments!"))
		Expect(a.EndsAt).To(Equal(now.Add(time.Hour)))
	})
	It("of a window carries its key, by names that labels may have", func() {
		m := message()
		key, err := bson.Marshal(bson.D{{Key: "user_id", Value: "u"}, {Key: "payload.shop-no", Value: int64(7)}, {Key: "source", Value: "other"}, {Key: "7", Value: true}, {Key: "none", Value: nil}})
		Expect(err).NotTo(HaveOccurred())
		m.Notification.Alert = &notification.Alert{Kind: "frequency", Key: key, From: at.Add(-time.Hour), To: at, Text: "many"}
		body, err := parse(bson.D{{Key: "url", Value: "http://am"}}).Body(m, now)
		Expect(err).NotTo(HaveOccurred())
		a := one(body)
		Expect(a.Labels).To(HaveKeyWithValue("user_id", "u"))
		Expect(a.Labels).To(HaveKeyWithValue("payload_shop_no", "7"))
		Expect(a.Labels).To(HaveKeyWithValue("_7", "true"))
		Expect(a.Labels).To(HaveKeyWithValue("source", "shop"))
		Expect(a.Labels).To(HaveKeyWithValue("window", "frequency"))
		Expect(a.Labels).NotTo(HaveKey("none"))
		Expect(a.StartsAt).To(Equal(at.Add(-time.Hour)))
		Expect(a.Annotations).To(HaveKeyWithValue("summary", "rule failed payments: many"))
	})
	It("never begins in the future, and cuts long values", func() {
		m := message()
		m.Notification.RuleName = strings.Repeat("ü", 1000)
		body, err := parse(bson.D{{Key: "url", Value: "http://am"}}).Body(m, at.Add(-time.Hour))
		Expect(err).NotTo(HaveOccurred())
		Expect(one(body).StartsAt).To(Equal(at.Add(-time.Hour)))
		Expect(one(body).Labels["alertname"]).To(HaveLen(1024))
	})
})

var _ = Describe("The body of Alertmanager's webhooks", func() {
	It("is version 4 with one firing alert", func() {
		body, err := alert.WebhookBody(message())
		Expect(err).NotTo(HaveOccurred())
		Expect(string(body)).To(MatchJSON(`{
			"version": "4", "groupKey": "{}:{alertname=\"failed payments\"}", "truncatedAlerts": 0, "status": "firing", "receiver": "failed payments",
			"groupLabels": {"alertname": "failed payments"},
			"commonLabels": {"alertname": "failed payments", "rule_id": "r-1", "event_type": "PAYMENT_FAILED", "source": "shop", "severity": "error"},
			"commonAnnotations": {"summary": "rule failed payments matched event e-1", "event_id": "e-1", "notification_id": "ntf_1"},
			"externalURL": "",
			"alerts": [{"status": "firing",
				"labels": {"alertname": "failed payments", "rule_id": "r-1", "event_type": "PAYMENT_FAILED", "source": "shop", "severity": "error"},
				"annotations": {"summary": "rule failed payments matched event e-1", "event_id": "e-1", "notification_id": "ntf_1"},
				"startsAt": "2025-06-01T12:00:00Z", "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "", "fingerprint": "` + fingerprint + `"}]
		}`))
	})
	It("leads to the dashboard, where somebody said where that is", func() {
		m := message()
		m.Dashboard = "https://events.example.com"
		m.Notification.RuleID = "pay/large"
		body, err := alert.WebhookBody(m)
		Expect(err).NotTo(HaveOccurred())
		Expect(string(body)).To(And(
			ContainSubstring(`"externalURL":"https://events.example.com"`),
			ContainSubstring(`"generatorURL":"https://events.example.com/#/rules/pay%2Flarge"`),
			ContainSubstring(`"link":"https://events.example.com/#/notifications/ntf_1"`)))
		body, err = parse(bson.D{{Key: "url", Value: "http://am"}}).Body(m, at)
		Expect(err).NotTo(HaveOccurred())
		Expect(one(body).GeneratorURL).To(Equal("https://events.example.com/#/rules/pay%2Flarge"))
		Expect(one(body).Annotations).To(HaveKeyWithValue("link", "https://events.example.com/#/notifications/ntf_1"))
	})
})

// fingerprint of the labels above: FNV-1a of the sorted names and values, each
// followed by a byte 255, computed apart.
const fingerprint = "d59a3047f04238e3"
