package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"

	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/pkg/fault"
)

// ledgerRetention starts when all stages of a batch are done.
const ledgerRetention = 7 * 24 * time.Hour

// Stage is a step that every batch takes; its name is the ledger's field.
type Stage string

// The stages, in order. A field is null until its stage is done.
const (
	Published        Stage = "published_at"
	Matched          Stage = "matched_at"
	ActionsPublished Stage = "actions_published_at"
	Aggregated       Stage = "aggregated_at"
)

// Stages lists them in order.
var Stages = []Stage{Published, Matched, ActionsPublished, Aggregated}

// LedgerRow is a document of `batches`, the ledger of the pipeline.
type LedgerRow struct {
	ID                 string             `bson:"_id" json:"batch_id"`
	Ingester           string             `bson:"ingester" json:"ingester"`
	FirstID            primitive.ObjectID `bson:"first_id" json:"-"`
	LastID             primitive.ObjectID `bson:"last_id" json:"-"`
	Count              int                `bson:"count" json:"count"`
	MaxSeverity        int                `bson:"max_severity" json:"max_severity"`
	FirstEventAt       time.Time          `bson:"first_event_at" json:"first_event_at"`
	StoredAt           time.Time          `bson:"stored_at" json:"stored_at"`
	PublishedAt        *time.Time         `bson:"published_at" json:"published_at"`
	MatchedAt          *time.Time         `bson:"matched_at" json:"matched_at"`
	ActionsPublishedAt *time.Time         `bson:"actions_published_at" json:"actions_published_at"`
	AggregatedAt       *time.Time         `bson:"aggregated_at" json:"aggregated_at"`
	ExpiresAt          *time.Time         `bson:"expires_at,omitempty" json:"-"`
}

// NewestBegin is when the first events of the newest batches happened, of at most
// limit batches.
func (s *Store) NewestBegin(ctx context.Context, limit int) ([]time.Time, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	cur, err := s.batches.Find(ctx, bson.D{}, options.Find().SetSort(keys("_id", -1)).SetLimit(int64(limit)).SetProjection(keys("_id", 0, "first_event_at", 1)))
	var found []struct {
		At time.Time `bson:"first_event_at"`
	}
	if err == nil {
		err = cur.All(ctx, &found)
	}
	begin := make([]time.Time, len(found))
	for i, b := range found {
		begin[i] = b.At
	}
	return begin, classify("list the newest batches", err)
}

// SaveBatch stores the batch's ledger row and its events in one transaction,
// so an event is stored if and only if its batch is in the ledger. The events
// must bear the batch's id and consecutive _ids. An earlier call for the same
// batch whose commit was in doubt counts, once a majority has it: then the
// answer is nil.
// Errors: *Duplicate, *Rejected, or an outage.
func (s *Store) SaveBatch(ctx context.Context, b event.Batch, ingester string) error {
	row := LedgerRow{ID: b.ID, Ingester: ingester, FirstID: b.FirstID, LastID: b.LastID,
		Count: len(b.Events), MaxSeverity: b.MaxSeverity, FirstEventAt: firstTimestamp(b.Events), StoredAt: b.StoredAt}
	alreadyStored := false
	var insertErr error
	err := s.transaction(ctx, func(sc mongo.SessionContext) error {
		alreadyStored, insertErr = false, nil
		if _, err := s.batches.InsertOne(sc, row); err != nil {
			alreadyStored = isDuplicateKey(err)
			return err
		}
		insertErr = insertRaw(sc, s.events, b.Events)
		fault.At(fault.IngesterInserting)
		return insertErr
	})
	switch {
	case err == nil:
		return nil
	case alreadyStored:
		return s.confirmStored(ctx, b.ID)
	case insertErr == nil || isTransient(err):
		return classify("store batch "+b.ID, err)
	case isDuplicateEvent(insertErr):
		return &Duplicate{insertErr}
	case blamesDocument(insertErr):
		return &Rejected{Index: writeErrorIndex(insertErr), Err: insertErr}
	default:
		return classify("store batch "+b.ID, err)
	}
}

// confirmStored says whether the ledger row that an insert met is there to stay.
// A duplicate key in a transaction tells what the primary has, and no more: a
// failover takes back what no majority has yet, when the events may be acked.
func (s *Store) confirmStored(ctx context.Context, id string) error {
	_, err := s.Batch(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return &outage{fmt.Errorf("store batch %s: its ledger row is not committed by a majority yet", id)}
	}
	return err
}

