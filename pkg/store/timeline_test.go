package store_test

import (
	"bytes"
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/store"
)

var _ = Describe("a list that is asked for in spans of time", func() {
	It("has what one query would have, however the events lie in time", func(ctx SpecContext) {
		s := fresh(ctx)
		seed := uint64(GinkgoRandomSeed())
		random := rand.New(rand.NewPCG(seed, 7))
		now := time.Now().UTC().Truncate(time.Millisecond)
		types, users := []string{"A", "B", "C"}, []string{"u1", "u2", ""}
		b := testBatch(300, func(_ int, d bson.D) bson.D {
			// From ten minutes ahead to years ago, and some at the same time.
			ago := time.Duration(math.Pow(10, 3+random.Float64()*8)) * time.Millisecond
			if random.IntN(3) == 0 {
				ago = time.Hour
			}
			d[2].Value, d[4].Value, d[5].Value = types[random.IntN(3)], int32(1+random.IntN(10)), now.Add(10*time.Minute-ago)
			if u := users[random.IntN(3)]; u != "" {
				d = append(d, bson.E{Key: "user_id", Value: u})
			}
			return d
		})
		Expect(s.SaveBatch(ctx, b, "spec")).To(Succeed())
		all := slices.Clone(b.Events)
		slices.SortFunc(all, func(x, y bson.Raw) int { // the newest first
			p, q := store.PositionOf(x), store.PositionOf(y)
			return cmp.Or(q.Timestamp.Compare(p.Timestamp), bytes.Compare(q.ID[:], p.ID[:]))
		})
		condition, err := bson.Marshal(bson.D{{Key: "user_id", Value: "u2"}, {Key: "severity", Value: bson.D{{Key: "$lte", Value: 8}}}})
		Expect(err).NotTo(HaveOccurred())
		is := func(d bson.Raw, path, value string) bool { v, _ := d.Lookup(path).StringValueOK(); return v == value }
		severity := func(d bson.Raw) int32 { return d.Lookup("severity").Int32() }
		for _, f := range []struct {
			filter store.EventFilter
			passes func(bson.Raw) bool
		}{
			{store.EventFilter{}, func(bson.Raw) bool { return true }},
			{store.EventFilter{Type: "B"}, func(d bson.Raw) bool { return is(d, "type", "B") }},
			{store.EventFilter{SeverityMin: 7}, func(d bson.Raw) bool { return severity(d) >= 7 }},
			{store.EventFilter{UserID: "u1", SeverityMax: 5, Type: "A"}, func(d bson.Raw) bool { return is(d, "user_id", "u1") && severity(d) <= 5 && is(d, "type", "A") }},
			{store.EventFilter{Condition: condition}, func(d bson.Raw) bool { return is(d, "user_id", "u2") && severity(d) <= 8 }},
			{store.EventFilter{TraceID: "none"}, func(bson.Raw) bool { return false }},
		} {
			for try := range 8 {
				l := store.EventList{EventFilter: f.filter, Limit: 1 + random.IntN(40), OldestFirst: try%2 == 1}
				passes := f.passes
				if try/2%2 == 1 {
					from, to := store.PositionOf(all[150+random.IntN(150)]).Timestamp, store.PositionOf(all[random.IntN(150)]).Timestamp
					l.From, l.To = from, to
					passes = func(d bson.Raw) bool {
						at := store.PositionOf(d).Timestamp
						return f.passes(d) && !at.Before(from) && at.Before(to)
					}
				}
				order := slices.Clone(all)
				if l.OldestFirst {
					slices.Reverse(order)
				}
				if try/4 == 1 {
					at := random.IntN(len(order))
					after := store.PositionOf(order[at])
					l.After, order = &after, order[at+1:]
				}
				var want []string
				for _, d := range order {
					if passes(d) && len(want) < l.Limit {
						want = append(want, d.Lookup("event_id").StringValue())
					}
				}
				docs, err := s.FindEvents(ctx, l)
				Expect(err).NotTo(HaveOccurred())
				var got []string
				for _, d := range docs {
					got = append(got, d.Lookup("event_id").StringValue())
				}
				Expect(got).To(Equal(want), "seed %d: %+v", seed, l)
			}
		}
	}, SpecTimeout(time.Minute))

	It("ends, page by page, when its ends are within a millisecond that events share", func(ctx SpecContext) {
		s := fresh(ctx)
		at := time.Now().UTC().Truncate(time.Second)
		b := testBatch(5, func(i int, d bson.D) bson.D {
			d[5].Value = at.Add(time.Duration(i/3) * time.Millisecond) // three, then two
			return d
		})
		Expect(s.SaveBatch(ctx, b, "spec")).To(Succeed())
		within := 400 * time.Microsecond
		for _, l := range []store.EventList{
			{EventFilter: store.EventFilter{From: at.Add(within)}, OldestFirst: true},
			{EventFilter: store.EventFilter{From: at.Add(within), To: at.Add(2*time.Millisecond + within)}},
		} {
			var seen []string
			for l.Limit = 1; len(seen) <= len(b.Events); {
				docs, err := s.FindEvents(ctx, l)
				Expect(err).NotTo(HaveOccurred())
				if len(docs) == 0 {
					break
				}
				last := store.PositionOf(docs[0])
				l.After, seen = &last, append(seen, docs[0].Lookup("event_id").StringValue())
			}
			var want []string
			for _, e := range b.Events {
				want = append(want, e.Lookup("event_id").StringValue())
			}
			if !l.OldestFirst {
				slices.Reverse(want)
			}
			Expect(seen).To(Equal(want))
		}
	}, SpecTimeout(time.Minute))
})
