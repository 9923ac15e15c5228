package ingester_test

import (
	"fmt"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/config"
	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
	"github.com/events-aggregator/events-aggregator/test/support/fleet"
)

var _ = Describe("a message that is an event", func() {
	It("is stored with its batch in the ledger, announced, and only then acked", func(ctx SpecContext) {
		f := fleet.New(ctx)
		heard := listen(ctx, f)
		p := start(ctx, f, func(c *config.Config) { c.Ingester.Retention = 48 * time.Hour })
		messages, eventIDs := natives(300)
		for i := range messages {
			if i%10 == 0 {
				messages[i] = native(eventIDs[i], 9)
			}
		}
		f.Publish(ctx, messages...)
		eventuallyDone(ctx, f, 300, 20*time.Second, p)
		expectStoredOnce(ctx, f, eventIDs)
		expectNothingFailed(ctx, f)

		b := readBooks(ctx, f)
		for i, row := range b.rows {
			Expect(row.PublishedAt).NotTo(BeNil())
			Expect(row.Ingester).To(Equal(p.Process().Instance))
			Expect(row.FirstID.Hex()).To(Equal(row.ID))
			Expect(row.MaxSeverity).To(BeElementOf(3, 9))
			for _, e := range b.batches[i].Events {
				severity, _ := e.Lookup("severity").AsInt64OK()
				Expect(int(severity)).To(Equal(row.MaxSeverity), "critical events have batches of their own")
			}
		}
		Eventually(ctx, heard.heard).Should(HaveLen(len(b.rows)))
		for i, batch := range b.batches {
			told := heard.heard()[b.rows[i].ID]
			Expect(told.Events).To(Equal(batch.Events), "the message carries the stored documents")
		}
		Expect(metric(p, "events_total", "type", "PAYMENT_FAILED", "source", "payment-service", "level", "critical")).To(BeEquivalentTo(30))
		Expect(metric(p, "events_total")).To(BeEquivalentTo(300))
		Expect(metric(p, "events_processed_duration", "stage", "store")).To(BeEquivalentTo(len(b.rows)))
	}, SpecTimeout(60*time.Second))

	It("is enriched", func(ctx SpecContext) {
		f := fleet.New(ctx)
		p := start(ctx, f, func(c *config.Config) { c.Ingester.Retention = 48 * time.Hour })
		id := uuid.NewString()
		f.Publish(ctx, native(id, 3))
		eventuallyDone(ctx, f, 1, 10*time.Second, p)
		e, err := f.Store.Event(ctx, id)
		Expect(err).NotTo(HaveOccurred())
		created := e.Lookup("created_at").Time()
		Expect(created).To(BeTemporally("~", time.Now(), 30*time.Second))
		Expect(e.Lookup("expires_at").Time()).To(BeTemporally("==", created.Add(48*time.Hour)))
		Expect(e.Lookup("metadata", "ingested_by").StringValue()).To(Equal(p.Process().Instance))
		Expect(e.Lookup("metadata", "region").StringValue()).To(Equal("eu"))
		Expect(e.Lookup("payload", "n").Int64()).To(BeEquivalentTo(9007199254740993))
		Expect(e.Lookup("processed").Boolean()).To(BeFalse())
		Expect(e.Lookup("timestamp").Time()).To(BeTemporally("==", time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)))
	}, SpecTimeout(30*time.Second))

	It("may be a CloudEvent in any form, and a batch of them is acked when all are stored", func(ctx SpecContext) {
		f := fleet.New(ctx)
		p := start(ctx, f)
		binary := func(prefix string) broker.Message {
			return broker.Message{RoutingKey: "events.order.created", ContentType: "application/json", Body: []byte(`{"total":3}`),
				Headers: map[string]any{prefix + "specversion": "1.0", prefix + "id": prefix + "1", prefix + "source": "/orders", prefix + "type": "ORDER_CREATED"}}
		}
		structured := func(id string, severity int) string {
			return fmt.Sprintf(`{"specversion":"1.0","id":%q,"source":"/orders","type":"ORDER_CREATED","severity":%d,"data":{"total":4}}`, id, severity)
		}
		f.Publish(ctx, binary("ce-"), binary("cloudEvents:"), binary("cloudEvents_"),
			broker.Message{RoutingKey: "events.x", ContentType: "application/cloudevents+json; charset=utf-8", Body: []byte(structured("s1", 5))},
			broker.Message{RoutingKey: "events.x", ContentType: "application/cloudevents-batch+json",
				Body: []byte("[" + structured("b1", 2) + "," + structured("b2", 10) + "," + structured("b1", 2) + "," + structured("b3", 4) + "]")})
		eventuallyDone(ctx, f, 7, 20*time.Second, p)
		var want []string
		for _, id := range []string{"ce-1", "cloudEvents:1", "cloudEvents_1", "s1", "b1", "b2", "b3"} {
			want = append(want, event.DeriveID("/orders", id))
		}
		expectStoredOnce(ctx, f, want)
		expectNothingFailed(ctx, f)
		Expect(metric(p, "ea_ingester_duplicates_total", "found", "under_way")).To(BeEquivalentTo(1), "the same event twice in one message")
	}, SpecTimeout(30*time.Second))

	It("overtakes a backlog when it is critical", func(ctx SpecContext) {
		f := fleet.New(ctx)
		messages, _ := natives(1000)
		id := uuid.NewString()
		f.Publish(ctx, append(messages, native(id, 10))...)
		p := start(ctx, f, func(c *config.Config) {
			c.Ingester.BatchEvents, c.Ingester.Writers, c.Ingester.Prefetch = 50, 1, 1500
		})
		eventuallyDone(ctx, f, 1001, 30*time.Second, p)
		e, err := f.Store.Event(ctx, id)
		Expect(err).NotTo(HaveOccurred())
		row, err := f.Store.Batch(ctx, e.Lookup("batch_id").StringValue())
		Expect(err).NotTo(HaveOccurred())
		Expect(row.Count).To(Equal(1))
		later, err := f.Store.OpenBatches(ctx, store.Matched, time.Now().Add(time.Hour), row, 100)
		Expect(err).NotTo(HaveOccurred())
		Expect(len(later)).To(BeNumerically(">=", 5), "batches of events that were published before it, and stored after it")
		Expect(f.Depth(ctx, topology.RuleWorkerCritical)).To(Equal(1))
	}, SpecTimeout(60*time.Second))

	It("waits for nobody when the queue runs dry", func(ctx SpecContext) {
		f := fleet.New(ctx)
		p := start(ctx, f, func(c *config.Config) { c.Ingester.BatchWait = 10 * time.Second })
		f.Publish(ctx, native(uuid.NewString(), 3))
		eventuallyDone(ctx, f, 1, 5*time.Second, p)
		Expect(metric(p, "ea_ingester_flushes_total", "reason", "dry")).To(BeEquivalentTo(1))
	}, SpecTimeout(30*time.Second))
})

