package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"
	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"

	"github.com/events-aggregator/events-aggregator/pkg/decision"
	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/pkg/fault"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
)

// Decide commits the decisions about several batches in one transaction: each
// batch's mark, processed and matched_rules of its events, and the
// notifications that are now owed. Of an event.Batch, ID, FirstID and LastID
// are used. A batch that was decided before is left out; committed are the
// others, with their notifications as they were stored. A batch without an ID
// holds what belongs to none: the alerts of windows, without those that exist.
func (s *Store) Decide(ctx context.Context, at time.Time, batches []decision.Batch) (committed []decision.Batch, err error) {
	patience := backoff.WithMaxRetries(backoff.NewConstantBackOff(undoneWait), undoneTries)
	err = backoff.Retry(func() error {
		if committed = nil; len(batches) == 0 {
			return nil
		}
		err := s.transaction(ctx, func(sc mongo.SessionContext) (err error) {
			committed, err = s.decide(sc, at, batches)
			fault.At(fault.RuleWorkerDeciding)
			return err
		})
		if !isDuplicateKey(err) {
			return permanently(classify(fmt.Sprintf("decide %d batches", len(batches)), err))
		}
		// A batch is marked already (its message came again), or a notification
		// exists though its batch is not marked (another batch held the same
		// event). Either way less is left to do.
		less, findErr := s.undone(ctx, batches)
		if findErr != nil {
			return backoff.Permanent(findErr)
		}
		batches = less
		return err
	}, backoff.WithContext(patience, ctx))
	if err != nil {
		return nil, unexplained(fmt.Sprintf("decide %d batches", len(batches)), err)
	}
	var owed []decision.Owed
	for _, b := range committed {
		owed = append(owed, b.Owed...)
	}
	s.countThrottled(ctx, owed)
	return committed, nil
}

// A majority read may be a moment behind the duplicate key that it explains;
// longer than that is an outage, see unexplained.
const (
	undoneWait  = 20 * time.Millisecond
	undoneTries = 50
)

// permanently ends backoff.Retry, with an error or without.
func permanently(err error) error {
	if err == nil {
		return nil
	}
	return backoff.Permanent(err)
}

// decide leaves batches as they are, since it may run again.
func (s *Store) decide(sc mongo.SessionContext, at time.Time, batches []decision.Batch) ([]decision.Batch, error) {
	marks := make([]any, 0, len(batches))
	var owed []decision.Owed
	for _, b := range batches {
		if b.ID != "" {
			m := newMark(b.ID, markRules, at)
			m.RulesStamp = b.RulesStamp
			marks = append(marks, m)
		}
		owed = append(owed, b.Owed...)
	}
	if len(marks) > 0 {
		if _, err := s.marks.InsertMany(sc, marks); err != nil {
			return nil, err
		}
	}
	// What may conflict comes before the larger work.
	stored, err := s.owe(sc, at, owed)
	if err != nil {
		return nil, err
	}
	if err := s.countExcesses(sc, at, batches); err != nil {
		return nil, err
	}
	if len(marks) > 0 {
		if _, err := s.events.BulkWrite(sc, processedUpdates(batches)); err != nil {
			return nil, err
		}
	}
	committed := slices.Clone(batches)
	for i := range committed {
		n := len(committed[i].Owed)
		committed[i].Owed, stored = stored[:n:n], stored[n:]
	}
	return committed, nil
}

// owe inserts notifications and returns them as they are stored, in step. It
// is the one place where what a rule owes enters the database, so whatever may
// hold it back is asked here, in the deciding transaction. owed itself is left
// as it is, since a transaction may run again.
func (s *Store) owe(sc mongo.SessionContext, _ time.Time, owed []decision.Owed) ([]decision.Owed, error) {
	if len(owed) == 0 {
		return nil, nil
	}
	held, err := s.hold(sc, owed)
	if err != nil {
		return nil, err
	}
	docs := make([]any, len(held))
	for i, o := range held {
		docs[i] = o.Notification
	}
	_, err = s.notifications.InsertMany(sc, docs)
	return held, err
}

