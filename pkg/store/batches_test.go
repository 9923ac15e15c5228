package store_test

import (
	"context"
	"errors"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"

	"github.com/events-aggregator/events-aggregator/pkg/decision"
	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/store"
)

func stored(ctx context.Context, s *store.Store) int64 {
	n, err := s.CountEvents(ctx, store.EventFilter{}, 0)
	Expect(err).NotTo(HaveOccurred())
	return n
}

var _ = Describe("the ledger", func() {
	It("stores a batch and its row together, and a repeat changes nothing", func(ctx SpecContext) {
		s := fresh(ctx)
		b := testBatch(20)
		Expect(s.SaveBatch(ctx, b, "spec")).To(Succeed())
		Expect(s.SaveBatch(ctx, b, "spec")).To(Succeed(), "the commit of the first call might have been in doubt")
		Expect(stored(ctx, s)).To(BeEquivalentTo(20))
		row, err := s.Batch(ctx, b.ID)
		Expect(err).NotTo(HaveOccurred())
		Expect(row.Count).To(Equal(20))
		Expect(row.PublishedAt).To(BeNil())
		loaded, err := s.LoadBatch(ctx, row)
		Expect(err).NotTo(HaveOccurred())
		Expect(loaded.Events).To(Equal(b.Events))
	}, SpecTimeout(30*time.Second))

	It("stores nothing of a batch with a known event, and says that it is a duplicate", func(ctx SpecContext) {
		s := fresh(ctx)
		first := testBatch(3)
		known := first.Events[1].Lookup("event_id").StringValue()
		second := testBatch(3, func(i int, d bson.D) bson.D {
			if i == 2 {
				d[1].Value = known
			}
			return d
		})
		Expect(s.SaveBatch(ctx, first, "spec")).To(Succeed())
		err := s.SaveBatch(ctx, second, "spec")
		Expect(err).To(BeAssignableToTypeOf(&store.Duplicate{}))
		Expect(stored(ctx, s)).To(BeEquivalentTo(3))
		_, err = s.Batch(ctx, second.ID)
		Expect(err).To(MatchError(store.ErrNotFound))
		found, err := s.KnownEvents(ctx, []string{known, "e-unknown"})
		Expect(err).NotTo(HaveOccurred())
		Expect(found).To(Equal(map[string]bool{known: true}))
	}, SpecTimeout(30*time.Second))

	It("stores nothing of a batch with a document that the database refuses, and blames the document", func(ctx SpecContext) {
		s := fresh(ctx)
		b := testBatch(3, func(i int, d bson.D) bson.D {
			if i == 1 {
				d = append(d, bson.E{Key: "metadata", Value: bson.D{{Key: "location", Value: "Paris"}}})
			}
			return d
		})
		err := s.SaveBatch(ctx, b, "spec")
		Expect(err).To(BeAssignableToTypeOf(&store.Rejected{}))
		Expect(stored(ctx, s)).To(BeZero())
	}, SpecTimeout(30*time.Second))

	It("blames a document that meets a unique index of somebody else's, and calls it no duplicate", func(ctx SpecContext) {
		name := emptyDatabase(ctx)
		s := open(ctx, name)
		Expect(s.EnsureIndexes(ctx)).To(Succeed())
		client, err := mongo.Connect(ctx, options.Client().ApplyURI(mongoURI()))
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func(ctx SpecContext) { Expect(client.Disconnect(ctx)).To(Succeed()) }, NodeTimeout(10*time.Second))
		_, err = client.Database(name).Collection("events").Indexes().CreateOne(ctx,
			mongo.IndexModel{Keys: bson.D{{Key: "payload.n", Value: 1}}, Options: options.Index().SetUnique(true)})
		Expect(err).NotTo(HaveOccurred())
		Expect(s.SaveBatch(ctx, testBatch(3), "spec")).To(Succeed())

		err = s.SaveBatch(ctx, testBatch(2), "spec")
		rejected := &store.Rejected{}
		Expect(errors.As(err, &rejected)).To(BeTrue(), "%v", err)
		Expect(rejected.Index).To(Equal(0))
		Expect(stored(ctx, s)).To(BeEquivalentTo(3))
	}, SpecTimeout(30*time.Second))

	It("lists what is open by stage, pages through it, and gives a finished row its expiry", func(ctx SpecContext) {
		s := fresh(ctx)
		var batches []event.Batch
		for range 3 {
			b := testBatch(1)
			batches = append(batches, b)
			Expect(s.SaveBatch(ctx, b, "spec")).To(Succeed())
		}
		later := time.Now().Add(time.Minute)
		var page []string
		after := store.LedgerRow{}
		for {
			rows, err := s.OpenBatches(ctx, store.Published, later, after, 2)
			Expect(err).NotTo(HaveOccurred())
			for _, r := range rows {
				page = append(page, r.ID)
				after = r
			}
			if len(rows) < 2 {
				break
			}
		}
		Expect(page).To(ConsistOf(batches[0].ID, batches[1].ID, batches[2].ID))

		now := time.Now().UTC()
		for _, stage := range store.Stages {
			Expect(s.MarkStage(ctx, stage, now, batches[0].ID, batches[1].ID)).To(Succeed())
		}
		rows, err := s.OpenBatches(ctx, store.Aggregated, later, store.LedgerRow{}, 10)
		Expect(err).NotTo(HaveOccurred())
		Expect(rows).To(HaveLen(1))
		row, err := s.Batch(ctx, batches[0].ID)
		Expect(err).NotTo(HaveOccurred())
		Expect(row.ExpiresAt).NotTo(BeNil())
		lag, err := s.Lag(ctx, now.Add(10*time.Second))
		Expect(err).NotTo(HaveOccurred())
		for _, l := range lag {
			Expect(l.Batches).To(BeEquivalentTo(1), "%s", l.Stage)
			Expect(l.Seconds).To(BeNumerically(">", 5), "%s", l.Stage)
		}
	}, SpecTimeout(30*time.Second))
})

