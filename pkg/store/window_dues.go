package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v4"
	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"

	"github.com/events-aggregator/events-aggregator/pkg/decision"
	"github.com/events-aggregator/events-aggregator/pkg/rule/window"
)

// Slots that have to be decided later are made due before the batch that asks
// for it is decided, outside its transaction: a due slot that nobody needs does
// no harm, and so workers that need the same one never conflict.
//
// The timer claims a due slot before it reads the events, and takes it away only
// if it is still claimed by the same token. A worker whose events are stored
// finds the slot due and not claimed: then whoever claims it will read them. Or
// it does not: then it makes the slot due, again if need be, which ends a claim.
// Clocks are not asked.

// AddDues makes slots due that are not, or that somebody is deciding already: an
// event came into them.
func (s *Store) AddDues(ctx context.Context, dues []window.Due) error {
	return s.addDues(ctx, dues, bson.D{field("$unset", bson.D{field("claim", "")})})
}

// FollowDues makes slots due that are not. No event came into them, so whoever
// is deciding one goes on.
func (s *Store) FollowDues(ctx context.Context, dues []window.Due) error {
	return s.addDues(ctx, dues, nil)
}

func (s *Store) addDues(ctx context.Context, dues []window.Due, also bson.D) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	for len(dues) > 0 {
		missing, err := s.missingDues(ctx, dues)
		if err != nil || len(missing) == 0 {
			return err
		}
		models := make([]mongo.WriteModel, len(missing))
		for i, d := range missing {
			set, err := bson.Marshal(d)
			if err != nil {
				return fmt.Errorf("encode due slot %s: %w", d.ID, err)
			}
			models[i] = mongo.NewUpdateOneModel().SetFilter(bson.D{field("_id", d.ID)}).SetUpsert(true).SetUpdate(
				append(bson.D{field("$setOnInsert", fieldsBut("_id", set))}, also...))
		}
		_, err = s.windowDues.BulkWrite(ctx, models, options.BulkWrite().SetOrdered(false))
		if !isDuplicateKey(err) {
			return classify("make slots due", err)
		}
		dues = missing // two inserted the same one: it is there now, and looked at again
	}
	return nil
}

// fieldsBut are a document's fields without one.
func fieldsBut(name string, doc bson.Raw) bson.D {
	var d bson.D
	elements, _ := doc.Elements()
	for _, e := range elements {
		if e.Key() != name {
			d = append(d, field(e.Key(), e.Value()))
		}
	}
	return d
}

// missingDues are those that are not due, or claimed.
func (s *Store) missingDues(ctx context.Context, dues []window.Due) ([]window.Due, error) {
	ids := make([]string, len(dues))
	for i, d := range dues {
		ids[i] = d.ID
	}
	cur, err := s.windowDues.Find(ctx, bson.D{field("_id", bson.D{field("$in", ids)})},
		options.Find().SetProjection(bson.D{field("claim", 1)}))
	if err != nil {
		return nil, classify("look for due slots", err)
	}
	defer func() { _ = cur.Close(context.WithoutCancel(ctx)) }()
	waiting := map[string]bool{}
	for cur.Next(ctx) {
		if cur.Current.Lookup("claim").Value == nil {
			id, _ := cur.Current.Lookup("_id").StringValueOK()
			waiting[id] = true
		}
	}
	var missing []window.Due
	for _, d := range dues {
		if !waiting[d.ID] {
			missing = append(missing, d)
		}
	}
	return missing, classify("look for due slots", cur.Err())
}

// ClaimDues takes slots whose time has come, the oldest first, at most limit: of
// those that wait for events to be stored, what was due by settled, before those
// that were deferred.
// Those of some rules are left alone. Whoever claimed one before loses it.
func (s *Store) ClaimDues(ctx context.Context, now, settled time.Time, limit int, without ...string) (token primitive.ObjectID, dues []window.Due, err error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	token = primitive.NewObjectID()
	var spoilt []spoiltDue
	find := func(limit int, due ...bson.E) {
		if err != nil || limit == 0 {
			return
		}
		if len(without) > 0 {
			due = append(due, field("rule_id", bson.D{field("$nin", without)}))
		}
		cur, findErr := s.windowDues.Find(ctx, bson.D(due), options.Find().SetSort(keys("due_at", 1)).SetLimit(int64(limit)))
		var some []window.Due
		some, err = readable[window.Due](ctx, cur, findErr, func(id bson.RawValue, _ bson.Raw, err error) {
			spoilt = append(spoilt, spoiltDue{id, err})
		})
		dues = append(dues, some...)
	}
	if settled.Before(now) { // what waits for events to be stored is many, and not read
		find(limit, field("due_at", bson.D{field("$lte", settled)}))
		find(limit-len(dues), field("deferred", true), field("due_at", bson.D{field("$gt", settled), field("$lte", now)}))
	} else {
		find(limit, field("due_at", bson.D{field("$lte", now)}))
	}
	if err == nil {
		err = s.setAside(ctx, now, spoilt)
	}
	if err != nil || len(dues) == 0 {
		return token, nil, classify("list due slots", err)
	}
	_, err = s.windowDues.UpdateMany(ctx, listedDues(dues), bson.D{field("$set", bson.D{field("claim", token)})})
	return token, dues, classify("claim due slots", err)
}

