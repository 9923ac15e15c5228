package e2e_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/creack/pty"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
	"github.com/events-aggregator/events-aggregator/services/ctl"
	"github.com/events-aggregator/events-aggregator/test/support/fleet"
)

// nowhere is a MongoDB that is away: dead letters need RabbitMQ alone.
const nowhere = "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=100"

// dlq runs eactl dlq with MongoDB away.
func dlq(ctx context.Context, f *fleet.Fleet, args ...string) said {
	return (&product{Fleet: f}).eactlWith(ctx, []string{"EA_MONGO_URI=" + nowhere}, append([]string{"dlq"}, args...)...)
}

// each is one field of every line.
func (s said) each(name string) []any {
	GinkgoHelper()
	values := []any{}
	for _, m := range s.lines() {
		values = append(values, m[name])
	}
	return values
}

func document(v any) bson.Raw {
	GinkgoHelper()
	raw, err := bson.Marshal(v)
	Expect(err).NotTo(HaveOccurred())
	return raw
}

// deadOrder is a delivery order that calls a host for a rule.
func deadOrder(f *fleet.Fleet, i int, host, rule string, severity int) broker.Message {
	GinkgoHelper()
	m, err := f.Topology.Actions().Encode(notification.Message{Attempt: 1,
		Notification: notification.Notification{ID: fmt.Sprintf("ntf_%d", i), EventID: fmt.Sprintf("e-%d", i), RuleID: rule, Queue: topology.WebhooksDefault,
			Action: notification.Action{Type: "WEBHOOK", Config: document(bson.D{{Key: "url", Value: "https://" + host + "/hook"}, {Key: "secret", Value: "hidden-secret"}})}},
		Event: document(bson.D{{Key: "type", Value: "PAYMENT_FAILED"}, {Key: "severity", Value: int32(severity)}})})
	Expect(err).NotTo(HaveOccurred())
	return m
}

type classed struct{ class, text string }

func (e classed) Error() string { return e.text }
func (e classed) Class() string { return e.class }

// mixed is a fleet whose webhooks.default has six dead letters of two causes,
// and ingester.events two.
func mixed(ctx context.Context) *fleet.Fleet {
	GinkgoHelper()
	f := fleet.New(ctx)
	n := 0
	f.Dead(ctx, topology.WebhooksDefault, func(*broker.Delivery) error { n++; return classed{"http_5xx", fmt.Sprintf("answered %d", 500+n%4)} },
		deadOrder(f, 0, "a.example.com", "r-1", 3), deadOrder(f, 1, "a.example.com", "r-1", 9), deadOrder(f, 2, "b.example.com", "r-2", 9), deadOrder(f, 3, "b.example.com", "r-1", 3))
	f.Dead(ctx, topology.WebhooksDefault, func(*broker.Delivery) error { return classed{"timeout", "no answer in time"} },
		deadOrder(f, 4, "a.example.com", "r-1", 3), deadOrder(f, 5, "c.example.com", "r-3", 3))
	f.DeadByBroker(ctx, topology.Ingest, broker.Message{Exchange: f.Topology.Exchange(topology.ExchangeEvents), RoutingKey: "events.x", ContentType: "application/json",
		MessageID: "m-1", Body: []byte(`{"type":"USER_LOGIN","payload":{"amount":7}}`)})
	f.Dead(ctx, topology.Ingest, func(*broker.Delivery) error { return classed{"invalid_json", "not JSON\x1b[31m"} },
		broker.Message{Exchange: f.Topology.Exchange(topology.ExchangeEvents), RoutingKey: "events.x", MessageID: "m-2", Body: []byte("{")})
	return f
}

