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
	Queue          string         `bson:"queue" json:"queue"` // the owner, without prefix
	Reason         string         `bson:"reason" json:"reason"`
	ErrorClass     string         `bson:"error_class" json:"error_class"`
	Error          string         `bson:"error" json:"error"`
	Cause          string         `bson:"cause" json:"cause"`             // id of error class and fingerprint
	Fingerprint    string         `bson:"fingerprint" json:"fingerprint"` // the normalised error text
	EventID        string         `bson:"event_id,omitempty" json:"event_id,omitempty"`
	EventTypes     []string       `bson:"event_types,omitempty" json:"event_types,omitempty"`
	NotificationID string         `bson:"notification_id,omitempty" json:"notification_id,omitempty"`
	RuleID         string         `bson:"rule_id,omitempty" json:"rule_id,omitempty"`
	Target         string         `bson:"target,omitempty" json:"target,omitempty"` // host that could not be called
	Exchange       string         `bson:"exchange" json:"exchange"`
	RoutingKey     string         `bson:"routing_key" json:"routing_key"`
	MessageID      string         `bson:"message_id,omitempty" json:"message_id,omitempty"`
	ContentType    string         `bson:"content_type,omitempty" json:"content_type,omitempty"`
	FirstFailedAt  *time.Time     `bson:"first_failed_at,omitempty" json:"first_failed_at,omitempty"`
	DeadAt         time.Time      `bson:"dead_at" json:"dead_at"`
	Attempts       int            `bson:"attempts" json:"attempts"`
	ByBroker       bool           `bson:"by_broker" json:"by_broker"` // dead-lettered by RabbitMQ itself
	Headers        map[string]any `bson:"headers,omitempty" json:"headers,omitempty"`
	Body           []byte         `bson:"body,omitempty" json:"-"` // at most 64 KiB, without secrets
	BodySize       int            `bson:"body_size" json:"body_size"`
	ReplayedAt     *time.Time     `bson:"replayed_at,omitempty" json:"replayed_at,omitempty"`
	ReplayID       string         `bson:"replay_id,omitempty" json:"replay_id,omitempty"`
	PurgedAt       *time.Time     `bson:"purged_at,omitempty" json:"purged_at,omitempty"`
	ExpiresAt      time.Time      `bson:"expires_at" json:"-"`
}

// ends are the fields that tell a dead letter's end. They are set whether or
// not the record is there: the word of a replay may come before the record.
var ends = map[string]bool{"replayed_at": true, "replay_id": true, "purged_at": true}

