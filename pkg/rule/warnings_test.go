package rule_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/test/support/querygen"
)

var _ = Describe("What a rule is warned of", func() {
	warnings := func(conditions string, actions ...string) []rule.Problem {
		GinkgoHelper()
		r := rule.Rule{ID: "r-1", Name: "deliveries", Enabled: true, Mode: rule.Live, Priority: 1, Conditions: document([]byte(conditions))}
		for _, a := range actions {
			r.Actions = append(r.Actions, rule.ActionSpec{Type: a, Config: querygen.Marshal(bson.D{})})
		}
		return r.Warnings()
	}
	DescribeTable("it can match the outcomes of its own notifications", func(conditions string) {
		w := warnings(conditions, "WEBHOOK")
		Expect(w).To(HaveLen(1))
		Expect(w[0].Pointer).To(Equal("/conditions"))
		Expect(w[0].Message).To(ContainSubstring(`{"payload.rule_name": {"$ne": "deliveries"}}`))
	},
		Entry(nil, `{"type": "NOTIFICATION_DELIVERY"}`),
		Entry(nil, `{"type": "NOTIFICATION_DELIVERY", "payload.status": "delivered"}`),
		Entry(nil, `{"type": "NOTIFICATION_DELIVERY", "severity": {"$gte": 7}}`),
		Entry(nil, `{"type": {"$in": ["A", "NOTIFICATION_DELIVERY"]}, "payload.target": "example.com"}`),
		Entry(nil, `{"type": "NOTIFICATION_DELIVERY", "payload.rule_id": {"$ne": "another"}}`),
		Entry(nil, `{"type": "NOTIFICATION_DELIVERY", "$or": [{"source": "x"}, {"user_id": "y"}]}`),
	)
	DescribeTable("nothing, when it cannot", func(conditions string, actions ...string) {
		Expect(warnings(conditions, actions...)).To(BeEmpty())
	},
		Entry("events of other types", `{"type": "A"}`, "WEBHOOK"),
		Entry("all events, since outcomes match only rules that name them", `{}`, "WEBHOOK"),
		Entry("outcomes, and nothing is done", `{"type": "NOTIFICATION_DELIVERY"}`),
		Entry("outcomes of other rules, by name", `{"type": "NOTIFICATION_DELIVERY", "payload.rule_name": {"$ne": "deliveries"}}`, "WEBHOOK"),
		Entry("outcomes of other rules, by id", `{"type": "NOTIFICATION_DELIVERY", "payload.rule_id": {"$nin": ["r-1"]}}`, "WEBHOOK"),
		Entry("outcomes of another kind of action", `{"type": "NOTIFICATION_DELIVERY", "payload.action_type": "WEBHOOK"}`, "LOG"),
		Entry("events without hops", `{"type": "NOTIFICATION_DELIVERY", "metadata.hops": {"$exists": false}}`, "WEBHOOK"),
		Entry("severities that outcomes do not have", `{"type": "NOTIFICATION_DELIVERY", "severity": {"$gt": 7}}`, "WEBHOOK"),
		Entry("a status that outcomes do not have", `{"type": "NOTIFICATION_DELIVERY", "payload.status": "pending"}`, "WEBHOOK"),
	)

	It("is possible whenever some document with the known fields matches", func() {
		g := querygen.New(21)
		excluded := 0
		for range 1500 {
			cond, err := rule.Compile(querygen.Marshal(g.Condition(2)))
			Expect(err).NotTo(HaveOccurred())
			for range 20 {
				doc := g.Document(3)
				var known bson.D
				for _, e := range doc {
					if g.IntN(2) == 0 {
						known = append(known, e)
					}
				}
				possible := cond.Possible(querygen.Marshal(append(bson.D{}, known...)))
				if cond.Match(querygen.Marshal(doc)) {
					Expect(possible).To(BeTrue(), "%s: %v of %v", cond.Raw(), known, doc)
				}
				if !possible {
					excluded++
				}
			}
		}
		Expect(excluded).To(BeNumerically(">", 1000), "it excludes what cannot be")
	})
})