var _ = Describe("eactl dlq", Ordered, func() {
	var f *fleet.Fleet
	BeforeAll(func(ctx SpecContext) { f = mixed(ctx) }, NodeTimeout(time.Minute))

	It("lists the dead letters of a queue, or of all, with MongoDB away", func(ctx SpecContext) {
		s := dlq(ctx, f, "list", "webhooks.default", "-o", "json")
		Expect(s.Code).To(BeZero(), s.Err)
		Expect(s.each("notification_id")).To(ConsistOf("ntf_0", "ntf_1", "ntf_2", "ntf_3", "ntf_4", "ntf_5"))
		Expect(s.lines()).To(ContainElement(And(HaveKeyWithValue("queue", "webhooks.default"), HaveKeyWithValue("event_id", "e-0"), HaveKeyWithValue("rule_id", "r-1"),
			HaveKeyWithValue("target", "a.example.com"), HaveKeyWithValue("attempts", 1.0), HaveKeyWithValue("by_broker", false))))
		Expect(s.Out).NotTo(ContainSubstring("hidden-secret"))
		Expect(dlq(ctx, f, "list", "-o", "json").lines()).To(HaveLen(8))

		table := dlq(ctx, f, "list", "ingester.events")
		Expect(table.Code).To(BeZero(), table.Err)
		Expect(table.Out).To(MatchRegexp(`expired +│ broker .*\n(.*\n)?.*permanent +│ invalid_json`))
		Expect(table.Out).NotTo(ContainSubstring("\x1b"), "what a producer sent does not reach the terminal")
		rows, err := csv.NewReader(strings.NewReader(dlq(ctx, f, "list", "ingester.events", "-o", "csv").Out)).ReadAll()
		Expect(err).NotTo(HaveOccurred())
		Expect(rows).To(HaveLen(3))
		Expect(rows[0]).To(Equal([]string{"dead_id", "dead_at", "queue", "reason", "class", "attempts", "cause", "error"}))
		Expect(append(rows[1], rows[2]...)).To(ContainElement("not JSON [31m"), "nor by a file that somebody looks at")
	}, SpecTimeout(time.Minute))

	DescribeTable("selects by", func(ctx SpecContext, flags []string, ids ...any) {
		s := dlq(ctx, f, append([]string{"list", "webhooks.default", "-o", "json"}, flags...)...)
		if len(ids) == 0 {
			Expect(s).To(Equal(said{3, "", s.Err}))
			return
		}
		Expect(s.Code).To(BeZero(), s.Err)
		Expect(s.each("notification_id")).To(ConsistOf(ids...))
	},
		Entry("class", SpecTimeout(time.Minute), []string{"--class", "timeout"}, "ntf_4", "ntf_5"),
		Entry("reason", SpecTimeout(time.Minute), []string{"--reason", "exhausted"}),
		Entry("rule and target", SpecTimeout(time.Minute), []string{"--rule", "r-1", "--target", "b.example.com"}, "ntf_3"),
		Entry("type", SpecTimeout(time.Minute), []string{"--type", "USER_LOGIN"}),
		Entry("error text", SpecTimeout(time.Minute), []string{"--error", "in time"}, "ntf_4", "ntf_5"),
		Entry("cause", SpecTimeout(time.Minute), []string{"--cause", "answered <number>", "--rule", "r-2"}, "ntf_2"),
		Entry("the body", SpecTimeout(time.Minute), []string{"--filter", `{"event.severity":{"$gte":9}}`}, "ntf_1", "ntf_2"),
		Entry("time", SpecTimeout(time.Minute), []string{"--since", "10m", "--until", "0s", "--class", "timeout"}, "ntf_4", "ntf_5"),
		Entry("another time", SpecTimeout(time.Minute), []string{"--until", "10m"}),
	)

	It("shows one with its body, without secrets", func(ctx SpecContext) {
		id := dlq(ctx, f, "list", "webhooks.default", "--rule", "r-3", "-o", "json").each("dead_id")[0].(string)
		s := dlq(ctx, f, "show", "--id", id)
		Expect(s.Code).To(BeZero(), s.Err)
		var shown map[string]any
		Expect(json.Unmarshal([]byte(s.Out), &shown)).To(Succeed())
		Expect(shown).To(HaveKeyWithValue("dead_id", id))
		Expect(shown["body"]).To(HaveKeyWithValue("event", HaveKeyWithValue("type", "PAYMENT_FAILED")))
		Expect(s.Out).To(ContainSubstring("https://c.example.com/hook"))
		Expect(s.Out).NotTo(ContainSubstring("hidden-secret"))
	}, SpecTimeout(time.Minute))

	It("groups by cause, and a group's cause selects it", func(ctx SpecContext) {
		s := dlq(ctx, f, "groups", "webhooks.default")
		Expect(s.Code).To(BeZero(), s.Err)
		Expect(s.Out).To(MatchRegexp(`^2 causes, 6 messages, since \d\d:\d\d\n`))
		Expect(s.Out).To(MatchRegexp(`http_5xx +│ +4 +│.* answered <number>\s+[^\n]*timeout +│ +2 +│`))
		groups := dlq(ctx, f, "groups", "-o", "json")
		Expect(groups.each("messages")).To(Equal([]any{4.0, 2.0, 1.0, 1.0}))
		cause := groups.lines()[1]["cause"].(string)
		Expect(dlq(ctx, f, "list", "--cause", cause, "-o", "json").each("notification_id")).To(ConsistOf("ntf_4", "ntf_5"))
	}, SpecTimeout(time.Minute))

	It("says what a replay or purge would do", func(ctx SpecContext) {
		s := dlq(ctx, f, "replay", "webhooks.default", "--class", "timeout", "--dry-run", "-o", "json")
		Expect(s.Code).To(BeZero(), s.Err)
		Expect(s.each("notification_id")).To(ConsistOf("ntf_4", "ntf_5"))
		Expect(s.Err).To(Equal("2 would be replayed\n"))
		s = dlq(ctx, f, "purge", "webhooks.default", "--limit", "5", "--dry-run")
		Expect(s.Code).To(BeZero(), s.Err)
		Expect(s.Err).To(Equal("5 would be purged\n"))
		Expect(strings.Count(s.Out, "webhooks.default")).To(Equal(5))
		Expect(dlq(ctx, f, "list", "webhooks.default", "-o", "json").lines()).To(HaveLen(6))
	}, SpecTimeout(time.Minute))

	DescribeTable("refuses bad usage with 2, naming every mistake", func(ctx SpecContext, args []string, mistakes ...string) {
		s := dlq(ctx, f, args...)
		Expect(s.Code).To(Equal(2), s.Err)
		Expect(s.Out).To(BeEmpty())
		for _, m := range mistakes {
			Expect(s.Err).To(ContainSubstring(m))
		}
	},
		Entry("an unknown queue", SpecTimeout(time.Minute), []string{"list", "webhooks"}, `"webhooks"`, "webhooks.default"),
		Entry("no queue", SpecTimeout(time.Minute), []string{"replay"}, "a work queue"),
		Entry("two queues", SpecTimeout(time.Minute), []string{"list", "a", "b"}, "one work queue"),
		Entry("several flags", SpecTimeout(time.Minute), []string{"list", "--since", "yesterday", "--filter", `{"a":{"$where":1}}`, "--limit", "-1"}, "--since", "yesterday", "$where", "--limit"),
		Entry("an empty time", SpecTimeout(time.Minute), []string{"list", "--since", "1h", "--until", "2h"}, "--since is not before --until"),
		Entry("a negative rate", SpecTimeout(time.Minute), []string{"replay", "webhooks.default", "--rate", "-1"}, "--rate"),
		Entry("show without an id", SpecTimeout(time.Minute), []string{"show"}, "--id"),
		Entry("a purge with nobody to ask", SpecTimeout(time.Minute), []string{"purge", "webhooks.default"}, "--yes"),
		Entry("the replay of copies", SpecTimeout(time.Minute), []string{"replay", "aggregator.dead-letters"}, "copies"),
		Entry("no subcommand", SpecTimeout(time.Minute), nil),
	)

	It("fails with 1 when RabbitMQ is away, and says so in one line", func(ctx SpecContext) {
		away := *f
		away.AMQPURL = "amqp://guest:hidden-password@127.0.0.1:1/"
		s := dlq(ctx, &away, "list")
		Expect(s.Code).To(Equal(1))
		Expect(s.Err).To(ContainSubstring("RabbitMQ"))
		Expect(s.Err).NotTo(ContainSubstring("hidden-password"))
	}, SpecTimeout(time.Minute))
})

