package process_test

import (
	"context"
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
	"github.com/events-aggregator/events-aggregator/test/support/fleet"
	"github.com/events-aggregator/events-aggregator/test/support/hostile"
)

const (
	hostileMessages = 2000
	hostileGroup    = 12 // published together, ten times a second
	goodEach        = 4  // good events that go with each group
	quietGroups     = 50 // of good events alone, before
)

// expected is what must become of hostile messages, by their routing key.
type expected struct {
	dead     map[string]string // key: what is wrong
	eventIDs map[string]bool   // that must be stored
}

// hostileTraffic is the corpus and random messages, with headers and properties
// that only a foreign client can send.
func hostileTraffic(exchange string) (messages []fleet.Raw, want expected) {
	want = expected{dead: map[string]string{}, eventIDs: map[string]bool{}}
	add := func(p amqp.Publishing, why string, eventIDs ...string) {
		key := fmt.Sprintf("events.hostile.%d", len(messages))
		if len(eventIDs) == 0 {
			want.dead[key] = why
		}
		for _, id := range eventIDs {
			want.eventIDs[id] = true
		}
		messages = append(messages, fleet.Raw{Exchange: exchange, Key: key, Publishing: p})
	}
	special := foreignProperties()
	for _, m := range hostile.Messages(GinkgoRandomSeed(), hostileMessages-len(special)) {
		if m.Valid && len(m.EventIDs) == 0 {
			continue // an empty batch: nothing to store, and nothing wrong
		}
		add(amqp.Publishing{Headers: fleet.Table(m.Headers), ContentType: m.ContentType, MessageId: m.MessageID, Body: m.Body}, m.Why, m.EventIDs...)
	}
	for i, p := range special {
		good, id := goodMessage()
		p.publishing.Body, p.publishing.ContentType = good.Body, good.ContentType
		if p.dead {
			add(p.publishing, p.why)
		} else {
			add(p.publishing, p.why, id)
		}
		// Spread them over the whole: the last ones change places.
		j := (i + 1) * len(messages) / (len(special) + 1)
		messages[j], messages[len(messages)-1] = messages[len(messages)-1], messages[j]
	}
	return messages, want
}

type property struct {
	why        string
	publishing amqp.Publishing
	dead       bool
}

// foreignProperties are messages with a good body in an odd envelope.
func foreignProperties() []property {
	deep := amqp.Table{"leaf": "x"}
	for range 33 {
		deep = amqp.Table{"t": deep}
	}
	var list any = []any{"leaf"}
	for range 33 {
		list = []any{list}
	}
	wide := amqp.Table{}
	for i := range 8193 {
		wide[fmt.Sprintf("%04x", i)] = true
	}
	var all []property
	for range 5 {
		all = append(all,
			property{"headers 33 tables deep", amqp.Publishing{Headers: deep}, true},
			property{"headers 33 arrays deep", amqp.Publishing{Headers: amqp.Table{"a": list}}, true},
			property{"8,193 headers", amqp.Publishing{Headers: wide}, true},
			property{"CC to our own queues", amqp.Publishing{Headers: amqp.Table{"CC": []any{"rule-worker.normal", "stored.normal"}, "BCC": []any{"x"}}}, false},
			property{"a user, a reply queue and an expiry", amqp.Publishing{UserId: "guest", ReplyTo: "amq.rabbitmq.reply-to.x", Expiration: "3600000"}, false},
			property{"an encoding that is none of its", amqp.Publishing{ContentEncoding: "snappy", Type: "application/bson", AppId: "action-dispatcher"}, false},
			property{"not persistent, as old as time", amqp.Publishing{DeliveryMode: amqp.Transient, Timestamp: time.Unix(0, 0), Priority: 255}, false})
	}
	return all
}

// garbage is what must never be on the internal exchanges.
func garbage(t topology.Table) (messages []fleet.Raw, dead map[string]int) {
	dead = map[string]int{}
	bodies := [][]byte{nil, []byte("{}"), []byte("\x05\x00\x00\x00\x00"), []byte("\xff\xff\xff\x7f\x02a\x00"), []byte("\x10\x00\x00\x00\x02_id\x00\x02\x00\x00\x00x\x00\x00"), make([]byte, 100_000)}
	for i, body := range bodies {
		for _, contentType := range []string{"application/bson", "application/json"} {
			for _, encoding := range []string{"", "snappy"} {
				p := amqp.Publishing{ContentType: contentType, ContentEncoding: encoding, Body: body, MessageId: fmt.Sprint(i), Headers: amqp.Table{"x-ea-attempt": int32(7)}}
				messages = append(messages,
					fleet.Raw{Exchange: t.Exchange(topology.ExchangeStored), Key: topology.KeyStoredNormal, Publishing: p},
					fleet.Raw{Exchange: t.Exchange(topology.ExchangeStored), Key: topology.KeyStoredCritical, Publishing: p},
					fleet.Raw{Exchange: t.Exchange(topology.ExchangeActions), Key: topology.WebhooksDefault, Publishing: p},
					fleet.Raw{Exchange: t.Exchange(topology.ExchangeControl), Key: topology.KeyRulesChanged, Publishing: p})
				dead[topology.RuleWorkerNormal]++
				dead[topology.RuleWorkerCritical]++
				dead[topology.Aggregate] += 2
				dead[topology.WebhooksDefault]++
			}
		}
	}
	return messages, dead
}

