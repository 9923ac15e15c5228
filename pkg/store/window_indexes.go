package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"
	"go.mongodb.org/mongo-driver/mongo/options"

	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/pkg/rule/window"
)

// A rule with a window reads its events by time. What serves that is an index
// that begins with fields which the condition fixes, followed by the timestamp;
// a condition that fixes none reads all events of the time anyhow. A rule that
// looks for the events of one key besides needs the key's fields in the index,
// too, unless its condition has few events as far as it looks.

// MissingIndex is an index that a rule needs and the database lacks.
type MissingIndex struct {
	Rule  int      // its place among those asked about
	Paths []string // ascending
}

// String is the index as createIndex takes it.
func (m MissingIndex) String() string {
	parts := make([]string, len(m.Paths))
	for i, p := range m.Paths {
		parts[i] = fmt.Sprintf("%q: 1", p)
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

const (
	// fewEventsDefault may be read for each look-up; more need an index of their own.
	fewEventsDefault = 20_000
	// heavyDefault is half of what an evaluation may read: twice the load of today is
	// soon there.
	heavyDefault = window.MaxObservations / 2
	// countTime bounds the counting of what may be more.
	countTime = 5 * time.Second
)

// MissingIndexes names the indexes without which the rules' windows would read
// too much, at most one for each rule.
func (s *Store) MissingIndexes(ctx context.Context, rules []rule.Rule) ([]MissingIndex, error) {
	var have []eventIndex
	var missing []MissingIndex
	for i := range rules {
		if rules[i].Window == nil {
			continue
		}
		if have == nil {
			var err error
			if have, err = s.eventIndexes(ctx); err != nil {
				return nil, err
			}
		}
		paths, err := s.missingIndex(ctx, &rules[i], have)
		if err != nil {
			return nil, err
		}
		if paths != nil {
			missing = append(missing, MissingIndex{Rule: i, Paths: paths})
		}
	}
	return missing, nil
}

// missingIndex are the fields of the index that a rule lacks, nil when it lacks
// none.
func (s *Store) missingIndex(ctx context.Context, r *rule.Rule, have []eventIndex) ([]string, error) {
	fixed := fixedPaths(r)
	keys, back := r.Window.LooksUp()
	keys = slices.DeleteFunc(slices.Clone(keys), func(p string) bool { return slices.Contains(fixed, p) || p == timestamp })
	if len(keys) > 0 {
		if slices.ContainsFunc(have, func(ix eventIndex) bool { return ix.serves(fixed, keys) }) {
			return nil, nil
		}
		few, err := s.hasFew(ctx, r, back)
		if err != nil {
			return nil, err
		}
		if !few {
			return append(append(fixed, keys...), timestamp), nil
		}
	}
	if len(fixed) == 0 || slices.ContainsFunc(have, func(ix eventIndex) bool { return ix.serves(fixed, nil) }) {
		return nil, nil
	}
	return append(append(fixed, keys...), timestamp), nil
}

const timestamp = "timestamp"

// fixedPaths are what an index for the rule should begin with: one or two are
// enough, and those that many rules have in common come first.
func fixedPaths(r *rule.Rule) []string {
	fixed := rule.EqualPaths(r.Conditions)
	fixed = slices.DeleteFunc(fixed, func(p string) bool { return p == timestamp })
	rank := func(p string) int {
		switch p {
		case "type":
			return 0
		case "source":
			return 1
		default:
			return 2
		}
	}
	slices.SortStableFunc(fixed, func(a, b string) int { return rank(a) - rank(b) })
	fixed = slices.Compact(fixed)
	return slices.Clip(fixed[:min(len(fixed), 2)])
}

// hasFew says whether the rule's condition has few events as far back as it
// looks.
func (s *Store) hasFew(ctx context.Context, r *rule.Rule, back time.Duration) (bool, error) {
	n, err := s.countSince(ctx, r, back, s.few+1)
	if errors.As(err, new(*TooSlow)) {
		return false, nil
	}
	return n <= s.few, err
}

// WindowLoad is what one evaluation of a rule reads at once.
type WindowLoad struct {
	Events int64 // that came lately, at least
	In     time.Duration
}

// HeavyWindow says how many events one evaluation of a rule would have to read at
// once by what came lately, if that is at least half of what it may; nil: it is
// not, or could not be counted in time.
func (s *Store) HeavyWindow(ctx context.Context, r *rule.Rule) (*WindowLoad, error) {
	if r.Window == nil {
		return nil, nil //nolint:nilnil // there is nothing to say
	}
	in := r.Window.ReadAtOnce()
	if in == 0 {
		return nil, nil //nolint:nilnil // there is nothing to say
	}
	n, err := s.countSince(ctx, r, in, s.heavy)
	if errors.As(err, new(*TooSlow)) || err == nil && n < s.heavy {
		return nil, nil //nolint:nilnil // there is nothing to say
	}
	return &WindowLoad{Events: n, In: in}, err
}

// countSince counts a rule's events of the last time, up to most.
func (s *Store) countSince(ctx context.Context, r *rule.Rule, back time.Duration, most int64) (int64, error) {
	bound, cancel := context.WithTimeout(ctx, countTime)
	defer cancel()
	n, err := s.events.CountDocuments(bound, conjunction(bson.A{r.Conditions,
		bson.D{field(timestamp, bson.D{field("$gte", primitive.NewDateTimeFromTime(time.Now().Add(-back)))})}}),
		options.Count().SetLimit(most).SetMaxTime(countTime))
	return n, searched("count a rule's events", err)
}

// eventIndex is an index of the events.
type eventIndex struct {
	paths   []string
	partial string // holds only the events that have this field; "?" for any other condition
}

// serves says whether a query finds its events by the index: it begins with
// fixed fields and those of the key, in any order, all of the key's among them,
// and goes on with the timestamp.
func (ix eventIndex) serves(fixed, keys []string) bool {
	if ix.partial != "" && !slices.Contains(fixed, ix.partial) {
		return false
	}
	at := slices.Index(ix.paths, timestamp)
	if at < 1 {
		return false
	}
	for _, p := range ix.paths[:at] {
		if !slices.Contains(fixed, p) && !slices.Contains(keys, p) {
			return false
		}
	}
	for _, k := range keys {
		if !slices.Contains(ix.paths[:at], k) {
			return false
		}
	}
	return true
}

func (s *Store) eventIndexes(ctx context.Context) ([]eventIndex, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	cur, err := s.events.Indexes().List(ctx)
	var found []struct {
		Key     bson.Raw `bson:"key"`
		Partial bson.Raw `bson:"partialFilterExpression"`
	}
	if err == nil {
		err = cur.All(ctx, &found)
	}
	if err != nil {
		return nil, classify("list indexes of events", err)
	}
	indexes := make([]eventIndex, len(found))
	for i, f := range found {
		elements, _ := f.Key.Elements()
		for _, e := range elements {
			indexes[i].paths = append(indexes[i].paths, e.Key())
		}
		if len(f.Partial) == 0 {
			continue
		}
		indexes[i].partial = "?"
		if conditions, err := f.Partial.Elements(); err == nil && len(conditions) == 1 {
			if of, ok := conditions[0].Value().DocumentOK(); ok && of.Lookup("$exists").Value != nil {
				indexes[i].partial = conditions[0].Key()
			}
		}
	}
	return indexes, nil
}

// CreateIndexes makes indexes of the events that rules need. Building one over
// many events takes minutes; a build that goes on longer than the caller waits
// ends by itself on the server.
func (s *Store) CreateIndexes(ctx context.Context, missing []MissingIndex) error {
	for _, m := range missing {
		ix := Index{Collection: "events", Name: "window_" + strings.Join(m.Paths, "_")}
		for _, p := range m.Paths {
			ix.Keys = append(ix.Keys, field(p, 1))
		}
		if err := s.create(ctx, ix); err != nil {
			return err
		}
	}
	return nil
}
