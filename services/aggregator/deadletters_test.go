package aggregator_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/deadletter"
	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
	"github.com/events-aggregator/events-aggregator/services/aggregator"
	"github.com/events-aggregator/events-aggregator/test/support/fleet"
)

// sent is the i-th message of a producer.
func sent(f *fleet.Fleet, i int) broker.Message {
	return broker.Message{Exchange: f.Topology.Exchange(topology.ExchangeEvents), RoutingKey: "events.spec", ContentType: "application/json",
		MessageID: fmt.Sprintf("m-%d", i), Headers: map[string]any{"traceparent": "00-1", "a.b": []byte{1}, "$c": map[string]any{"d": int32(1)}},
		Body: fmt.Appendf(nil, `{"event_id":"e-%d","type":"SPEC","source":"spec"}`, i)}
}

func refuse(text string) func(*broker.Delivery) error {
	return func(d *broker.Delivery) error { return fmt.Errorf("message %s: %s", d.MessageID, text) }
}

// recorded are the records, oldest first.
func recorded(ctx context.Context, f *fleet.Fleet) []store.DeadLetterRecord {
	GinkgoHelper()
	found, err := f.Store.FindDeadLetters(ctx, store.DeadLetterFilter{}, nil, 1000)
	Expect(err).NotTo(HaveOccurred())
	return found
}

func recordedIDs(ctx context.Context, f *fleet.Fleet) []string {
	GinkgoHelper()
	ids := []string{}
	for _, r := range recorded(ctx, f) {
		ids = append(ids, r.ID)
	}
	return ids
}

// lying are the ids of a queue's dead letters as a reader has them.
func lying(ctx context.Context, f *fleet.Fleet, queue string) []string {
	GinkgoHelper()
	q, err := deadletter.Open(f.Connection, nil, f.Topology, queue)
	Expect(err).NotTo(HaveOccurred())
	ids := []string{}
	Expect(q.Each(ctx, deadletter.Filter{}, func(l *deadletter.Letter) error { ids = append(ids, l.ID); return nil })).To(Succeed())
	return ids
}

// drained waits until the recorder has nothing to do.
func drained(ctx context.Context, f *fleet.Fleet) {
	GinkgoHelper()
	Eventually(ctx, func() int { return f.Depth(ctx, topology.DeadLetters) }).WithTimeout(30 * time.Second).Should(BeZero())
}

