package topology_test

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
)

var _ = Describe("the table", func() {
	It("has the design's queues, and those of the configuration once each", func() {
		t := topology.New("", "webhooks.bulk", topology.WebhooksDefault)
		var names []string
		for _, w := range t.Queues() {
			names = append(names, w.Name)
		}
		Expect(names).To(Equal([]string{
			"ingester.events", "rule-worker.critical", "rule-worker.normal", "aggregator.stored", "aggregator.dead-letters",
			"notifications.critical", "notifications.default", "webhooks.critical", "webhooks.default", "webhooks.bulk",
		}))
		Expect(t.DispatchQueues()).To(Equal([]string{
			"notifications.critical", "notifications.default", "webhooks.critical", "webhooks.default", "webhooks.bulk",
		}))
		Expect(t.Work("nobody")).To(BeZero())
	})

	It("puts the prefix before every exchange and queue, and before nothing else", func() {
		t := topology.New("w2.")
		b := t.Broker()
		for _, e := range b.Exchanges {
			Expect(e.Name).To(HavePrefix("w2."))
		}
		for _, q := range b.Queues {
			Expect(q.Name).To(HavePrefix("w2."))
		}
		Expect(t.Exchange(topology.ExchangeEvents)).To(Equal("w2.events"))
		Expect(b.Bindings).To(ContainElements(
			broker.Binding{Exchange: "w2.events", Key: "#", Queue: "w2.ingester.events"},
			broker.Binding{Exchange: "w2.ea.stored", Key: "stored.critical", Queue: "w2.rule-worker.critical"},
			broker.Binding{Exchange: "w2.ea.stored", Key: "stored.normal", Queue: "w2.rule-worker.normal"},
			broker.Binding{Exchange: "w2.ea.stored", Key: "stored.#", Queue: "w2.aggregator.stored"},
			broker.Binding{Exchange: "w2.ea.actions", Key: "webhooks.default", Queue: "w2.webhooks.default"},
		))
	})

	It("gives every work queue its dead letters and its tiers, which lead back to it alone", func() {
		t := topology.New("p.")
		b := t.Broker()
		queues := map[string]map[string]any{}
		for _, q := range b.Queues {
			Expect(queues).NotTo(HaveKey(q.Name))
			queues[q.Name] = q.Args
		}
		targets := func(exchange, key string) (names []string) {
			for _, x := range b.Bindings {
				if x.Exchange == exchange && x.Key == key {
					names = append(names, x.Queue)
				}
			}
			return names
		}
		for _, w := range t.Queues() {
			q := t.Work(w.Name)
			Expect(queues[q.Name]).To(And(
				HaveKeyWithValue("x-dead-letter-exchange", q.DeadExchange), HaveKeyWithValue("x-dead-letter-routing-key", q.Name),
				HaveKeyWithValue("x-delivery-limit", int64(1000))))
			dead := []string{q.Dead()}
			if w.Name != topology.DeadLetters {
				dead = append(dead, "p.aggregator.dead-letters")
			}
			Expect(targets(q.DeadExchange, q.Name)).To(ConsistOf(dead), "nothing that the recorder fails at comes back to it")
			Expect(targets(q.RetryExchange, q.Name)).To(Equal([]string{q.Name}))
			Expect(queues[q.Dead()]).To(HaveKeyWithValue("x-delivery-limit", int64(1_000_000_000)))
			Expect(queues[q.Dead()]).NotTo(HaveKey("x-dead-letter-exchange"))
			Expect(q.Schedule).To(Equal(q.Tiers))
			for _, delay := range q.Tiers {
				Expect(queues[q.Tier(delay)]).To(And(
					HaveKeyWithValue("x-message-ttl", delay.Milliseconds()),
					HaveKeyWithValue("x-dead-letter-exchange", q.RetryExchange), HaveKeyWithValue("x-dead-letter-routing-key", q.Name)))
				Expect(targets(q.RetryExchange, q.Tier(delay))).To(Equal([]string{q.Tier(delay)}))
			}
		}
		Expect(t.Work(topology.Ingest).Tiers).To(Equal([]time.Duration{time.Second, 10 * time.Second, time.Minute}))
		Expect(t.Work(topology.WebhooksCritical).Tier(6 * time.Hour)).To(Equal("p.webhooks.critical.retry.6h"))
		Expect(t.Work(topology.WebhooksCritical).Tier(10 * time.Minute)).To(Equal("p.webhooks.critical.retry.10m"))
	})

	It("declares no queue that could lose a message", func() {
		for _, q := range topology.New("").Broker().Queues {
			Expect(q.Args).To(HaveKeyWithValue("x-queue-type", "quorum"), q.Name)
			Expect(q.Args).To(HaveKeyWithValue("x-overflow", "reject-publish"), q.Name)
			Expect(q.Args).To(HaveKey("x-delivery-limit"), q.Name+": unset means 20 on RabbitMQ 4")
			Expect(q.Args).NotTo(Or(HaveKey("x-max-length"), HaveKey("x-max-length-bytes"), HaveKey("x-expires")), q.Name)
			if _, dies := q.Args["x-dead-letter-exchange"]; dies {
				Expect(q.Args).To(HaveKeyWithValue("x-dead-letter-strategy", "at-least-once"), q.Name)
			}
			if strings.Contains(q.Name, ".retry.") {
				Expect(q.Args).To(HaveKey("x-dead-letter-exchange"), q.Name)
			}
		}
	})

	It("exports itself as a definitions file", func() {
		text, err := topology.New("p.").Definitions()
		Expect(err).NotTo(HaveOccurred())
		var file struct {
			Exchanges []map[string]any `json:"exchanges"`
			Queues    []map[string]any `json:"queues"`
			Bindings  []map[string]any `json:"bindings"`
		}
		Expect(json.Unmarshal(text, &file)).To(Succeed())
		b := topology.New("p.").Broker()
		Expect(file.Exchanges).To(HaveLen(len(b.Exchanges)))
		Expect(file.Queues).To(HaveLen(len(b.Queues)))
		Expect(file.Bindings).To(HaveLen(len(b.Bindings)))
		Expect(file.Queues[0]).To(And(HaveKeyWithValue("name", "p.ingester.events"), HaveKeyWithValue("durable", true), HaveKeyWithValue("vhost", "/")))
		Expect(file.Bindings[0]).To(HaveKeyWithValue("destination_type", "queue"))
	})
})

