package deadletter_test

import (
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/action/builtin"
	"github.com/events-aggregator/events-aggregator/pkg/action/seal"
	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/deadletter"
	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
)

func document(v any) bson.Raw {
	GinkgoHelper()
	raw, err := bson.Marshal(v)
	Expect(err).NotTo(HaveOccurred())
	return raw
}

// order is a delivery order with secrets in it.
func order(severity int) notification.Message {
	GinkgoHelper()
	return notification.Message{Attempt: 3,
		Notification: notification.Notification{ID: "ntf_1", EventID: "e-1", RuleID: "r-1", Queue: "webhooks.default", Action: notification.Action{
			Type: "WEBHOOK", Config: document(bson.D{{Key: "url", Value: "https://Example.com:443/hook?token=secret-1"},
				{Key: "secret", Value: "secret-2"}, {Key: "headers", Value: bson.D{{Key: "authorization", Value: "secret-3"}}}})}},
		Event: document(bson.D{{Key: "event_id", Value: "e-1"}, {Key: "type", Value: "PAYMENT_FAILED"}, {Key: "severity", Value: int32(severity)}}),
	}
}

func letter(contentType string, body []byte) *deadletter.Letter {
	return deadletter.Read(&broker.DeadLetter{ID: "d", Queue: "p.webhooks.default", Reason: "permanent", ErrorClass: "http_4xx",
		Error: "answered 404", Attempts: 3, DeadAt: time.Now(), Message: broker.Message{ContentType: contentType, Body: body}}, "p.", time.Now())
}

func batchOf(types ...string) []byte {
	GinkgoHelper()
	var b event.Batch
	for i, t := range types {
		b.Events = append(b.Events, document(bson.D{{Key: "event_id", Value: "e-" + t}, {Key: "type", Value: t}, {Key: "n", Value: int32(i)}}))
	}
	body, err := b.MarshalBSON()
	Expect(err).NotTo(HaveOccurred())
	return body
}

