package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"

	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/pkg/rule/window"
)

// RuleEvents are the stored events that a rule's windows count: those that the
// database finds by the rule's condition, without those that no rule would be
// asked about. It is a window.Source.
type RuleEvents struct {
	store      *Store
	conditions bson.Raw
	delivery   bool // delivery outcomes count
	match      bson.Raw
	groupBy    []string
	field      string
}

// RuleEvents looks at events as a rule with a window does.
func (s *Store) RuleEvents(r *rule.Rule) *RuleEvents {
	return &RuleEvents{store: s, conditions: r.Conditions, delivery: rule.NamesDelivery(r.Conditions),
		match: r.Window.Match, groupBy: r.Window.GroupBy, field: r.Window.Field}
}

// counts says whether rules would be asked about an event. It is not left to the
// database: its comparison takes arrays apart, which the matcher does not, and
// some planners use no index for a query with anything besides.
func (e *RuleEvents) counts(doc bson.Raw) bool {
	if rule.Hops(doc) >= rule.MaxHops {
		return false
	}
	kind, _ := doc.Lookup("type").StringValueOK()
	return e.delivery || kind != rule.DeliveryType
}

// TooSlow: a query took longer than its time, which says nothing about others.
type TooSlow struct{ Err error }

func (e *TooSlow) Error() string { return "took too long: " + e.Err.Error() }
func (e *TooSlow) Unwrap() error { return e.Err }

// TooSlow marks the error for those who do not know the type.
func (e *TooSlow) TooSlow() bool { return true }

// Observe reads what a query asks for. The time that it may take is the
// context's; a query that the server refuses, or that is TooSlow, is no outage.
func (e *RuleEvents) Observe(ctx context.Context, q window.Query, f func(window.Observation) bool) error {
	stopped := false
	for _, keys := range e.groups(q) {
		q.Keys = keys
		err := e.observe(ctx, q, func(o window.Observation) bool {
			stopped = !f(o)
			return !stopped
		})
		if err != nil || stopped {
			return err
		}
	}
	return nil
}

// branchesMost is how many keys one query looks for. For two keys in $in one
// supported server reads every event of the time (70 ms of 20,000), for branches
// of $or only those of the keys: 3 ms for 20 of them, and 24 for 100.
const branchesMost = 20

// groups are the keys that are looked for by one query each. Keys that cannot be
// searched are by themselves, lest the others are found through all that has to
// be read for them.
func (e *RuleEvents) groups(q window.Query) [][]string {
	if len(q.Keys) < 2 || len(e.groupBy) == 0 || q.Order != window.AnyOrder {
		return [][]string{q.Keys}
	}
	var search, rest []string
	for _, k := range q.Keys {
		if rule.SearchableKey(k) {
			search = append(search, k)
		} else {
			rest = append(rest, k)
		}
	}
	groups := slices.Collect(slices.Chunk(search, branchesMost))
	if rest != nil {
		groups = append(groups, rest)
	}
	return groups
}

func (e *RuleEvents) observe(ctx context.Context, q window.Query, f func(window.Observation) bool) error {
	matched, err := e.matching(ctx, q)
	if err != nil {
		return err
	}
	wanted := map[string]bool{}
	for _, k := range q.Keys {
		wanted[k] = true
	}
	seen := map[primitive.ObjectID]bool{}
	each := func(doc bson.Raw) bool {
		if !e.counts(doc) {
			return true
		}
		o := e.observation(doc, q.Values || q.Value != "" || q.Present)
		switch {
		case q.Keys != nil && !wanted[o.Key], q.Value != "" && o.Value != q.Value, q.Present && o.Value == "":
			return true // the database's equality finds more than is equal
		}
		if q.Wanted > 0 {
			if seen[o.ID] {
				return true
			}
			seen[o.ID] = true
		}
		o.Matched = matched[o.ID]
		return f(o)
	}
	filter, fields := e.filter(q), e.projection(q)
	if q.Wanted == 0 {
		_, _, err := e.find(ctx, filter, fields, q.Order, 0, each)
		return err
	}
	// A few more than wanted, since not each that is found counts; all the others
	// in the rare case that these were not enough.
	n, stopped, err := e.find(ctx, filter, fields, q.Order, q.Wanted+fewMore, each)
	if err == nil && !stopped && n == q.Wanted+fewMore {
		_, _, err = e.find(ctx, filter, fields, q.Order, 0, each)
	}
	return err
}