var _ = Describe("eactl dlq that changes something", func() {
	It("replays to the owner alone, prints a line for each, and finds nothing a second time", func(ctx SpecContext) {
		f := mixed(ctx)
		s := dlq(ctx, f, "replay", "webhooks.default", "--class", "http_5xx", "--limit", "3", "--rate", "100")
		Expect(s.Code).To(BeZero(), s.Err)
		Expect(s.Err).To(Equal("3 replayed\n"))
		Expect(s.lines()).To(HaveLen(3))
		Expect(s.lines()).To(HaveEach(And(HaveKeyWithValue("replayed", true), HaveKeyWithValue("queue", "webhooks.default"), HaveKey("dead_id"))))
		Expect(f.Depth(ctx, topology.WebhooksDefault)).To(Equal(3))
		s = dlq(ctx, f, "replay", "webhooks.default", "-o", "json")
		Expect(s.Code).To(BeZero(), s.Err)
		Expect(s.lines()).To(HaveLen(3))
		Expect(f.Depth(ctx, topology.WebhooksDefault)).To(Equal(6))
		for _, command := range []string{"list", "groups", "replay", "purge"} {
			s := dlq(ctx, f, command, "webhooks.default")
			if command == "purge" {
				s = dlq(ctx, f, command, "webhooks.default", "--yes")
			}
			Expect(s.Code).To(Equal(3), command)
			Expect(s.Out).To(BeEmpty(), command)
			Expect(s.Err).To(ContainSubstring("nothing matched"), command)
		}
		Expect(f.Depth(ctx, topology.Ingest+".dead")).To(Equal(2))
		Expect(f.Depth(ctx, topology.Ingest)).To(BeZero())
	}, SpecTimeout(2*time.Minute))

	It("purges what is selected", func(ctx SpecContext) {
		f := mixed(ctx)
		s := dlq(ctx, f, "purge", "webhooks.default", "--target", "a.example.com", "--yes", "-o", "json")
		Expect(s.Code).To(BeZero(), s.Err)
		Expect(s.Err).To(Equal("3 purged\n"))
		Expect(s.lines()).To(HaveEach(HaveKeyWithValue("purged", true)))
		Expect(f.Depth(ctx, topology.WebhooksDefault)).To(BeZero())
		Expect(dlq(ctx, f, "list", "webhooks.default", "-o", "json").each("target")).To(ConsistOf("b.example.com", "b.example.com", "c.example.com"))
	}, SpecTimeout(time.Minute))

	It("fails with 1 for what cannot be replayed as it is, after all others", func(ctx SpecContext) {
		f := fleet.New(ctx)
		m := broker.Message{Exchange: f.Topology.Exchange(topology.ExchangeEvents), RoutingKey: "events.x", Body: []byte("{}")}
		huge := m
		huge.Headers = map[string]any{"huge": strings.Repeat("x", 119_900)}
		f.DeadByBroker(ctx, topology.Ingest, m, huge, m)
		s := dlq(ctx, f, "replay", "ingester.events", "-o", "json")
		Expect(s.Code).To(Equal(1))
		Expect(s.Err).To(And(ContainSubstring("2 replayed"), ContainSubstring("1 cannot be replayed")))
		Expect(s.each("replayed")).To(Equal([]any{true, false, true}))
		Expect(s.lines()[1]["error"]).To(ContainSubstring("headers"))
		Expect(f.Depth(ctx, topology.Ingest+".dead")).To(Equal(1))
	}, SpecTimeout(time.Minute))

	It("exports what can be edited, and names what it leaves out", func(ctx SpecContext) {
		f := fleet.New(ctx)
		at := func(id string, body []byte, encoding string) broker.Message {
			return broker.Message{Exchange: f.Topology.Exchange(topology.ExchangeEvents), RoutingKey: "events.x", MessageID: id, Body: body, ContentEncoding: encoding}
		}
		f.Dead(ctx, topology.Ingest, func(*broker.Delivery) error { return classed{"invalid_json", "not JSON"} },
			at("json", []byte(`{"a":1}`), ""), at("bytes", []byte{0xff, 0xfe, 0}, ""), at("text", []byte("{"), ""), at("packed", []byte("x"), "gzip"))
		ids := map[string]string{}
		for _, line := range dlq(ctx, f, "list", "ingester.events", "-o", "json").lines() {
			ids[line["message_id"].(string)] = line["dead_id"].(string)
		}
		s := dlq(ctx, f, "export")
		Expect(s.Code).To(Equal(1))
		Expect(s.each("dead_id")).To(ConsistOf(ids["json"], ids["text"]))
		Expect(s.Err).To(And(ContainSubstring(ids["bytes"]+": its body is neither JSON nor text"), ContainSubstring(ids["packed"]+": its body is encoded (gzip)")))
		Expect(f.Depth(ctx, topology.Ingest+".dead")).To(Equal(4), "all stay")
	}, SpecTimeout(time.Minute))

	It("shows a bar on a terminal, and no lines", func(ctx SpecContext) {
		f := mixed(ctx)
		master, slave, err := pty.Open()
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func() { _ = master.Close() })
		Expect(pty.Setsize(slave, &pty.Winsize{Rows: 24, Cols: 100})).To(Succeed())
		screen := make(chan string, 1)
		go func() {
			text, _ := io.ReadAll(master) // ends with the slave, by an error
			screen <- string(text)
		}()
		var out bytes.Buffer
		code := ctl.Run(ctx, []string{"dlq", "replay", "webhooks.default", "--rate", "20"}, (&product{Fleet: f}).environ(), &out, slave)
		Expect(slave.Close()).To(Succeed())
		Expect(code).To(BeZero())
		Expect(out.String()).To(BeEmpty())
		var text string
		Eventually(ctx, screen).Should(Receive(&text))
		Expect(text).To(And(ContainSubstring("replay"), ContainSubstring("6 / 6"), ContainSubstring("6 replayed")))
	}, SpecTimeout(time.Minute))
})
