package store

import (
	"context"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"
)

// DeadLetterRecord is a document of `dead_letters`. The message itself lives
// in the broker; the record is for search, grouping and history.
type DeadLetterRecord struct {
	ID             string         `bson:"_id" json:"dead_id"`
	Queue          string         `bson:"queue" json:"queue"`
	Reason         string         `bson:"reason" json:"reason"`
	ErrorClass     string         `bson:"error_class" json:"error_class"`
	Error          string         `bson:"error" json:"error"`
	Fingerprint    string         `bson:"fingerprint" json:"fingerprint"` // the normalised error text
	EventID        string         `bson:"event_id,omitempty" json:"event_id,omitempty"`
	NotificationID string         `bson:"notification_id,omitempty" json:"notification_id,omitempty"`
	RuleID         string         `bson:"rule_id,omitempty" json:"rule_id,omitempty"`
	Exchange       string         `bson:"exchange" json:"exchange"`
	RoutingKey     string         `bson:"routing_key" json:"routing_key"`
	FirstFailedAt  *time.Time     `bson:"first_failed_at,omitempty" json:"first_failed_at,omitempty"`
	DeadAt         time.Time      `bson:"dead_at" json:"dead_at"`
	Attempts       int            `bson:"attempts" json:"attempts"`
	Headers        map[string]any `bson:"headers,omitempty" json:"headers,omitempty"`
	Body           []byte         `bson:"body" json:"-"` // at most 64 KiB
	BodySize       int            `bson:"body_size" json:"body_size"`
	ReplayedAt     *time.Time     `bson:"replayed_at,omitempty" json:"replayed_at,omitempty"`
	ReplayID       string         `bson:"replay_id,omitempty" json:"replay_id,omitempty"`
	PurgedAt       *time.Time     `bson:"purged_at,omitempty" json:"purged_at,omitempty"`
	ExpiresAt      time.Time      `bson:"expires_at" json:"-"`
}

// SaveDeadLetters records dead letters; one that is recorded stays as it is.
func (s *Store) SaveDeadLetters(ctx context.Context, records ...DeadLetterRecord) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	models := make([]mongo.WriteModel, len(records))
	for i, r := range records {
		models[i] = mongo.NewUpdateOneModel().SetUpsert(true).
			SetFilter(bson.D{field("_id", r.ID)}).
			SetUpdate(bson.D{field("$setOnInsert", withoutID(r))})
	}
	if len(models) == 0 {
		return nil
	}
	_, err := s.deadLetters.BulkWrite(ctx, models, options.BulkWrite().SetOrdered(false))
	return classify("record dead letters", err)
}

// withoutID encodes a record for $setOnInsert, which takes _id from the filter.
func withoutID(r DeadLetterRecord) any {
	raw, err := bson.Marshal(r)
	if err != nil {
		return r // the driver reports the same error with its place
	}
	elements, err := bson.Raw(raw).Elements()
	if err != nil {
		return r
	}
	doc := make(bson.D, 0, len(elements))
	for _, e := range elements {
		if e.Key() != "_id" {
			doc = append(doc, field(e.Key(), e.Value()))
		}
	}
	return doc
}

// MarkReplayed notes that dead letters were given back to their owner.
func (s *Store) MarkReplayed(ctx context.Context, replayID string, at time.Time, deadIDs ...string) error {
	return s.markDead(ctx, bson.D{field("replayed_at", at), field("replay_id", replayID)}, deadIDs)
}

// MarkPurged notes that dead letters were thrown away.
func (s *Store) MarkPurged(ctx context.Context, at time.Time, deadIDs ...string) error {
	return s.markDead(ctx, bson.D{field("purged_at", at)}, deadIDs)
}

func (s *Store) markDead(ctx context.Context, set bson.D, deadIDs []string) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	_, err := s.deadLetters.UpdateMany(ctx, bson.D{field("_id", bson.D{field("$in", deadIDs)})}, bson.D{field("$set", set)})
	return classify("mark dead letters", err)
}

// DeadLetterFilter selects records; zero values do not restrict.
type DeadLetterFilter struct {
	Queue, Reason, ErrorClass, Fingerprint string
	From, To                               time.Time // dead_at, To exclusive
	Waiting                                bool      // neither replayed nor purged
}

// DeadLetterPosition is a record's place in the order newest first.
type DeadLetterPosition struct {
	DeadAt time.Time
	ID     string
}

func (f DeadLetterFilter) query() bson.D {
	q := bson.D{}
	for _, e := range []struct{ path, value string }{
		{"queue", f.Queue}, {"reason", f.Reason}, {"error_class", f.ErrorClass}, {"fingerprint", f.Fingerprint},
	} {
		if e.value != "" {
			q = append(q, field(e.path, e.value))
		}
	}
	if f.Waiting {
		q = append(q, field("replayed_at", nil), field("purged_at", nil))
	}
	return appendRange(q, "dead_at", !f.From.IsZero(), f.From, !f.To.IsZero(), "$lt", f.To)
}

// FindDeadLetters lists records newest first, after the position.
func (s *Store) FindDeadLetters(ctx context.Context, f DeadLetterFilter, after *DeadLetterPosition, limit int) ([]DeadLetterRecord, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	q := f.query()
	if after != nil {
		q = append(q, field("$or", bson.A{
			bson.D{field("dead_at", bson.D{field("$lt", after.DeadAt)})},
			bson.D{field("dead_at", after.DeadAt), field("_id", bson.D{field("$lt", after.ID)})},
		}))
	}
	cur, err := s.deadLetters.Find(ctx, q, options.Find().
		SetSort(keys("dead_at", -1, "_id", -1)).SetLimit(int64(limit)).SetMaxTime(operationTimeout/2))
	var found []DeadLetterRecord
	if err == nil {
		err = cur.All(ctx, &found)
	}
	return found, classify("list dead letters", err)
}

// DeadLetter reads one record.
func (s *Store) DeadLetter(ctx context.Context, id string) (DeadLetterRecord, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	var r DeadLetterRecord
	err := s.deadLetters.FindOne(ctx, bson.D{field("_id", id)}).Decode(&r)
	return r, classify(fmt.Sprintf("read dead letter %s", id), err)
}

// CountDeadLetters counts the records that match.
func (s *Store) CountDeadLetters(ctx context.Context, f DeadLetterFilter) (int64, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	n, err := s.deadLetters.CountDocuments(ctx, f.query())
	return n, classify("count dead letters", err)
}
