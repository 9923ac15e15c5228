package store

import (
	"context"
	"reflect"
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"

	"github.com/events-aggregator/events-aggregator/pkg/rule"
)

// EventList is what a list of events asks for.
type EventList struct {
	EventFilter

	OldestFirst bool
	After       *EventPosition // goes on behind it; nil begins
	Limit       int
	Fields      []string // paths to read beside event_id and timestamp; nil: all
	Lean        bool     // of all, without what was derived for searching
}

// EventPosition is the place of an event in the order of lists.
type EventPosition struct {
	Timestamp time.Time
	ID        primitive.ObjectID
}

// PositionOf is where an event of a list stands.
func PositionOf(doc bson.Raw) EventPosition {
	at, _ := doc.Lookup("timestamp").TimeOK()
	id, _ := doc.Lookup("_id").ObjectIDOK()
	return EventPosition{Timestamp: at.UTC(), ID: id}
}

// FindEvents lists events, the newest first unless the list says otherwise.
func (s *Store) FindEvents(ctx context.Context, l EventList) (docs []bson.Raw, err error) {
	err = s.EachEvent(ctx, l, func(doc bson.Raw) error {
		docs = append(docs, slices.Clone(doc))
		return nil
	})
	return docs, err
}

// EachEvent hands the events of a list to f as they come, so that no more than
// one answer of the server is in memory; f may not keep what it is given. The
// order is (timestamp, _id), so pages stay stable while events arrive. A query
// that takes longer than ctx allows is TooSlow.
func (s *Store) EachEvent(ctx context.Context, l EventList, f func(bson.Raw) error) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	how := l.served()
	t := timeline{
		collection: s.events, doing: "list events", path: timestamp, index: how.index, by: how.by, untimed: how.untimed, rest: l.besides(how),
		from: l.From, to: l.To, limit: l.Limit, oldestFirst: l.OldestFirst, maxTime: func() time.Duration { return timeLeft(ctx) },
	}
	if l.After != nil {
		t.after = &place{l.After.Timestamp, l.After.ID}
	}
	switch {
	case l.Fields != nil:
		t.project = projection(l.Fields)
	case l.Lean:
		t.project = bson.D{field("search_text", 0)}
	}
	return t.each(ctx, s, func(doc bson.Raw) (bool, error) { return true, f(doc) })
}

// batchMost bounds the events of one answer of the server.
const batchMost = 1000

// projection reads some fields. A path within another one is left out, since
// the server refuses both.
func projection(fields []string) bson.D {
	read := bson.D{field("event_id", 1), field(timestamp, 1)}
	for _, path := range fields {
		within := slices.ContainsFunc(fields, func(other string) bool { return strings.HasPrefix(path, other+".") })
		always := slices.ContainsFunc(read[:2], func(e bson.E) bool { return path == e.Key || strings.HasPrefix(path, e.Key+".") })
		if !within && !always {
			read = append(read, field(path, 1))
		}
	}
	return read
}

// indexOfPath are the indexes that begin with a path, in the order in which they
// narrow.
var indexOfPath = []struct {
	path, index string
	untimed     bool
}{
	{"event_id", "event_id", true}, {"trace_id", "trace", true}, {"session_id", "session_time", false}, {"user_id", "user_time", false},
	{"matched_rules", "rules_time", false}, {"metadata.caused_by", "caused", false}, {"type", "type_time", false}, {"source", "source_time", false},
}

// served is how an index finds the events of a filter.
type served struct {
	index   string // "": for the server to say
	by      bson.D // what it begins with, before the time
	untimed bool   // it has no time
}

