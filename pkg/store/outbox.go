package store

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo/options"

	"github.com/events-aggregator/events-aggregator/pkg/notification"
)

// UnpublishedNotifications lists those that a timer decided before the given
// time and whose first message is not confirmed, oldest first.
func (s *Store) UnpublishedNotifications(ctx context.Context, before time.Time, limit int) ([]notification.Notification, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	cur, err := s.notifications.Find(ctx,
		bson.D{field("unpublished", true), field("created_at", bson.D{field("$lt", before)})},
		options.Find().SetSort(keys("unpublished", 1, "created_at", 1)).SetLimit(int64(limit)))
	var found []notification.Notification
	if err == nil {
		err = cur.All(ctx, &found)
	}
	return found, classify("list unpublished notifications", err)
}

// MarkPublished notes that the first messages of notifications are confirmed.
func (s *Store) MarkPublished(ctx context.Context, ids ...string) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	if len(ids) == 0 {
		return nil
	}
	_, err := s.notifications.UpdateMany(ctx, bson.D{field("_id", bson.D{field("$in", ids)})},
		bson.D{field("$unset", bson.D{field("unpublished", "")})})
	return classify("mark notifications published", err)
}
