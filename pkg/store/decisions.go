package store

import (
	"context"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"

	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
)

// Decide commits a decision in one transaction: the batch's mark, processed
// and matched_rules of its events (matches without rules change nothing), and
// the notifications that are now owed. Of b, ID, FirstID and LastID are used.
// first is false when the batch was decided before; then nothing changes.
func (s *Store) Decide(ctx context.Context, b event.Batch, matches []event.Match, owed []notification.Notification, at time.Time) (first bool, err error) {
	docs := make([]any, len(owed))
	for i, n := range owed {
		docs[i] = n
	}
	updates := matchUpdates(matches)
	var decided bool
	run := func(sc mongo.SessionContext) error {
		decided = false
		if _, err := s.marks.InsertOne(sc, newMark(b.ID, markRules, at)); err != nil {
			decided = isDuplicateKey(err)
			return err
		}
		_, err := s.events.UpdateMany(sc, eventsOf(b.ID, b.FirstID, b.LastID),
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
		if docs, err = s.newNotifications(ctx, owed); err == nil {
			err = s.transaction(ctx, run)
			if decided {
				return false, nil
			}
		}
	}
	return err == nil, classify("decide batch "+b.ID, err)
}

// matchUpdates sets matched_rules with one update for each different list.
func matchUpdates(matches []event.Match) []mongo.WriteModel {
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
