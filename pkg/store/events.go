package store

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"
	"go.mongodb.org/mongo-driver/mongo/options"
)

// KnownEvents returns which of the ids are stored.
func (s *Store) KnownEvents(ctx context.Context, eventIDs []string) (map[string]bool, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	known := map[string]bool{}
	if len(eventIDs) == 0 {
		return known, nil
	}
	cur, err := s.events.Find(ctx, bson.D{field("event_id", bson.D{field("$in", eventIDs)})},
		options.Find().SetProjection(bson.D{field("_id", 0), field("event_id", 1)}))
	if err != nil {
		return nil, classify("look up event ids", err)
	}
	defer cur.Close(ctx)
	for cur.Next(ctx) {
		id, _ := cur.Current.Lookup("event_id").StringValueOK()
		known[id] = true
	}
	return known, classify("look up event ids", cur.Err())
}

// Event reads one stored event by its event_id.
func (s *Store) Event(ctx context.Context, eventID string) (bson.Raw, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	raw, err := s.events.FindOne(ctx, bson.D{field("event_id", eventID)}, options.FindOne().SetMaxTime(timeLeft(ctx))).Raw()
	return raw, guarded("read event "+eventID, err)
}

// EventFilter selects events; zero values do not restrict.
type EventFilter struct {
	Type, Source               string
	SeverityMin, SeverityMax   int
	UserID, SessionID, TraceID string
	Rule                       string   // a rule that matched
	Rules                      []string // one of them matched
	AnyRule                    bool     // any rule matched
	Processed                  *bool
	From, To                   time.Time // timestamp, To exclusive
	Near                       *Circle   // metadata.location lies in it
	CausedBy                   string    // the event that an action caused it for
	Condition                  bson.Raw  // a condition of the rule language, checked by the caller
}

// Circle is a part of the globe.
type Circle struct{ Longitude, Latitude, Metres float64 }

// earthRadius is MongoDB's, in metres.
const earthRadius = 6_378_100

// within is the circle as $geoWithin takes it, which goes together with text
// search and any order; $near does not.
func (c Circle) within() bson.D {
	return bson.D{field("$geoWithin", bson.D{field("$centerSphere", bson.A{bson.A{c.Longitude, c.Latitude}, c.Metres / earthRadius})})}
}

// Query is the filter as MongoDB sees it.
func (f EventFilter) Query() bson.D {
	q := bson.D{}
	equal := func(path, value string) {
		if value != "" {
			q = append(q, field(path, value))
		}
	}
	equal("type", f.Type)
	equal("source", f.Source)
	equal("user_id", f.UserID)
	equal("session_id", f.SessionID)
	equal("trace_id", f.TraceID)
	equal("matched_rules", f.Rule)
	equal("metadata.caused_by", f.CausedBy)
	if len(f.Rules) > 0 {
		q = append(q, field("matched_rules", bson.D{field("$in", f.Rules)}))
	} else if f.AnyRule {
		q = append(q, field("matched_rules", bson.D{field("$exists", true)}))
	}
	q = append(q, f.severity()...)
	q = appendRange(q, "timestamp", !f.From.IsZero(), f.From, !f.To.IsZero(), "$lt", f.To)
	if f.Processed != nil {
		q = append(q, field("processed", *f.Processed))
	}
	if f.Near != nil {
		q = append(q, field("metadata.location", f.Near.within()))
	}
	if len(f.Condition) > 0 {
		q = append(q, field("$and", bson.A{f.Condition}))
	}
	return q
}

// severity is the filter's range of it, if it has one.
func (f EventFilter) severity() bson.D {
	return appendRange(bson.D{}, "severity", f.SeverityMin > 0, f.SeverityMin, f.SeverityMax > 0, "$lte", f.SeverityMax)
}

func appendRange(q bson.D, path string, hasMin bool, low any, hasMax bool, below string, high any) bson.D {
	r := bson.D{}
	if hasMin {
		r = append(r, field("$gte", low))
	}
	if hasMax {
		r = append(r, field(below, high))
	}
	if len(r) == 0 {
		return q
	}
	return append(q, field(path, r))
}

// CountEvents counts the events that match, up to limit (0: all).
func (s *Store) CountEvents(ctx context.Context, f EventFilter, limit int64) (int64, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	o := options.Count().SetMaxTime(timeLeft(ctx))
	if limit > 0 {
		o.SetLimit(limit)
	}
	n, err := s.events.CountDocuments(ctx, f.Query(), o)
	return n, searched("count events", err)
}

// EventCounts says how many events are stored (from the collection's metadata,
// without counting) and how many of them the rule-workers have not decided yet
// (from the ledger).
func (s *Store) EventCounts(ctx context.Context) (stored, unprocessed int64, err error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	if stored, err = s.events.EstimatedDocumentCount(ctx, options.EstimatedDocumentCount().SetMaxTime(operationTimeout/2)); err != nil {
		return 0, 0, searched("count events", err)
	}
	cur, err := s.batches.Aggregate(ctx, bson.A{
		bson.D{field("$match", openStage(Matched))},
		bson.D{field("$group", bson.D{field("_id", nil), field("events", bson.D{field("$sum", "$count")})})},
	}, options.Aggregate().SetMaxTime(operationTimeout/2))
	var sums []struct {
		Events int64 `bson:"events"`
	}
	if err == nil {
		err = cur.All(ctx, &sums)
	}
	if len(sums) > 0 {
		unprocessed = sums[0].Events
	}
	return stored, unprocessed, classify("count undecided events", err)
}

// EventsByID reads stored events by their _id; those that are gone are missing.
func (s *Store) EventsByID(ctx context.Context, ids []primitive.ObjectID) (map[primitive.ObjectID]bson.Raw, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	byID := make(map[primitive.ObjectID]bson.Raw, len(ids))
	if len(ids) == 0 {
		return byID, nil
	}
	cur, err := s.events.Find(ctx, listedEvents(ids))
	var docs []bson.Raw
	if err == nil {
		err = cur.All(ctx, &docs)
	}
	for _, d := range docs {
		id, _ := d.Lookup("_id").ObjectIDOK()
		byID[id] = d
	}
	return byID, classify("read events", err)
}

// Events reads stored events by their event_id; those that are gone are missing.
func (s *Store) Events(ctx context.Context, eventIDs []string) (map[string]bson.Raw, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	byID := make(map[string]bson.Raw, len(eventIDs))
	if len(eventIDs) == 0 {
		return byID, nil
	}
	cur, err := s.events.Find(ctx, bson.D{field("event_id", bson.D{field("$in", eventIDs)})}, options.Find().SetMaxTime(timeLeft(ctx)))
	var docs []bson.Raw
	if err == nil {
		err = cur.All(ctx, &docs)
	}
	for _, d := range docs {
		id, _ := d.Lookup("event_id").StringValueOK()
		byID[id] = d
	}
	return byID, guarded("read events", err)
}
