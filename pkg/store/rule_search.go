package store

import (
	"context"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"
	"go.mongodb.org/mongo-driver/mongo/options"

	"github.com/events-aggregator/events-aggregator/pkg/backtest"
	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/pkg/rule/window"
)

// Stored is the store as a back-test sees it.
type Stored struct{ Store *Store }

// Search looks for the events of a rule.
func (s Stored) Search(conditions bson.Raw) backtest.Search { return s.Store.RuleSearch(conditions) }

// Windows are the events that a rule's windows count.
func (s Stored) Windows(r *rule.Rule) window.Source { return s.Store.RuleEvents(r) }

// EventsByID reads stored events by their _id.
func (s Stored) EventsByID(ctx context.Context, ids []primitive.ObjectID) (map[primitive.ObjectID]bson.Raw, error) {
	return s.Store.EventsByID(ctx, ids)
}

// RuleSearch is what the database finds by a rule's condition: the stored events
// that a rule-worker would have matched. Every method may take as long as its
// context says; what takes longer is TooSlow.
type RuleSearch struct {
	store      *Store
	conditions bson.A
}

// RuleSearch looks for the events of a rule.
func (s *Store) RuleSearch(conditions bson.Raw) RuleSearch {
	return RuleSearch{s, ruleConditions(conditions)}
}

// ruleConditions are a rule's condition without the events that no rule would be
// asked about.
func ruleConditions(conditions bson.Raw) bson.A {
	all := bson.A{conditions, bson.D{field("$nor", bson.A{bson.D{field("metadata.hops",
		// As the matcher, which an array of hops does not impress.
		bson.D{field("$gte", rule.MaxHops), field("$not", bson.D{field("$type", "array")})})}})}}
	if !rule.NamesDelivery(conditions) {
		all = append(all, bson.D{field("type", bson.D{field("$ne", rule.DeliveryType)})})
	}
	return all
}

// Without are the events of this rule that are none of the other's.
func (q RuleSearch) Without(other backtest.Search) backtest.Search {
	o, ok := other.(RuleSearch)
	if !ok { // of another source, which has none of these events
		return q
	}
	return RuleSearch{q.store, append(slices.Clone(q.conditions), bson.D{field("$nor", bson.A{bson.D{field("$and", o.conditions)}})})}
}

func (q RuleSearch) filter(from, to time.Time) bson.D {
	return bson.D{field("timestamp", bson.D{field("$gte", from), field("$lt", to)}), field("$and", q.conditions)}
}

// Counts counts the events in [from, to) by hour or day (UTC), those with any, in
// the order of time.
func (q RuleSearch) Counts(ctx context.Context, from, to time.Time, unit string) ([]backtest.Count, error) {
	const doing = "count a rule's events"
	cur, err := q.store.events.Aggregate(ctx, bson.A{
		bson.D{field("$match", q.filter(from, to))},
		bson.D{field("$group", bson.D{
			field("_id", bson.D{field("$dateTrunc", bson.D{field("date", "$timestamp"), field("unit", unit)})}),
			field("events", bson.D{field("$sum", 1)}),
		})},
	}, options.Aggregate().SetMaxTime(timeLeft(ctx)))
	var found []struct {
		At     time.Time `bson:"_id"`
		Events int64     `bson:"events"`
	}
	if err == nil {
		err = cur.All(ctx, &found)
	}
	counts := make([]backtest.Count, len(found))
	for i, f := range found {
		counts[i] = backtest.Count{At: f.At.UTC(), Matches: f.Events}
	}
	slices.SortFunc(counts, func(a, b backtest.Count) int { return a.At.Compare(b.At) })
	return counts, searched(doing, err)
}

// Events hands the events in [from, to) to f in the order of time, the newest
// first if so asked, at most limit (0: all), until f returns false. fields are
// read, nil: all but what was derived for searching.
func (q RuleSearch) Events(ctx context.Context, from, to time.Time, newest bool, limit int, fields []string, f func(bson.Raw) bool) error {
	const doing = "read a rule's events"
	direction := 1
	if newest {
		direction = -1
	}
	read := bson.D{field("search_text", 0)}
	if fields != nil {
		read = bson.D{}
		for _, name := range fields {
			read = append(read, field(name, 1))
		}
	}
	cur, err := q.store.events.Find(ctx, q.filter(from, to), options.Find().SetProjection(read).
		SetSort(keys("timestamp", direction)).SetLimit(int64(limit)).SetMaxTime(timeLeft(ctx)))
	if err != nil {
		return searched(doing, err)
	}
	defer func() { _ = cur.Close(context.WithoutCancel(ctx)) }()
	for cur.Next(ctx) {
		if !f(cur.Current) {
			return nil
		}
	}
	return searched(doing, cur.Err())
}

// timeLeft is the server's part of a context's time, so that it does not work on
// for nobody.
func timeLeft(ctx context.Context) time.Duration {
	until, ok := ctx.Deadline()
	if !ok {
		return operationTimeout
	}
	return max(time.Until(until), time.Millisecond)
}
