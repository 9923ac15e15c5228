package store_test

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"

	"github.com/events-aggregator/events-aggregator/pkg/store"
)

var _ = Describe("the stream of stored events", func() {
	It("continues after any place, also in the middle of a batch, without loss or repeat, and orders places", func(ctx SpecContext) {
		s := fresh(ctx)
		stream, err := s.Watch(ctx, store.WatchedEvents, nil)
		Expect(err).NotTo(HaveOccurred())
		places := []store.Place{stream.Place()}
		b := testBatch(10)
		Expect(s.SaveBatch(ctx, b, "spec")).To(Succeed())
		seen := []string{}
		next := func() {
			change, err := stream.Next(ctx)
			Expect(err).NotTo(HaveOccurred())
			seen = append(seen, change.Document.Lookup("event_id").StringValue())
			places = append(places, change.Place)
		}
		for range 4 {
			next()
		}
		Expect(stream.Close(ctx)).To(Succeed())
		stream, err = s.Watch(ctx, store.WatchedEvents, &places[4])
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func(ctx context.Context) { Expect(stream.Close(ctx)).To(Succeed()) })
		for range 6 {
			next()
		}
		want := []string{}
		for _, e := range b.Events {
			want = append(want, e.Lookup("event_id").StringValue())
		}
		Expect(seen).To(Equal(want))
		for i := range places[1:] {
			Expect(places[i].Compare(places[i+1])).To(BeNumerically("<", 0), "place %d", i)
			again, err := store.ParsePlace(places[i+1].String())
			Expect(err).NotTo(HaveOccurred())
			Expect(again.Compare(places[i+1])).To(BeZero())
			Expect(again.Token).To(Equal(places[i+1].Token))
		}
	}, SpecTimeout(30*time.Second))

	It("begins with the first change after it was opened, and says so of a place without a token", func(ctx SpecContext) {
		s := fresh(ctx)
		Expect(s.SaveBatch(ctx, testBatch(1), "spec")).To(Succeed())
		stream, err := s.Watch(ctx, store.WatchedEvents, nil)
		Expect(err).NotTo(HaveOccurred())
		beginning := stream.Place()
		Expect(stream.Close(ctx)).To(Succeed())
		b := testBatch(1)
		Expect(s.SaveBatch(ctx, b, "spec")).To(Succeed())
		stream, err = s.Watch(ctx, store.WatchedEvents, &beginning)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func(ctx context.Context) { Expect(stream.Close(ctx)).To(Succeed()) })
		change, err := stream.Next(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(change.Document.Lookup("event_id")).To(Equal(b.Events[0].Lookup("event_id")))
	}, SpecTimeout(30*time.Second))

	It("misses nothing of a transaction that had written before it began and commits afterwards", func(ctx SpecContext) {
		name := emptyDatabase(ctx)
		s := open(ctx, name)
		Expect(s.EnsureIndexes(ctx)).To(Succeed())
		Expect(s.SaveBatch(ctx, testBatch(1), "spec")).To(Succeed())
		raw, err := mongo.Connect(ctx, options.Client().ApplyURI(mongoURI()))
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func(ctx context.Context) { Expect(raw.Disconnect(ctx)).To(Succeed()) })
		var stream *store.Stream
		b := testBatch(2)
		Expect(raw.UseSession(ctx, func(sc mongo.SessionContext) error {
			Expect(sc.StartTransaction()).To(Succeed())
			_, err := raw.Database(name).Collection("events").InsertMany(sc, []any{b.Events[0], b.Events[1]})
			Expect(err).NotTo(HaveOccurred())
			stream, err = s.Watch(ctx, store.WatchedEvents, nil)
			Expect(err).NotTo(HaveOccurred())
			return sc.CommitTransaction(sc)
		})).To(Succeed())
		DeferCleanup(func(ctx context.Context) { Expect(stream.Close(ctx)).To(Succeed()) })
		for _, e := range b.Events {
			change, err := stream.Next(ctx)
			Expect(err).NotTo(HaveOccurred())
			Expect(change.Document.Lookup("event_id")).To(Equal(e.Lookup("event_id")))
		}
	}, SpecTimeout(30*time.Second))

	It("tells that the collection is gone, ends, and continues behind that", func(ctx SpecContext) {
		name := emptyDatabase(ctx)
		s := open(ctx, name)
		Expect(s.SaveBatch(ctx, testBatch(1), "spec")).To(Succeed())
		raw, err := mongo.Connect(ctx, options.Client().ApplyURI(mongoURI()))
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func(ctx context.Context) { Expect(raw.Disconnect(ctx)).To(Succeed()) })
		stream, err := s.Watch(ctx, store.WatchedEvents, nil)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func(ctx context.Context) { Expect(stream.Close(ctx)).To(Succeed()) })
		before, after := testBatch(1), testBatch(1)
		Expect(s.SaveBatch(ctx, before, "spec")).To(Succeed())
		Expect(raw.Database(name).Collection("events").Drop(ctx)).To(Succeed())
		Expect(s.SaveBatch(ctx, after, "spec")).To(Succeed())
		change, err := stream.Next(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(change.Document.Lookup("event_id")).To(Equal(before.Events[0].Lookup("event_id")))
		gone, err := stream.Next(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(gone.Document).To(BeNil())
		Expect(change.Place.Compare(gone.Place)).To(BeNumerically("<", 0))
		_, err = stream.Next(ctx)
		Expect(err).To(MatchError(store.ErrStreamRefused))

		next, err := s.Watch(ctx, store.WatchedEvents, &gone.Place)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func(ctx context.Context) { Expect(next.Close(ctx)).To(Succeed()) })
		change, err = next.Next(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(change.Document.Lookup("event_id")).To(Equal(after.Events[0].Lookup("event_id")))
		Expect(gone.Place.Compare(change.Place)).To(BeNumerically("<", 0))
	}, SpecTimeout(30*time.Second))

	It("tells a server that refuses a place from one that is away", func(ctx SpecContext) {
		s := fresh(ctx)
		stream, err := s.Watch(ctx, store.WatchedEvents, nil)
		Expect(err).NotTo(HaveOccurred())
		place := stream.Place()
		Expect(stream.Close(ctx)).To(Succeed())
		place.Token, err = bson.Marshal(bson.D{{Key: "_data", Value: "82000000"}})
		Expect(err).NotTo(HaveOccurred())
		_, err = s.Watch(ctx, store.WatchedEvents, &place)
		Expect(err).To(MatchError(store.ErrStreamRefused))

		away, err := store.Open(ctx, store.Options{URI: "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=200", Database: "none"})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func(ctx context.Context) { Expect(away.Close(ctx)).To(Succeed()) })
		_, err = away.Watch(ctx, store.WatchedEvents, &place)
		Expect(err).To(HaveOccurred())
		Expect(err).NotTo(MatchError(store.ErrStreamRefused))
	}, SpecTimeout(30*time.Second))
})

var _ = Describe("a ticket", func() {
	It("is taken once, and not when it has run out", func(ctx SpecContext) {
		s, now := fresh(ctx), time.Now()
		Expect(s.SaveTicket(ctx, "one", "hash", "session", now.Add(time.Minute))).To(Succeed())
		Expect(s.SaveTicket(ctx, "old", "hash", "", now.Add(-time.Second))).To(Succeed())
		key, session, err := s.TakeTicket(ctx, "one", now)
		Expect(err).NotTo(HaveOccurred())
		Expect([]string{key, session}).To(Equal([]string{"hash", "session"}))
		for _, gone := range []string{"one", "old", "none"} {
			_, _, err := s.TakeTicket(ctx, gone, now)
			Expect(err).To(MatchError(store.ErrNotFound), gone)
		}
	}, SpecTimeout(30*time.Second))
})
