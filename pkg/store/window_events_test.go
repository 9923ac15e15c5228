package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"

	"github.com/events-aggregator/events-aggregator/pkg/decision"
	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/pkg/rule/interval"
	"github.com/events-aggregator/events-aggregator/pkg/rule/window"
	"github.com/events-aggregator/events-aggregator/pkg/store"
)

func raw(d bson.D) bson.Raw {
	GinkgoHelper()
	b, err := bson.Marshal(d)
	Expect(err).NotTo(HaveOccurred())
	return b
}

// windowed is a rule with a window over events of a condition.
func windowed(conditions bson.D, spec window.Spec) rule.Rule {
	GinkgoHelper()
	r := testRule("windowed")
	r.Conditions, r.Window = raw(conditions), &spec
	return r
}

var _ = Describe("the events of a rule's windows", func() {
	minute := interval.Duration(time.Minute)

	It("are those that fulfil its condition, with keys as the matcher has them", func(ctx SpecContext) {
		s := fresh(ctx)
		now := time.Now().UTC().Truncate(time.Millisecond)
		shops := []any{int32(1), 1.0, int64(2), "1", nil, bson.A{int32(1)}, bson.D{{Key: "a", Value: int32(1)}}, primitive.Regex{Pattern: "1"}, int32(1)}
		b := testBatch(len(shops), func(i int, d bson.D) bson.D {
			payload := bson.D{{Key: "shop", Value: shops[i]}, {Key: "n", Value: i}}
			if shops[i] == nil {
				payload = payload[1:]
			}
			for k := range d {
				if d[k].Key == "payload" {
					d[k].Value = payload
				}
				if d[k].Key == "timestamp" {
					d[k].Value = now.Add(time.Duration(i) * time.Second)
				}
			}
			if i == len(shops)-1 {
				d = append(d, bson.E{Key: "metadata", Value: bson.D{{Key: "hops", Value: int32(rule.MaxHops)}}})
			}
			return d
		})
		Expect(s.SaveBatch(ctx, b, "spec")).To(Succeed())
		r := windowed(bson.D{{Key: "type", Value: "USER_LOGIN"}}, window.Spec{Kind: "frequency", Timeframe: minute, NumEvents: 2, GroupBy: []string{"payload.shop"}})
		read := func(q window.Query) []int {
			GinkgoHelper()
			q.From, q.To = now.UnixMilli(), now.Add(time.Hour).UnixMilli()
			var got []int
			Expect(s.RuleEvents(&r).Observe(ctx, q, func(o window.Observation) bool {
				got = append(got, int(o.At-q.From)/1000)
				return q.Wanted == 0 || len(got) < q.Wanted
			})).To(Succeed())
			return got
		}
		Expect(read(window.Query{})).To(ConsistOf(0, 1, 2, 3, 4, 5, 6, 7), "the last one has so many hops that no rule is asked")
		key := func(i int) string { return rule.WindowKey(b.Events[i], r.Window.GroupBy) }
		Expect(read(window.Query{Keys: []string{key(0)}})).To(ConsistOf(0, 1), "1 and 1.0 are the same, the array of 1 is not")
		for i := 2; i < 8; i++ {
			Expect(read(window.Query{Keys: []string{key(i)}})).To(ConsistOf(i), "%v", shops[i])
		}
		Expect(read(window.Query{Keys: []string{key(0), key(2), key(4)}})).To(ConsistOf(0, 1, 2, 4))
		Expect(read(window.Query{Keys: []string{key(0), key(6)}, Order: window.NewestFirst, Wanted: 2})).To(Equal([]int{6, 1}))
		Expect(read(window.Query{Keys: []string{key(0)}, Order: window.OldestFirst, Wanted: 1})).To(Equal([]int{0}))
	}, SpecTimeout(time.Minute))

	It("of a key are found however many others the database's equality finds with them", func(ctx SpecContext) {
		s := fresh(ctx)
		now := time.Now().UTC().Truncate(time.Millisecond)
		const n = 40
		b := testBatch(n, func(i int, d bson.D) bson.D {
			value := any(bson.A{"a", i})
			if i == n-1 {
				value = "a"
			}
			return append(d, bson.E{Key: "user_id", Value: value})
		})
		Expect(s.SaveBatch(ctx, b, "spec")).To(Succeed())
		r := windowed(bson.D{{Key: "type", Value: "USER_LOGIN"}}, window.Spec{Kind: "frequency", Timeframe: minute, NumEvents: 2, GroupBy: []string{"user_id"}})
		var got []primitive.ObjectID
		q := window.Query{From: now.Add(-time.Hour).UnixMilli(), To: now.Add(time.Hour).UnixMilli(), Wanted: 1, Order: window.NewestFirst,
			Keys: []string{rule.WindowKey(b.Events[n-1], r.Window.GroupBy)}}
		Expect(s.RuleEvents(&r).Observe(ctx, q, func(o window.Observation) bool { got = append(got, o.ID); return true })).To(Succeed())
		Expect(got).To(Equal([]primitive.ObjectID{b.LastID}))
	}, SpecTimeout(time.Minute))

	It("of many keys are found once each, beside those of a key that cannot be searched", func(ctx SpecContext) {
		s := fresh(ctx)
		now := time.Now().UTC().Truncate(time.Millisecond)
		const n = 55 // more than one query asks for
		b := testBatch(n, func(i int, d bson.D) bson.D {
			user := any(fmt.Sprint("u", i))
			if i == 0 {
				user = bson.A{"u1", "u2"}
			}
			return append(d, bson.E{Key: "user_id", Value: user}, bson.E{Key: "ok", Value: i%2 == 0})
		})
		Expect(s.SaveBatch(ctx, b, "spec")).To(Succeed())
		r := windowed(bson.D{{Key: "type", Value: "USER_LOGIN"}}, window.Spec{Kind: "percentage", Timeframe: minute, GroupBy: []string{"user_id"},
			Match: raw(bson.D{{Key: "ok", Value: true}})})
		var keys []string
		for _, e := range b.Events {
			keys = append(keys, rule.WindowKey(e, r.Window.GroupBy))
		}
		for _, some := range [][]string{keys, keys[:21], keys[1:21], keys[:2], keys[1:2], keys[:1]} {
			matched := map[string]bool{}
			q := window.Query{From: now.Add(-time.Hour).UnixMilli(), To: now.Add(time.Hour).UnixMilli(), Keys: some, Matches: true}
			Expect(s.RuleEvents(&r).Observe(ctx, q, func(o window.Observation) bool {
				_, twice := matched[o.Key]
				Expect(twice).To(BeFalse())
				matched[o.Key] = o.Matched
				return true
			})).To(Succeed())
			Expect(matched).To(HaveLen(len(some)))
			for i, k := range keys {
				if ok, there := matched[k]; there {
					Expect(ok).To(Equal(i%2 == 0))
				}
			}
		}
	}, SpecTimeout(time.Minute))

	It("are of delivery outcomes only where the condition names their type", func(ctx SpecContext) {
		s := fresh(ctx)
		b := testBatch(1, func(_ int, d bson.D) bson.D {
			d[2].Value = rule.DeliveryType
			return d
		})
		Expect(s.SaveBatch(ctx, b, "spec")).To(Succeed())
		for _, c := range []struct {
			conditions bson.D
			want       int
		}{{bson.D{}, 0}, {bson.D{{Key: "source", Value: "auth"}}, 0}, {bson.D{{Key: "type", Value: rule.DeliveryType}}, 1}} {
			r := windowed(c.conditions, window.Spec{Kind: "frequency", Timeframe: minute, NumEvents: 2})
			n := 0
			Expect(s.RuleEvents(&r).Observe(ctx, window.Query{To: time.Now().Add(time.Hour).UnixMilli()}, func(window.Observation) bool { n++; return true })).To(Succeed())
			Expect(n).To(Equal(c.want), "%v", c.conditions)
		}
	}, SpecTimeout(time.Minute))

	It("cannot be read in no time, which is no outage", func(ctx SpecContext) {
		s := fresh(ctx)
		r := windowed(bson.D{}, window.Spec{Kind: "frequency", Timeframe: minute, NumEvents: 2})
		bound, cancel := context.WithTimeout(ctx, time.Nanosecond)
		defer cancel()
		err := s.RuleEvents(&r).Observe(bound, window.Query{To: 1}, func(window.Observation) bool { return true })
		Expect(errors.As(err, new(*store.TooSlow))).To(BeTrue(), "%v", err)
		Expect(errors.As(err, new(interface{ Outage() bool }))).To(BeFalse())

		r.Conditions = raw(bson.D{{Key: "a", Value: bson.D{{Key: "$nonsense", Value: 1}}}})
		err = s.RuleEvents(&r).Observe(ctx, window.Query{To: 1}, func(window.Observation) bool { return true })
		Expect(err).To(MatchError(ContainSubstring("the server refuses the query")))
		Expect(errors.As(err, new(interface{ Outage() bool }))).To(BeFalse())
	}, SpecTimeout(time.Minute))
})