func firstTimestamp(events []bson.Raw) time.Time {
	var first time.Time
	for _, e := range events {
		if t, ok := e.Lookup("timestamp").TimeOK(); ok && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	return first
}

// MarkStage sets one stage's time in the ledger; see MarkStages.
func (s *Store) MarkStage(ctx context.Context, stage Stage, at time.Time, batchIDs ...string) error {
	return s.MarkStages(ctx, at, []Stage{stage}, batchIDs...)
}

// MarkStages sets stages' times in the ledger, for lag and for the sweeps, in
// one update. A time that is set stays. A row whose stages are all done gets
// its expiry. A row that is gone is no error: a message may come again when its
// row has expired, and a row that is not published never does.
func (s *Store) MarkStages(ctx context.Context, at time.Time, stages []Stage, batchIDs ...string) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	set, done := bson.D{}, bson.A{}
	for _, st := range stages {
		set = append(set, field(string(st), bson.D{field("$ifNull", bson.A{"$" + string(st), at})}))
	}
	for _, st := range Stages {
		done = append(done, "$"+string(st))
	}
	expiry := bson.D{field("$cond", bson.A{bson.D{field("$and", done)}, at.Add(ledgerRetention), "$$REMOVE"})}
	_, err := s.batches.UpdateMany(ctx, bson.D{field("_id", bson.D{field("$in", batchIDs)})}, mongo.Pipeline{
		bson.D{field("$set", set)},
		bson.D{field("$set", bson.D{field("expires_at", expiry)})},
	})
	return classify("mark stages of the ledger", err)
}

// OpenBatches lists ledger rows, oldest first, whose stage is not done though
// they were stored before the given time; after pages through them (the last
// row's stored_at and id; zero values begin).
func (s *Store) OpenBatches(ctx context.Context, stage Stage, before time.Time, after LedgerRow, limit int) ([]LedgerRow, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	filter := append(openStage(stage), field("stored_at", bson.D{field("$lt", before), field("$gte", after.StoredAt)}))
	if after.ID != "" {
		filter = append(filter, field("$or", bson.A{
			bson.D{field("stored_at", bson.D{field("$gt", after.StoredAt)})},
			bson.D{field("_id", bson.D{field("$gt", after.ID)})},
		}))
	}
	rows, err := page[LedgerRow](ctx, s, s.batches, filter, options.Find().
		SetSort(keys("stored_at", 1, "_id", 1)).SetHint(stageIndex[stage]), limit)
	return rows, classify("list open batches", err)
}

// LoadBatch reads the events of a ledger row by their range of _id.
func (s *Store) LoadBatch(ctx context.Context, row LedgerRow) (event.Batch, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	b := event.Batch{ID: row.ID, FirstID: row.FirstID, LastID: row.LastID, MaxSeverity: row.MaxSeverity, StoredAt: row.StoredAt}
	cur, err := s.events.Find(ctx, eventsOf(row.ID, row.FirstID, row.LastID), options.Find().SetSort(keys("_id", 1)))
	if err == nil {
		err = cur.All(ctx, &b.Events)
	}
	return b, classify("load batch "+row.ID, err)
}

// Batch reads one ledger row.
func (s *Store) Batch(ctx context.Context, id string) (LedgerRow, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	var row LedgerRow
	err := s.batches.FindOne(ctx, bson.D{field("_id", id)}).Decode(&row)
	return row, classify("read batch "+id, err)
}

// listed is the size up to which a batch's events are named one by one: some
// servers serve a list of _ids by the index but scan for a range. Above, the
// range is a fifth cheaper.
const listed = 100

// eventsOf selects the events of one batch by the _id index. A range names the
// batch_id too, because ranges of two ingesters could interleave; a list need
// not, since ids are unique.
func eventsOf(batchID string, first, last primitive.ObjectID) bson.D {
	if ids := consecutive(first, last); ids != nil {
		return bson.D{field("_id", bson.D{field("$in", ids)})}
	}
	return bson.D{
		field("_id", bson.D{field("$gte", first), field("$lte", last)}),
		field("batch_id", batchID),
	}
}

// consecutive lists the ObjectIds from first to last when they differ in the
// counter alone and are few, as those of a batch do; else nil.
func consecutive(first, last primitive.ObjectID) []primitive.ObjectID {
	const counter = 9 // the last three bytes
	from, to := counterOf(first), counterOf(last)
	if [counter]byte(first[:counter]) != [counter]byte(last[:counter]) || to < from || to-from >= listed {
		return nil
	}
	ids := make([]primitive.ObjectID, 0, to-from+1)
	for n := from; n <= to; n++ {
		id := first
		id[9], id[10], id[11] = byte(n>>16), byte(n>>8), byte(n)
		ids = append(ids, id)
	}
	return ids
}