const fewMore = 16

// find is one query of the database; n is how many it found.
func (e *RuleEvents) find(ctx context.Context, filter, fields bson.D, order window.Order, limit int, f func(bson.Raw) bool) (n int, stopped bool, err error) {
	o := options.Find().SetProjection(fields).SetLimit(int64(limit))
	switch order {
	case window.OldestFirst:
		o.SetSort(keys("timestamp", 1))
	case window.NewestFirst:
		o.SetSort(keys("timestamp", -1))
	case window.AnyOrder:
	}
	o.SetMaxTime(timeLeft(ctx))
	cur, err := e.store.events.Find(ctx, filter, o)
	if err != nil {
		return 0, false, searched("look for a rule's events", err)
	}
	defer func() { _ = cur.Close(context.WithoutCancel(ctx)) }()
	for cur.Next(ctx) {
		n++
		if !f(cur.Current) {
			return n, true, nil
		}
	}
	return n, false, searched("look for a rule's events", cur.Err())
}

// filter finds all events of a query's keys, and perhaps some of others.
func (e *RuleEvents) filter(q window.Query, also ...any) bson.D {
	// From itself counts. Dates are whole milliseconds, so that is $gt of one less;
	// one supported server loses the bound of $gte on a descending index.
	all := append(bson.A{e.conditions, bson.D{field("timestamp",
		bson.D{field("$gt", primitive.DateTime(q.From-1)), field("$lt", primitive.DateTime(q.To))})}}, also...)
	if q.Value != "" {
		all = append(all, equalities([]string{q.Value})...)
	}
	of := func(keys []string) bson.D { return conjunction(append(slices.Clip(all), equalities(keys)...)) }
	switch {
	case q.Keys == nil || len(e.groupBy) == 0:
		return conjunction(all)
	case len(q.Keys) < 2 || len(q.Keys) > branchesMost || slices.ContainsFunc(q.Keys, func(k string) bool { return !rule.SearchableKey(k) }):
		return of(q.Keys)
	}
	branches := make(bson.A, len(q.Keys)) // each names all of the condition, so that its index is found
	for i := range q.Keys {
		branches[i] = of(q.Keys[i : i+1])
	}
	return bson.D{field("$or", branches)}
}

// conjunction joins conditions side by side as far as their names differ: not
// every planner looks into $and.
func conjunction(conditions bson.A) bson.D {
	joined := bson.D{}
	var rest bson.A
	seen := map[string]bool{}
	for _, c := range conditions {
		raw, err := bson.Marshal(c)
		if err != nil { // the driver says so, with its place
			return bson.D{field("$and", conditions)}
		}
		elements, _ := bson.Raw(raw).Elements()
		for _, e := range elements {
			if seen[e.Key()] {
				rest = append(rest, bson.D{field(e.Key(), e.Value())})
				continue
			}
			seen[e.Key()] = true
			joined = append(joined, field(e.Key(), e.Value()))
		}
	}
	if rest == nil {
		return joined
	}
	if !seen["$and"] {
		return append(joined, field("$and", rest))
	}
	return bson.D{field("$and", append(bson.A{joined}, rest...))}
}

// equalities find, path by path, the events of all the keys, and perhaps some
// of others.
func equalities(keys []string) bson.A {
	var all bson.A
	first, err := bson.Raw(keys[0]).Elements()
	if err != nil {
		return nil
	}
paths:
	for i, e := range first {
		values := make(bson.A, 0, len(keys))
		known := map[string]bool{}
		for _, k := range keys {
			v := bson.Raw(k).Index(uint(i)).Value()
			if !rule.Searchable(e.Key(), v) {
				continue paths
			}
			if id := string(v.Type) + string(v.Value); !known[id] {
				known[id] = true
				values = append(values, v)
			}
		}
		if len(values) == 1 {
			all = append(all, bson.D{field(e.Key(), values[0])})
		} else {
			all = append(all, bson.D{field(e.Key(), bson.D{field("$in", values)})})
		}
	}
	return all
}