var _ = Describe("a dead letter", func() {
	It("that is a delivery order names notification, rule, event and target, and shows no secret", func() {
		l := letter("application/bson", document(order(9)))
		Expect([]string{l.Queue, l.NotificationID, l.RuleID, l.EventID, l.Target}).
			To(Equal([]string{"webhooks.default", "ntf_1", "r-1", "e-1", "example.com"}))
		Expect(l.EventTypes).To(Equal([]string{"PAYMENT_FAILED"}))
		for _, r := range []deadletter.Record{l.Record, l.Full()} {
			text, err := json.Marshal(deadletter.Show(r))
			Expect(err).NotTo(HaveOccurred())
			Expect(string(text)).To(And(ContainSubstring("https://Example.com:443/hook"), ContainSubstring(`"severity":9`), ContainSubstring("ntf_1")))
			Expect(string(text)).NotTo(ContainSubstring("secret-"))
			Expect(string(r.Body)).NotTo(ContainSubstring("secret-"))
		}
	})

	It("that calls an encrypted URL names its target all the same, which a filter finds", func() {
		keys, err := seal.New("a-key-of-the-spec-0123456789")
		Expect(err).NotTo(HaveOccurred())
		webhook, _ := builtin.Table().Lookup("WEBHOOK")
		sealed := order(9)
		sealed.Notification.Action.Config, err = keys.Seal(webhook, sealed.Notification.Action.Config)
		Expect(err).NotTo(HaveOccurred())
		Expect(seal.Sealed(document(bson.D{{Key: "url", Value: sealed.Notification.Action.Config.Lookup("url")}}))).To(BeTrue())
		l := letter("application/bson", document(sealed))
		Expect(l.Target).To(Equal("example.com"))
		Expect(deadletter.Filter{Target: "example.com"}.Match(l)).To(BeTrue())
		Expect(string(l.Full().Body)).NotTo(ContainSubstring("ea-sealed"))
	})

	It("whose body cannot be read keeps to itself what may be a secret", func() {
		whole := document(order(9))
		l := letter("application/bson", whole[:len(whole)-5])
		Expect(l.Body).To(BeEmpty())
		Expect(l.BodySize).To(Equal(len(whole) - 5))

		unknown := order(9)
		unknown.Notification.Action.Type = "TELEGRAM"
		Expect(string(letter("application/bson", document(unknown)).Body)).NotTo(ContainSubstring("secret-"))
	})

	It("that is a stored batch names the types of its events, and its event when there is one", func() {
		l := letter("application/bson", batchOf("A", "B", "A"))
		Expect(l.EventTypes).To(Equal([]string{"A", "B"}))
		Expect(l.EventID).To(BeEmpty())
		l = letter("application/bson", batchOf("A"))
		Expect(l.EventID).To(Equal("e-A"))
	})

	It("that is compressed is read as what it was", func() {
		types := make([]string, 200)
		for i := range types {
			types[i] = "PAYMENT_FAILED"
		}
		var b event.Batch
		Expect(b.UnmarshalBSON(batchOf(types...))).To(Succeed())
		m, err := topology.New("").Stored().Encode(b)
		Expect(err).NotTo(HaveOccurred())
		Expect(m.ContentEncoding).NotTo(BeEmpty())
		l := deadletter.Read(&broker.DeadLetter{Message: m}, "", time.Now())
		Expect(l.EventTypes).To(Equal([]string{"PAYMENT_FAILED"}))
		Expect(l.BodySize).To(BeNumerically(">", len(m.Body)))
		m.Body = m.Body[:len(m.Body)/2]
		Expect(deadletter.Read(&broker.DeadLetter{Message: m}, "", time.Now()).Full().Body).To(BeEmpty())
	})

	DescribeTable("can hold anything, and its record can be stored and shown",
		func(contentType, body string, shown string) {
			l := letter(contentType, []byte(body))
			_, err := bson.Marshal(l.Record)
			Expect(err).NotTo(HaveOccurred())
			text, err := json.Marshal(deadletter.Show(l.Full()))
			Expect(err).NotTo(HaveOccurred())
			if shown == "" {
				Expect(string(text)).NotTo(ContainSubstring(`"body` + `":`))
				return
			}
			Expect(string(text)).To(ContainSubstring(shown))
		},
		Entry("JSON", "application/json", `{"type":"A"}`, `"body":{"type":"A"}`),
		Entry("truncated JSON", "application/json", `{"type":`, `"body":"{\"type\":"`),
		Entry("text", "text/plain", "hello", `"body":"hello"`),
		Entry("an array", "", `[1]`, `"body":[1]`),
		Entry("bytes", "", "\xff\xfe\x00", `"body_base64":"//4A"`),
		Entry("JSON that is no text", "", "\"\xff\"", `"body_base64":"Iv8i"`),
		Entry("BSON that is none", "application/bson", "\x05", ""),
		Entry("BSON of another kind", "application/bson", string(document(bson.D{{Key: "events", Value: "x"}})), `"body":{"events":"x"}`),
		Entry("a notification that is none", "application/bson", string(document(bson.D{{Key: "notification", Value: 7}, {Key: "secret", Value: "s"}})), ""),
		Entry("nothing", "", "", ""),
		Entry("a key twice", "", `{"a":1,"a":2}`, `"body":{"a":1,"a":2}`),
	)

	It("shows the beginning of a large text, in whole characters", func() {
		for shift := range 4 {
			r := letter("text/plain", []byte(strings.Repeat("x", shift)+strings.Repeat("ä€", 20_000))).Record
			s := deadletter.Show(r)
			Expect(s.Cut).To(BeTrue())
			Expect(s.BodyBase64).To(BeEmpty())
			text := s.Body.(string)
			Expect(len(text)).To(BeNumerically(">", 64<<10-4))
			Expect(strings.ContainsRune(text, 0xFFFD)).To(BeFalse())
			Expect(utf8.ValidString(text)).To(BeTrue())
		}
	})

	It("is made of texts that any database takes", func() {
		d := &broker.DeadLetter{ID: "a\x00b", Queue: "p.q\xff", Reason: strings.Repeat("ä", 2000), Message: broker.Message{
			Headers: map[string]any{"\x00": "\xff", "$a.b%": []any{map[string]any{"$c": int8(1), "d": map[string]any{}}}, "odd": struct{ A int }{1}},
		}}
		now := time.Now()
		r := deadletter.Read(d, "p.", now).Record
		Expect([]string{r.ID, r.Queue}).To(Equal([]string{"a\uFFFDb", "q\uFFFD"}))
		Expect(r.Reason).To(HaveLen(1024))
		Expect(r.DeadAt).To(Equal(now.UTC().Truncate(time.Millisecond)))
		Expect(r.Headers).To(Equal(map[string]any{"\uFFFD": "\uFFFD", "odd": "{1}",
			"%24a%2Eb%25": []any{map[string]any{"%24c": int8(1), "d": map[string]any{}}}}))
	})
})

var _ = DescribeTable("the fingerprint of an error",
	func(text, fingerprint string) { Expect(deadletter.Fingerprint(text)).To(Equal(fingerprint)) },
	Entry(nil, "", ""),
	Entry(nil, "no luck", "no luck"),
	Entry(nil, "answered 404", "answered <number>"),
	Entry(nil, `Post "https://example.com/hook/17": dial tcp 10.0.0.7:8443: i/o timeout after 2.5s`,
		`Post "https://example.com/hook/<number>": dial tcp <address>: i/o timeout after <number>`),
	Entry(nil, "dial tcp [::1]:80: connect: connection refused", "dial tcp <address>: connect: connection refused"),
	Entry(nil, "read 2001:db8:0:1:1:1:1:1->fe80:1:2:3:4: reset", "read <address>-><address>: reset"),
	Entry(nil, "there is no notification ntf_0123456789abcdef0123456789abcdef", "there is no notification <id>"),
	Entry(nil, "event 6F1D8B9A-2C3D-4E5F-8A9B-0C1D2E3F4A5B is unknown to bob.x+y@mail.example.com", "event <id> is unknown to <address>"),
	Entry(nil, "object 65f1c0ffee0123456789abcd at 0xc000123abc", "object <hex> at <hex>"),
	Entry(nil, "feedface and 12345678 are not the same, defacade is a word", "feedface and <number> are not the same, defacade is a word"),
	Entry(nil, `/severity: expected an integer from 1 to 10, found 99; /type: expected UPPER_SNAKE, found "no \"type\" 7"`,
		`/severity: expected an integer from <number> to <number>, found <number>; /type: expected UPPER_SNAKE, found <value>`),
	Entry(nil, "since 2026-01-31T10:02:03.5Z, for 1h30m, utf8 and sha256 stay", "since <time>, for <number>, utf8 and sha256 stay"),
	Entry("spaces and lines", "a \n\t b", "a b"),
	Entry("a long one", strings.Repeat("äb", 200), strings.Repeat("äb", 85)),
)