var _ = Describe("a batch that a dead process stored and did not publish", func() {
	It("is published by the sweep of another", func(ctx SpecContext) {
		f := fleet.New(ctx)
		heard := listen(ctx, f)
		var left []string
		for range 11 { // more than the sweep takes at a time
			b := leftBehind(time.Now().Add(-time.Minute), 3)
			Expect(f.Store.SaveBatch(ctx, b, "dead")).To(Succeed())
			left = append(left, b.ID)
		}
		fresh := leftBehind(time.Now().Add(time.Hour), 1) // as young as can be
		Expect(f.Store.SaveBatch(ctx, fresh, "alive")).To(Succeed())

		p := start(ctx, f)
		Eventually(ctx, heard.heard).WithTimeout(20 * time.Second).Should(HaveLen(len(left)))
		for _, id := range left {
			Expect(heard.heard()).To(HaveKey(id))
			Expect(heard.heard()[id].Events).To(HaveLen(3))
			Eventually(ctx, func(g Gomega) {
				row, err := f.Store.Batch(ctx, id)
				g.Expect(err).NotTo(HaveOccurred())
				g.Expect(row.PublishedAt).NotTo(BeNil())
			}).Should(Succeed())
		}
		row, err := f.Store.Batch(ctx, fresh.ID)
		Expect(err).NotTo(HaveOccurred())
		Expect(row.PublishedAt).To(BeNil(), "its ingester may still be at it")
		Expect(metric(p, "ea_ingester_swept_total")).To(BeEquivalentTo(len(left)))
	}, SpecTimeout(60*time.Second))
})

// leftBehind is a batch as an ingester stores it.
func leftBehind(at time.Time, n int) event.Batch {
	GinkgoHelper()
	first, next := event.NewIDBlock(n)
	b := event.Batch{ID: first.Hex(), FirstID: first, LastID: next(n - 1), MaxSeverity: 3, StoredAt: at.UTC().Truncate(time.Millisecond)}
	for i := range n {
		raw, err := bson.Marshal(bson.D{
			{Key: "_id", Value: next(i)}, {Key: "event_id", Value: uuid.NewString()}, {Key: "type", Value: "T"}, {Key: "source", Value: "s"},
			{Key: "severity", Value: int32(3)}, {Key: "timestamp", Value: at}, {Key: "payload", Value: bson.D{}}, {Key: "metadata", Value: bson.D{}},
			{Key: "processed", Value: false}, {Key: "batch_id", Value: b.ID}, {Key: "created_at", Value: at},
			{Key: "expires_at", Value: at.Add(24 * time.Hour)},
		})
		Expect(err).NotTo(HaveOccurred())
		b.Events = append(b.Events, raw)
	}
	return b
}
