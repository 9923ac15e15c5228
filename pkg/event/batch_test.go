package event_test

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/event"
)

var _ = Describe("a batch", func() {
	It("is encoded as its fields' tags say", func() {
		type plain event.Batch // without the method
		first, at := event.NewIDBlock(12)
		b := event.Batch{ID: first.Hex(), FirstID: first, LastID: at(11), MaxSeverity: 9,
			StoredAt: time.Date(2026, 3, 4, 5, 6, 7, 89_000_000, time.UTC)}
		for i := range 12 {
			raw, err := bson.Marshal(bson.D{{Key: "_id", Value: at(i)}, {Key: "n", Value: int32(i)}})
			Expect(err).NotTo(HaveOccurred())
			b.Events = append(b.Events, raw)
		}
		want, err := bson.Marshal(plain(b))
		Expect(err).NotTo(HaveOccurred())
		Expect(b.MarshalBSON()).To(Equal(want))

		var back event.Batch
		Expect(bson.Unmarshal(want, &back)).To(Succeed())
		Expect(back).To(Equal(b))
	})
})