var _ = Describe("the index of a rule's window", func() {
	It("is missing where the condition's or the key's fields would be read through", func(ctx SpecContext) {
		s := fresh(ctx)
		minute := interval.Duration(time.Minute)
		keyed := window.Spec{Kind: "frequency", Timeframe: minute, NumEvents: 2, GroupBy: []string{"payload.shop"}}
		whole := keyed
		whole.GroupBy = nil
		byUser := keyed
		byUser.GroupBy = []string{"user_id"}
		term := window.Spec{Kind: "new_term", Field: "payload.ip"}
		share := window.Spec{Kind: "percentage", Timeframe: minute, GroupBy: []string{"payload.shop"}, Match: raw(bson.D{{Key: "a", Value: 1}})}
		login := bson.D{{Key: "type", Value: "USER_LOGIN"}, {Key: "severity", Value: bson.D{{Key: "$gte", Value: 1}}}}
		missing := func(conditions bson.D, spec window.Spec) string {
			GinkgoHelper()
			found, err := s.MissingIndexes(ctx, []rule.Rule{testRule("plain"), windowed(conditions, spec)})
			Expect(err).NotTo(HaveOccurred())
			if len(found) == 0 {
				return ""
			}
			Expect(found).To(HaveLen(1))
			Expect(found[0].Rule).To(Equal(1))
			return found[0].String()
		}
		Expect(missing(login, whole)).To(BeEmpty(), "type_time")
		Expect(missing(login, keyed)).To(BeEmpty(), "there are few events")
		Expect(missing(bson.D{{Key: "severity", Value: bson.D{{Key: "$gte", Value: 1}}}}, whole)).To(BeEmpty(), "all events of the time are read")
		Expect(missing(bson.D{{Key: "payload.shop", Value: 7}}, whole)).To(Equal(`{"payload.shop": 1, "timestamp": 1}`))
		Expect(missing(bson.D{{Key: "user_id", Value: "u"}}, whole)).To(BeEmpty(), "user_time has all events with a user")

		Expect(s.SaveBatch(ctx, testBatch(3), "spec")).To(Succeed())
		s.SetFewEvents(2)
		Expect(missing(login, whole)).To(BeEmpty())
		Expect(missing(login, share)).To(BeEmpty(), "it reads all events of a window, once")
		Expect(missing(login, keyed)).To(Equal(`{"type": 1, "payload.shop": 1, "timestamp": 1}`))
		Expect(missing(login, byUser)).To(Equal(`{"type": 1, "user_id": 1, "timestamp": 1}`), "user_time lacks the events without a user, who are a key")
		Expect(missing(login, term)).To(Equal(`{"type": 1, "payload.ip": 1, "timestamp": 1}`))
		Expect(missing(bson.D{{Key: "type", Value: "RARE"}}, keyed)).To(BeEmpty(), "there are none")

		all, err := s.MissingIndexes(ctx, []rule.Rule{windowed(login, keyed), windowed(bson.D{{Key: "payload.shop", Value: 7}}, whole)})
		Expect(err).NotTo(HaveOccurred())
		Expect(s.CreateIndexes(ctx, all)).To(Succeed())
		Expect(s.CreateIndexes(ctx, all)).To(Succeed(), "as a second process would")
		Expect(missing(login, keyed)).To(BeEmpty())
		Expect(missing(bson.D{{Key: "payload.shop", Value: 7}}, whole)).To(BeEmpty())
		plan, err := s.Explain(ctx, bson.D{{Key: "find", Value: "events"}, {Key: "filter", Value: bson.D{
			{Key: "type", Value: "USER_LOGIN"}, {Key: "payload.shop", Value: 7}, {Key: "timestamp", Value: bson.D{{Key: "$gte", Value: time.Now()}}}}}})
		Expect(err).NotTo(HaveOccurred())
		Expect(plan.String()).To(ContainSubstring("window_type_payload.shop_timestamp"))
	}, SpecTimeout(time.Minute))
})

