package store

import (
	"context"
	"errors"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo/options"

	"github.com/events-aggregator/events-aggregator/pkg/metric"
)

const (
	// recountTimeout bounds the recount of one piece of a range; a single
	// minute can hold millions of events.
	recountTimeout = 10 * time.Minute
	// openBatchesMax bounds the backlog that a recount works beside.
	openBatchesMax = 20_000
)

// ErrBacklog: too much is not counted yet for a recount to make sense.
var ErrBacklog = errors.New("too many batches are not counted yet; verify again when the aggregator has caught up")

// countersIn reads the counters of a range.
func (s *Store) countersIn(ctx context.Context, r metric.Range) ([]metric.Counter, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	cur, err := s.counters.Find(ctx, appendRange(nil, "minute", true, r.From, true, "$lt", r.To),
		options.Find().SetBatchSize(10_000))
	var counters []metric.Counter
	if err == nil {
		err = cur.All(ctx, &counters)
	}
	return counters, classify("read counters", err)
}

// recount counts the raw events of a range.
func (s *Store) recount(ctx context.Context, r metric.Range, registry metric.Registry) ([]metric.Increment, error) {
	ctx, cancel := context.WithTimeout(ctx, recountTimeout)
	defer cancel()
	cur, err := s.events.Aggregate(ctx, bson.A{
		bson.D{field("$match", bson.D{field("timestamp", bson.D{field("$gte", r.From), field("$lt", r.To)})})},
		bson.D{field("$project", bson.D{
			field("_id", 0), field("timestamp", 1), field("type", 1), field("source", 1), field("region", stringOf("$metadata.region")),
			field("severity", 1), field("expires_at", 1), field("ms", responseMS()),
		})},
		bson.D{field("$group", append(bson.D{
			field("_id", bson.D{
				field("minute", minuteOf("$timestamp")),
				field("type", named(registry, metric.Type, "$type")),
				field("source", named(registry, metric.Source, "$source")),
				field("region", named(registry, metric.Region, "$region")),
				field("severity", "$severity"),
				bucketKey(),
			}),
			field("until", bson.D{field("$min", "$expires_at")}),
		}, sumEvents()...))},
	}, s.aggregateBy(ctx, "time").SetAllowDiskUse(true).SetBatchSize(10_000))
	if err != nil {
		return nil, classify("recount events", err)
	}
	var groups []recounted
	if err := cur.All(ctx, &groups); err != nil {
		return nil, classify("recount events", err)
	}
	increments := make([]metric.Increment, len(groups))
	for i, g := range groups {
		increments[i] = g.increment()
	}
	return increments, nil
}

// noBucket groups the events without a response time.
const noBucket = -1

// micros are the whole microseconds of the field ms.
var micros = bson.D{field("$toLong", bson.D{field("$floor", bson.D{field("$multiply", bson.A{"$ms", 1000})})})}

// bucketKey groups events by the bucket of their response time, the field ms.
func bucketKey() bson.E {
	return field("bucket", bson.D{field("$cond", bson.A{
		bson.D{field("$eq", bson.A{"$ms", nil})}, noBucket, metric.BucketExpression(micros),
	})})
}

// sumEvents adds events up.
func sumEvents() bson.D {
	return bson.D{
		field("n", bson.D{field("$sum", int64(1))}), field("us", bson.D{field("$sum", micros)}),
		field("min", bson.D{field("$min", "$ms")}), field("max", bson.D{field("$max", "$ms")}),
	}
}

// stringOf is a field's text; what is no string counts as absent.
func stringOf(path string) bson.D {
	return bson.D{field("$cond", bson.A{bson.D{field("$eq", bson.A{bson.D{field("$type", path)}, "string"})}, path, ""})}
}

// recounted are the events of one minute, series, severity and bucket.
type recounted struct {
	ID struct {
		Minute   time.Time `bson:"minute"`
		Type     string    `bson:"type"`
		Source   string    `bson:"source"`
		Region   string    `bson:"region"`
		Severity int       `bson:"severity"`
		Bucket   int       `bson:"bucket"`
	} `bson:"_id"`
	N     int64     `bson:"n"`
	Us    int64     `bson:"us"`
	Min   *float64  `bson:"min"`
	Max   *float64  `bson:"max"`
	Until time.Time `bson:"until"`
}

