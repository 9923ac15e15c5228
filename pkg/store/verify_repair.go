package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo"

	"github.com/events-aggregator/events-aggregator/pkg/metric"
)

// repair makes one drift right, if its counter is still as it was compared. A
// counter gets the recounted totals, a metric is made anew from its counters, and
// the sums of its window from the metrics.
func (s *Store) repair(ctx context.Context, d *metric.Drift, o VerifyOptions) error {
	at := o.Now()
	err := s.transaction(ctx, func(sc mongo.SessionContext) error {
		if d.Kind != metric.KindCounter {
			p, _ := metric.PeriodNamed(d.Period)
			_, err := s.metrics.DeleteOne(sc, bson.D{field("_id", metricID(p, d.Kind, d.Start, d.Series))})
			if err == nil && keepsSums(p) {
				_, err = s.metricSums.DeleteOne(sc, bson.D{field("_id", p.WindowID(d.Start))})
			}
			if err != nil {
				return err
			}
		} else if err := s.correct(sc, d, o.Retention); err != nil {
			return err
		}
		if windows := touchMinutes([]time.Time{d.Start}, at); len(windows) > 0 {
			_, err := s.metricWindows.BulkWrite(sc, windows)
			return err
		}
		return nil
	})
	switch {
	case err == nil:
		d.Repaired = true
		return nil
	case errors.Is(err, ErrConflict), isDuplicateKey(err): // counted in the meantime
		return nil
	default:
		return classify(fmt.Sprintf("repair %s %s", d.Kind, d.Start.Format(time.RFC3339)), err)
	}
}

// correct sets a counter's totals. The revision goes on, so that metrics made
// from the wrong totals are replaced.
func (s *Store) correct(ctx context.Context, d *metric.Drift, retention time.Duration) error {
	filter := bson.D{field("_id", counterID(d.Start, d.Series))}
	r := d.Recounted
	set := bson.D{field("count", r.Count), field("errors", r.Errors), field("severity_sum", r.Severity), field("levels", r.Levels)}
	update := bson.D{field("$inc", bson.D{field("revision", int64(1))})}
	// A counter that was wrong about response times keeps a histogram, if only
	// an empty one, so that its metrics are made anew.
	if !d.Counted.Response.Equal(r.Response) {
		set = append(set, field("rt_count", r.Response.Count), field("rt_sum_us", r.Response.SumMicros), field("rt_hist", r.Response.Histogram.Document()))
		if r.Response.Count > 0 {
			set = append(set, field("rt_min_ms", r.Response.MinMS), field("rt_max_ms", r.Response.MaxMS))
		} else {
			update = append(update, field("$unset", bson.D{field("rt_min_ms", ""), field("rt_max_ms", "")}))
		}
	}
	if d.Revision == 0 {
		doc := slices.Concat(filter, counterIdentity(d.Start, d.Series, retention), set, bson.D{field("revision", int64(1))})
		if !d.EventsUntil.IsZero() {
			doc = append(doc, field("events_until", d.EventsUntil))
		}
		_, err := s.counters.InsertOne(ctx, doc)
		return err
	}
	result, err := s.counters.UpdateOne(ctx, append(filter, field("revision", d.Revision)), append(update, field("$set", set)))
	if err == nil && result.MatchedCount == 0 {
		return ErrConflict
	}
	return err
}
