package live_test

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo"
)

var _ = Describe("a collection that is gone under its streams", func() {
	DescribeTable("is told again as soon as it is there again, also to who resumes from before", func(ctx SpecContext, remove func(context.Context, *mongo.Client)) {
		s, db, _ := open(ctx)
		h := hub(ctx, s, 1000)
		c := follow(ctx, h, "", everything, nil)
		Eventually(ctx, c.isReady).Should(BeTrue())
		all := save(ctx, db, 3)
		Eventually(ctx, c.saw).Should(Equal(all))
		remove(ctx, server(ctx))
		all = append(all, save(ctx, db, 2)...)
		Eventually(ctx, c.saw).Should(Equal(all))
		Expect(c.gapsTold()).To(BeEmpty())

		other := hub(ctx, s, 1000) // as a process that was started anew
		again := follow(ctx, other, c.placesSeen()[0], everything, nil)
		Eventually(ctx, again.saw).Should(Equal(all[1:]))
		all = append(all, save(ctx, db, 1)...)
		Eventually(ctx, again.saw).Should(Equal(all[1:]))
		Eventually(ctx, c.saw).Should(Equal(all))
		Expect(again.gapsTold()).To(BeEmpty())
	},
		Entry("when it was dropped", func(ctx context.Context, client *mongo.Client) {
			Expect(client.Database(database()).Collection("events").Drop(ctx)).To(Succeed())
		}, SpecTimeout(30*time.Second)),
		Entry("when it was renamed", func(ctx context.Context, client *mongo.Client) {
			Expect(client.Database("admin").RunCommand(ctx, bson.D{
				{Key: "renameCollection", Value: database() + ".events"}, {Key: "to", Value: database() + ".kept"},
			}).Err()).To(Succeed())
		}, SpecTimeout(30*time.Second)))
})
