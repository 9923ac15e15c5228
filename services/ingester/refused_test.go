package ingester_test

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
	"github.com/events-aggregator/events-aggregator/test/support/fleet"
	"github.com/events-aggregator/events-aggregator/test/support/hostile"
)

var _ = Describe("a message that is no event", func() {
	It("is dead once with every violation named, and its neighbours are stored", func(ctx SpecContext) {
		f := fleet.New(ctx)
		p := start(ctx, f)
		good, eventIDs := natives(40)
		bad := broker.Message{RoutingKey: "events.bad", ContentType: "application/json", MessageID: "m-1",
			Headers: map[string]any{"tenant": "t1"}, Body: []byte(`{"type":"lower","severity":99,"payload":{"$set":1}}`)}
		f.Publish(ctx, append(append(good[:20:20], bad), good[20:]...)...)
		eventuallyDone(ctx, f, 40, 20*time.Second, p)
		expectStoredOnce(ctx, f, eventIDs)

		dead := eventuallyDead(ctx, f, 1)
		Expect(dead[0].Reason).To(Equal("permanent"))
		Expect(dead[0].ErrorClass).To(Equal("invalid_event"))
		for _, pointer := range []string{"/type", "/source", "/severity", "/payload/$set"} {
			Expect(dead[0].Error).To(ContainSubstring(pointer))
		}
		Expect(dead[0].Body).To(Equal(bad.Body))
		Expect(dead[0].RoutingKey).To(Equal("events.bad"))
		Expect(dead[0].MessageID).To(Equal("m-1"))
		Expect(dead[0].Headers).To(HaveKeyWithValue("tenant", "t1"))
		Expect(dead[0].Attempts).To(Equal(1))
		Expect(metric(p, "ea_ingester_invalid_total", "class", "invalid_event")).To(BeEquivalentTo(1))
	}, SpecTimeout(30*time.Second))

	It("is not able to take others with it, whatever it is made of", func(ctx SpecContext) {
		f := fleet.New(ctx)
		p := start(ctx, f)
		good, eventIDs := natives(100)
		bad, dead := 0, map[string]int{}
		var mixed []broker.Message
		for i, h := range hostile.Messages(GinkgoRandomSeed(), 500) {
			m := broker.Message{RoutingKey: fmt.Sprintf("events.hostile.%d", i), ContentType: h.ContentType,
				MessageID: h.MessageID, Headers: h.Headers, Body: h.Body}
			if h.Valid {
				eventIDs = append(eventIDs, h.EventIDs...)
			} else {
				bad++
				dead[m.RoutingKey] = 0
			}
			mixed = append(mixed, m)
			if i%5 == 0 {
				mixed = append(mixed, good[i/5])
			}
		}
		f.Publish(ctx, mixed...)
		ids := distinct(eventIDs)
		eventuallyDone(ctx, f, len(ids), 30*time.Second, p)
		expectStoredOnce(ctx, f, ids)
		for _, d := range eventuallyDead(ctx, f, bad) {
			dead[d.RoutingKey]++
			Expect(d.Reason).To(Equal("permanent"))
			Expect(d.ErrorClass).NotTo(BeElementOf("", "forged"))
		}
		for key, n := range dead {
			Expect(n).To(Equal(1), key)
		}
		Expect(dead).To(HaveLen(bad))
	}, SpecTimeout(60*time.Second))
})