func (g recounted) increment() metric.Increment {
	inc := metric.Increment{
		Minute: g.ID.Minute.UTC(), Series: metric.Series{Type: g.ID.Type, Source: g.ID.Source, Region: g.ID.Region},
		Sums: metric.Sums{Totals: metric.TotalsOf(g.ID.Severity, g.N)}, EventsUntil: g.Until,
	}
	if g.ID.Bucket != noBucket && g.Min != nil && g.Max != nil {
		inc.Response = metric.Response{Count: g.N, SumMicros: g.Us, MinMS: *g.Min, MaxMS: *g.Max,
			Histogram: metric.Histogram{{Index: g.ID.Bucket, N: g.N}}}
	}
	return inc
}

// responseMS is an event's response time as metric.Sum reads it: the first of
// the two fields that holds a sensible number, else null.
func responseMS() bson.D {
	sensible := func(path string) bson.D {
		return bson.D{field("$and", bson.A{
			bson.D{field("$in", bson.A{bson.D{field("$type", path)}, bson.A{"double", "int", "long"}})},
			bson.D{field("$gte", bson.A{path, 0})}, bson.D{field("$lte", bson.A{path, metric.ResponseTimeMax})},
		})}
	}
	response, duration := "$payload.response_time_ms", "$payload.duration_ms"
	return bson.D{field("$cond", bson.A{sensible(response), response,
		bson.D{field("$cond", bson.A{sensible(duration), duration, nil})}})}
}

func minuteOf(path string) bson.D {
	return bson.D{field("$dateTrunc", bson.D{field("date", path), field("unit", "minute")})}
}

// named is metric.Registry.Name as an expression, so that a flood of values
// that are counted as "other" does not make a flood of groups.
func named(registry metric.Registry, d metric.Dimension, value any) bson.D {
	names := []string{""}
	for v := range registry[d].Values {
		names = append(names, v)
	}
	slices.Sort(names)
	return bson.D{field("$cond", bson.A{
		bson.D{field("$in", bson.A{value, bson.D{field("$literal", names)}})}, value, metric.Other,
	})}
}

// uncountedMinutes lists the minutes of the range that hold events of batches
// which are not counted, or not known to be.
func (s *Store) uncountedMinutes(ctx context.Context, r metric.Range) ([]time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, recountTimeout)
	defer cancel()
	cur, err := s.batches.Find(ctx, append(openStage(Aggregated), field("first_event_at", bson.D{field("$lt", r.To)})),
		options.Find().SetHint(stageIndex[Aggregated]).SetProjection(keys("_id", 1)).SetLimit(openBatchesMax+1))
	var open []struct {
		ID string `bson:"_id"`
	}
	if err == nil {
		err = cur.All(ctx, &open)
	}
	if err != nil || len(open) == 0 {
		return nil, classify("list uncounted batches", err)
	}
	if len(open) > openBatchesMax {
		return nil, ErrBacklog
	}
	ids := make([]string, len(open))
	for i, b := range open {
		ids[i] = b.ID
	}
	cur, err = s.events.Aggregate(ctx, bson.A{
		bson.D{field("$match", bson.D{
			field("timestamp", bson.D{field("$gte", r.From), field("$lt", r.To)}),
			field("batch_id", bson.D{field("$in", ids)}),
		})},
		bson.D{field("$group", bson.D{field("_id", minuteOf("$timestamp"))})},
	}, s.aggregateBy(ctx, "time"))
	var groups []struct {
		Minute time.Time `bson:"_id"`
	}
	if err == nil {
		err = cur.All(ctx, &groups)
	}
	minutes := make([]time.Time, len(groups))
	for i, g := range groups {
		minutes[i] = g.Minute.UTC()
	}
	return minutes, classify("list uncounted minutes", err)
}

// Pending says whether anything of the range still has to be counted or
// materialised.
func (s *Store) Pending(ctx context.Context, from, to time.Time) (bool, error) {
	minutes, err := s.uncountedMinutes(ctx, metric.Range{From: from, To: to})
	switch {
	case errors.Is(err, ErrBacklog), err == nil && len(minutes) > 0:
		return true, nil
	case err != nil:
		return false, err
	}
	for _, p := range metric.Periods {
		windows, err := s.changedIn(ctx, p, p.Start(from), to)
		if err != nil || len(windows) > 0 {
			return len(windows) > 0, err
		}
	}
	return false, nil
}