var _ = Describe("the recorder of dead letters", func() {
	It("records each once, under the id that it has in its queue, also those that RabbitMQ made", func(ctx SpecContext) {
		f := fleet.New(ctx)
		f.Dead(ctx, topology.Ingest, refuse("not 17 but 4"), sent(f, 0), sent(f, 1))
		f.DeadByBroker(ctx, topology.Ingest, sent(f, 2))
		r := f.Start(ctx, "aggregator", aggregator.Wire, quick)
		Eventually(ctx, func() []string { return recordedIDs(ctx, f) }).WithTimeout(20 * time.Second).
			Should(ConsistOf(lying(ctx, f, topology.Ingest)))
		drained(ctx, f)
		Eventually(ctx, func() float64 { return value(r, "ea_aggregator_dead_letters_recorded_total") }).Should(BeEquivalentTo(3))

		byMessage := map[string]store.DeadLetterRecord{}
		for _, d := range recorded(ctx, f) {
			byMessage[d.MessageID] = d
		}
		own, brokers := byMessage["m-1"], byMessage["m-2"]
		Expect(own.Queue).To(Equal("ingester.events"))
		Expect([]string{own.Reason, own.ErrorClass, own.Error}).To(Equal([]string{"permanent", "error", "message m-1: not 17 but 4"}))
		Expect(own.Fingerprint).To(Equal("message m-<number>: not <number> but <number>"))
		Expect(own.Cause).To(Equal(byMessage["m-0"].Cause))
		Expect([]any{own.EventID, own.EventTypes, own.Attempts, own.ByBroker}).To(Equal([]any{"e-1", []string{"SPEC"}, 1, false}))
		Expect([]any{own.Exchange, own.RoutingKey, own.ContentType}).To(Equal([]any{f.Prefix + "events", "events.spec", "application/json"}))
		Expect(string(own.Body)).To(Equal(`{"event_id":"e-1","type":"SPEC","source":"spec"}`))
		Expect(own.Headers).To(And(HaveKeyWithValue("traceparent", "00-1"), HaveKey("a%2Eb"), HaveKey("%24c")))
		Expect(own.FirstFailedAt).To(HaveValue(BeTemporally("~", time.Now(), time.Minute)))
		Expect(own.ExpiresAt).To(BeTemporally("~", time.Now().Add(90*24*time.Hour), time.Minute))

		Expect([]any{brokers.Reason, brokers.ErrorClass, brokers.ByBroker}).To(Equal([]any{"expired", "broker", true}))
		Expect(brokers.DeadAt).To(BeTemporally("~", time.Now(), time.Minute))
		Expect(brokers.RoutingKey).To(Equal("events.spec"))
	}, SpecTimeout(time.Minute))

	It("takes the same dead letter again without harm, in two processes", func(ctx SpecContext) {
		f := fleet.New(ctx)
		f.DeadByBroker(ctx, topology.Ingest, sent(f, 0), sent(f, 1))
		// The copies are given out and taken back before anybody records them.
		consumer := broker.NewConsumer(f.Connection, f.Publisher, f.Topology.Work(topology.DeadLetters), broker.ConsumerOptions{})
		run, stop := context.WithCancel(ctx)
		ended, seen := make(chan error, 1), make(chan string, 100)
		go func() {
			ended <- consumer.Run(run, broker.Each(1, func(ctx context.Context, d *broker.Delivery) error {
				Expect(f.Store.SaveDeadLetters(ctx, deadletter.Read(d.DeadLetter(), f.Prefix, time.Now()).Record)).To(Succeed())
				select {
				case seen <- d.DeadLetter().ID:
				default:
				}
				return broker.Interrupted(errors.New("dies before the ack"))
			}))
		}()
		Eventually(ctx, seen).Should(Receive())
		stop()
		Eventually(ctx, ended).WithTimeout(10 * time.Second).Should(Receive(BeNil()))
		for range 2 {
			f.Start(ctx, "aggregator", aggregator.Wire, quick)
		}
		drained(ctx, f)
		Eventually(ctx, func() []string { return recordedIDs(ctx, f) }).Should(ConsistOf(lying(ctx, f, topology.Ingest)))
	}, SpecTimeout(time.Minute))

	It("records what died in an outage of MongoDB when that is over", func(ctx SpecContext) {
		f := fleet.New(ctx)
		direct := *f
		proxy := fleet.Through(&f.MongoURI)
		r := f.Start(ctx, "aggregator", aggregator.Wire, quick)
		proxy.Refuse(true)
		proxy.Cut()
		for i := range 5 {
			f.DeadByBroker(ctx, topology.Ingest, sent(f, i))
		}
		Consistently(ctx, func() []string { return recordedIDs(ctx, &direct) }, "500ms").Should(BeEmpty())
		proxy.Refuse(false)
		Eventually(ctx, func() []string { return recordedIDs(ctx, &direct) }).WithTimeout(30 * time.Second).
			Should(ConsistOf(lying(ctx, f, topology.Ingest)))
		drained(ctx, f)
		Expect(value(r, "ea_aggregator_dead_letters_unrecorded_total")).To(BeZero())
		Expect(f.Depth(ctx, topology.DeadLetters+".dead")).To(BeZero())
	}, SpecTimeout(time.Minute))

	It("is brief about what the database refuses, and lets go of what it refuses even then", func(ctx SpecContext) {
		f := fleet.New(ctx)
		client, err := mongo.Connect(ctx, options.Client().ApplyURI(f.MongoURI))
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(client.Disconnect)
		Expect(client.Database(f.Database).RunCommand(ctx, bson.D{{Key: "collMod", Value: "dead_letters"},
			{Key: "validator", Value: bson.M{"headers.refused": bson.M{"$exists": false}, "message_id": bson.M{"$ne": "m-2"}}}}).Err()).To(Succeed())

		brief := sent(f, 1)
		brief.Headers["refused"] = true
		f.Dead(ctx, topology.Ingest, refuse("no"), sent(f, 0), brief, sent(f, 2), sent(f, 3))
		r := f.Start(ctx, "aggregator", aggregator.Wire, quick)
		drained(ctx, f)
		Eventually(ctx, func() float64 { return value(r, "ea_aggregator_dead_letters_unrecorded_total") }).Should(BeEquivalentTo(1))
		Eventually(ctx, func() int { return len(recorded(ctx, f)) }).Should(Equal(3))
		for _, d := range recorded(ctx, f) {
			Expect(d.MessageID).NotTo(Equal("m-2"))
			Expect(d.Error).To(HavePrefix("message m-"))
			if d.MessageID == "m-1" {
				Expect(d.Body).To(BeEmpty())
				Expect(d.Headers).To(BeEmpty())
			} else {
				Expect(d.Body).NotTo(BeEmpty())
			}
		}
		Expect(lying(ctx, f, topology.Ingest)).To(HaveLen(4), "the dead letters themselves are untouched")
		Expect(f.Depth(ctx, topology.DeadLetters+".dead")).To(BeZero())
	}, SpecTimeout(time.Minute))

	It("is not disturbed by what is neither a dead letter nor the end of one", func(ctx SpecContext) {
		f := fleet.New(ctx)
		retry := f.Topology.Work(topology.DeadLetters)
		stray := broker.Message{Exchange: retry.RetryExchange, RoutingKey: retry.Name, Body: []byte("stray")}
		garbled := stray
		garbled.Type, garbled.ContentType, garbled.Body = "dead-letter-end", "application/bson", []byte("garbled")
		bare := broker.Message{Exchange: f.Topology.Exchange(topology.ExchangeDead), RoutingKey: f.Prefix + topology.Ingest, Body: []byte("\xff\x00")}
		Expect(f.Publisher.Publish(ctx, stray, garbled, bare)).To(Succeed())
		f.Dead(ctx, topology.Ingest, refuse("no"), sent(f, 0))
		r := f.Start(ctx, "aggregator", aggregator.Wire, quick)
		drained(ctx, f)
		Eventually(ctx, func() float64 { return value(r, "ea_aggregator_dead_letters_unrecorded_total") }).Should(BeEquivalentTo(2))
		Eventually(ctx, func() []string { return recordedIDs(ctx, f) }).Should(ConsistOf(lying(ctx, f, topology.Ingest)))
		Expect(f.Depth(ctx, topology.DeadLetters+".dead")).To(BeZero())
	}, SpecTimeout(time.Minute))

	It("notes what was replayed and purged, also when nobody recorded it before", func(ctx SpecContext) {
		f := fleet.New(ctx)
		f.Dead(ctx, topology.Ingest, refuse("no"), sent(f, 0), sent(f, 1), sent(f, 2))
		q, err := deadletter.Open(f.Connection, f.Publisher, f.Topology, topology.Ingest)
		Expect(err).NotTo(HaveOccurred())
		replay, err := q.Replay(ctx, deadletter.Filter{Error: "m-0"}, deadletter.Options{})
		Expect(err).NotTo(HaveOccurred())
		f.Start(ctx, "aggregator", aggregator.Wire, quick)
		drained(ctx, f)
		_, err = q.Purge(ctx, deadletter.Filter{Error: "m-1"}, deadletter.Options{})
		Expect(err).NotTo(HaveOccurred())
		Eventually(ctx, func(g Gomega) {
			byMessage := map[string]store.DeadLetterRecord{}
			for _, d := range recorded(ctx, f) {
				byMessage[d.MessageID] = d
			}
			g.Expect(byMessage).To(HaveLen(3))
			replayed, purged := byMessage["m-0"], byMessage["m-1"]
			g.Expect(replayed.ReplayedAt).To(HaveValue(BeTemporally("~", time.Now(), time.Minute)))
			g.Expect(replayed.ReplayID).To(Equal(replay.ID))
			g.Expect(purged.PurgedAt).To(HaveValue(BeTemporally("~", time.Now(), time.Minute)))
			g.Expect(purged.ReplayedAt).To(BeNil())
			for _, d := range byMessage {
				g.Expect(d.Body).NotTo(BeEmpty())
				g.Expect(d.ExpiresAt).To(BeTemporally("~", time.Now().Add(90*24*time.Hour), time.Minute))
			}
			waiting, err := f.Store.FindDeadLetters(ctx, store.DeadLetterFilter{Waiting: true}, nil, 10)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(waiting).To(HaveLen(1))
			g.Expect(waiting[0].MessageID).To(Equal("m-2"))
		}).WithTimeout(20 * time.Second).Should(Succeed())
	}, SpecTimeout(time.Minute))

	It("keeps no more than 64 KiB of a body", func(ctx SpecContext) {
		f := fleet.New(ctx)
		m := sent(f, 0)
		m.Body = []byte(`{"event_id":"large","text":"` + strings.Repeat("x", 200_000) + `"}`)
		f.Dead(ctx, topology.Ingest, refuse("no"), m)
		f.Start(ctx, "aggregator", aggregator.Wire, quick)
		Eventually(ctx, func() int { return len(recorded(ctx, f)) }).Should(Equal(1))
		d := recorded(ctx, f)[0]
		Expect(d.Body).To(Equal(m.Body[:64<<10]))
		Expect([]any{d.BodySize, d.EventID}).To(Equal([]any{len(m.Body), "large"}))
	}, SpecTimeout(time.Minute))
})
