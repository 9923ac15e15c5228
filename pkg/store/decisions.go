package store

import (
	"context"
	"errors"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"

	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
)

// EventMatch is one event with the ids of the rules that it matched.
type EventMatch struct {
	ID    primitive.ObjectID
	Rules []string
}

// Decision is what the rules say about one batch.
type Decision struct {
	Batch         event.Batch // ID, FirstID and LastID are used
	Matches       []EventMatch
	Notifications []notification.Notification
	At            time.Time
}

// Decide commits a decision in one transaction: the batch's mark, processed
// and matched_rules of its events, and the notifications that are now owed.
// first is false when the batch was decided before; then nothing changes.
func (s *Store) Decide(ctx context.Context, d Decision) (first bool, err error) {
	docs := make([]any, len(d.Notifications))
	for i, n := range d.Notifications {
		docs[i] = n
	}
	updates := matchUpdates(d.Matches)
	var decided bool
	run := func(sc mongo.SessionContext) error {
		decided = false
		if _, err := s.marks.InsertOne(sc, newMark(d.Batch.ID, markRules, d.At)); err != nil {
			decided = isDuplicateKey(err)
			return err
		}
		_, err := s.events.UpdateMany(sc, rangeOf(d.Batch.ID, d.Batch.FirstID, d.Batch.LastID),
			bson.D{field("$set", bson.D{field("processed", true)})})
		if err != nil {
			return err
		}
		if len(updates) > 0 {
			if _, err := s.events.BulkWrite(sc, updates); err != nil {
				return err
			}
		}
		if len(docs) > 0 {
			if _, err := s.notifications.InsertMany(sc, docs); err != nil {
				return err
			}
		}
		return nil
	}
	err = s.transaction(ctx, run)
	if decided {
		return false, nil
	}
	if isDuplicateKey(err) {
		// A notification of this batch exists though the batch is not marked:
		// its identity was owed before (another batch held the same event).
		if docs, err = s.newNotifications(ctx, d.Notifications); err == nil {
			err = s.transaction(ctx, run)
			if decided {
				return false, nil
			}
		}
	}
	return err == nil, classify("decide batch "+d.Batch.ID, err)
}

// matchUpdates sets matched_rules with one update for each different list.
func matchUpdates(matches []EventMatch) []mongo.WriteModel {
	byRules := map[string]int{}
	var groups []struct {
		rules []string
		ids   []primitive.ObjectID
	}
	for _, m := range matches {
		if len(m.Rules) == 0 {
			continue
		}
		key := strings.Join(m.Rules, "\x00")
		at, ok := byRules[key]
		if !ok {
			at = len(groups)
			byRules[key] = at
			groups = append(groups, struct {
				rules []string
				ids   []primitive.ObjectID
			}{rules: m.Rules})
		}
		groups[at].ids = append(groups[at].ids, m.ID)
	}
	models := make([]mongo.WriteModel, len(groups))
	for i, g := range groups {
		models[i] = mongo.NewUpdateManyModel().
			SetFilter(bson.D{field("_id", bson.D{field("$in", g.ids)})}).
			SetUpdate(bson.D{field("$set", bson.D{field("matched_rules", g.rules)})})
	}
	return models
}

// newNotifications leaves out those that exist.
func (s *Store) newNotifications(ctx context.Context, all []notification.Notification) ([]any, error) {
	ids := make([]string, len(all))
	for i, n := range all {
		ids[i] = n.ID
	}
	have, err := s.notificationsByID(ctx, ids)
	if err != nil {
		return nil, err
	}
	docs := make([]any, 0, len(all))
	for _, n := range all {
		if _, exists := have[n.ID]; !exists {
			docs = append(docs, n)
		}
	}
	return docs, nil
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
	var found []notification.Notification
	if err == nil {
		err = cur.All(ctx, &found)
	}
	return found, classify("list owed notifications", err)
}

func (s *Store) notificationsByID(ctx context.Context, ids []string) (map[string]notification.Notification, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	cur, err := s.notifications.Find(ctx, bson.D{field("_id", bson.D{field("$in", ids)})})
	var found []notification.Notification
	if err == nil {
		err = cur.All(ctx, &found)
	}
	if err != nil {
		return nil, classify("read notifications", err)
	}
	byID := make(map[string]notification.Notification, len(found))
	for _, n := range found {
		byID[n.ID] = n
	}
	return byID, nil
}

// ErrClaimed: another dispatcher holds the notification's claim.
var ErrClaimed = errors.New("claimed by another dispatcher")
