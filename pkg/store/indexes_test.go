package store_test

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"
)

var _ = Describe("the indexes", func() {
	It("are not taken for made where the same keys have another name, by which no query finds them", func(ctx SpecContext) {
		name := emptyDatabase(ctx)
		client, err := mongo.Connect(ctx, options.Client().ApplyURI(mongoURI()))
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func(ctx SpecContext) { Expect(client.Disconnect(ctx)).To(Succeed()) }, NodeTimeout(10*time.Second))
		indexes := client.Database(name).Collection("events").Indexes()
		_, err = indexes.CreateOne(ctx, mongo.IndexModel{Keys: bson.D{{Key: "source", Value: 1}, {Key: "timestamp", Value: -1}}})
		Expect(err).NotTo(HaveOccurred())

		s := open(ctx, name)
		if err := s.EnsureIndexes(ctx); err != nil { // as MongoDB does; other servers keep both
			Expect(err).To(MatchError(And(ContainSubstring("events.source_time"), ContainSubstring("drop that one"))))
			_, err = indexes.DropOne(ctx, "source_1_timestamp_-1")
			Expect(err).NotTo(HaveOccurred())
			Expect(s.EnsureIndexes(ctx)).To(Succeed())
		}
		Expect(s.CheckIndexes(ctx)).To(BeEmpty())
	}, SpecTimeout(time.Minute))

	It("are told apart from those that an older release made with other keys", func(ctx SpecContext) {
		name := emptyDatabase(ctx)
		client, err := mongo.Connect(ctx, options.Client().ApplyURI(mongoURI()))
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func(ctx SpecContext) { Expect(client.Disconnect(ctx)).To(Succeed()) }, NodeTimeout(10*time.Second))
		indexes := client.Database(name).Collection("events").Indexes()
		_, err = indexes.CreateOne(ctx, mongo.IndexModel{Keys: bson.D{{Key: "source", Value: 1}, {Key: "timestamp", Value: -1}},
			Options: options.Index().SetName("source_time")})
		Expect(err).NotTo(HaveOccurred())

		s := open(ctx, name)
		Expect(s.EnsureIndexes(ctx)).To(Succeed())
		Expect(s.CheckIndexes(ctx)).To(HaveExactElements(And(HaveField("Index", "source_time"),
			HaveField("What", And(ContainSubstring("not {\"source\":1,\"timestamp\":1}"), ContainSubstring("drop it"))))))
		_, err = indexes.DropOne(ctx, "source_time")
		Expect(err).NotTo(HaveOccurred())
		Expect(s.EnsureIndexes(ctx)).To(Succeed())
		Expect(s.CheckIndexes(ctx)).To(BeEmpty())
	}, SpecTimeout(time.Minute))
})
