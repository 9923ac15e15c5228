package window

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"
)

// Observation is one event as windows see it. Times are in milliseconds since
// 1970, as the database has them.
type Observation struct {
	At      int64              // the event's timestamp
	ID      primitive.ObjectID // its _id
	Key     string             // the bytes of its group_by key
	Value   string             // the bytes of its field as a key; empty when it has none, or null
	Matched bool               // it fulfils match
}

// Source is where the events of one rule are: those that fulfil its condition
// and that its windows count.
type Source interface {
	// Observe hands the observations that a query asks for to f, until f
	// returns false.
	Observe(ctx context.Context, q Query, f func(Observation) bool) error
}

// Query selects observations.
type Query struct {
	From, To int64    // timestamps from From on and before To
	Keys     []string // of these keys only; nil: of all
	Value    string   // with this value of field only; empty: with any
	Present  bool     // only with a value of field
	Order    Order
	Wanted   int  // how many are asked for, 0: all; a hint
	Values   bool // Value is asked for
	Matches  bool // Matched is asked for
}

// Order is the order of observations.
type Order int8

// Without an order the source does what is cheapest.
const (
	AnyOrder Order = iota
	OldestFirst
	NewestFirst
)

// MaxObservations bounds what one evaluation reads: about 50 MB.
const MaxObservations = 500_000

// ReadAtOnce is how long a time one evaluation reads with the events of all keys;
// 0: each evaluation reads the events of some keys. More than MaxObservations in
// it cannot be decided.
func (s *Spec) ReadAtOnce() time.Duration {
	longest := int64(0)
	for _, p := range s.Parts() {
		if whole, is := p.evaluator.(atOnce); is {
			longest = max(longest, whole.atOnce())
		}
	}
	return time.Duration(longest) * time.Millisecond
}

// atOnce marks the evaluators that read the events of all keys at once.
type atOnce interface{ atOnce() int64 }

func (p drop) atOnce() int64     { return 2 * p.timeframe }
func (p share) atOnce() int64    { return p.timeframe }
func (p monotony) atOnce() int64 { return p.timeframe }
func (single) atOnce() int64     { return singleSlot }

func (p rise) atOnce() int64 {
	if p.late {
		return 3 * p.timeframe
	}
	return 0
}

// ErrTooMany: a rule's windows hold more events than an evaluation may read.
var ErrTooMany = errors.New("its windows hold more events than one evaluation may read; a narrower condition, a group_by or a shorter timeframe is needed")

var errFull = errors.New("more observations than asked for")

// reader reads from a source, within bounds.
type reader struct {
	source Source
	left   int // observations that may still be read; negative: any number
}

// each hands over what a query asks for, until f returns false.
func (r *reader) each(ctx context.Context, q Query, f func(Observation) bool) error {
	var full error
	err := r.source.Observe(ctx, q, func(o Observation) bool {
		if r.left == 0 {
			full = ErrTooMany
			return false
		}
		r.left--
		return f(o)
	})
	return cmp.Or(err, full)
}

// all is every observation that a query asks for; more than limit are errFull.
func (r *reader) all(ctx context.Context, q Query, limit int) ([]Observation, error) {
	var got []Observation
	var full error
	err := r.each(ctx, q, func(o Observation) bool {
		if len(got) == limit {
			full = errFull
			return false
		}
		got = append(got, o)
		return true
	})
	return got, cmp.Or(err, full)
}

// tooMany is what errFull means where there is no other way to read.
func tooMany(err error) error {
	if errors.Is(err, errFull) {
		return ErrTooMany
	}
	return err
}

// some is the first n observations in the query's order.
func (r *reader) some(ctx context.Context, q Query, n int) ([]Observation, error) {
	if n == 0 {
		return nil, nil
	}
	q.Wanted = n
	got := make([]Observation, 0, min(n, 64))
	err := r.each(ctx, q, func(o Observation) bool {
		got = append(got, o)
		return len(got) < n
	})
	return got, err
}

// exists says whether there is an observation.
func (r *reader) exists(ctx context.Context, q Query) (bool, error) {
	q.Order = NewestFirst // on an index that ends in the timestamp the first entry answers
	got, err := r.some(ctx, q, 1)
	return len(got) > 0, err
}

// byKey is each key's observations in the order of time.
func byKey(all []Observation) (keys []string, series map[string][]Observation) {
	series = map[string][]Observation{}
	for _, o := range all {
		if _, known := series[o.Key]; !known {
			keys = append(keys, o.Key)
		}
		series[o.Key] = append(series[o.Key], o)
	}
	slices.Sort(keys) // alerts come in the same order every time
	for _, s := range series {
		sortByTime(s)
	}
	return keys, series
}

func sortByTime(s []Observation) {
	slices.SortFunc(s, func(a, b Observation) int {
		return cmp.Or(cmp.Compare(a.At, b.At), slices.Compare(a.ID[:], b.ID[:]))
	})
}

// ValueOf is an observation's Value of the key of its field alone.
func ValueOf(key string) string {
	if bson.Raw(key).Index(0).Value().Type == bson.TypeNull {
		return ""
	}
	return key
}
