package main

import (
	"context"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"
)

const (
	countersInBatch  = 200
	seriesInMinute   = 2000
	batchesPerMinute = 60
)

// counters does what the aggregator owes each batch, in one transaction: a mark,
// and increments of 200 counters. Each writer has counters of its own, so that
// no two transactions meet.
func (d database) counters(ctx context.Context) error {
	marks, counters := d.db.Collection("batches"), d.db.Collection("counters")
	for _, c := range []*mongo.Collection{marks, counters} { // not inside a transaction
		if err := d.db.CreateCollection(ctx, c.Name()); err != nil {
			return err
		}
	}
	err := timed(d.n, func() error {
		return batches(d.n, func(writer, from, count int) error {
			at := time.Now()
			increments := incrementsOf(writer, from/batchSize, count)
			session, err := d.client.StartSession()
			if err != nil {
				return err
			}
			defer session.EndSession(ctx)
			_, err = session.WithTransaction(ctx, func(sc mongo.SessionContext) (any, error) {
				if _, err := marks.UpdateOne(sc, bson.D{{Key: "_id", Value: fmt.Sprintf("batch-%d-%d", d.run, from)}}, bson.D{
					{Key: "$set", Value: bson.D{{Key: "aggregated_at", Value: primitive.NewDateTimeFromTime(at)}}},
					{Key: "$setOnInsert", Value: bson.D{{Key: "count", Value: int32(count)}}},
				}, options.Update().SetUpsert(true)); err != nil {
					return nil, err
				}
				return counters.BulkWrite(sc, increments, options.BulkWrite().SetOrdered(false))
			})
			return err
		})
	})
	if err != nil {
		return err
	}
	return expect(ctx, marks, bson.D{}, (d.n+batchSize-1)/batchSize)
}

// incrementsOf spreads a batch's events over its counters.
func incrementsOf(writer, batch, events int) []mongo.WriteModel {
	minute := time.Unix(1_750_000_000, 0).UTC().Truncate(time.Minute).Add(time.Duration(batch/batchesPerMinute) * time.Minute)
	models := make([]mongo.WriteModel, countersInBatch)
	for i := range models {
		n := events / countersInBatch
		if i < events%countersInBatch {
			n++
		}
		s := (batch*countersInBatch + i) % seriesInMinute
		typ, source, region := fmt.Sprintf("TYPE_%03d", s%200), fmt.Sprintf("service-%d-%d", writer, s/200%50), fmt.Sprintf("region-%d", s%7)
		models[i] = mongo.NewUpdateOneModel().SetUpsert(true).
			SetFilter(bson.D{{Key: "_id", Value: fmt.Sprintf("%s|%s|%s|%s", minute.Format("200601021504"), typ, source, region)}}).
			SetUpdate(bson.D{
				{Key: "$inc", Value: bson.D{
					{Key: "count", Value: int64(n)}, {Key: "levels.info", Value: int64(n)}, {Key: "errors", Value: int64(n / 2)},
					{Key: "rt.sum", Value: int64(40 * n)}, {Key: "rt.count", Value: int64(n)}, {Key: fmt.Sprintf("rt.hist.%d", s%8), Value: int64(n)},
				}},
				{Key: "$setOnInsert", Value: bson.D{
					{Key: "minute", Value: primitive.NewDateTimeFromTime(minute)}, {Key: "type", Value: typ},
					{Key: "source", Value: source}, {Key: "region", Value: region},
				}},
			})
	}
	return models
}