var _ = Describe("A rule that publishes events", func() {
	publishes := func(conditions, exchange, body string) []rule.Problem {
		GinkgoHelper()
		r := rule.Rule{ID: "r-1", Name: "r", Enabled: true, Mode: rule.Live, Priority: 1, Conditions: document([]byte(conditions))}
		r.Actions = []rule.ActionSpec{{Type: "LOG", Config: querygen.Marshal(bson.D{})},
			{Type: "PUBLISH", Config: querygen.Marshal(bson.D{{Key: "exchange", Value: exchange}, {Key: "routing_key", Value: "k"}, {Key: "body", Value: body}})}}
		return r.Warnings()
	}
	DescribeTable("is warned when it can match them", func(conditions, body string) {
		Expect(publishes(conditions, "events", body)).To(HaveExactElements(And(HaveField("Pointer", "/actions/1"), HaveField("Message", ContainSubstring("publishes")))))
	},
		Entry(nil, `{}`, `{"type":"B","source":"s"}`),
		Entry(nil, `{"type":"A"}`, `{"type":"A","source":"s"}`),
		Entry("a type that its template fills in", `{"type":"A"}`, `{"type":"{{.Event.type}}","source":"s"}`),
		Entry(nil, `{"source":"s","payload.n":1}`, `{"type":"B", "source" : "s"}`),
		Entry("a type beside one in its payload", `{"type":"A"}`, `{"payload":{"type":"B","n":[{}]},"type":"A"}`),
		Entry("a type only in its payload", `{"type":"A"}`, `{"payload":{"type":"B"},"type":"{{.Event.type}}"}`),
		Entry("a type in a text", `{"type":"A"}`, `{"text":"\"type\":\"B\"","type":"A"}`),
		Entry("the last of two", `{"type":"A"}`, `{"type":"B","type":"A"}`),
		Entry("one of two", `{"type":"A"}`, `{"n":1{{if .Event.x}},"x":1{{end}},"type":"B"}`),
		Entry("what cannot be read", `{"type":"A"}`, `{{.Event.x}} {"type":"B"}`),
		Entry("a later one of the chain", `{"type":"A","metadata.hops":{"$gte":2}}`, `{"type":"A"}`),
	)
	DescribeTable("is not when it cannot, or publishes elsewhere", func(conditions, exchange, body string) {
		Expect(publishes(conditions, exchange, body)).To(BeEmpty())
	},
		Entry(nil, `{"type":"A"}`, "events", `{"type":"B","source":"s"}`),
		Entry(nil, `{"source":{"$ne":"rules"}}`, "events", `{"type":"B","source":"rules"}`),
		Entry(nil, `{}`, "billing", `{"type":"B"}`),
		Entry("a type after what the template fills in", `{"type":"A"}`, "events",
			`{"payload": {"was": {{json .Event.payload}}, "type": "A", "text": "{{get .Event "}}"}}"}, "type": "B"}`),
		Entry("more hops than are matched", `{"metadata.hops":{"$gte":8}}`, "events", `{"type":"A"}`),
	)

	It("is warned of every action", func() {
		r := rule.Rule{ID: "r-1", Name: "r", Conditions: document([]byte(`{"type":"NOTIFICATION_DELIVERY"}`))}
		for _, body := range []string{`{"type":"NOTIFICATION_DELIVERY"}`, `{"type":"B"}`, `{}`} {
			r.Actions = append(r.Actions, rule.ActionSpec{Type: "PUBLISH", Config: querygen.Marshal(bson.D{{Key: "exchange", Value: "events"}, {Key: "body", Value: body}})})
		}
		Expect(r.Warnings()).To(HaveExactElements(HaveField("Pointer", "/actions/0"), HaveField("Pointer", "/actions/2"), HaveField("Pointer", "/conditions")))
	})
})
