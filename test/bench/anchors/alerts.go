package main

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"

	"github.com/events-aggregator/events-aggregator/test/bench/anchors/load"
)

// alerts writes what alerts of windows owe, 500 in a transaction, and when that
// is done that their messages were published. There is one writer, as the timer
// has one owner.
func (d database) alerts(ctx context.Context) error {
	exists := bson.D{{Key: "unpublished", Value: bson.D{{Key: "$exists", Value: true}}}}
	c, err := d.notifications(ctx,
		mongo.IndexModel{Keys: bson.D{{Key: "expires_at", Value: 1}}, Options: options.Index().SetExpireAfterSeconds(0)},
		mongo.IndexModel{Keys: bson.D{{Key: "unpublished", Value: 1}, {Key: "created_at", Value: 1}, {Key: "_id", Value: 1}},
			Options: options.Index().SetPartialFilterExpression(exists)})
	if err != nil {
		return err
	}
	err = timed(d.n, func() error {
		for from := 0; from < d.n; from += batchSize {
			if err := d.alertsFrom(ctx, c, from, min(batchSize, d.n-from)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return expect(ctx, c, bson.D{{Key: "status", Value: "pending"}, {Key: "unpublished", Value: bson.D{{Key: "$exists", Value: false}}}}, d.n)
}

func (d database) alertsFrom(ctx context.Context, c *mongo.Collection, from, count int) error {
	now := time.Now().UTC()
	docs, ids := make([]any, count), make([]string, count)
	for i := range docs {
		id := load.ID(d.run, from+i)
		ids[i] = "ntf_" + id
		docs[i] = bson.D{{Key: "_id", Value: ids[i]}, {Key: "event_id", Value: id}, {Key: "rule_id", Value: "r"}, {Key: "rule_version", Value: 1}, {Key: "rule_name", Value: "a rule"},
			{Key: "action", Value: bson.D{{Key: "type", Value: "LOG"}, {Key: "config", Value: bson.D{{Key: "message", Value: "{{.Alert.Text}}"}}}}},
			{Key: "alert", Value: bson.D{{Key: "kind", Value: "change"}, {Key: "key", Value: bson.D{{Key: "user_id", Value: id}}}, {Key: "slot", Value: int64(from + i)},
				{Key: "from", Value: now}, {Key: "to", Value: now}, {Key: "value", Value: 0.0}, {Key: "text", Value: "payload.ip changed from 10.0.0.1 to 10.0.0.2"}}},
			{Key: "queue", Value: "notifications.default"}, {Key: "status", Value: "pending"}, {Key: "attempts", Value: bson.A{}}, {Key: "attempt_count", Value: 0},
			{Key: "created_at", Value: now}, {Key: "updated_at", Value: now}, {Key: "expires_at", Value: now.Add(720 * time.Hour)}, {Key: "unpublished", Value: true}}
	}
	session, err := d.client.StartSession()
	if err != nil {
		return err
	}
	defer session.EndSession(ctx)
	_, err = session.WithTransaction(ctx, func(sc mongo.SessionContext) (any, error) { return c.InsertMany(sc, docs) })
	if err != nil {
		return err
	}
	_, err = c.UpdateMany(ctx, bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: ids}}}}, bson.D{{Key: "$unset", Value: bson.D{{Key: "unpublished", Value: ""}}}})
	return err
}