func counterOf(id primitive.ObjectID) int { return int(id[9])<<16 | int(id[10])<<8 | int(id[11]) }

// StageLag is how far one stage is behind: batches not done, and the age of
// the oldest of them.
type StageLag struct {
	Stage   Stage   `json:"stage"`
	Batches int64   `json:"batches"`
	Seconds float64 `json:"seconds"`
}

// lagCountLimit bounds the count of open batches, since a backlog of millions
// need not be counted to the last one to be known as far too large.
const lagCountLimit = 100_000

// Lag says for each stage how far it is behind at the given time.
func (s *Store) Lag(ctx context.Context, now time.Time) ([]StageLag, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	lags := make([]StageLag, len(Stages))
	for i, stage := range Stages {
		filter := openStage(stage)
		lags[i].Stage = stage
		var oldest LedgerRow
		err := s.batches.FindOne(ctx, filter, options.FindOne().SetSort(keys("stored_at", 1)).SetHint(stageIndex[stage])).Decode(&oldest)
		if errors.Is(err, mongo.ErrNoDocuments) {
			continue
		}
		if err != nil {
			return nil, classify("read lag", err)
		}
		lags[i].Seconds = max(0, now.Sub(oldest.StoredAt).Seconds())
		n, err := s.batches.CountDocuments(ctx, filter, options.Count().SetLimit(lagCountLimit).SetHint(stageIndex[stage]))
		if err != nil {
			return nil, classify("read lag", err)
		}
		lags[i].Batches = n
	}
	return lags, nil
}

var stageIndex = map[Stage]string{
	Published: "published", Matched: "matched", ActionsPublished: "actions_published", Aggregated: "aggregated",
}

// mark is a document of `batch_marks`: the stage's work on the batch is
// committed, exactly once.
type mark struct {
	ID         string    `bson:"_id"`
	At         time.Time `bson:"at"`
	RulesStamp int64     `bson:"rules_stamp,omitempty"` // of the rules that decided the batch
	ExpiresAt  time.Time `bson:"expires_at"`
}

// markRetention outlives every message that could still ask for the work:
// broker queues keep messages for longer than any dead letter should lie.
const markRetention = 90 * 24 * time.Hour

// The stages that keep exactly-once marks.
const (
	markRules = "rules"
	markCount = "count"
)

func newMark(batchID, stage string, at time.Time) mark {
	return mark{ID: markID(batchID, stage), At: at, ExpiresAt: at.Add(markRetention)}
}

func markID(batchID, stage string) string { return fmt.Sprintf("%s:%s", batchID, stage) }

// marked returns which of the batches carry the stage's mark.
func (s *Store) marked(ctx context.Context, stage string, batchIDs []string) (map[string]bool, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	ids := make([]string, len(batchIDs))
	for i, id := range batchIDs {
		ids[i] = markID(id, stage)
	}
	cur, err := s.marks.Find(ctx, bson.D{field("_id", bson.D{field("$in", ids)})})
	var marks []mark
	if err == nil {
		err = cur.All(ctx, &marks)
	}
	if err != nil {
		return nil, classify("read marks", err)
	}
	found := make(map[string]bool, len(marks))
	for _, m := range marks {
		found[m.ID[:len(m.ID)-len(stage)-1]] = true
	}
	return found, nil
}

// Decision is when a batch was decided, and by which rules: their stamp says
// which version of each, 0 when it is not known.
type Decision struct {
	At         time.Time
	RulesStamp int64
}

// Decision reads when a batch was decided; ErrNotFound when it was not, or
// longer ago than marks are kept.
func (s *Store) Decision(ctx context.Context, batchID string) (Decision, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	var m mark
	err := s.marks.FindOne(ctx, bson.D{field("_id", markID(batchID, markRules))}).Decode(&m)
	return Decision{At: m.At, RulesStamp: m.RulesStamp}, classify("read the decision of batch "+batchID, err)
}

// Decided returns which of the batches the rule-workers have decided.
func (s *Store) Decided(ctx context.Context, batchIDs []string) (map[string]bool, error) {
	return s.marked(ctx, markRules, batchIDs)
}
