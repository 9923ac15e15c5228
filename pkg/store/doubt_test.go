package store_test

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"

	"github.com/events-aggregator/events-aggregator/pkg/decision"
	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/pkg/metric"
	"github.com/events-aggregator/events-aggregator/pkg/store"
)

// replicaSet is a database with a client whose commands are told before they are
// sent, and another session's hands in it: what a majority read does not show
// although the primary has it, and what a failover takes back, look the same to
// that client when the other session removes it just before each read.
type replicaSet struct {
	store *store.Store
	hands *mongo.Database
	tell  atomic.Pointer[func(collection, command string)]
}

func newReplicaSet(ctx context.Context) *replicaSet {
	GinkgoHelper()
	r, name := &replicaSet{}, emptyDatabase(ctx)
	client, err := mongo.Connect(ctx, options.Client().ApplyURI(mongoURI()))
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(client.Disconnect)
	r.hands = client.Database(name)
	r.store, err = store.Open(ctx, store.Options{URI: mongoURI(), Database: name}.WithCommands(func(collection string, c bson.Raw) {
		if tell := r.tell.Load(); tell != nil {
			(*tell)(collection, c.Index(0).Key())
		}
	}))
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func(ctx SpecContext) { Expect(r.store.Close(ctx)).To(Succeed()) }, NodeTimeout(10*time.Second))
	Expect(r.store.EnsureIndexes(ctx)).To(Succeed())
	return r
}

// lag has the mark there for whoever inserts it, and hidden from whoever looks.
func (r *replicaSet) lag(ctx context.Context, mark string) {
	marks, id := r.hands.Collection("batch_marks"), bson.D{{Key: "_id", Value: mark}}
	tell := func(collection, command string) {
		defer GinkgoRecover()
		if collection != marks.Name() {
			return
		}
		var err error
		switch command {
		case "insert":
			_, err = marks.ReplaceOne(ctx, id, id, options.Replace().SetUpsert(true))
		case "find":
			_, err = marks.DeleteOne(ctx, id)
		}
		Expect(err).NotTo(HaveOccurred())
	}
	r.tell.Store(&tell)
}

func isOutage(err error) bool {
	var o interface{ Outage() bool }
	return errors.As(err, &o) && o.Outage()
}

var _ = Describe("a commit that no majority has", func() {
	It("does not count as stored when its batch comes again, and a failover that takes it back loses nothing", func(ctx SpecContext) {
		r := newReplicaSet(ctx)
		b := testBatch(3)
		Expect(r.store.SaveBatch(ctx, b, "spec")).To(Succeed())
		failover := func(collection, command string) {
			defer GinkgoRecover()
			if collection != "batches" || command != "find" {
				return
			}
			for _, name := range []string{"batches", "events"} {
				_, err := r.hands.Collection(name).DeleteMany(ctx, bson.D{})
				Expect(err).NotTo(HaveOccurred())
			}
		}
		r.tell.Store(&failover)
		err := r.store.SaveBatch(ctx, b, "spec")
		Expect(isOutage(err)).To(BeTrue(), "%v", err)
		r.tell.Store(nil)
		Expect(r.store.SaveBatch(ctx, b, "spec")).To(Succeed())
		Expect(stored(ctx, r.store)).To(BeEquivalentTo(3))
	}, SpecTimeout(30*time.Second))

	DescribeTable("is an outage for whoever meets its mark, and not their fault",
		func(ctx SpecContext, stage string, work func(ctx context.Context, s *store.Store, b event.Batch) (done int, err error)) {
			r := newReplicaSet(ctx)
			b := testBatch(3)
			save(ctx, r.store, b)
			r.lag(ctx, b.ID+":"+stage)
			done, err := work(ctx, r.store, b)
			Expect(isOutage(err)).To(BeTrue(), "%v", err)
			Expect(done).To(BeZero())
			r.tell.Store(nil)
			_, err = r.hands.Collection("batch_marks").DeleteMany(ctx, bson.D{})
			Expect(err).NotTo(HaveOccurred())
			Expect(work(ctx, r.store, b)).To(Equal(1), "a failover has taken the mark back")
		},
		Entry("deciding", "rules", func(ctx context.Context, s *store.Store, b event.Batch) (int, error) {
			committed, err := s.Decide(ctx, time.Now().UTC(), []decision.Batch{{Batch: b}})
			return len(committed), err
		}, SpecTimeout(time.Minute)),
		Entry("counting", "count", func(ctx context.Context, s *store.Store, b event.Batch) (int, error) {
			counted, err := s.Count(ctx, time.Now().UTC(), counterRetention, []metric.Batch{countedBatch(b)})
			return len(counted), err
		}, SpecTimeout(time.Minute)),
	)

	It("is not what a decision is taken for that owes the same twice", func(ctx SpecContext) {
		s := fresh(ctx)
		b := testBatch(1)
		save(ctx, s, b)
		committed, err := s.Decide(ctx, time.Now().UTC(), []decision.Batch{
			{Batch: b, Owed: owing(pending("same", "e1"))}, {Batch: b}, {Owed: owing(pending("same", "e1"), pending("other", "e2"))},
		})
		Expect(err).NotTo(HaveOccurred())
		Expect(committed).To(HaveExactElements(
			HaveField("Owed", HaveExactElements(HaveField("ID", "same"))), HaveField("Owed", HaveExactElements(HaveField("ID", "other")))))
	}, SpecTimeout(30*time.Second))

	It("is not what a conflict on somebody else's index is taken for, which may last for ever", func(ctx SpecContext) {
		r := newReplicaSet(ctx)
		_, err := r.hands.Collection("batch_marks").Indexes().CreateOne(ctx,
			mongo.IndexModel{Keys: bson.D{{Key: "at", Value: 1}}, Options: options.Index().SetUnique(true)})
		Expect(err).NotTo(HaveOccurred())
		one, two, now := testBatch(1), testBatch(1), time.Now().UTC()
		save(ctx, r.store, one, two)
		_, err = r.store.Count(ctx, now, counterRetention, []metric.Batch{countedBatch(one)})
		Expect(err).NotTo(HaveOccurred())
		_, err = r.store.Count(ctx, now, counterRetention, []metric.Batch{countedBatch(two)})
		Expect(err).To(HaveOccurred())
		Expect(isOutage(err)).To(BeFalse(), "%v", err)
	}, SpecTimeout(time.Minute))
})
