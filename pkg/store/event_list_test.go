package store_test

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/store"
)

var _ = Describe("a list of events", func() {
	It("shows each event once in both orders, whatever is stored meanwhile and however many have the same time", func(ctx SpecContext) {
		s := fresh(ctx)
		base := time.Now().UTC().Truncate(time.Second)
		batch := func(n int) []string {
			GinkgoHelper()
			b := testBatch(n, func(i int, d bson.D) bson.D {
				d[5].Value = base.Add(-time.Duration(i/4) * time.Second) // four at a time
				return d
			})
			Expect(s.SaveBatch(ctx, b, "spec")).To(Succeed())
			var ids []string
			for _, e := range b.Events {
				ids = append(ids, e.Lookup("event_id").StringValue())
			}
			return ids
		}
		before := batch(30)
		for _, oldest := range []bool{false, true} {
			l := store.EventList{Limit: 7, OldestFirst: oldest, Fields: []string{"event_id", "event_id.x", "timestamp.x", "payload", "payload.n"}}
			seen := map[string]int{}
			var last store.EventPosition
			for {
				docs, err := s.FindEvents(ctx, l)
				Expect(err).NotTo(HaveOccurred())
				for _, d := range docs {
					seen[d.Lookup("event_id").StringValue()]++
					at := store.PositionOf(d)
					if !last.Timestamp.IsZero() && oldest {
						Expect(at.Timestamp).NotTo(BeTemporally("<", last.Timestamp))
					} else if !last.Timestamp.IsZero() {
						Expect(at.Timestamp).NotTo(BeTemporally(">", last.Timestamp))
					}
					last = at
					Expect(d.Lookup("payload", "n").Type).NotTo(BeZero())
					Expect(d.Lookup("type").Type).To(BeZero(), "not asked for")
				}
				if len(docs) < l.Limit {
					break
				}
				l.After = &last
				if len(seen) < 10 {
					batch(3)
				}
			}
			last = store.EventPosition{}
			for _, id := range before {
				Expect(seen).To(HaveKeyWithValue(id, 1))
			}
			for id, times := range seen {
				Expect(times).To(Equal(1), id)
			}
		}
	}, SpecTimeout(time.Minute))

	It("says whether an index or a time range serves its filter", func(ctx SpecContext) {
		s := fresh(ctx)
		now := time.Now()
		ask := func(f store.EventFilter, condition bson.D) bool {
			GinkgoHelper()
			if condition != nil {
				raw, err := bson.Marshal(condition)
				Expect(err).NotTo(HaveOccurred())
				f.Condition = raw
			}
			narrowed, err := s.Narrowed(ctx, f)
			Expect(err).NotTo(HaveOccurred())
			return narrowed
		}
		for name, f := range map[string]store.EventFilter{
			"a type": {Type: "A"}, "errors": {SeverityMin: 7}, "a beginning": {From: now, SeverityMax: 3}, "a place": {Near: &store.Circle{Metres: 1}, SeverityMax: 3},
		} {
			Expect(ask(f, nil)).To(BeTrue(), name)
		}
		for name, f := range map[string]store.EventFilter{
			"warnings and worse": {SeverityMin: 4}, "undecided ones": {Processed: new(bool)}, "an end alone": {To: now, SeverityMax: 3},
		} {
			Expect(ask(f, nil)).To(BeFalse(), name)
		}
		one := bson.D{{Key: "payload.n", Value: 1}}
		for _, fixed := range []bson.D{
			{{Key: "payload.n", Value: 1}, {Key: "type", Value: "A"}}, {{Key: "user_id", Value: bson.D{{Key: "$in", Value: bson.A{"a", "b"}}}}},
			{{Key: "timestamp", Value: bson.D{{Key: "$gt", Value: now}}}},
		} {
			Expect(ask(store.EventFilter{}, fixed)).To(BeTrue(), "%v", fixed)
		}
		for _, loose := range []bson.D{
			one, {{Key: "payload.n", Value: bson.D{{Key: "$gt", Value: 1}}}}, {{Key: "timestamp", Value: bson.D{{Key: "$lt", Value: now}}}},
			{{Key: "$or", Value: bson.A{bson.D{{Key: "type", Value: "A"}}, one}}}, {{Key: "type", Value: bson.D{{Key: "$ne", Value: "A"}}}}, {{Key: "user_id", Value: nil}},
		} {
			Expect(ask(store.EventFilter{}, loose)).To(BeFalse(), "%v", loose)
		}
		Expect(s.CreateIndexes(ctx, []store.MissingIndex{{Paths: []string{"payload.n", "timestamp"}}})).To(Succeed())
		Expect(ask(store.EventFilter{}, one)).To(BeTrue(), "somebody has made an index for it")
	}, SpecTimeout(time.Minute))

	It("passes what its condition and its filter ask of the same field", func(ctx SpecContext) {
		s := fresh(ctx)
		b := testBatch(4, func(i int, d bson.D) bson.D {
			return append(d, bson.E{Key: "matched_rules", Value: [][]string{{"a"}, {"b"}, {"a", "b"}, {"c"}}[i]})
		})
		Expect(s.SaveBatch(ctx, b, "spec")).To(Succeed())
		condition, err := bson.Marshal(bson.D{{Key: "matched_rules", Value: "b"}})
		Expect(err).NotTo(HaveOccurred())
		docs, err := s.FindEvents(ctx, store.EventList{EventFilter: store.EventFilter{Rules: []string{"a", "c"}, Condition: condition}, Limit: 10})
		Expect(err).NotTo(HaveOccurred())
		Expect(docs).To(HaveLen(1))
		Expect(docs[0].Lookup("event_id")).To(Equal(b.Events[2].Lookup("event_id")))
	}, SpecTimeout(time.Minute))

	It("finds events near a place", func(ctx SpecContext) {
		s := fresh(ctx)
		place := func(lon, lat float64) func(int, bson.D) bson.D {
			return func(_ int, d bson.D) bson.D {
				return append(d, bson.E{Key: "metadata", Value: bson.D{{Key: "location", Value: bson.D{{Key: "type", Value: "Point"}, {Key: "coordinates", Value: bson.A{lon, lat}}}}}})
			}
		}
		for _, at := range [][2]float64{{13.40, 52.52}, {13.41, 52.52}, {11.58, 48.14}} {
			Expect(s.SaveBatch(ctx, testBatch(1, place(at[0], at[1])), "spec")).To(Succeed())
		}
		count := func(metres float64) int {
			docs, err := s.FindEvents(ctx, store.EventList{EventFilter: store.EventFilter{Near: &store.Circle{Longitude: 13.40, Latitude: 52.52, Metres: metres}}, Limit: 10})
			Expect(err).NotTo(HaveOccurred())
			return len(docs)
		}
		Expect([]int{count(100), count(1000), count(1_000_000)}).To(Equal([]int{1, 2, 3}))
	}, SpecTimeout(time.Minute))
})
