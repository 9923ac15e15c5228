package process_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
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
	hostileTurns    = 5
	quietGroups     = 10 // without hostile ones, in each turn
)

// expected is what must become of hostile messages, by their routing key.
type expected struct {
	dead     map[string]reason
	eventIDs map[string]bool // that must be stored
	valid    int             // messages that hold them
}

// reason is why a message must be dead.
type reason struct {
	why      string // what is wrong with it
	class    string
	pointers []string // to what is wrong
}

// hostileTraffic is the whole corpus once and messages made of it, with headers
// and properties that only a foreign client can send.
func hostileTraffic(exchange string) (messages []fleet.Raw, want expected) {
	want = expected{dead: map[string]reason{}, eventIDs: map[string]bool{}}
	add := func(p amqp.Publishing, why reason, eventIDs ...string) {
		key := fmt.Sprintf("events.hostile.%d", len(messages))
		if len(eventIDs) == 0 {
			want.dead[key] = why
		} else {
			want.valid++
		}
		for _, id := range eventIDs {
			want.eventIDs[id] = true
		}
		messages = append(messages, fleet.Raw{Exchange: exchange, Key: key, Publishing: p})
	}
	var all []hostile.Message
	for _, c := range hostile.Corpus(uuid.NewString) {
		all = append(all, c.Message)
	}
	special := foreignProperties()
	all = append(all, hostile.Messages(GinkgoRandomSeed(), hostileMessages-len(special)-len(all))...)
	r := rand.New(rand.NewPCG(uint64(GinkgoRandomSeed()), 0))
	r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	for _, m := range all {
		add(amqp.Publishing{Headers: fleet.Table(m.Headers), ContentType: m.ContentType, MessageId: m.MessageID, Body: m.Body},
			reason{m.Why, m.Class, m.Pointers}, m.EventIDs...)
	}
	for i, p := range special {
		good, id := goodMessage()
		p.publishing.Body, p.publishing.ContentType = good.Body, good.ContentType
		if p.dead {
			add(p.publishing, reason{why: p.why, class: "unreadable_headers"})
		} else {
			add(p.publishing, reason{}, id)
		}
		// Spread them over the whole: the last ones change places.
		j := (i + 1) * len(messages) / (len(special) + 1)
		messages[j], messages[len(messages)-1] = messages[len(messages)-1], messages[j]
	}
	return messages, want
}

// oddTraffic is n other messages that are valid.
func oddTraffic(exchange string, n int, want *expected) (messages []fleet.Raw) {
	for _, m := range hostile.Messages(GinkgoRandomSeed()+1, hostileMessages) {
		if !m.Valid || len(messages) == n {
			continue
		}
		messages = append(messages, fleet.Raw{Exchange: exchange, Key: fmt.Sprintf("events.odd.%d", len(messages)),
			Publishing: amqp.Publishing{Headers: fleet.Table(m.Headers), ContentType: m.ContentType, MessageId: m.MessageID, Body: m.Body}})
		want.valid++
		for _, id := range m.EventIDs {
			want.eventIDs[id] = true
		}
	}
	Expect(messages).To(HaveLen(n))
	return messages
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

var _ = Describe("2,000 hostile messages among good ones", measures, func() {
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
		groups := slices.Collect(slices.Chunk(messages, hostileGroup))
		// The same load without what will be dead: what is odd and valid costs the
		// database as much in both. They take turns, since a machine is not as fast
		// all the time, and each begins when what was before is stored.
		each := want.valid / len(groups)
		odd := slices.Collect(slices.Chunk(oddTraffic(c.Topology.Exchange(topology.ExchangeEvents), hostileTurns*quietGroups*each, &want), each))
		internal, internalDead := garbage(c.Topology)
		garbage := slices.Collect(slices.Chunk(internal, (len(internal)+hostileTurns-1)/hostileTurns))
		var quiet, mixed []string
		perTurn := (len(groups) + hostileTurns - 1) / hostileTurns
		for turn := range hostileTurns {
			send := func(of [][]fleet.Raw, n int) []string {
				part := of[turn*n : min(len(of), (turn+1)*n)]
				ids := c.steady(ctx, watched, len(part), func(i int) { foreign.Publish(ctx, part[i]...) })
				watched.delays(ctx, ids)
				return ids
			}
			quiet = append(quiet, send(odd, quietGroups)...)
			foreign.Publish(ctx, garbage[turn]...)
			mixed = append(mixed, send(groups, perTurn)...)
		}
		before, among := watched.delays(ctx, quiet), watched.delays(ctx, mixed)
		AddReportEntry("from publish to stored", fmt.Sprintf("good events among valid ones: %v; among hostile ones: %v", before, among))
		Expect(among.p99).To(BeNumerically("<=", 3*before.p99+500*time.Millisecond), "good ones are not delayed: %v, before %v", among, before)

		for _, id := range watched.published() {
			want.eventIDs[id] = true
		}
		everything(ctx, c.Fleet, want, internalDead)
		settled := all[0].metricOf(ctx, "ea_deliveries_total", `verdict="ack"`)
		Expect(settled).To(BeEquivalentTo(len(watched.published())+want.valid), "each message was delivered and settled once")
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
		want.dead[d.RoutingKey].explains(d)
		delete(want.dead, d.RoutingKey)
		reasoned(d)
	}
	Expect(want.dead).To(BeEmpty(), "not dead")
	for queue := range internal {
		for _, d := range f.DeadLetters(ctx, queue) {
			reasoned(d)
			garbled(d)
		}
	}
}

// explains: the dead letter's reason is this one.
func (r reason) explains(d *broker.DeadLetter) {
	GinkgoHelper()
	Expect(d.ErrorClass).To(Equal(r.class), "%s: %s", r.why, d.Error)
	if len(d.Error) > errorWhole {
		return // cut off
	}
	for _, p := range r.pointers {
		if strings.ContainsFunc(p, func(c rune) bool { return !strconv.IsPrint(c) }) {
			p = strings.Trim(strconv.Quote(p), `"`)
		}
		Expect(d.Error).To(ContainSubstring(p), r.why)
	}
}

// garbled: the dead letter says which part of garbage could not be read.
func garbled(d *broker.DeadLetter) {
	GinkgoHelper()
	Expect(d.ErrorClass).To(Equal("malformed_message"), d.Error)
	switch {
	case d.ContentType != "application/bson":
		Expect(d.Error).To(ContainSubstring("has content type %q, not application/bson", d.ContentType))
	case d.ContentEncoding != "":
		Expect(d.Error).To(Or(ContainSubstring("corrupt input"), ContainSubstring("the body would be")))
	default:
		Expect(d.Error).To(Or(ContainSubstring("decode message"), ContainSubstring("names no ")))
	}
}

// errorWhole: a longer text of an error in a dead letter may be cut off.
const errorWhole = 1000

// reasoned: a dead letter says why, at its first attempt, in our words.
func reasoned(d *broker.DeadLetter) {
	GinkgoHelper()
	Expect(d.Reason).To(Equal("permanent"), d.RoutingKey)
	Expect(d.ErrorClass).NotTo(BeElementOf("", "forged"), d.RoutingKey)
	Expect(d.Error).NotTo(BeEmpty(), d.RoutingKey)
	Expect(d.Attempts).To(Equal(1), d.RoutingKey)
	Expect(d.ByBroker).To(BeFalse(), d.RoutingKey)
}
