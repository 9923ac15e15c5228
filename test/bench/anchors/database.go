package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"

	"github.com/events-aggregator/events-aggregator/test/bench/anchors/load"
)

// database is one that the bench has made for the bounds.
type database struct {
	job
	client *mongo.Client
	db     *mongo.Database
	events *mongo.Collection
}

// onDatabase does one kind of work in a database, and its own preparations off
// the clock.
func (j job) onDatabase(ctx context.Context, name string, work func(database, context.Context) error) error {
	client, err := mongo.Connect(ctx, options.Client().ApplyURI(os.Getenv("EA_MONGO_URI")))
	if err != nil {
		return fmt.Errorf("connect to MongoDB: %w", err)
	}
	db := client.Database(name)
	err = work(database{job: j, client: client, db: db, events: db.Collection("events")}, ctx)
	return errors.Join(err, client.Disconnect(context.WithoutCancel(ctx)))
}

// insert writes events in the stored shape under consecutive ids that begin
// with the run's number, so that processed finds them.
func (d database) insert(ctx context.Context) error {
	l, err := load.New()
	if err != nil {
		return err
	}
	if err := d.createIndexes(ctx); err != nil {
		return err
	}
	err = timed(d.n, func() error {
		return batches(d.n, func(_, from, count int) error {
			now, batchID := time.Now(), d.id(from).Hex()
			docs := make([]any, count)
			for i := range docs {
				doc, err := d.stored(l, from+i, batchID, now)
				if err != nil {
					return err
				}
				docs[i] = doc
			}
			_, err := d.events.InsertMany(ctx, docs, options.InsertMany().SetOrdered(false))
			return err
		})
	})
	if err != nil {
		return err
	}
	return expect(ctx, d.events, bson.D{}, d.n)
}

// id is that of event i.
func (d database) id(i int) (id primitive.ObjectID) {
	binary.BigEndian.PutUint32(id[:4], d.run)
	binary.BigEndian.PutUint64(id[4:], uint64(i))
	return id
}

// stored decodes event i and adds what the product adds.
func (d database) stored(l *load.Load, i int, batchID string, now time.Time) (bson.D, error) {
	_, body := l.Event(d.run, i, now)
	var event bson.D
	if err := bson.UnmarshalExtJSON(body, false, &event); err != nil {
		return nil, err
	}
	doc := make(bson.D, 0, len(event)+6)
	doc = append(doc, bson.E{Key: "_id", Value: d.id(i)})
	var words []string
	for _, e := range event {
		switch e.Key {
		case "timestamp":
			text, _ := e.Value.(string)
			at, err := time.Parse(time.RFC3339Nano, text)
			if err != nil {
				return nil, err
			}
			e.Value = primitive.NewDateTimeFromTime(at)
		case "payload", "metadata":
			words = texts(e.Value, words)
		}
		doc = append(doc, e)
	}
	search := strings.Join(words, " ")
	return append(doc,
		bson.E{Key: "search_text", Value: search[:min(len(search), 4096)]},
		bson.E{Key: "processed", Value: false},
		bson.E{Key: "batch_id", Value: batchID},
		bson.E{Key: "created_at", Value: primitive.NewDateTimeFromTime(now)},
		bson.E{Key: "expires_at", Value: primitive.NewDateTimeFromTime(now.Add(720 * time.Hour))}), nil
}

// texts adds the strings in a value.
func texts(v any, to []string) []string {
	switch v := v.(type) {
	case string:
		to = append(to, v)
	case bson.D:
		for _, e := range v {
			to = texts(e.Value, to)
		}
	case bson.A:
		for _, e := range v {
			to = texts(e, to)
		}
	}
	return to
}

// createIndexes makes those that storing and matching need at the least; the
// product has more, which make its bound a little high.
func (d database) createIndexes(ctx context.Context) error {
	keys := func(fields ...any) (keys bson.D) {
		for i := 0; i < len(fields); i += 2 {
			name, _ := fields[i].(string)
			keys = append(keys, bson.E{Key: name, Value: fields[i+1]})
		}
		return keys
	}
	matched := bson.D{{Key: "matched_rules", Value: bson.D{{Key: "$exists", Value: true}}}}
	_, err := d.events.Indexes().CreateMany(ctx, []mongo.IndexModel{
		{Keys: keys("event_id", 1), Options: options.Index().SetUnique(true)},
		{Keys: keys("type", 1, "timestamp", -1, "severity", -1)},
		{Keys: keys("user_id", 1, "timestamp", -1)},
		{Keys: keys("source", 1, "timestamp", -1)},
		{Keys: keys("trace_id", 1)},
		{Keys: keys("expires_at", 1), Options: options.Index().SetExpireAfterSeconds(0)},
		{Keys: keys("matched_rules", 1, "timestamp", -1), Options: options.Index().SetPartialFilterExpression(matched)},
		{Keys: keys("metadata.location", "2dsphere")},
	})
	if err != nil {
		return err
	}
	_, err = d.events.Indexes().CreateOne(ctx, mongo.IndexModel{Keys: keys("search_text", "text")})
	var refused mongo.CommandError // a server without this kind; the product is used without it, too
	if errors.As(err, &refused) {
		return nil
	}
	return err
}

// processed does what the rule-worker owes each batch.
func (d database) processed(ctx context.Context) error {
	set := bson.D{{Key: "$set", Value: bson.D{{Key: "processed", Value: true}}}}
	err := timed(d.n, func() error {
		return batches(d.n, func(_, from, count int) error {
			r, err := d.events.UpdateMany(ctx, bson.D{{Key: "_id", Value: bson.D{
				{Key: "$gte", Value: d.id(from)}, {Key: "$lte", Value: d.id(from + count - 1)},
			}}}, set)
			if err == nil && r.ModifiedCount != int64(count) {
				err = fmt.Errorf("%d of %d events were there to be marked", r.ModifiedCount, count)
			}
			return err
		})
	})
	if err != nil {
		return err
	}
	return expect(ctx, d.events, bson.D{{Key: "processed", Value: true}}, d.n)
}

func expect(ctx context.Context, c *mongo.Collection, filter bson.D, want int) error {
	got, err := c.CountDocuments(ctx, filter)
	if err == nil && got != int64(want) {
		err = fmt.Errorf("%d documents in %s, not %d", got, c.Name(), want)
	}
	return err
}