var _ = Describe("a window that reads much at once", func() {
	It("is known by what came lately, if it comes near what an evaluation may read", func(ctx SpecContext) {
		s := fresh(ctx)
		s.SetHeavy(5)
		b := testBatch(6)
		Expect(s.SaveBatch(ctx, b, "spec")).To(Succeed())
		r := testRule("heavy")
		condition, err := bson.Marshal(bson.D{{Key: "type", Value: b.Events[0].Lookup("type").StringValue()}})
		Expect(err).NotTo(HaveOccurred())
		r.Conditions = condition
		low := 5.0
		timeframe := interval.Duration(time.Hour)
		r.Window = &window.Spec{Kind: "percentage", Timeframe: timeframe, Min: &low}
		Expect(s.HeavyWindow(ctx, &r)).To(HaveValue(Equal(store.WindowLoad{Events: 5, In: time.Hour})))
		r.Window = &window.Spec{Kind: "spike", SpikeType: "down", SpikeHeight: 2, Timeframe: timeframe}
		Expect(s.HeavyWindow(ctx, &r)).To(HaveValue(HaveField("In", 2*time.Hour)))
		r.Window = &window.Spec{Kind: "frequency", NumEvents: 3, Timeframe: timeframe}
		Expect(s.HeavyWindow(ctx, &r)).To(BeNil(), "it reads the events of some keys")
		r.Window = &window.Spec{Kind: "percentage", Timeframe: timeframe, Min: &low}
		s.SetHeavy(7)
		Expect(s.HeavyWindow(ctx, &r)).To(BeNil())
		r.Window = nil
		Expect(s.HeavyWindow(ctx, &r)).To(BeNil())
	}, SpecTimeout(time.Minute))
})

