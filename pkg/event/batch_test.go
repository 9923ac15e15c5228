package event_test

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/event"
)

func same(b []byte) []byte { return b }

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
		for _, rules := range [][]string{nil, {"r1", "r2"}} {
			b.Rules = rules
			want, err := bson.Marshal(plain(b))
			Expect(err).NotTo(HaveOccurred())
			Expect(b.MarshalBSON()).To(Equal(want))

			var back event.Batch
			Expect(bson.Unmarshal(want, &back)).To(Succeed())
			Expect(back).To(Equal(b))
		}
	})

	DescribeTable("is refused when its bytes are none", func(d bson.D, spoil func([]byte) []byte) {
		raw, err := bson.Marshal(d)
		Expect(err).NotTo(HaveOccurred())
		b := event.Batch{ID: "as it was"}
		Expect(b.UnmarshalBSON(spoil(raw))).NotTo(Succeed())
		Expect(b).To(Equal(event.Batch{ID: "as it was"}))
	},
		Entry("an id that is no text", bson.D{{Key: "batch_id", Value: 1}}, same),
		Entry("a severity that is no number", bson.D{{Key: "max_severity", Value: "9"}}, same),
		Entry("an _id that is no ObjectID", bson.D{{Key: "first_id", Value: "x"}}, same),
		Entry("a time that is no date", bson.D{{Key: "stored_at", Value: "today"}}, same),
		Entry("events that are no array", bson.D{{Key: "events", Value: bson.D{}}}, same),
		Entry("rules that are no texts", bson.D{{Key: "rules", Value: bson.A{1}}}, same),
		Entry("an event that is no document", bson.D{{Key: "events", Value: bson.A{bson.D{}, 1}}}, same),
		Entry("nothing", bson.D{}, func([]byte) []byte { return nil }),
		Entry("a part", bson.D{{Key: "batch_id", Value: "x"}}, func(b []byte) []byte { return b[:len(b)-3] }),
		Entry("an event's length that is not its own", bson.D{{Key: "events", Value: bson.A{bson.D{{Key: "a", Value: 1}}}}},
			func(b []byte) []byte { b[len("0123events0123400")+2]++; return b }),
	)
})
