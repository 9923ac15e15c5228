package fleet

import (
	"context"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"
)

// Spoil makes a document's field something that nobody understands, as somebody
// does who changes it by hand.
func (f *Fleet) Spoil(ctx context.Context, collection, id, field string) {
	ginkgo.GinkgoHelper()
	client, err := mongo.Connect(ctx, options.Client().ApplyURI(f.MongoURI))
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	defer func() { _ = client.Disconnect(context.WithoutCancel(ctx)) }()
	result, err := client.Database(f.Database).Collection(collection).
		UpdateByID(ctx, id, bson.D{{Key: "$set", Value: bson.D{{Key: field, Value: "spoilt"}}}})
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	gomega.Expect(result.ModifiedCount).To(gomega.BeEquivalentTo(1))
}