// served is the index that finds a list.
func (f EventFilter) served() served {
	equal := func(index, path, value string) served { return served{index: index, by: bson.D{field(path, value)}} }
	switch {
	case f.CausedBy != "":
		return equal("caused", "metadata.caused_by", f.CausedBy)
	case f.TraceID != "":
		one := equal("trace", "trace_id", f.TraceID)
		one.untimed = true
		return one
	case f.SessionID != "":
		return equal("session_time", "session_id", f.SessionID)
	case f.UserID != "":
		return equal("user_time", "user_id", f.UserID)
	case f.Rule != "":
		return equal("rules_time", "matched_rules", f.Rule)
	case f.Type != "":
		return equal("type_time", "type", f.Type)
	case f.Source != "":
		return equal("source_time", "source", f.Source)
	case f.SeverityMin >= ErrorSeverity:
		return served{index: "error_time", by: f.severity()} // by which the server knows that the index has them all
	}
	if how, ok := f.servedCondition(); ok {
		return how
	}
	switch {
	case f.Near != nil && f.From.IsZero():
		return served{index: "location", by: bson.D{field("metadata.location", f.Near.within())}, untimed: true}
	case f.Near != nil:
		return served{by: bson.D{field("metadata.location", f.Near.within())}, untimed: true}
	case len(f.Rules) == 0 && !f.AnyRule:
		return served{index: "time"}
	default:
		return served{}
	}
}

// servedCondition is the index by a path that the condition fixes.
func (f EventFilter) servedCondition() (served, bool) {
	if len(f.Condition) == 0 {
		return served{}, false
	}
	fixed := rule.EqualPaths(f.Condition)
	for _, ix := range indexOfPath {
		if !slices.Contains(fixed, ix.path) {
			continue
		}
		how := served{index: ix.index, untimed: ix.untimed}
		// A value that stands for itself is asked for beside the condition.
		if elements, err := f.Condition.Elements(); err == nil {
			for _, e := range elements {
				if _, text := e.Value().StringValueOK(); text && e.Key() == ix.path {
					how.by = bson.D{field(ix.path, e.Value())}
				}
			}
		}
		if how.untimed && how.by == nil {
			how.by = bson.D{field("$and", bson.A{f.Condition})}
		}
		return how, true
	}
	if len(fixed) > 0 { // somebody may have made an index for it
		return served{by: bson.D{field("$and", bson.A{f.Condition})}, untimed: true}, true
	}
	return served{}, false
}

// besides are the fields of the filter that are neither in how nor the time. One
// that how asks for another value of is no less of the filter: a condition may name
// a field that the filter restricts, too.
func (f EventFilter) besides(how served) bson.D {
	f.From, f.To = time.Time{}, time.Time{}
	return slices.DeleteFunc(f.Query(), func(e bson.E) bool {
		return slices.ContainsFunc(how.by, func(b bson.E) bool { return reflect.DeepEqual(b, e) })
	})
}

// selected is what a pipeline matches that reads all events of a filter by an
// index.
func (f EventFilter) selected(how served, more ...bson.E) bson.D {
	at := appendRange(bson.D{}, timestamp, !f.From.IsZero(), f.From, !f.To.IsZero(), "$lt", f.To)
	if len(at) == 0 && how.index == "error_time" { // which begins with it; all events have one
		at = bson.D{field(timestamp, bson.D{field("$gte", time.Time{})})}
	}
	rest := append(f.besides(how), more...)
	if how.untimed {
		return selection(how.by, append(at, rest...))
	}
	return selection(append(slices.Clone(how.by), at...), rest)
}

// Whole says whether each event passes the filter, up to some time: a list of the
// first ones finds them at once.
func (f EventFilter) Whole() bool {
	f.To = time.Time{}
	return len(f.Query()) == 0
}

// Narrowed says whether an index, or a time to begin at, keeps the server from
// reading all events for a filter: most of them may not pass it.
func (s *Store) Narrowed(ctx context.Context, f EventFilter) (bool, error) {
	switch {
	case !f.From.IsZero(), f.Near != nil, f.CausedBy != "", f.Rule != "", len(f.Rules) > 0, f.AnyRule,
		f.TraceID+f.SessionID+f.UserID+f.Type+f.Source != "", f.SeverityMin >= ErrorSeverity:
		return true, nil
	case len(f.Condition) == 0:
		return false, nil
	case rule.Since(f.Condition, timestamp):
		return true, nil
	}
	fixed := rule.EqualPaths(f.Condition)
	if len(fixed) == 0 {
		return false, nil
	}
	for _, ix := range indexOfPath {
		if slices.Contains(fixed, ix.path) {
			return true, nil
		}
	}
	have, err := s.eventIndexes(ctx)
	return slices.ContainsFunc(have, func(ix eventIndex) bool {
		return len(ix.paths) > 0 && slices.Contains(fixed, ix.paths[0]) && (ix.partial == "" || slices.Contains(fixed, ix.partial))
	}), err
}