// projection names what observations are made of.
func (e *RuleEvents) projection(q window.Query) bson.D {
	paths := []string{"timestamp", "type", "metadata.hops"}
	for _, p := range e.groupBy {
		paths = append(paths, projectable(p))
	}
	if q.Values || q.Value != "" || q.Present {
		paths = append(paths, projectable(e.field))
	}
	slices.Sort(paths) // a path comes before those below it, but other paths may come between
	d := bson.D{}
	for _, p := range paths { // a path and one below it exclude each other
		if !slices.ContainsFunc(d, func(kept bson.E) bool { return p == kept.Key || strings.HasPrefix(p, kept.Key+".") }) {
			d = append(d, field(p, 1))
		}
	}
	return d
}

// projectable is the part of a path that a projection understands: to it,
// numbers are no positions.
func projectable(path string) string {
	parts := strings.Split(path, ".")
	for i, p := range parts {
		if i > 0 && strings.Trim(p, "0123456789") == "" {
			return strings.Join(parts[:i], ".")
		}
	}
	return path
}

func (e *RuleEvents) observation(doc bson.Raw, value bool) window.Observation {
	at, _ := doc.Lookup("timestamp").DateTimeOK()
	id, _ := doc.Lookup("_id").ObjectIDOK()
	o := window.Observation{At: at, ID: id, Key: rule.WindowKey(doc, e.groupBy)}
	if value {
		o.Value = window.ValueOf(rule.WindowKey(doc, []string{e.field}))
	}
	return o
}

// matching are the events that fulfil match as well.
func (e *RuleEvents) matching(ctx context.Context, q window.Query) (map[primitive.ObjectID]bool, error) {
	if !q.Matches {
		return nil, nil //nolint:nilnil // nothing is asked for
	}
	ids := map[primitive.ObjectID]bool{}
	_, _, err := e.find(ctx, e.filter(q, e.match), bson.D{field("_id", 1)}, window.AnyOrder, 0, func(doc bson.Raw) bool {
		id, _ := doc.Lookup("_id").ObjectIDOK()
		ids[id] = true
		return len(ids) <= window.MaxObservations
	})
	return ids, err
}

// away are the server's codes that say nothing about the query.
var away = []int{
	6, 7, 89, // host unreachable, not found, network timeout
	13, 18, // unauthorized, authentication failed
	43, 175, // the cursor, or the plan, was ended there
	91, 189, 9001, 10107, 11600, 11602, 13435, 13436, // shutting down, electing, not primary
}

// guarded is classify for queries of our own that have a time: what the server
// breaks off is TooSlow, and a server that does not answer at all is away.
func guarded(doing string, err error) error {
	if hasCode(err, 50) { // MaxTimeMSExpired
		return fmt.Errorf("%s: %w", doing, &TooSlow{err})
	}
	return classify(doing, err)
}

// refusedQuery: the server refuses a query that others wrote, whatever its code.
type refusedQuery struct{ err error }

func (e *refusedQuery) Error() string { return "the server refuses the query: " + e.err.Error() }
func (e *refusedQuery) Unwrap() error { return e.err }

// searched is classify for queries that others wrote: what the server refuses,
// and what takes too long, is about the query.
func searched(doing string, err error) error {
	var command mongo.CommandError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.DeadlineExceeded), hasCode(err, 50): // MaxTimeMSExpired
		return fmt.Errorf("%s: %w", doing, &TooSlow{err})
	case errors.As(err, &command) && !isAway(err) && !isTransient(err) && !slices.Contains(away, int(command.Code)):
		return fmt.Errorf("%s: %w", doing, &refusedQuery{err})
	default:
		return classify(doing, err)
	}
}
