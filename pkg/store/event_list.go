package store

import (
	"context"
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"
	"go.mongodb.org/mongo-driver/mongo/options"

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
	const doing = "list events"
	ctx, cancel := bounded(ctx)
	defer cancel()
	direction, beyond := -1, "$lt"
	if l.OldestFirst {
		direction, beyond = 1, "$gt"
	}
	q := l.Query()
	if l.After != nil {
		q = append(q, field("$or", bson.A{
			bson.D{field(timestamp, bson.D{field(beyond, l.After.Timestamp)})},
			bson.D{field(timestamp, l.After.Timestamp), field("_id", bson.D{field(beyond, l.After.ID)})},
		}), field(timestamp, bson.D{field(beyond+"e", l.After.Timestamp)}))
		q = mergeTimestamp(q)
	}
	o := options.Find().SetSort(keys(timestamp, direction, "_id", direction)).SetLimit(int64(l.Limit)).
		SetMaxTime(timeLeft(ctx)).SetBatchSize(int32(min(l.Limit, batchMost)))
	switch {
	case l.Fields != nil:
		o.SetProjection(projection(l.Fields))
	case l.Lean:
		o.SetProjection(bson.D{field("search_text", 0)})
	}
	if hint := l.listIndex(); hint != "" {
		o.SetHint(hint)
	}
	cur, err := s.events.Find(ctx, q, o)
	if err != nil {
		return searched(doing, err)
	}
	defer func() { _ = cur.Close(context.WithoutCancel(ctx)) }()
	for cur.Next(ctx) {
		if err := f(cur.Current); err != nil {
			return err
		}
	}
	return searched(doing, cur.Err())
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
var indexOfPath = []struct{ path, index string }{
	{"event_id", "event_id"}, {"trace_id", "trace"}, {"session_id", "session_time"}, {"user_id", "user_time"},
	{"matched_rules", "rules_time"}, {"metadata.caused_by", "caused"}, {"type", "type_time"}, {"source", "source_time"},
}

// listIndex is the index that serves a list, "" where that is for the server to
// say.
func (f EventFilter) listIndex() string {
	switch {
	case f.CausedBy != "":
		return "caused"
	case f.Rule != "" && f.TraceID+f.SessionID+f.UserID == "":
		return "rules_time"
	case f.index() != "time":
		return f.index()
	case len(f.Condition) > 0:
		fixed := rule.EqualPaths(f.Condition)
		for _, ix := range indexOfPath {
			if slices.Contains(fixed, ix.path) {
				return ix.index
			}
		}
		if len(fixed) > 0 {
			return "" // somebody may have made an index for it
		}
	}
	switch {
	case f.Near == nil && len(f.Rules) == 0 && !f.AnyRule:
		return "time"
	case f.Near != nil && f.From.IsZero():
		return "location"
	default:
		return ""
	}
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
	case !f.From.IsZero(), f.Near != nil, f.CausedBy != "", f.Rule != "", len(f.Rules) > 0, f.AnyRule, f.index() != "time":
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