var _ = Describe("2,000 hostile messages among good ones", func() {
	It("are dead once with a reason or stored; nothing restarts, and the good ones are not delayed", func(ctx SpecContext) {
		c := newCrew(ctx, fleet.New(ctx))
		var all []*running
		for _, name := range names {
			all = append(all, c.launch(name))
		}
		for _, r := range all {
			r.waitReady(ctx)
		}
		watched := watchStored(ctx, c.Fleet)
		foreign := c.Foreign()

		messages, want := hostileTraffic(c.Topology.Exchange(topology.ExchangeEvents))
		groups := (len(messages) + hostileGroup - 1) / hostileGroup
		// The same load without hostile ones: good events in the place of those
		// that will be stored.
		stored := len(want.eventIDs) / groups
		quiet := c.steady(ctx, watched, quietGroups, func(int) { watched.publish(ctx, c.Fleet, stored) })
		internal, internalDead := garbage(c.Topology)
		foreign.Publish(ctx, internal...)
		mixed := c.steady(ctx, watched, groups, func(i int) {
			foreign.Publish(ctx, messages[i*hostileGroup:min(len(messages), (i+1)*hostileGroup)]...)
		})
		before, among := watched.delays(ctx, quiet), watched.delays(ctx, mixed)
		AddReportEntry("from publish to stored", fmt.Sprintf("good events alone: %v; among hostile ones: %v", before, among))
		Expect(among.p99).To(BeNumerically("<=", 5*before.p99+time.Second), "good ones are not delayed: %v, before %v", among, before)

		for _, id := range watched.published() {
			want.eventIDs[id] = true
		}
		everything(ctx, c.Fleet, want, internalDead)
		for _, r := range all {
			Expect(r.ExitCode()).To(Equal(-1), "%s runs", r)
			Expect(r.metric(ctx, "ea_broker_sessions_total")).To(BeEquivalentTo(2), "%s: a session for each connection, none lost", r)
		}
		publish(ctx, c.Fleet, 10)
		Eventually(ctx, c.receiver.IDs).WithTimeout(30*time.Second).Should(HaveLen(10), "all is as before")
		stopAll(ctx, all...)
	}, SpecTimeout(4*time.Minute))
})

// everything is stored once or dead once, with a reason, and recorded.
func everything(ctx context.Context, f *fleet.Fleet, want expected, internal map[string]int) {
	GinkgoHelper()
	Eventually(ctx, func(g Gomega) {
		stored, err := f.Store.CountEvents(ctx, store.EventFilter{}, 0)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(stored).To(BeEquivalentTo(len(want.eventIDs)), "stored")
		g.Expect(f.Depth(ctx, topology.Ingest+".dead")).To(Equal(len(want.dead)), "dead")
		for queue, n := range internal {
			g.Expect(f.Depth(ctx, queue+".dead")).To(Equal(n), queue)
		}
		records, err := f.Store.FindDeadLetters(ctx, store.DeadLetterFilter{Queue: topology.Ingest}, nil, 2*hostileMessages)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(records).To(HaveLen(len(want.dead)), "recorded")
	}).WithTimeout(time.Minute).WithPolling(500 * time.Millisecond).Should(Succeed())
	ids := make([]string, 0, len(want.eventIDs))
	for id := range want.eventIDs {
		ids = append(ids, id)
	}
	known, err := f.Store.KnownEvents(ctx, ids)
	Expect(err).NotTo(HaveOccurred())
	Expect(known).To(HaveLen(len(ids)))
	for _, d := range f.DeadLetters(ctx, topology.Ingest) {
		Expect(want.dead).To(HaveKey(d.RoutingKey), "dead twice, or although it is valid: %s", d.Error)
		delete(want.dead, d.RoutingKey)
		reasoned(d)
	}
	Expect(want.dead).To(BeEmpty(), "not dead")
	for queue := range internal {
		for _, d := range f.DeadLetters(ctx, queue) {
			reasoned(d)
		}
	}
}

// reasoned: a dead letter says why, at its first attempt, in our words.
func reasoned(d *broker.DeadLetter) {
	GinkgoHelper()
	Expect(d.Reason).To(Equal("permanent"), d.RoutingKey)
	Expect(d.ErrorClass).NotTo(BeElementOf("", "forged"), d.RoutingKey)
	Expect(d.Error).NotTo(BeEmpty(), d.RoutingKey)
	Expect(d.Attempts).To(Equal(1), d.RoutingKey)
	Expect(d.ByBroker).To(BeFalse(), d.RoutingKey)
}
