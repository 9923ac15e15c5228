package store

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo/options"
)

// IngestReport is what an ingester said last about what it holds: a document of
// `ingesters`.
type IngestReport struct {
	Ingester string        `bson:"_id"`
	Beat     int64         `bson:"beat"`   // how often it has said so: ages are never compared between machines
	Behind   time.Duration `bson:"behind"` // nanoseconds since it took the oldest message that it has not stored
}

// reportKept is how long the report of an ingester that has died stays.
const reportKept = time.Hour

// ReportIngest says for how long an ingester has held its oldest message.
func (s *Store) ReportIngest(ctx context.Context, ingester string, behind time.Duration, now time.Time) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	_, err := s.ingesters.UpdateOne(ctx, bson.D{field("_id", ingester)}, bson.D{
		field("$inc", bson.D{field("beat", int64(1))}),
		field("$set", bson.D{field("behind", behind), field("expires_at", now.Add(reportKept))}),
	}, options.Update().SetUpsert(true))
	return classify("report an ingester's progress", err)
}

// LeaveIngest ends an ingester's reports.
func (s *Store) LeaveIngest(ctx context.Context, ingester string) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	_, err := s.ingesters.DeleteOne(ctx, bson.D{field("_id", ingester)})
	return classify("end an ingester's reports", err)
}

// IngestReports are the last ones of all ingesters.
func (s *Store) IngestReports(ctx context.Context) ([]IngestReport, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	var found []IngestReport
	cur, err := s.ingesters.Find(ctx, bson.D{}, options.Find().SetSort(keys("_id", 1)))
	if err == nil {
		err = cur.All(ctx, &found)
	}
	return found, classify("list ingesters", err)
}