var _ = Describe("routes", func() {
	t := topology.New("p.")

	It("carry a stored batch as it was", func() {
		id := primitive.NewObjectID()
		doc, err := bson.Marshal(bson.D{{Key: "_id", Value: id}, {Key: "payload", Value: bson.D{{Key: "b", Value: int64(1)}, {Key: "a", Value: 2.0}}}})
		Expect(err).NotTo(HaveOccurred())
		batch := event.Batch{ID: id.Hex(), FirstID: id, LastID: id, MaxSeverity: 9, StoredAt: time.Now().UTC().Truncate(time.Millisecond), Events: []bson.Raw{doc}}
		m, err := t.Stored().Encode(batch)
		Expect(err).NotTo(HaveOccurred())
		Expect(m.Exchange).To(Equal("p.ea.stored"))
		Expect(m.RoutingKey).To(Equal("stored.critical"))
		Expect(m.MessageID).To(Equal(batch.ID))
		Expect(m.Optional).To(BeFalse())
		Expect(t.Stored().Decode(m)).To(Equal(batch))
		batch.MaxSeverity = 8
		m, err = t.Stored().Encode(batch)
		Expect(err).NotTo(HaveOccurred())
		Expect(m.RoutingKey).To(Equal("stored.normal"))
	})

	It("carry a large batch compressed, and a small one as it is", func() {
		batch := event.Batch{ID: "b"}
		doc := must(bson.Marshal(bson.D{{Key: "type", Value: "PAYMENT_FAILED"}, {Key: "source", Value: "payment-service"}}))
		batch.Events = append(batch.Events, doc)
		small, err := t.Stored().Encode(batch)
		Expect(err).NotTo(HaveOccurred())
		Expect(small.ContentEncoding).To(BeEmpty())
		for len(batch.Events) < 200 {
			batch.Events = append(batch.Events, doc)
		}
		large, err := t.Stored().Encode(batch)
		Expect(err).NotTo(HaveOccurred())
		Expect(large.ContentEncoding).To(Equal("snappy"))
		Expect(len(large.Body)).To(BeNumerically("<", 200*len(doc)/3))
		back, err := t.Stored().Decode(large)
		Expect(err).NotTo(HaveOccurred())
		Expect(back.Events).To(Equal(batch.Events))
	})

	It("carry an action to the queue it names", func() {
		doc, err := bson.Marshal(bson.D{{Key: "event_id", Value: "e"}})
		Expect(err).NotTo(HaveOccurred())
		order := notification.Message{Notification: notification.Notification{ID: "ntf_1", Queue: topology.WebhooksDefault, Action: notification.Action{Type: "LOG", Config: doc}}, Event: doc, Attempt: 1}
		m, err := t.Actions().Encode(order)
		Expect(err).NotTo(HaveOccurred())
		Expect([]string{m.Exchange, m.RoutingKey, m.MessageID}).To(Equal([]string{"p.ea.actions", "webhooks.default", "ntf_1"}))
		back, err := t.Actions().Decode(m)
		Expect(err).NotTo(HaveOccurred())
		Expect(back.Notification.ID).To(Equal("ntf_1"))
		Expect(back.Event).To(Equal(bson.Raw(doc)))
		Expect(back.Attempt).To(Equal(1))
	})

	It("carry hints that nobody has to hear", func() {
		m, err := t.Control().Encode(topology.Control{Kind: topology.KeyRulesChanged, ID: "r1"})
		Expect(err).NotTo(HaveOccurred())
		Expect(m.Optional).To(BeTrue())
		Expect(m.RoutingKey).To(Equal("rules.changed"))
		Expect(t.Control().Decode(m)).To(Equal(topology.Control{Kind: topology.KeyRulesChanged, ID: "r1"}))
	})

	DescribeTable("answer what they cannot decode with a permanent error",
		func(m broker.Message) {
			_, err := t.Stored().Decode(m)
			Expect(err).To(HaveOccurred())
			Expect(broker.IsPermanent(err)).To(BeTrue())
			Expect(errors.Unwrap(err)).To(HaveOccurred())
		},
		Entry("another content type", broker.Message{ContentType: "text/plain", Body: []byte{5, 0, 0, 0, 0}}),
		Entry("no BSON", broker.Message{ContentType: "application/bson", Body: []byte("{}")}),
		Entry("broken compression", broker.Message{ContentType: "application/bson", ContentEncoding: "snappy", Body: []byte{5, 0xff, 0, 0, 0}}),
		Entry("no length", broker.Message{ContentType: "application/bson", ContentEncoding: "snappy"}),
		Entry("a bomb", broker.Message{ContentType: "application/bson", ContentEncoding: "snappy",
			Body: binary.AppendUvarint(nil, 1<<31)}),
		Entry("a field of another type", broker.Message{ContentType: "application/bson", Body: must(bson.Marshal(bson.M{"events": 1}))}),
	)
})

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}