// processedUpdates sets processed and matched_rules: one update for each
// different list of rules, one for all small batches, one for each large one.
// Events with rules come first; that they are processed then changes nothing
// in them any more.
func processedUpdates(batches []decision.Batch) []mongo.WriteModel {
	byRules := map[string]int{}
	var groups []event.Match
	groupIDs := [][]primitive.ObjectID{}
	var small []primitive.ObjectID
	var large []mongo.WriteModel
	for _, b := range batches {
		if b.ID == "" {
			continue
		}
		for _, m := range b.Matches {
			if len(m.Rules) == 0 {
				continue
			}
			key := strings.Join(m.Rules, "\x00")
			at, ok := byRules[key]
			if !ok {
				at = len(groups)
				byRules[key] = at
				groups, groupIDs = append(groups, m), append(groupIDs, nil)
			}
			groupIDs[at] = append(groupIDs[at], m.ID)
		}
		if ids := consecutive(b.FirstID, b.LastID); ids != nil {
			small = append(small, ids...)
		} else {
			large = append(large, setProcessed(eventsOf(b.ID, b.FirstID, b.LastID)))
		}
	}
	models := make([]mongo.WriteModel, 0, len(groups)+1+len(large))
	for i, g := range groups {
		models = append(models, setProcessed(listedEvents(groupIDs[i]), field("matched_rules", g.Rules)))
	}
	if len(small) > 0 {
		models = append(models, setProcessed(listedEvents(small)))
	}
	return append(models, large...)
}

func listedEvents(ids []primitive.ObjectID) bson.D {
	return bson.D{field("_id", bson.D{field("$in", ids)})}
}

func setProcessed(which bson.D, more ...bson.E) *mongo.UpdateManyModel {
	set := append(bson.D{field("processed", true)}, more...)
	return mongo.NewUpdateManyModel().SetFilter(which).SetUpdate(bson.D{field("$set", set)})
}

// undone leaves out the batches that are decided and the notifications that
// exist, and what is given twice: it would meet itself for ever.
func (s *Store) undone(ctx context.Context, batches []decision.Batch) (left []decision.Batch, err error) {
	var batchIDs, notificationIDs []string
	for _, b := range batches {
		batchIDs = append(batchIDs, b.ID)
		for _, o := range b.Owed {
			notificationIDs = append(notificationIDs, o.ID)
		}
	}
	decided, err := s.Decided(ctx, batchIDs)
	if err != nil {
		return nil, err
	}
	exist, err := s.ExistingNotifications(ctx, notificationIDs)
	if err != nil {
		return nil, err
	}
	for _, b := range batches {
		if decided[b.ID] {
			continue
		}
		decided[b.ID] = b.ID != ""
		owed := make([]decision.Owed, 0, len(b.Owed))
		for _, o := range b.Owed {
			if !exist[o.ID] {
				exist[o.ID] = true
				owed = append(owed, o)
			}
		}
		b.Owed = owed
		left = append(left, b)
	}
	return left, nil
}

// OwedNotifications lists the notifications of these events that were never
// attempted: their message may not have been published. One that was attempted
// has its next message in the broker already.
func (s *Store) OwedNotifications(ctx context.Context, eventIDs []string) ([]notification.Notification, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	if len(eventIDs) == 0 {
		return nil, nil
	}
	cur, err := s.notifications.Find(ctx, bson.D{
		field("event_id", bson.D{field("$in", eventIDs)}),
		field("status", notification.Pending), field("attempt_count", 0),
	}, options.Find().SetSort(keys("event_id", 1, "_id", 1)))
	found, err := readable[notification.Notification](ctx, cur, err, s.leavesOut(s.notifications))
	return found, classify("list owed notifications", err)
}
