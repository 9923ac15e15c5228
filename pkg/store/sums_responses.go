package store

import (
	"context"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/metric"
)

// readResponses adds the response times of a stretch of metrics. Their histograms
// are added up here: the database would make a document of each bucket first, 50
// of each window and series, and group those.
func (q SumsQuery) readResponses(ctx context.Context, s *Store, part stretch, rows rowSums) error {
	histograms := map[*SumsRow]map[float64]int64{} // by the buckets' middles
	err := s.eachMetric(ctx, q.metrics(part), "RESPONSE_TIME", func(m summedMetric) error {
		row := q.addResponse(m, rows)
		if histograms[row] == nil {
			histograms[row] = map[float64]int64{}
		}
		return addBuckets(histograms[row], m.Histogram)
	})
	for row, buckets := range histograms {
		row.Response.Histogram = append(row.Response.Histogram, histogramOf(buckets)...)
	}
	return err
}

// addResponse adds a metric but for its histogram, and says to which row.
func (q SumsQuery) addResponse(m summedMetric, rows rowSums) *SumsRow {
	var start time.Time
	if q.Window.Name != "" {
		start = q.Window.Start(m.At)
	}
	var series metric.Series
	for _, d := range q.By {
		d.Set(&series, q.under(d.Of(m.Dimensions.Series())))
	}
	row := rows.at(start, series)
	buckets := row.Response.Histogram // put in order when all are in
	row.Response.Histogram = nil
	row.Response.Add(m.response())
	row.Response.Histogram = buckets
	return row
}

// histogramOf is made of buckets by their middles.
func histogramOf(buckets map[float64]int64) metric.Histogram {
	var h metric.Histogram
	for ms, n := range buckets {
		if n > 0 {
			h = append(h, metric.Bucket{Index: metric.BucketAt(ms), N: n})
		}
	}
	return h.Sorted()
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