// SaveDeadLetters records dead letters. One that is recorded stays as it is,
// but for its end (replayed, purged), which is noted whenever it is known.
func (s *Store) SaveDeadLetters(ctx context.Context, records ...DeadLetterRecord) error {
	if len(records) == 0 {
		return nil
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	models := make([]mongo.WriteModel, len(records))
	for i, r := range records {
		update, err := recordUpdate(r)
		if err != nil {
			return fmt.Errorf("encode dead letter %s: %w", r.ID, err)
		}
		models[i] = mongo.NewUpdateOneModel().SetUpsert(true).SetFilter(bson.D{field("_id", r.ID)}).SetUpdate(update)
	}
	_, err := s.deadLetters.BulkWrite(ctx, models, options.BulkWrite().SetOrdered(false))
	if isDuplicateKey(err) {
		// Somebody inserted the same record at the same moment. Now it is there.
		_, err = s.deadLetters.BulkWrite(ctx, models, options.BulkWrite().SetOrdered(false))
	}
	return classify("record dead letters", err)
}

// recordUpdate inserts a record, or notes its end in the one that is there.
func recordUpdate(r DeadLetterRecord) (bson.D, error) {
	raw, err := bson.Marshal(r)
	if err != nil {
		return nil, err
	}
	elements, err := bson.Raw(raw).Elements()
	if err != nil {
		return nil, err
	}
	var insert, set bson.D
	for _, e := range elements {
		switch {
		case e.Key() == "_id": // the filter has it
		case ends[e.Key()]:
			set = append(set, field(e.Key(), e.Value()))
		default:
			insert = append(insert, field(e.Key(), e.Value()))
		}
	}
	update := bson.D{field("$setOnInsert", insert)}
	if len(set) > 0 {
		update = append(update, field("$set", set))
	}
	return update, nil
}

// DeadLetterFilter selects records; zero values do not restrict.
type DeadLetterFilter struct {
	Queue, Reason, ErrorClass, Cause   string
	RuleID, EventID, EventType, Target string
	From, To                           time.Time // dead_at, To exclusive
	Waiting                            bool      // neither replayed nor purged
}

// DeadLetterPosition is a record's place in the order newest first.
type DeadLetterPosition struct {
	DeadAt time.Time
	ID     string
}

func (f DeadLetterFilter) query() bson.D {
	q := bson.D{}
	for _, e := range []struct{ path, value string }{
		{"queue", f.Queue}, {"reason", f.Reason}, {"error_class", f.ErrorClass}, {"cause", f.Cause},
		{"rule_id", f.RuleID}, {"event_id", f.EventID}, {"event_types", f.EventType}, {"target", f.Target},
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
	t := timeline{collection: s.deadLetters, doing: "list dead letters", path: "dead_at", from: f.From, to: f.To, limit: limit, textIDs: true}
	f.From, f.To = time.Time{}, time.Time{}
	if t.by, t.rest = apart(f.query(), "cause", "queue"); t.by == nil && f.Waiting {
		f.Waiting = false
		t.by, t.rest = bson.D{field("replayed_at", nil), field("purged_at", nil)}, f.query()
	}
	if after != nil {
		t.after = &place{after.DeadAt, after.ID}
	}
	return listOf[DeadLetterRecord](ctx, s, t)
}

// DeadLetter reads one record.
func (s *Store) DeadLetter(ctx context.Context, id string) (DeadLetterRecord, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	var r DeadLetterRecord
	err := s.deadLetters.FindOne(ctx, bson.D{field("_id", id)}).Decode(&r)
	return r, classify(fmt.Sprintf("read dead letter %s", id), err)
}

// WaitingDeadLetters counts those that were neither replayed nor purged, up to most,
// so that it takes no longer the more there are.
func (s *Store) WaitingDeadLetters(ctx context.Context, most int64) (int64, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	n, err := s.deadLetters.CountDocuments(ctx, DeadLetterFilter{Waiting: true}.query(), options.Count().SetLimit(most).SetMaxTime(operationTimeout/2))
	return n, searched("count dead letters", err)
}

// DeadLetterGroup is what died of one cause in one queue.
type DeadLetterGroup struct {
	Queue       string    `bson:"queue" json:"queue"`
	Reason      string    `bson:"reason" json:"reason"`
	Cause       string    `bson:"cause" json:"cause"`
	ErrorClass  string    `bson:"error_class" json:"error_class"`
	Fingerprint string    `bson:"fingerprint" json:"fingerprint"`
	Messages    int       `bson:"messages" json:"messages"`
	Since       time.Time `bson:"since" json:"since"` // the first one's dead_at
	Last        time.Time `bson:"last" json:"last"`
	Example     string    `bson:"example" json:"example"` // the newest one's dead_id
	Error       string    `bson:"error" json:"error"`     // and its whole error
}

// DeadLetterGroups groups the records that match by queue, reason and cause,
// the largest group first.
func (s *Store) DeadLetterGroups(ctx context.Context, f DeadLetterFilter) ([]DeadLetterGroup, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	first := func(path string) bson.D { return bson.D{field("$first", "$"+path)} }
	cur, err := s.deadLetters.Aggregate(ctx, mongo.Pipeline{
		{field("$match", f.query())},
		{field("$sort", keys("dead_at", -1, "_id", -1))},
		{field("$group", bson.D{
			field("_id", bson.D{field("queue", "$queue"), field("reason", "$reason"), field("cause", "$cause")}),
			field("queue", first("queue")), field("reason", first("reason")), field("cause", first("cause")),
			field("error_class", first("error_class")), field("fingerprint", first("fingerprint")),
			field("error", first("error")), field("example", first("_id")), field("messages", bson.D{field("$sum", 1)}),
			field("since", bson.D{field("$min", "$dead_at")}), field("last", bson.D{field("$max", "$dead_at")}),
		})},
		{field("$sort", keys("messages", -1, "_id", 1))},
	}, options.Aggregate().SetMaxTime(operationTimeout/2).SetAllowDiskUse(true))
	var found []DeadLetterGroup
	if err == nil {
		err = cur.All(ctx, &found)
	}
	return found, searched("group dead letters", err)
}