var _ = Describe("a decision", func() {
	It("is committed once, whichever of several workers comes first", func(ctx SpecContext) {
		name := emptyDatabase(ctx)
		s := open(ctx, name)
		Expect(s.EnsureIndexes(ctx)).To(Succeed())
		b := testBatch(10)
		Expect(s.SaveBatch(ctx, b, "spec")).To(Succeed())
		now := time.Now().UTC().Truncate(time.Millisecond)
		eventID := b.Events[4].Lookup("event_id").StringValue()
		matches := []event.Match{{ID: b.Events[4].Lookup("_id").ObjectID(), Rules: []string{"r1", "r2"}}}
		owes := owing(pending(notification.ID(eventID, "r1", 1, 0), eventID))

		firsts := make(chan bool, 4)
		var workers sync.WaitGroup
		for range 4 {
			worker := open(ctx, name)
			workers.Go(func() {
				defer GinkgoRecover()
				committed, err := worker.Decide(ctx, now, []decision.Batch{{Batch: b, Matches: matches, Owed: owes}})
				Expect(err).NotTo(HaveOccurred())
				firsts <- len(committed) == 1
			})
		}
		workers.Wait()
		close(firsts)
		won := 0
		for first := range firsts {
			if first {
				won++
			}
		}
		Expect(won).To(Equal(1))
		raw, err := s.Event(ctx, eventID)
		Expect(err).NotTo(HaveOccurred())
		Expect(raw.Lookup("processed").Boolean()).To(BeTrue())
		rules, _ := raw.Lookup("matched_rules").Array().Values()
		Expect(rules).To(HaveLen(2))
		unprocessed := false
		n, err := s.CountEvents(ctx, store.EventFilter{Processed: &unprocessed}, 0)
		Expect(err).NotTo(HaveOccurred())
		Expect(n).To(BeZero())
		owed, err := s.OwedNotifications(ctx, []string{eventID})
		Expect(err).NotTo(HaveOccurred())
		Expect(owed).To(HaveLen(1))
	}, SpecTimeout(60*time.Second))

	It("keeps a notification that was owed before", func(ctx SpecContext) {
		s := fresh(ctx)
		one, two := testBatch(1), testBatch(1)
		Expect(s.SaveBatch(ctx, one, "spec")).To(Succeed())
		Expect(s.SaveBatch(ctx, two, "spec")).To(Succeed())
		now := time.Now().UTC()
		same := pending("same", "e1")
		committed, err := s.Decide(ctx, now, []decision.Batch{{Batch: one, Owed: owing(same)}})
		Expect(err).NotTo(HaveOccurred())
		Expect(committed).To(HaveLen(1))
		committed, err = s.Decide(ctx, now, []decision.Batch{{Batch: two, Owed: owing(same, pending("new", "e2"))}})
		Expect(err).NotTo(HaveOccurred())
		Expect(committed).To(ConsistOf(HaveField("Owed", ConsistOf(HaveField("ID", "new")))))
		all, err := s.FindNotifications(ctx, store.NotificationFilter{}, nil, 10)
		Expect(err).NotTo(HaveOccurred())
		Expect(all).To(HaveLen(2))
	}, SpecTimeout(30*time.Second))

	It("is committed for several batches at once, without those that were decided before", func(ctx SpecContext) {
		s := fresh(ctx)
		now := time.Now().UTC().Truncate(time.Millisecond)
		small, large, before := testBatch(3), testBatch(150), testBatch(2)
		for _, b := range []event.Batch{small, large, before} {
			Expect(s.SaveBatch(ctx, b, "spec")).To(Succeed())
		}
		_, err := s.Decide(ctx, now, []decision.Batch{{Batch: before}})
		Expect(err).NotTo(HaveOccurred())
		match := func(b event.Batch, i int, rules ...string) event.Match {
			return event.Match{ID: b.Events[i].Lookup("_id").ObjectID(), Rules: rules}
		}
		committed, err := s.Decide(ctx, now, []decision.Batch{
			{Batch: small, Matches: []event.Match{match(small, 1, "a")}, Owed: owing(pending("n1", "e1"))},
			{Batch: before, Matches: []event.Match{match(before, 0, "a")}, Owed: owing(pending("n2", "e2"))},
			{Batch: large, Matches: []event.Match{match(large, 0, "a"), match(large, 149, "a", "b")}, Owed: owing(pending("n3", "e3"))},
		})
		Expect(err).NotTo(HaveOccurred())
		Expect(committed).To(HaveExactElements(HaveField("Batch.ID", small.ID), HaveField("Batch.ID", large.ID)))
		unprocessed := false
		Expect(s.CountEvents(ctx, store.EventFilter{Processed: &unprocessed}, 0)).To(BeZero())
		Expect(s.CountEvents(ctx, store.EventFilter{Rule: "a"}, 0)).To(BeEquivalentTo(3))
		Expect(s.CountEvents(ctx, store.EventFilter{Rule: "b"}, 0)).To(BeEquivalentTo(1))
		owed, err := s.OwedNotifications(ctx, []string{"e1", "e2", "e3"})
		Expect(err).NotTo(HaveOccurred())
		Expect(owed).To(HaveExactElements(HaveField("ID", "n1"), HaveField("ID", "n3")))
	}, SpecTimeout(30*time.Second))
})
