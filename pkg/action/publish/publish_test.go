package publish_test

import (
	"encoding/json"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/action"
	"github.com/events-aggregator/events-aggregator/pkg/action/actiontest"
	"github.com/events-aggregator/events-aggregator/pkg/action/publish"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
)

var _ = Describe("The type", func() {
	actiontest.DescribeType(publish.Type{}, "notifications.critical", "notifications.default")
})

var _ = Describe("An exchange of our own", func() {
	It("is refused under the prefix that is configured", func() {
		t, _ := action.NewTable(publish.Type{}).Knowing(action.Known{action.KindInnerExchange: {"p.ea.stored"}}).Lookup("PUBLISH")
		check := func(exchange string) []action.Problem {
			raw, err := bson.Marshal(bson.D{{Key: "exchange", Value: exchange}, {Key: "routing_key", Value: "k"}})
			Expect(err).NotTo(HaveOccurred())
			return t.Check(raw)
		}
		Expect(check("p.ea.stored")).To(ConsistOf(HaveField("Pointer", "/exchange")))
		Expect(check("q.ea.stored")).To(BeEmpty())
	})
})

func parse(config bson.D) publish.Config {
	GinkgoHelper()
	raw, err := bson.Marshal(config)
	Expect(err).NotTo(HaveOccurred())
	cfg, problems := publish.Parse(raw)
	Expect(problems).To(BeEmpty())
	return cfg
}

func message(event bson.D) notification.Message {
	GinkgoHelper()
	raw, err := bson.Marshal(event)
	Expect(err).NotTo(HaveOccurred())
	return notification.Message{Event: raw, Attempt: 1, Notification: notification.Notification{ID: "ntf_1", EventID: "e-1", RuleID: "r-1", RuleName: "r"}}
}

var _ = Describe("A message", func() {
	It("has the key that its template gives", func() {
		cfg := parse(bson.D{{Key: "exchange", Value: "x"}, {Key: "routing_key", Value: " a.{{.Event.user_id}} "}})
		key, err := cfg.RoutingKey(message(bson.D{{Key: "user_id", Value: "u1"}}))
		Expect(err).NotTo(HaveOccurred())
		Expect(key).To(Equal("a.u1"))
		_, err = cfg.RoutingKey(message(bson.D{{Key: "user_id", Value: strings.Repeat("u", 300)}}))
		Expect(err).To(MatchError(ContainSubstring("255")))
		_, err = cfg.RoutingKey(message(bson.D{{Key: "user_id", Value: "a\x00b"}}))
		Expect(err).To(MatchError(ContainSubstring("control characters")))
	})
	It("is by default what a webhook gets", func() {
		body, isJSON, err := parse(bson.D{{Key: "exchange", Value: "x"}, {Key: "routing_key", Value: "k"}}).Body(message(bson.D{{Key: "type", Value: "A"}}), 1)
		Expect(err).NotTo(HaveOccurred())
		Expect(isJSON).To(BeTrue())
		Expect(string(body)).To(ContainSubstring(`"event":{"type":"A"}`))
	})
	It("may be any text for another service", func() {
		body, isJSON, err := parse(bson.D{{Key: "exchange", Value: "x"}, {Key: "routing_key", Value: "k"}, {Key: "body", Value: "no JSON {{.Event.type}}"}}).Body(message(bson.D{{Key: "type", Value: "A"}}), 1)
		Expect(err).NotTo(HaveOccurred())
		Expect(isJSON).To(BeFalse())
		Expect(string(body)).To(Equal("no JSON A"))
	})

	event := func(body string) ([]byte, error) {
		b, _, err := parse(bson.D{{Key: "exchange", Value: "events"}, {Key: "routing_key", Value: "k"}, {Key: "body", Value: body}}).Body(message(bson.D{{Key: "type", Value: "A"}}), 3)
		return b, err
	}
	It("to events says what caused it, and has the same id each time", func() {
		first, err := event(`{"type":"B","source":"s","metadata":{"region":"eu","hops":0,"caused_by":"forged"}}`)
		Expect(err).NotTo(HaveOccurred())
		again, err := event(`{"type":"B","source":"s","metadata":{"region":"eu","hops":0,"caused_by":"forged"}}`)
		Expect(err).NotTo(HaveOccurred())
		Expect(again).To(MatchJSON(first))
		var e struct {
			EventID  string         `json:"event_id"`
			Metadata map[string]any `json:"metadata"`
		}
		Expect(json.Unmarshal(first, &e)).To(Succeed())
		Expect(e.EventID).To(HaveLen(36))
		Expect(e.Metadata).To(Equal(map[string]any{"region": "eu", "hops": 3.0, "caused_by": "e-1"}))
	})
	It("to events keeps an id of its own", func() {
		body, err := event(`{"type":"B","source":"s","event_id":"0d6a1e9a-7c0f-4a39-8a8e-111111111111"}`)
		Expect(err).NotTo(HaveOccurred())
		Expect(string(body)).To(ContainSubstring("0d6a1e9a-7c0f-4a39-8a8e-111111111111"))
	})
	DescribeTable("to events must be an event", func(body, text string) {
		_, err := event(body)
		Expect(err).To(MatchError(ContainSubstring(text)))
	},
		Entry("no JSON", `A`, "no JSON object"),
		Entry("a list", `[1]`, "no JSON object"),
		Entry("null", `null`, "no JSON object"),
		Entry("metadata that is no object", `{"metadata":1}`, "metadata must be an object"),
		Entry("metadata that is null", `{"metadata":null}`, "metadata must be an object"),
	)
})
