package store

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"

	"github.com/events-aggregator/events-aggregator/pkg/notification"
)

// UnpublishedNotifications lists those that a timer decided before the given
// time and whose first message is not confirmed, oldest first, after the last one
// that was listed (nil begins), without those of some queues.
func (s *Store) UnpublishedNotifications(ctx context.Context, before time.Time, after *notification.Notification, limit int, without ...string) ([]notification.Notification, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	created := bson.D{field("$lt", before)}
	o := options.Find().SetSort(keys("unpublished", 1, "created_at", 1, "_id", 1))
	q := bson.D{field("unpublished", true)}
	if after != nil {
		created = append(created, field("$gte", after.CreatedAt))
		q = append(q, field("$or", bson.A{
			bson.D{field("created_at", bson.D{field("$gt", after.CreatedAt)})},
			bson.D{field("_id", bson.D{field("$gt", after.ID)})},
		}))
		o.SetHint(unpublishedIndex) // an $or must not lead another way
	}
	if len(without) > 0 {
		q = append(q, field("queue", bson.D{field("$nin", without)}))
	}
	found, err := page[notification.Notification](ctx, s, s.notifications, append(q, field("created_at", created)), o, limit)
	return found, classify("list unpublished notifications", err)
}

// MarkPublished notes that the messages of notifications, as they were read, are
// confirmed. One for which somebody has asked for another message since stays
// unpublished: that one is not confirmed by this.
func (s *Store) MarkPublished(ctx context.Context, published ...notification.Notification) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	if len(published) == 0 {
		return nil
	}
	byOrders := map[int][]string{}
	for _, n := range published {
		byOrders[n.Orders] = append(byOrders[n.Orders], n.ID)
	}
	models := make([]mongo.WriteModel, 0, len(byOrders))
	for orders, ids := range byOrders {
		models = append(models, mongo.NewUpdateManyModel().
			SetFilter(bson.D{field("_id", bson.D{field("$in", ids)}), ordered(orders)}).
			SetUpdate(bson.D{field("$unset", bson.D{field("unpublished", "")})}))
	}
	_, err := s.notifications.BulkWrite(ctx, models, options.BulkWrite().SetOrdered(false))
	return classify("mark notifications published", err)
}

// ordered matches notifications for which so many messages more were asked for.
func ordered(orders int) bson.E {
	if orders == 0 {
		return field("orders", bson.D{field("$exists", false)})
	}
	return field("orders", orders)
}

// LeaveUnpublished leaves new notifications whose message cannot be published to
// the sweep of what is unpublished, so that nothing else has to wait for them.
func (s *Store) LeaveUnpublished(ctx context.Context, ids ...string) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	if len(ids) == 0 {
		return nil
	}
	_, err := s.notifications.UpdateMany(ctx,
		bson.D{field("_id", bson.D{field("$in", ids)}), field("status", notification.Pending), field("attempt_count", 0)},
		bson.D{field("$set", bson.D{field("unpublished", true)})})
	return classify("leave notifications to the sweep", err)
}
