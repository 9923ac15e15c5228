package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"

	"github.com/events-aggregator/events-aggregator/pkg/config"
	"github.com/events-aggregator/events-aggregator/scripts/runreport/report"
)

const (
	readWithin = time.Minute
	// early is how far an event's own time may lie before the moment that it was
	// stored; the index is on the former.
	early = time.Hour
)

// readLedger reads what was stored since then, from the database that the
// processes are configured to use. receiver is its HOST:PORT, ids are the event_ids
// that must be stored.
func readLedger(since time.Time, receiver string, ids []string) (l report.Ledger, err error) {
	c, err := config.Load(config.Options{Process: "eactl", Environ: os.Environ()})
	if err != nil {
		return l, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), readWithin)
	defer cancel()
	client, err := mongo.Connect(ctx, options.Client().ApplyURI(c.Mongo.URI))
	if err != nil {
		return l, fmt.Errorf("connect to MongoDB: %w", err)
	}
	defer func() { _ = client.Disconnect(context.WithoutCancel(ctx)) }()
	db := client.Database(c.Mongo.Database)
	if l.Rules, err = rules(ctx, db); err != nil {
		return l, fmt.Errorf("read rules: %w", err)
	}
	if l.Matches, err = matches(ctx, db, since); err != nil {
		return l, fmt.Errorf("count matches: %w", err)
	}
	if err = notifications(ctx, db, since, receiver, &l); err != nil {
		return l, fmt.Errorf("read notifications: %w", err)
	}
	for some := range slices.Chunk(ids, idsTogether) {
		n, err := db.Collection("events").CountDocuments(ctx, bson.M{"event_id": bson.M{"$in": some}})
		if err != nil {
			return l, fmt.Errorf("look for the run's events: %w", err)
		}
		l.Stored += int(n)
	}
	return l, nil
}

// idsTogether are looked for by one query.
const idsTogether = 1000

func rules(ctx context.Context, db *mongo.Database) (map[string]report.Rule, error) {
	cur, err := db.Collection("rules").Find(ctx, bson.D{})
	if err != nil {
		return nil, err
	}
	var all []struct {
		ID      string     `bson:"_id"`
		Name    string     `bson:"name"`
		Actions []bson.Raw `bson:"actions"`
		Window  bson.Raw   `bson:"window"`
	}
	if err := cur.All(ctx, &all); err != nil {
		return nil, err
	}
	byID := map[string]report.Rule{}
	for _, r := range all {
		byID[r.ID] = report.Rule{Name: r.Name, Actions: len(r.Actions), Window: r.Window != nil}
	}
	return byID, nil
}

func matches(ctx context.Context, db *mongo.Database, since time.Time) (map[string]int, error) {
	cur, err := db.Collection("events").Aggregate(ctx, mongo.Pipeline{
		{{Key: "$match", Value: bson.M{
			"timestamp":     bson.M{"$gte": since.Add(-early)},
			"created_at":    bson.M{"$gte": since},
			"matched_rules": bson.M{"$exists": true},
		}}},
		{{Key: "$unwind", Value: "$matched_rules"}},
		{{Key: "$group", Value: bson.M{"_id": "$matched_rules", "n": bson.M{"$sum": 1}}}},
	})
	if err != nil {
		return nil, err
	}
	var groups []struct {
		Rule string `bson:"_id"`
		N    int    `bson:"n"`
	}
	if err := cur.All(ctx, &groups); err != nil {
		return nil, err
	}
	byRule := map[string]int{}
	for _, g := range groups {
		byRule[g.Rule] = g.N
	}
	return byRule, nil
}

func notifications(ctx context.Context, db *mongo.Database, since time.Time, receiver string, l *report.Ledger) error {
	cur, err := db.Collection("notifications").Find(ctx, bson.M{"created_at": bson.M{"$gte": since}},
		options.Find().SetProjection(bson.M{"rule_id": 1, "status": 1, "action.type": 1, "action.config.url": 1, "alert.slot": 1, "group.key": 1}))
	if err != nil {
		return err
	}
	defer func() { _ = cur.Close(ctx) }()
	l.Rows = map[string]int{}
	for cur.Next(ctx) {
		var n struct {
			ID     string `bson:"_id"`
			Rule   string `bson:"rule_id"`
			Status string `bson:"status"`
			Action struct {
				Type   string `bson:"type"`
				Config struct {
					URL string `bson:"url"`
				} `bson:"config"`
			} `bson:"action"`
			Alert bson.Raw `bson:"alert"`
			Group bson.Raw `bson:"group"`
		}
		if err := cur.Decode(&n); err != nil {
			return err
		}
		if n.Alert == nil && n.Group == nil {
			l.Rows[n.Rule]++
		} else {
			l.Others++
		}
		if n.Status == "delivered" && n.Action.Type == "WEBHOOK" && strings.HasPrefix(n.Action.Config.URL, "http://"+receiver+"/") {
			l.Webhooks = append(l.Webhooks, n.ID)
		}
	}
	return cur.Err()
}