type spoiltDue struct {
	id  bson.RawValue
	err error
}

// spoiltFor is how long a due slot that cannot be read is left alone: somebody
// may mend it, and until then it takes no place from the others.
const spoiltFor = time.Hour

func (s *Store) setAside(ctx context.Context, now time.Time, spoilt []spoiltDue) error {
	for _, d := range spoilt {
		s.leftOut(s.windowDues, d.id, d.err)
		_, err := s.windowDues.UpdateOne(ctx, bson.D{field("_id", d.id)},
			bson.D{field("$set", bson.D{field("due_at", now.Add(spoiltFor)), field("error", d.err.Error())})})
		if err != nil {
			return err
		}
	}
	return nil
}

// HandOverDues takes slots of versions of a rule before one from whoever is
// deciding them, by id after an id, and lists those that are left: their windows
// were told by nobody, nor will be by whoever read their events before. last is
// the id to go on after, "" at the end. A slot of which parts are told is left to
// the version that told them.
func (s *Store) HandOverDues(ctx context.Context, ruleID string, version int, after string, limit int) (dues []window.Due, last string, err error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	doing := "hand over the due slots of rule " + ruleID
	cur, err := s.windowDues.Find(ctx, bson.D{field("rule_id", ruleID), field("_id", bson.D{field("$gt", after)}), field("rule_version", bson.D{field("$lt", version)})},
		options.Find().SetSort(keys("rule_id", 1, "_id", 1)).SetLimit(int64(limit)).SetProjection(bson.D{field("_id", 1)}))
	var ids []string
	var found []struct {
		ID string `bson:"_id"`
	}
	if err == nil {
		err = cur.All(ctx, &found)
	}
	if err != nil || len(found) == 0 {
		return nil, "", classify(doing, err)
	}
	for _, d := range found {
		ids = append(ids, d.ID)
	}
	whole := bson.D{field("_id", bson.D{field("$in", ids)}), field("parts", bson.D{field("$exists", false)})}
	if _, err := s.windowDues.UpdateMany(ctx, whole, bson.D{field("$unset", bson.D{field("claim", "")})}); err != nil {
		return nil, "", classify(doing, err)
	}
	cur, err = s.windowDues.Find(ctx, whole)
	dues, err = readable[window.Due](ctx, cur, err, s.leavesOut(s.windowDues))
	return dues, ids[len(ids)-1], classify(doing, err)
}

func listedDues(dues []window.Due, more ...bson.E) bson.D {
	ids := make([]string, len(dues))
	for i, d := range dues {
		ids[i] = d.ID
	}
	return append(bson.D{field("_id", bson.D{field("$in", ids)})}, more...)
}

// DropDues takes decided slots away, but for those that lost the claim: they
// must be decided again.
func (s *Store) DropDues(ctx context.Context, token primitive.ObjectID, dues []window.Due) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	if len(dues) == 0 {
		return nil
	}
	_, err := s.windowDues.DeleteMany(ctx, listedDues(dues, field("claim", token)))
	return classify("take due slots away", err)
}

// PostponeDues lets slots that could not be decided wait, says why, and counts the
// try.
func (s *Store) PostponeDues(ctx context.Context, token primitive.ObjectID, dues []window.Due, until time.Time, why string) error {
	return s.letWait(ctx, token, dues, until, why, 1)
}

// SleepDues lets slots wait that nobody tried to decide, and says why.
func (s *Store) SleepDues(ctx context.Context, token primitive.ObjectID, dues []window.Due, until time.Time, why string) error {
	return s.letWait(ctx, token, dues, until, why, 0)
}

func (s *Store) letWait(ctx context.Context, token primitive.ObjectID, dues []window.Due, until time.Time, why string, tries int) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	if len(dues) == 0 {
		return nil
	}
	_, err := s.windowDues.UpdateMany(ctx, listedDues(dues, field("claim", token)), bson.D{
		field("$set", bson.D{field("due_at", until), field("error", why)}),
		field("$inc", bson.D{field("tries", tries)}), field("$unset", bson.D{field("claim", "")})})
	return classify("postpone due slots", err)
}

// errUnclaimed: another event came into one of the slots while they were
// decided, or another owner took them over.
var errUnclaimed = errors.New("the claim on a due slot is lost")

// DecideDues commits what due slots owe, in one transaction that also takes the
// slots away; each of owed names its slot. committed are the notifications that
// did not exist before, as they are stored. A slot that lost its claim stays
// due, and nothing that it owes is committed: it must be decided again.
func (s *Store) DecideDues(ctx context.Context, at time.Time, token primitive.ObjectID, dues []window.Due, owed []decision.Owed) ([]decision.Owed, error) {
	return s.decideDues(ctx, at, token, dues, owed, func(sc mongo.SessionContext, claimed bson.D) (int64, error) {
		result, err := s.windowDues.DeleteMany(sc, claimed)
		if err != nil {
			return 0, err
		}
		return result.DeletedCount, nil
	})
}

