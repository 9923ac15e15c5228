package store_test

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/events-aggregator/events-aggregator/pkg/store"
)

var _ = Describe("A transaction that another one keeps from its documents", func() {
	It("is tried again until they are free, and says in the log that it waits", func(ctx SpecContext) {
		core, lines := observer.New(zap.WarnLevel)
		name := emptyDatabase(ctx)
		s, err := store.Open(ctx, store.Options{URI: mongoURI(), Database: name, AppName: "store specs", Log: zap.New(core)})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func(ctx context.Context) { Expect(s.Close(ctx)).To(Succeed()) })
		s.SetConflictNotice(500 * time.Millisecond)
		Expect(s.EnsureIndexes(ctx)).To(Succeed())
		Expect(s.SaveBatch(ctx, testBatch(1), "spec")).To(Succeed()) // makes the collections
		client, err := mongo.Connect(ctx, options.Client().ApplyURI(mongoURI()))
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(client.Disconnect)

		b, saved := testBatch(1), make(chan error, 1)
		Expect(client.UseSession(ctx, func(sc mongo.SessionContext) error {
			Expect(sc.StartTransaction()).To(Succeed())
			_, err := client.Database(name).Collection("events").InsertOne(sc, bson.D{
				{Key: "_id", Value: b.FirstID}, {Key: "event_id", Value: "another"},
			})
			Expect(err).NotTo(HaveOccurred())
			go func() { saved <- s.SaveBatch(ctx, b, "spec") }()
			Eventually(ctx, lines.Len, 9*time.Second).ShouldNot(BeZero()) // the server ends transactions after ten
			Expect(saved).NotTo(Receive())
			return sc.AbortTransaction(sc)
		})).To(Succeed())
		Eventually(ctx, saved).Should(Receive(Not(HaveOccurred())))
		line := lines.All()[0]
		Expect(line.Message).To(ContainSubstring("tried again"))
		Expect(line.ContextMap()).To(And(HaveKey("for"), HaveKey("error")))
	}, SpecTimeout(time.Minute))
})
