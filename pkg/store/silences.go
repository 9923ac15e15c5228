package store

import (
	"context"
	"errors"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"

	"github.com/events-aggregator/events-aggregator/pkg/silence"
)

// silencesStampID is the document of `stamps` that rises with every change of
// any silence, as the rules' does.
const silencesStampID = "silences"

// What the audit says about silences.
const (
	silenceCreated = "silence.create"
	silenceExpired = "silence.expire"
)

// CreateSilence stores a new silence under its id.
func (s *Store) CreateSilence(ctx context.Context, one silence.Silence) error {
	err := s.changeSilences(ctx, func(sc mongo.SessionContext) error {
		if _, err := s.silences.InsertOne(sc, one); err != nil {
			return err
		}
		return s.noteAudit(sc, Audit{At: one.CreatedAt, By: one.Author, Action: silenceCreated, Subject: one.ID, After: shownDoc(one)})
	})
	if isDuplicateKey(err) && !isTransient(err) {
		return nil // ids are made for one silence each: an earlier commit took place
	}
	return classify("create silence "+one.ID, err)
}

// ExpireSilence ends a silence now and returns it; one that is over stays as it
// is. match may be nil; an error of it, which sees the silence as it is, is returned as it is.
func (s *Store) ExpireSilence(ctx context.Context, id string, at time.Time, by string, match func(silence.Silence) error) (silence.Silence, error) {
	var one silence.Silence
	var refused error
	err := s.changeSilences(ctx, func(sc mongo.SessionContext) error {
		one = silence.Silence{}
		if err := s.silences.FindOne(sc, bson.D{field("_id", id)}).Decode(&one); err != nil {
			return err
		}
		if refused = matches(match, one); refused != nil {
			return refused
		}
		if one.State(at) == silence.Expired {
			return nil
		}
		was := one
		one = one.Expire(at)
		if _, err := s.silences.ReplaceOne(sc, bson.D{field("_id", id)}, one); err != nil {
			return err
		}
		return s.noteAudit(sc, Audit{At: at, By: by, Action: silenceExpired, Subject: id, Before: shownDoc(was), After: shownDoc(one)})
	})
	if refused != nil {
		return one, refused
	}
	return one, classify("expire silence "+id, err)
}

func (s *Store) changeSilences(ctx context.Context, change func(mongo.SessionContext) error) error {
	return s.transaction(ctx, func(sc mongo.SessionContext) error {
		_, err := s.stamps.UpdateOne(sc, bson.D{field("_id", silencesStampID)},
			bson.D{field("$inc", bson.D{field("stamp", int64(1))})}, options.Update().SetUpsert(true))
		if err != nil {
			return raced(err)
		}
		return change(sc)
	})
}

// SilencesStamp is a number that rises with every change of any silence.
func (s *Store) SilencesStamp(ctx context.Context) (int64, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	var stamp struct {
		Stamp int64 `bson:"stamp"`
	}
	err := s.stamps.FindOne(ctx, bson.D{field("_id", silencesStampID)}).Decode(&stamp)
	if errors.Is(err, mongo.ErrNoDocuments) {
		return 0, nil
	}
	return stamp.Stamp, classify("read the silences' stamp", err)
}

// Silence reads one.
func (s *Store) Silence(ctx context.Context, id string) (silence.Silence, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	var one silence.Silence
	err := s.silences.FindOne(ctx, bson.D{field("_id", id)}).Decode(&one)
	return one, classify("read silence "+id, err)
}

// SilencesAfter lists the silences that end after the given time, those that
// have not begun included: what the rule-workers hold.
func (s *Store) SilencesAfter(ctx context.Context, at time.Time) ([]silence.Silence, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	cur, err := s.silences.Find(ctx, bson.D{field("until", bson.D{field("$gt", at)})}, options.Find().SetSort(keys("until", 1)))
	found, err := readable[silence.Silence](ctx, cur, err, s.leavesOut(s.silences))
	return found, classify("list silences that have not ended", err)
}

// SilencePosition is a silence's place in the order of lists, newest first.
type SilencePosition struct {
	CreatedAt time.Time
	ID        string
}

// FindSilences lists silences newest first, after the position: all, or those
// that are in the state at that time.
func (s *Store) FindSilences(ctx context.Context, state silence.State, at time.Time, after *SilencePosition, limit int) ([]silence.Silence, error) {
	q := bson.D{}
	switch state {
	case silence.Pending:
		q = bson.D{field("from", bson.D{field("$gt", at)}), field("until", bson.D{field("$gt", at)})}
	case silence.Active:
		q = bson.D{field("from", bson.D{field("$lte", at)}), field("until", bson.D{field("$gt", at)})}
	case silence.Expired:
		q = bson.D{field("until", bson.D{field("$lte", at)})}
	}
	t := timeline{collection: s.silences, doing: "list silences", path: "created_at", rest: q, limit: limit, textIDs: true}
	if after != nil {
		t.after = &place{after.CreatedAt, after.ID}
	}
	return listOf[silence.Silence](ctx, s, t)
}

// HeldBy counts the notifications that a silence, throttle or group held back,
// up to limit.
func (s *Store) HeldBy(ctx context.Context, id string, limit int64) (int64, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	n, err := s.notifications.CountDocuments(ctx, bson.D{field("held.id", id)}, options.Count().SetLimit(limit).SetMaxTime(operationTimeout/2))
	return n, searched("count what "+id+" held back", err)
}