var _ = Describe("an event that the database refuses", func() {
	// A second geospatial index is what an operator might add.
	place := func(ctx context.Context, f *fleet.Fleet, unique bool) {
		GinkgoHelper()
		client, err := mongo.Connect(ctx, options.Client().ApplyURI(f.MongoURI))
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func(ctx SpecContext) { Expect(client.Disconnect(ctx)).To(Succeed()) }, NodeTimeout(10*time.Second))
		model := mongo.IndexModel{Keys: bson.D{{Key: "payload.place", Value: "2dsphere"}}}
		if unique {
			model = mongo.IndexModel{Keys: bson.D{{Key: "payload.place", Value: 1}}, Options: options.Index().SetUnique(true).
				SetPartialFilterExpression(bson.D{{Key: "payload.place", Value: bson.D{{Key: "$exists", Value: true}}}})}
		}
		_, err = client.Database(f.Database).Collection("events").Indexes().CreateOne(ctx, model)
		Expect(err).NotTo(HaveOccurred())
	}
	at := func(id, place string) broker.Message {
		m := native(id, 3)
		m.Body = []byte(strings.Replace(string(m.Body), `"amount":12.5`, `"place":`+place, 1))
		return m
	}

	It("is dead once, by bisection, and the rest of its batch is stored", func(ctx SpecContext) {
		f := fleet.New(ctx)
		place(ctx, f, false)
		messages, eventIDs := natives(60)
		var badIDs []string
		for _, i := range []int{0, 17, 18, 59} {
			messages[i] = at(eventIDs[i], `"Paris"`)
			badIDs = append(badIDs, eventIDs[i])
		}
		f.Publish(ctx, messages...)
		p := start(ctx, f)
		eventuallyDone(ctx, f, 56, 20*time.Second, p)
		expectStoredOnce(ctx, f, without(eventIDs, badIDs))
		var deadIDs []string
		for _, d := range eventuallyDead(ctx, f, 4) {
			Expect(d.ErrorClass).To(Equal("database_rejected"))
			Expect(d.Reason).To(Equal("permanent"))
			for _, id := range badIDs {
				if strings.Contains(string(d.Body), id) {
					deadIDs = append(deadIDs, id)
				}
			}
		}
		Expect(deadIDs).To(ConsistOf(badIDs))
		Expect(metric(p, "ea_ingester_bisections_total")).To(BeNumerically(">=", 1))
		Expect(metric(p, "ea_ingester_invalid_total", "class", "database_rejected")).To(BeEquivalentTo(4))
	}, SpecTimeout(60*time.Second))

	It("does not take another event of its id with it, which the database would store", func(ctx SpecContext) {
		f := fleet.New(ctx)
		place(ctx, f, false)
		id := uuid.NewString()
		f.Publish(ctx, at(id, `"Paris"`), at(id, `"Rome"`), at(id, `[2.35,48.85]`), at(id, `[12.5,41.9]`))
		p := start(ctx, f)
		eventuallyDone(ctx, f, 1, 20*time.Second, p)
		eventuallyDead(ctx, f, 2)
		expectStoredOnce(ctx, f, []string{id})
		Eventually(ctx, func() int { return duplicates(p) }).Should(Equal(1))
	}, SpecTimeout(30*time.Second))

	It("is no duplicate when it meets a unique index of somebody else's", func(ctx SpecContext) {
		f := fleet.New(ctx)
		place(ctx, f, true)
		messages, eventIDs := natives(10)
		messages[4], messages[7] = at(eventIDs[4], `"A"`), at(eventIDs[7], `"A"`)
		f.Publish(ctx, messages...)
		p := start(ctx, f)
		eventuallyDone(ctx, f, 9, 20*time.Second, p)
		expectStoredOnce(ctx, f, without(eventIDs, eventIDs[7:8]))
		Expect(eventuallyDead(ctx, f, 1)[0].ErrorClass).To(Equal("database_rejected"))
	}, SpecTimeout(30*time.Second))

	It("makes its CloudEvents batch dead once, and the other events of it are stored", func(ctx SpecContext) {
		f := fleet.New(ctx)
		place(ctx, f, false)
		one := func(id, data string) string {
			return fmt.Sprintf(`{"specversion":"1.0","id":%q,"source":"/s","type":"ORDER_CREATED","data":{"place":%s}}`, id, data)
		}
		f.Publish(ctx, broker.Message{RoutingKey: "events.x", ContentType: "application/cloudevents-batch+json",
			Body: []byte("[" + one("1", "[1,2]") + "," + one("2", `"Paris"`) + "," + one("3", "[3,4]") + "]")})
		p := start(ctx, f)
		eventuallyDone(ctx, f, 2, 20*time.Second, p)
		Expect(eventuallyDead(ctx, f, 1)[0].ErrorClass).To(Equal("database_rejected"))
		Expect(stored(ctx, f)).To(Equal(2))
	}, SpecTimeout(30*time.Second))
})

// eventuallyDead waits for n dead letters, and that they stay so many.
func eventuallyDead(ctx context.Context, f *fleet.Fleet, n int) []*broker.DeadLetter {
	GinkgoHelper()
	Eventually(ctx, func() int { return f.Depth(ctx, topology.Ingest+".dead") }).WithTimeout(20 * time.Second).Should(Equal(n))
	dead := f.DeadLetters(ctx, topology.Ingest)
	Expect(dead).To(HaveLen(n))
	return dead
}

func distinct(all []string) []string {
	seen := map[string]bool{}
	var out []string
	for _, s := range all {
		if !seen[s] {
			seen[s] = true
			out = append(out, s)
		}
	}
	return out
}

func without(all, some []string) []string {
	var out []string
	for _, s := range all {
		if !strings.Contains(strings.Join(some, " "), s) {
			out = append(out, s)
		}
	}
	return out
}