var _ = Describe("a filter", func() {
	condition := func(text string) *rule.Condition {
		GinkgoHelper()
		raw, err := rule.ParseCondition([]byte(text))
		Expect(err).NotTo(HaveOccurred())
		c, err := rule.Compile(raw)
		Expect(err).NotTo(HaveOccurred())
		return c
	}
	l := letter("application/bson", document(order(9)))

	DescribeTable("selects by", func(f deadletter.Filter, matches bool) { Expect(f.Match(l)).To(Equal(matches)) },
		Entry("nothing", deadletter.Filter{}, true),
		Entry("id", deadletter.Filter{ID: "d"}, true),
		Entry("another id", deadletter.Filter{ID: "x"}, false),
		Entry("reason and class", deadletter.Filter{Reason: "permanent", Class: "http_4xx"}, true),
		Entry("another class", deadletter.Filter{Reason: "permanent", Class: "timeout"}, false),
		Entry("another reason", deadletter.Filter{Reason: "exhausted"}, false),
		Entry("cause", deadletter.Filter{Cause: l.Cause}, true),
		Entry("fingerprint", deadletter.Filter{Cause: "answered <number>"}, true),
		Entry("another cause", deadletter.Filter{Cause: "answered 404"}, false),
		Entry("rule", deadletter.Filter{Rule: "r-1"}, true),
		Entry("another rule", deadletter.Filter{Rule: "r-2"}, false),
		Entry("target, in any case", deadletter.Filter{Target: "EXAMPLE.com"}, true),
		Entry("another target", deadletter.Filter{Target: "example.org"}, false),
		Entry("type", deadletter.Filter{Type: "PAYMENT_FAILED"}, true),
		Entry("another type", deadletter.Filter{Type: "PAYMENT"}, false),
		Entry("a part of the error", deadletter.Filter{Error: "404"}, true),
		Entry("another error", deadletter.Filter{Error: "500"}, false),
		Entry("since", deadletter.Filter{Since: l.DeadAt}, true),
		Entry("since later", deadletter.Filter{Since: l.DeadAt.Add(time.Millisecond)}, false),
		Entry("until", deadletter.Filter{Until: l.DeadAt.Add(time.Millisecond)}, true),
		Entry("until that moment", deadletter.Filter{Until: l.DeadAt}, false),
		Entry("the body", deadletter.Filter{Condition: condition(`{"event.severity":{"$gte":9},"notification.rule_id":"r-1"}`)}, true),
		Entry("another body", deadletter.Filter{Condition: condition(`{"event.severity":{"$lt":9}}`)}, false),
	)

	It("with a condition does not select what is no document", func() {
		f := deadletter.Filter{Condition: condition(`{"a":{"$ne":1}}`)}
		Expect(f.Match(letter("application/json", []byte("garbled")))).To(BeFalse())
		Expect(f.Match(letter("application/json", []byte(`{"a":2}`)))).To(BeTrue())
	})
})

var _ = Describe("groups", func() {
	It("put what died of one cause together, the largest first, and add up", func() {
		var g deadletter.Groups
		at := time.Date(2026, 5, 4, 10, 2, 0, 0, time.UTC)
		add := func(id, text string, minutes int) {
			g.Add(deadletter.Read(&broker.DeadLetter{ID: id, Queue: "q", Reason: "permanent", Error: text, DeadAt: at.Add(time.Duration(minutes) * time.Minute)}, "", at))
		}
		add("a", "rare", 5)
		add("b", "answered 500", 3)
		add("c", "answered 502", 9)
		add("d", "answered 503", 0)
		sorted := g.Sorted()
		Expect(sorted).To(HaveLen(2))
		Expect(sorted[0].Messages).To(Equal(3))
		Expect([]any{sorted[0].Since, sorted[0].Last, sorted[0].Example, sorted[0].Error}).
			To(Equal([]any{at, at.Add(9 * time.Minute), "c", "answered 502"}))
		Expect(sorted[1].Example).To(Equal("a"))
		Expect(deadletter.Summarise(sorted)).To(Equal(deadletter.Summary{Causes: 2, Messages: 4, Since: &at}))
		Expect(deadletter.Summarise(nil)).To(BeZero())
	})
})
