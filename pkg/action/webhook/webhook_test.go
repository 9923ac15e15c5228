package webhook_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/action/actiontest"
	"github.com/events-aggregator/events-aggregator/pkg/action/webhook"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
)

var _ = Describe("The type", func() {
	actiontest.DescribeType(webhook.Type{}, "webhooks.critical", "webhooks.default")
})

func parse(config bson.D) webhook.Config {
	GinkgoHelper()
	raw, err := bson.Marshal(config)
	Expect(err).NotTo(HaveOccurred())
	cfg, problems := webhook.Parse(raw)
	Expect(problems).To(BeEmpty())
	return cfg
}

func message(event bson.D) notification.Message {
	raw, err := bson.Marshal(event)
	Expect(err).NotTo(HaveOccurred())
	return notification.Message{
		Event: raw, Attempt: 2,
		Notification: notification.Notification{ID: "ntf_1", RuleID: "r-1", RuleName: `a "name"`, RuleVersion: 3},
	}
}

const url = "https://example.com/hook"

var _ = Describe("A request", func() {
	now := time.Now()

	It("carries the event with rule, notification and attempt", func() {
		body, err := webhook.DefaultBody(message(bson.D{{Key: "type", Value: "A"}, {Key: "payload", Value: bson.D{{Key: "n", Value: int64(1) << 60}}}}))
		Expect(err).NotTo(HaveOccurred())
		Expect(string(body)).To(Equal(`{"event":{"type":"A","payload":{"n":1152921504606846976}},` +
			`"rule":{"id":"r-1","name":"a \"name\"","version":3},"notification_id":"ntf_1","attempt":2}`))
	})
	It("carries the alert of a window rule", func() {
		msg := message(bson.D{{Key: "type", Value: "A"}})
		key, err := bson.Marshal(bson.D{{Key: "user_id", Value: "u"}, {Key: "payload.shop", Value: int64(7)}})
		Expect(err).NotTo(HaveOccurred())
		msg.Notification.Alert = &notification.Alert{Kind: "frequency", Key: key, Slot: 5, From: time.UnixMilli(0).UTC(), To: time.UnixMilli(60_000).UTC(), Value: 12, Reference: 10, Text: "many"}
		body, err := webhook.DefaultBody(msg)
		Expect(err).NotTo(HaveOccurred())
		Expect(string(body)).To(HaveSuffix(`"attempt":2,"alert":{"kind":"frequency","slot":5,"from":"1970-01-01T00:00:00Z","to":"1970-01-01T00:01:00Z",` +
			`"value":12,"reference":10,"text":"many","key":{"user_id":"u","payload.shop":7}}}`))
	})
	It("carries the group of a rule that groups, and what a throttle held back", func() {
		msg := message(bson.D{{Key: "type", Value: "A"}})
		key, err := bson.Marshal(bson.D{{Key: "source", Value: "shop"}})
		Expect(err).NotTo(HaveOccurred())
		msg.Notification.HeldBack = 7
		msg.Notification.Group = &notification.Group{ID: "grp_1", Key: key, Sequence: 2, Matches: 3, Samples: []string{"e3", "e2"}, FirstAt: time.UnixMilli(0).UTC(), LastAt: time.UnixMilli(60_000).UTC()}
		body, err := webhook.DefaultBody(msg)
		Expect(err).NotTo(HaveOccurred())
		Expect(string(body)).To(HaveSuffix(`"attempt":2,"group":{"id":"grp_1","sequence":2,"matches":3,"samples":["e3","e2"],` +
			`"first_at":"1970-01-01T00:00:00Z","last_at":"1970-01-01T00:01:00Z","key":{"source":"shop"}},"held_back":7}`))
	})
	It("carries the template's output where there is one", func() {
		cfg := parse(bson.D{{Key: "url", Value: url}, {Key: "body", Value: `{{.Event.type}} {{.Rule.Name}} {{.Notification}} {{.Attempt}}`}})
		body, err := cfg.Body(message(bson.D{{Key: "type", Value: "A"}}))
		Expect(err).NotTo(HaveOccurred())
		Expect(string(body)).To(Equal(`A a "name" ntf_1 2`))
	})
	It("carries a CloudEvent where its format says so, as ingest takes it in", func() {
		cfg := parse(bson.D{{Key: "url", Value: url}, {Key: "format", Value: "cloudevents"}})
		msg := message(bson.D{{Key: "type", Value: "A"}, {Key: "source", Value: "shop"}, {Key: "severity", Value: int32(8)}, {Key: "user_id", Value: "u\"1"},
			{Key: "timestamp", Value: time.UnixMilli(1500).UTC()}, {Key: "payload", Value: bson.D{{Key: "n", Value: int64(1) << 60}}}})
		msg.Notification.EventID = "5d3a0b43-5b5c-4d6e-8f00-1d2c3b4a5f60"
		body, err := cfg.Body(msg)
		Expect(err).NotTo(HaveOccurred())
		Expect(string(body)).To(Equal(`{"specversion":"1.0","id":"5d3a0b43-5b5c-4d6e-8f00-1d2c3b4a5f60","source":"shop","type":"A","time":"1970-01-01T00:00:01.5Z",` +
			`"severity":8,"userid":"u\"1","ruleid":"r-1","rulename":"a \"name\"","notificationid":"ntf_1",` +
			`"datacontenttype":"application/json","data":{"n":1152921504606846976}}`))
		h, err := cfg.Header(msg, now, body)
		Expect(err).NotTo(HaveOccurred())
		Expect(h.Get("Content-Type")).To(Equal("application/cloudevents+json"))
		var e cloudevents.Event
		Expect(json.Unmarshal(body, &e)).To(Succeed())
		Expect(e.Validate()).To(Succeed())
	})
	It("carries Alertmanager's body where its format says so", func() {
		body, err := parse(bson.D{{Key: "url", Value: url}, {Key: "format", Value: "alertmanager"}}).Body(message(bson.D{{Key: "type", Value: "A"}}))
		Expect(err).NotTo(HaveOccurred())
		Expect(string(body)).To(HavePrefix(`{"version":"4","groupKey":`))
	})
	It("has headers that its event fills in, but never breaks", func() {
		cfg := parse(bson.D{{Key: "url", Value: url}, {Key: "headers", Value: bson.D{{Key: "x-source", Value: "from {{.Event.source}}"}}}})
		h, err := cfg.Header(message(bson.D{{Key: "source", Value: "shop"}}), now, nil)
		Expect(err).NotTo(HaveOccurred())
		Expect(h.Get("X-Source")).To(Equal("from shop"))
		_, err = cfg.Header(message(bson.D{{Key: "source", Value: "a\r\nX-Evil: 1"}}), now, nil)
		Expect(err).To(MatchError(ContainSubstring("X-Source")))
	})
	It("has no body where HTTP gives it no meaning", func() {
		body, err := parse(bson.D{{Key: "url", Value: url}, {Key: "method", Value: "GET"}}).Body(message(bson.D{}))
		Expect(err).NotTo(HaveOccurred())
		Expect(body).To(BeEmpty())
	})
	It("is JSON unless a header says otherwise", func() {
		h, err := parse(bson.D{{Key: "url", Value: url}}).Header(message(bson.D{}), now, []byte("{}"))
		Expect(err).NotTo(HaveOccurred())
		Expect(h.Get("Content-Type")).To(Equal("application/json"))
		h, err = parse(bson.D{{Key: "url", Value: url}, {Key: "headers", Value: bson.D{{Key: "content-type", Value: "text/plain"}}}}).Header(message(bson.D{}), now, []byte("{}"))
		Expect(err).NotTo(HaveOccurred())
		Expect(h.Values("Content-Type")).To(Equal([]string{"text/plain"}))
	})
	It("carries the notification's id also without a secret", func() {
		h, err := parse(bson.D{{Key: "url", Value: url}}).Header(message(bson.D{}), now, nil)
		Expect(err).NotTo(HaveOccurred())
		Expect(h.Get("webhook-id")).To(Equal("ntf_1"))
		Expect(h).NotTo(HaveKey("Webhook-Signature"))
	})

	It("is signed as Standard Webhooks' published example", func() {
		msg := message(bson.D{})
		msg.Notification.ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
		h, err := parse(bson.D{{Key: "url", Value: url}, {Key: "secret", Value: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}}).
			Header(msg, time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
		Expect(err).NotTo(HaveOccurred())
		Expect(h.Get("webhook-signature")).To(Equal("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="))
	})
	DescribeTable("is signed by Standard Webhooks", func(secret any, verifiers ...string) {
		body := []byte(`{"a":1}`)
		h, err := parse(bson.D{{Key: "url", Value: url}, {Key: "secret", Value: secret}}).Header(message(bson.D{}), now, body)
		Expect(err).NotTo(HaveOccurred())
		for _, v := range verifiers {
			by, err := standardwebhooks.NewWebhookRaw([]byte(v))
			Expect(err).NotTo(HaveOccurred())
			Expect(by.Verify(body, h)).To(Succeed())
			Expect(by.Verify([]byte(`{"a":2}`), h)).NotTo(Succeed())
		}
	},
		Entry("with a secret in base64", "whsec_MDEyMzQ1Njc4OWFiY2RlZg==", "0123456789abcdef"),
		Entry("with any long text", "a secret of some length", "a secret of some length"),
		Entry("twice while the secret is replaced", bson.A{"the new secret of it", "the old secret of it"}, "the new secret of it", "the old secret of it"),
	)
})

var _ = Describe("An answer", func() {
	now := time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC)

	DescribeTable("is judged by its status", func(status int, retryAfter string, want notification.Outcome, wait time.Duration, class string) {
		h := http.Header{}
		if retryAfter != "" {
			h.Set("Retry-After", retryAfter)
		}
		outcome, after, got := webhook.Verdict(status, h, now)
		Expect(outcome).To(Equal(want))
		Expect(after).To(Equal(wait))
		Expect(got).To(Equal(class))
	},
		Entry("200", 200, "", notification.OutcomeOK, time.Duration(0), ""),
		Entry("204, whatever it asks for", 204, "5", notification.OutcomeOK, time.Duration(0), ""),
		Entry("299", 299, "", notification.OutcomeOK, time.Duration(0), ""),
		Entry("301: no redirects", 301, "", notification.OutcomePermanent, time.Duration(0), "redirect"),
		Entry("304", 304, "", notification.OutcomePermanent, time.Duration(0), "redirect"),
		Entry("400", 400, "5", notification.OutcomePermanent, time.Duration(0), "http_4xx"),
		Entry("404", 404, "", notification.OutcomePermanent, time.Duration(0), "http_4xx"),
		Entry("410", 410, "", notification.OutcomePermanent, time.Duration(0), "gone"),
		Entry("429", 429, "", notification.OutcomeRetry, time.Duration(0), "rate_limited"),
		Entry("429 with seconds", 429, "120", notification.OutcomeRetry, 2*time.Minute, "rate_limited"),
		Entry("429 with a time", 429, "Sun, 01 Jun 2025 12:01:30 GMT", notification.OutcomeRetry, 90*time.Second, "rate_limited"),
		Entry("429 with a time that is over", 429, "Sun, 01 Jun 2025 11:00:00 GMT", notification.OutcomeRetry, time.Duration(0), "rate_limited"),
		Entry("429 with nonsense", 429, "-5", notification.OutcomeRetry, time.Duration(0), "rate_limited"),
		Entry("429 for ever", 429, "99999999999999", notification.OutcomeRetry, 24*time.Hour, "rate_limited"),
		Entry("429 beyond numbers", 429, strings.Repeat("9", 100), notification.OutcomeRetry, time.Duration(0), "rate_limited"),
		Entry("500", 500, "5", notification.OutcomeRetry, time.Duration(0), "http_5xx"),
		Entry("503", 503, " 7 ", notification.OutcomeRetry, 7*time.Second, "unavailable"),
		Entry("599", 599, "", notification.OutcomeRetry, time.Duration(0), "http_5xx"),
		Entry("100", 100, "", notification.OutcomeRetry, time.Duration(0), "http_invalid"),
		Entry("999", 999, "", notification.OutcomeRetry, time.Duration(0), "http_invalid"),
	)
})

var _ = Describe("What is shown of a configuration", func() {
	It("keeps a URL readable", func() {
		raw, err := bson.Marshal(bson.D{{Key: "url", Value: "https://me:secret@example.com/a?token=t&x=1"}})
		Expect(err).NotTo(HaveOccurred())
		Expect(webhook.Type{}.Mask(raw).Lookup("url").StringValue()).To(Equal("https://me:********@example.com/a?token=********&x=1"))
	})
	It("hides a key in the user's place", func() {
		raw, err := bson.Marshal(bson.D{{Key: "url", Value: "https://key@example.com/a"}})
		Expect(err).NotTo(HaveOccurred())
		Expect(webhook.Type{}.Mask(raw).Lookup("url").StringValue()).To(Equal("https://********@example.com/a"))
	})
	It("is still JSON", func() {
		raw, err := bson.Marshal(bson.D{{Key: "url", Value: "https://example.com"}, {Key: "headers", Value: bson.D{{Key: "X-A", Value: "secret"}}}})
		Expect(err).NotTo(HaveOccurred())
		Expect(json.Valid([]byte(webhook.Type{}.Mask(raw).String()))).To(BeTrue())
	})
})
