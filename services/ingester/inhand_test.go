package ingester_test

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"

	"github.com/events-aggregator/events-aggregator/services/ingester"
	"github.com/events-aggregator/events-aggregator/test/support/fleet"
)

var _ = Describe("what an ingester holds", func() {
	It("is bounded by messages and by bytes, and as old as its oldest message", func() {
		hand, now := ingester.NewTestHand(), time.Unix(1_800_000_000, 0)
		large := hand.Take(900, now)
		Expect(hand.Full(2, 1000)).To(BeFalse())
		small := hand.Take(10, now.Add(5*time.Second))
		Expect(hand.Full(2, 1000)).To(BeTrue(), "two messages")
		Expect(hand.Full(3, 910)).To(BeTrue(), "910 bytes")
		Expect(hand.Age(now.Add(7 * time.Second))).To(Equal(7 * time.Second))
		large()
		Expect(hand.Full(2, 910)).To(BeFalse())
		Expect(hand.Age(now.Add(7 * time.Second))).To(Equal(2 * time.Second))
		small()
		Expect(hand.Full(1, 1)).To(BeFalse())
		Expect(hand.Age(now.Add(7 * time.Second))).To(BeZero())
	})
})

var _ = Describe("an ingester that holds what it cannot store", func() {
	It("says for how long, and says nothing any more when it has stopped", func(ctx SpecContext) {
		f := fleet.New(ctx)
		p := start(ctx, f)
		behind := func() (all []time.Duration) {
			reports, err := f.Store.IngestReports(ctx)
			Expect(err).NotTo(HaveOccurred())
			for _, r := range reports {
				all = append(all, r.Behind)
			}
			return all
		}
		Eventually(ctx, behind).Should(Equal([]time.Duration{0}))

		// Another's open transaction has the same event, as that of an ingester that
		// was killed would.
		client, err := mongo.Connect(ctx, options.Client().ApplyURI(f.MongoURI))
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(client.Disconnect)
		session, err := client.StartSession()
		Expect(err).NotTo(HaveOccurred())
		defer session.EndSession(ctx)
		Expect(session.StartTransaction()).To(Succeed())
		messages, eventIDs := natives(1)
		Expect(mongo.WithSession(ctx, session, func(sc mongo.SessionContext) error {
			_, err := client.Database(f.Database).Collection("events").InsertOne(sc, bson.D{{Key: "event_id", Value: eventIDs[0]}})
			return err
		})).To(Succeed())
		f.Publish(ctx, messages...)
		Eventually(ctx, behind).WithTimeout(20 * time.Second).Should(HaveExactElements(BeNumerically(">=", 2*time.Second)))
		Expect(session.AbortTransaction(ctx)).To(Succeed())
		eventuallyDone(ctx, f, 1, 30*time.Second, p)
		Eventually(ctx, behind).WithTimeout(5 * time.Second).Should(Equal([]time.Duration{0}))

		Expect(p.Stop(ctx)).To(Succeed())
		Expect(behind()).To(BeEmpty())
	}, SpecTimeout(time.Minute))

	It("gives an event back whose id is taken by what no look-up shows, and refuses it never", func(ctx SpecContext) {
		f := fleet.New(ctx)
		client, err := mongo.Connect(ctx, options.Client().ApplyURI(f.MongoURI))
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(client.Disconnect)
		messages, eventIDs := natives(3)
		// In a list of one, an id is in the unique index and is nobody's event_id: so
		// looks what the primary has and no majority.
		events, taken := client.Database(f.Database).Collection("events"), bson.D{{Key: "event_id", Value: bson.A{eventIDs[1]}}}
		_, err = events.InsertOne(ctx, taken)
		Expect(err).NotTo(HaveOccurred())
		p := f.Start(ctx, "ingester", ingester.WireImpatient(200*time.Millisecond))
		f.Publish(ctx, messages...)
		Eventually(ctx, func() float64 { return metric(p, "ea_deliveries_total", "verdict", "requeue") }).
			WithTimeout(20 * time.Second).Should(BeNumerically(">=", 2))
		expectNothingFailed(ctx, f)
		_, err = events.DeleteOne(ctx, taken)
		Expect(err).NotTo(HaveOccurred())
		eventuallyDone(ctx, f, 3, 20*time.Second, p)
		expectStoredOnce(ctx, f, eventIDs)
		expectNothingFailed(ctx, f)
	}, SpecTimeout(time.Minute))
})