// OweDue is DecideDues of a part of what one slot owes: the slot stays claimed.
func (s *Store) OweDue(ctx context.Context, at time.Time, token primitive.ObjectID, due window.Due, owed []decision.Owed) ([]decision.Owed, error) {
	return s.decideDues(ctx, at, token, []window.Due{due}, owed, func(sc mongo.SessionContext, claimed bson.D) (int64, error) {
		// The slot is written, so that an event that comes meanwhile conflicts.
		result, err := s.windowDues.UpdateMany(sc, claimed, bson.D{field("$inc", bson.D{field("parts", 1)})})
		if err != nil {
			return 0, err
		}
		return result.MatchedCount, nil
	})
}

// decideDues commits what slots owe together with a write of each that is still
// claimed. As long as nobody interferes that is one transaction.
func (s *Store) decideDues(ctx context.Context, at time.Time, token primitive.ObjectID, dues []window.Due, owed []decision.Owed,
	write func(sc mongo.SessionContext, claimed bson.D) (int64, error),
) (committed []decision.Owed, err error) {
	patience := backoff.WithMaxRetries(backoff.NewConstantBackOff(undoneWait), undoneTries)
	err = backoff.Retry(func() error {
		committed = nil
		var err error
		if owed, err = s.notOwed(ctx, owed); err != nil || len(dues) == 0 {
			return permanently(err)
		}
		err = s.transaction(ctx, func(sc mongo.SessionContext) error {
			written, err := write(sc, listedDues(dues, field("claim", token)))
			if err != nil {
				return err
			}
			if int(written) != len(dues) {
				return errUnclaimed
			}
			committed, err = s.owe(sc, at, owed)
			return err
		})
		switch {
		case isDuplicateKey(err):
			return err // a notification exists after all: less is owed
		case errors.Is(err, errUnclaimed):
			var lookErr error
			if dues, owed, lookErr = s.stillClaimed(ctx, token, dues, owed); lookErr != nil {
				return backoff.Permanent(lookErr)
			}
			return err // of those that are left
		}
		return permanently(classify(fmt.Sprintf("decide %d due slots", len(dues)), err))
	}, backoff.WithContext(patience, ctx))
	if errors.Is(err, errUnclaimed) { // every one of them must be decided again
		return nil, nil
	}
	if err != nil {
		return nil, unexplained(fmt.Sprintf("decide %d due slots", len(dues)), err)
	}
	s.countThrottled(ctx, committed)
	return committed, nil
}

// stillClaimed are the slots that did not lose their claim, and what they owe.
func (s *Store) stillClaimed(ctx context.Context, token primitive.ObjectID, dues []window.Due, owed []decision.Owed) (claimed []window.Due, owe []decision.Owed, err error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	cur, err := s.windowDues.Find(ctx, listedDues(dues, field("claim", token)), options.Find().SetProjection(bson.D{field("_id", 1)}))
	if err != nil {
		return nil, nil, classify("look for claimed slots", err)
	}
	defer func() { _ = cur.Close(context.WithoutCancel(ctx)) }()
	still := map[string]bool{}
	for cur.Next(ctx) {
		id, _ := cur.Current.Lookup("_id").StringValueOK()
		still[id] = true
	}
	for _, d := range dues {
		if still[d.ID] {
			claimed = append(claimed, d)
		}
	}
	for _, o := range owed {
		if still[o.Due] {
			owe = append(owe, o)
		}
	}
	return claimed, owe, classify("look for claimed slots", cur.Err())
}

// notOwed leaves out the notifications that exist.
func (s *Store) notOwed(ctx context.Context, owed []decision.Owed) ([]decision.Owed, error) {
	ids := make([]string, len(owed))
	for i, o := range owed {
		ids[i] = o.ID
	}
	exist, err := s.ExistingNotifications(ctx, ids)
	if err != nil {
		return nil, err
	}
	left := make([]decision.Owed, 0, len(owed))
	for _, o := range owed {
		if !exist[o.ID] {
			exist[o.ID] = true // also for what is owed twice at once
			left = append(left, o)
		}
	}
	return left, nil
}

// ExistingNotifications says which of the notifications there are.
func (s *Store) ExistingNotifications(ctx context.Context, ids []string) (map[string]bool, error) {
	exist := map[string]bool{}
	if len(ids) == 0 {
		return exist, nil
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	cur, err := s.notifications.Find(ctx, bson.D{field("_id", bson.D{field("$in", ids)})}, options.Find().SetProjection(bson.D{field("_id", 1)}))
	if err != nil {
		return nil, classify("look for notifications", err)
	}
	defer func() { _ = cur.Close(context.WithoutCancel(ctx)) }()
	for cur.Next(ctx) {
		id, _ := cur.Current.Lookup("_id").StringValueOK()
		exist[id] = true
	}
	return exist, classify("look for notifications", cur.Err())
}