var _ = Describe("due slots", func() {
	It("are claimed, lose the claim to an event that comes, and are taken away by their claim alone", func(ctx SpecContext) {
		s := fresh(ctx)
		now := time.Now().UTC().Truncate(time.Millisecond)
		spec := window.Spec{Kind: "flatline", Timeframe: interval.Duration(time.Minute), Threshold: 1, GroupBy: []string{"user_id"}}
		part := spec.Parts()[0]
		var dues []window.Due
		for i := range 3 {
			dues = append(dues, window.NewDue("r", 1, part, int64(i), string(raw(bson.D{{Key: "user_id", Value: "u"}}))))
		}
		Expect(s.AddDues(ctx, dues)).To(Succeed())
		Expect(s.AddDues(ctx, dues)).To(Succeed())
		first, claimed, err := s.ClaimDues(ctx, dues[1].DueAt, dues[1].DueAt, 10)
		Expect(err).NotTo(HaveOccurred())
		Expect(claimed).To(Equal(dues[:2]), "the third is not due yet")

		Expect(s.FollowDues(ctx, dues)).To(Succeed(), "which ends no claim")
		second, again, err := s.ClaimDues(ctx, dues[0].DueAt, dues[0].DueAt, 10)
		Expect(err).NotTo(HaveOccurred())
		Expect(again).To(HaveLen(1), "another owner takes the first one over")
		Expect(s.DropDues(ctx, first, dues[:2])).To(Succeed())
		_, left, err := s.ClaimDues(ctx, now, now, 10)
		Expect(err).NotTo(HaveOccurred())
		Expect(ids(left)).To(ConsistOf(dues[0].ID, dues[2].ID))

		third, _, err := s.ClaimDues(ctx, now, now, 10)
		Expect(err).NotTo(HaveOccurred())
		Expect(third).NotTo(Equal(second))
		Expect(s.AddDues(ctx, dues[:1])).To(Succeed(), "an event came into the slot")
		owing := func(d window.Due, ids ...string) []decision.Owed {
			var owed []decision.Owed
			for _, id := range ids {
				owed = append(owed, owing(pending(id, "e-"+id))...)
				owed[len(owed)-1].Due = d.ID
			}
			return owed
		}
		owed := slices.Concat(owing(dues[0], "n2"), owing(dues[2], "n1"))
		committed, err := s.DecideDues(ctx, now, third, []window.Due{dues[0], dues[2]}, owed)
		Expect(err).NotTo(HaveOccurred())
		Expect(committed).To(HaveLen(1), "one slot that is busy holds no other up")
		Expect(committed[0].ID).To(Equal("n1"))
		_, err = s.Notification(ctx, "n2")
		Expect(err).To(MatchError(store.ErrNotFound))
		committed, err = s.OweDue(ctx, now, third, dues[0], owing(dues[0], "n3"))
		Expect(err).NotTo(HaveOccurred())
		Expect(committed).To(BeEmpty())

		fourth, _, err := s.ClaimDues(ctx, now, now, 10)
		Expect(err).NotTo(HaveOccurred())
		committed, err = s.OweDue(ctx, now, fourth, dues[0], owing(dues[0], "n3"))
		Expect(err).NotTo(HaveOccurred())
		Expect(committed).To(HaveLen(1), "a part of what it owes; it is still due, and claimed")
		committed, err = s.DecideDues(ctx, now, fourth, dues[:1], owing(dues[0], "n3", "n2", "n1"))
		Expect(err).NotTo(HaveOccurred())
		Expect(committed).To(HaveLen(1), "n1 and n3 exist")
		_, none, err := s.ClaimDues(ctx, now, now, 10)
		Expect(err).NotTo(HaveOccurred())
		Expect(none).To(BeEmpty())
	}, SpecTimeout(time.Minute))

	It("that nobody understands keep no other back, and are set aside", func(ctx SpecContext) {
		s := fresh(ctx)
		now := time.Now().UTC().Truncate(time.Millisecond)
		part := (&window.Spec{Kind: "percentage", Timeframe: interval.Duration(time.Minute)}).Parts()[0]
		var dues []window.Due
		for i := range 3 {
			dues = append(dues, window.NewDue("r", 1, part, int64(i), ""))
		}
		Expect(s.AddDues(ctx, dues)).To(Succeed())
		Expect(s.SpoilDue(ctx, dues[0].ID)).To(Succeed())
		left, last, err := s.HandOverDues(ctx, "r", 2, "", 10)
		Expect(err).NotTo(HaveOccurred())
		Expect(last).NotTo(BeEmpty())
		Expect(ids(left)).To(ConsistOf(dues[1].ID, dues[2].ID))
		_, claimed, err := s.ClaimDues(ctx, now, now, 1)
		Expect(err).NotTo(HaveOccurred())
		Expect(claimed).To(BeEmpty(), "it was the oldest")
		_, claimed, err = s.ClaimDues(ctx, now, now, 1)
		Expect(err).NotTo(HaveOccurred())
		Expect(ids(claimed)).To(ConsistOf(dues[1].ID), "it takes no place any more")
	}, SpecTimeout(time.Minute))

	It("are handed over to a new version by whoever decides them, unless they are decided, or told in part", func(ctx SpecContext) {
		s := fresh(ctx)
		now := time.Now().UTC().Truncate(time.Millisecond)
		part := (&window.Spec{Kind: "percentage", Timeframe: interval.Duration(time.Minute)}).Parts()[0]
		var dues []window.Due
		for i := range 4 {
			dues = append(dues, window.NewDue("r", 1, part, int64(i), ""))
		}
		Expect(s.AddDues(ctx, append(dues, window.NewDue("r", 2, part, 0, ""), window.NewDue("s", 1, part, 0, "")))).To(Succeed())
		owing := func(d window.Due, id string) []decision.Owed {
			owed := owing(pending(id, "e-"+id))
			owed[0].Due = d.ID
			return owed
		}
		token, _, err := s.ClaimDues(ctx, now, now, 10)
		Expect(err).NotTo(HaveOccurred())
		Expect(s.DecideDues(ctx, now, token, dues[:1], owing(dues[0], "decided"))).To(HaveLen(1))
		Expect(s.OweDue(ctx, now, token, dues[1], owing(dues[1], "a part"))).To(HaveLen(1))
		var left []window.Due
		for after, last := "", "-"; last != ""; after = last {
			var some []window.Due
			some, last, err = s.HandOverDues(ctx, "r", 2, after, 2)
			Expect(err).NotTo(HaveOccurred())
			left = append(left, some...)
		}
		Expect(ids(left)).To(ConsistOf(dues[2].ID, dues[3].ID))
		Expect(s.DecideDues(ctx, now, token, dues[2:], owing(dues[2], "late"))).To(BeEmpty(), "the claim is lost")
		Expect(s.DecideDues(ctx, now, token, dues[1:2], owing(dues[1], "the rest"))).To(HaveLen(1), "what is told in part is told by the same version")
	}, SpecTimeout(time.Minute))

	It("wait when they cannot be decided, and say why", func(ctx SpecContext) {
		s := fresh(ctx)
		now := time.Now().UTC().Truncate(time.Millisecond)
		spec := window.Spec{Kind: "percentage", Timeframe: interval.Duration(time.Minute)}
		Expect(s.AddDues(ctx, []window.Due{window.NewDue("r", 1, spec.Parts()[0], 0, "")})).To(Succeed())
		for i := range 2 {
			token, dues, err := s.ClaimDues(ctx, now, now, 10)
			Expect(err).NotTo(HaveOccurred())
			Expect(dues).To(HaveLen(1))
			Expect(dues[0].Tries).To(Equal(i))
			Expect(s.PostponeDues(ctx, token, dues, now.Add(time.Minute), "slow")).To(Succeed())
			_, dues, err = s.ClaimDues(ctx, now, now, 10)
			Expect(err).NotTo(HaveOccurred())
			Expect(dues).To(BeEmpty())
			now = now.Add(time.Minute)
		}
		token, dues, err := s.ClaimDues(ctx, now, now, 10)
		Expect(err).NotTo(HaveOccurred())
		Expect(dues[0].Error).To(Equal("slow"))
		Expect(s.SleepDues(ctx, token, dues, now, "asleep")).To(Succeed())
		_, dues, err = s.ClaimDues(ctx, now, now, 10)
		Expect(err).NotTo(HaveOccurred())
		Expect(dues).To(ConsistOf(And(HaveField("Error", "asleep"), HaveField("Tries", 2))), "nobody tried")
	}, SpecTimeout(time.Minute))

	It("are made once by many at a time", func(ctx SpecContext) {
		s := fresh(ctx)
		spec := window.Spec{Kind: "percentage", Timeframe: interval.Duration(time.Minute)}
		var dues []window.Due
		for i := range 20 {
			dues = append(dues, window.NewDue(fmt.Sprint("r", i), 1, spec.Parts()[0], 0, ""))
		}
		ended := make(chan error, 4)
		for range cap(ended) {
			go func() { ended <- s.AddDues(ctx, dues) }()
		}
		for range cap(ended) {
			Expect(<-ended).To(Succeed())
		}
		_, found, err := s.ClaimDues(ctx, time.Now(), time.Now(), 100)
		Expect(err).NotTo(HaveOccurred())
		Expect(found).To(HaveLen(20))
	}, SpecTimeout(time.Minute))
})

func ids(dues []window.Due) []string {
	all := make([]string, len(dues))
	for i, d := range dues {
		all[i] = d.ID
	}
	return all
}
