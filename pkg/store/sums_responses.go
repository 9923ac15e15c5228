package store

import (
	"context"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/metric"
)

// readResponses adds the response times of a segment of metrics. Their histograms
// are added up here: the database would make a document of each bucket first, 50
// of each window and series, and group those.
func (q SumsQuery) readResponses(ctx context.Context, s *Store, seg metric.Segment, rows rowSums) error {
	cur, err := s.metrics.Find(ctx, q.match(seg, "RESPONSE_TIME"), s.findBy(ctx, kindIndex).SetMaxTime(timeLeft(ctx)).SetBatchSize(10_000).
		SetProjection(keys("_id", 0, timestamp, 1, "dimensions", 1, "count", 1, "sum_us", 1, "min", 1, "max", 1, "histogram", 1)))
	if err != nil {
		return err
	}
	defer func() { _ = cur.Close(context.WithoutCancel(ctx)) }()
	histograms := map[*SumsRow]map[float64]int64{} // by the buckets' middles
	for cur.Next(ctx) {
		row, err := q.addResponse(cur.Current, rows)
		if err != nil {
			return err
		}
		if histograms[row] == nil {
			histograms[row] = map[float64]int64{}
		}
		if err := addBuckets(histograms[row], cur.Current.Lookup("histogram")); err != nil {
			return err
		}
	}
	for row, buckets := range histograms {
		for ms, n := range buckets {
			if n > 0 {
				row.Response.Histogram = append(row.Response.Histogram, metric.Bucket{Index: metric.BucketAt(ms), N: n})
			}
		}
	}
	return cur.Err()
}

// addResponse adds a metric but for its histogram, and says to which row.
func (q SumsQuery) addResponse(doc bson.Raw, rows rowSums) (*SumsRow, error) {
	var m struct {
		At         time.Time        `bson:"timestamp"`
		Dimensions MetricDimensions `bson:"dimensions"`
		Count      int64            `bson:"count"`
		Sum        int64            `bson:"sum_us"`
		Min        float64          `bson:"min"`
		Max        float64          `bson:"max"`
	}
	if err := bson.Unmarshal(doc, &m); err != nil {
		return nil, fmt.Errorf("a metric: %w", err)
	}
	var start time.Time
	if q.Window.Name != "" {
		start = q.Window.Start(m.At)
	}
	var series metric.Series
	for _, d := range q.By {
		switch d {
		case metric.Type:
			series.Type = m.Dimensions.EventType
		case metric.Source:
			series.Source = m.Dimensions.Source
		case metric.Region:
			series.Region = m.Dimensions.Region
		}
	}
	row := rows.at(start, series)
	buckets := row.Response.Histogram // put in order when all are in
	row.Response.Histogram = nil
	if m.Count > 0 {
		row.Response.Add(metric.Response{Count: m.Count, SumMicros: m.Sum, MinMS: m.Min, MaxMS: m.Max})
	}
	row.Response.Histogram = buckets
	return row, nil
}

func addBuckets(to map[float64]int64, histogram bson.RawValue) error {
	list, ok := histogram.ArrayOK()
	if !ok {
		return nil
	}
	buckets, err := list.Values()
	if err != nil {
		return fmt.Errorf("a histogram: %w", err)
	}
	for _, b := range buckets {
		one, ok := b.DocumentOK()
		if !ok {
			return fmt.Errorf("a bucket is %s", b.Type)
		}
		n, _ := one.Lookup("n").AsInt64OK()
		middle := one.Lookup("ms")
		ms, ok := middle.DoubleOK()
		if !ok {
			whole, _ := middle.AsInt64OK()
			ms = float64(whole)
		}
		to[ms] += n
	}
	return nil
}
