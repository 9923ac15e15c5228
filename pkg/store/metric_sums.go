package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"

	"github.com/events-aggregator/events-aggregator/pkg/metric"
)

// windowSums is a document of `metric_sums`: what the metrics of one window add up
// to. A day by five minutes is 288 of them, and 288 metrics of each series. They are
// made of the metrics, so they never say anything else; a window without one is
// answered by its metrics.
type windowSums struct {
	ID        string        `bson:"_id"` // of the window
	Period    string        `bson:"period"`
	Start     time.Time     `bson:"start"`
	All       metric.Sums   `bson:"all"`
	Types     []valueTotals `bson:"types"`
	Sources   []valueTotals `bson:"sources"`
	Regions   []valueTotals `bson:"regions"`
	Revision  int64         `bson:"revision"` // the sum of its metrics' revisions
	UpdatedAt time.Time     `bson:"updated_at"`
	ExpiresAt time.Time     `bson:"expires_at"`
}

// valueTotals are the counts of one value of a dimension.
type valueTotals struct {
	Value         string `bson:"value"`
	metric.Totals `bson:",inline"`
}

// of are the counts by the values of a dimension.
func (w *windowSums) of(d metric.Dimension) *[]valueTotals {
	switch d {
	case metric.Type:
		return &w.Types
	case metric.Source:
		return &w.Sources
	default:
		return &w.Regions
	}
}

func (w *windowSums) apart() metric.Apart {
	sums := metric.Apart{All: w.All}
	for _, d := range metric.Dimensions {
		for _, v := range *w.of(d) {
			sums.Count(d, v.Value, v.Totals)
		}
	}
	return sums
}

// keepsSums: a question never asks the metrics of minutes, and counters have no more
// documents than they would.
func keepsSums(p metric.Period) bool { return p.Length > time.Minute }

// summing is what the metrics of one window add up to, while they are read.
type summing struct {
	metric.Apart

	buckets  map[float64]int64 // by their middles
	revision int64
}

// addedTogether are windows whose sums are in memory at the same time, each with up
// to some thousand values.
const addedTogether = 12

// addUpWindows makes the sums of windows from their metrics.
func (s *Store) addUpWindows(ctx context.Context, p metric.Period, sp span, at time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, materialiseTimeout)
	defer cancel()
	for some := range slices.Chunk(sp.windows, addedTogether) {
		part := span{from: some[0].Start, to: some[len(some)-1].Start.Add(p.Length), windows: some}
		if err := s.addUpSome(ctx, p, part, at); err != nil {
			return err
		}
	}
	return nil
}

// addUpSome does so for a few. Revisions only rise, so sums of a part of the metrics,
// or of older ones, never replace newer ones; those of the same are written again, as
// they may be of a metric that was repaired.
func (s *Store) addUpSome(ctx context.Context, p metric.Period, sp span, at time.Time) error {
	windows := make(map[int64]*summing, len(sp.windows))
	for _, w := range sp.windows {
		windows[w.Start.Unix()] = &summing{buckets: map[float64]int64{}}
	}
	for _, kind := range []string{"EVENTS_COUNT", "RESPONSE_TIME"} {
		err := s.eachMetric(ctx, MetricFilter{Period: p.Name, From: sp.from, To: sp.to}, kind, func(m summedMetric) error {
			w := windows[m.At.Unix()]
			if w == nil { // unchanged, between two that have changed
				return nil
			}
			w.revision += m.Revision
			if kind == "EVENTS_COUNT" {
				w.Add(m.Dimensions.Series(), metric.Sums{Totals: m.totals()})
				return nil
			}
			w.All.Response.Add(m.response())
			return addBuckets(w.buckets, m.Histogram)
		})
		if err != nil {
			return err
		}
	}
	writes := make([]mongo.WriteModel, 0, len(sp.windows))
	for _, w := range sp.windows {
		sums := windows[w.Start.Unix()]
		sums.All.Response.Histogram = histogramOf(sums.buckets)
		doc := windowSums{ID: w.ID, Period: p.Name, Start: w.Start, All: sums.All, Revision: sums.revision, UpdatedAt: at, ExpiresAt: p.KeptUntil(w.Start)}
		for _, d := range metric.Dimensions {
			list := doc.of(d)
			*list = []valueTotals{}
			for value, totals := range sums.By[d] {
				*list = append(*list, valueTotals{value, totals})
			}
		}
		writes = append(writes, mongo.NewReplaceOneModel().SetUpsert(true).SetReplacement(doc).
			SetFilter(bson.D{field("_id", w.ID), field("revision", bson.D{field("$lte", sums.revision)})}))
	}
	// Somebody else may make the first sums of a window just now, and of older metrics.
	// Then they are there the next time; what refuses these once more is newer.
	for range 2 {
		_, err := s.metricSums.BulkWrite(ctx, writes, options.BulkWrite().SetOrdered(false))
		if !onlyDuplicates(err) {
			return err
		}
	}
	return nil
}

// onlyDuplicates: all that failed are insertions of what is there.
func onlyDuplicates(err error) bool {
	var failed mongo.BulkWriteException
	if !errors.As(err, &failed) || failed.WriteConcernError != nil || len(failed.WriteErrors) == 0 {
		return false
	}
	for _, one := range failed.WriteErrors {
		if !mongo.IsDuplicateKeyError(one.WriteError) {
			return false
		}
	}
	return true
}

// summedMetric is what is added up of a metric.
type summedMetric struct {
	At         time.Time        `bson:"timestamp"`
	Dimensions MetricDimensions `bson:"dimensions"`
	Count      int64            `bson:"count"`
	Severity   int64            `bson:"severity_sum"`
	Levels     metric.Levels    `bson:"levels"`
	Micros     int64            `bson:"sum_us"`
	Min        float64          `bson:"min"`
	Max        float64          `bson:"max"`
	Histogram  bson.RawValue    `bson:"histogram"`
	Revision   int64            `bson:"revision"`
}

func (m summedMetric) totals() metric.Totals {
	return metric.Totals{Count: m.Count, Errors: m.Levels.Error + m.Levels.Critical, Severity: m.Severity, Levels: m.Levels}
}

// response is without the histogram.
func (m summedMetric) response() metric.Response {
	return metric.Response{Count: m.Count, SumMicros: m.Micros, MinMS: m.Min, MaxMS: m.Max}
}

// eachMetric hands the metrics of one kind to f as they come.
func (s *Store) eachMetric(ctx context.Context, filter MetricFilter, kind string, f func(summedMetric) error) error {
	read := keys("_id", 0, timestamp, 1, "dimensions", 1, "count", 1, "revision", 1)
	if kind == "RESPONSE_TIME" {
		read = append(read, keys("sum_us", 1, "min", 1, "max", 1, "histogram", 1)...)
	} else {
		read = append(read, keys("severity_sum", 1, "levels", 1)...)
	}
	cur, err := s.metrics.Find(ctx, filter.query(kind), s.reading(s.findBy(ctx, kindIndex).SetMaxTime(timeLeft(ctx)).SetBatchSize(10_000), read))
	if err != nil {
		return err
	}
	defer func() { _ = cur.Close(context.WithoutCancel(ctx)) }()
	for cur.Next(ctx) {
		var m summedMetric
		if err := cur.Decode(&m); err != nil {
			return fmt.Errorf("a metric: %w", err)
		}
		if err := f(m); err != nil {
			return err
		}
	}
	return cur.Err()
}

// sumsWanted are the parts of windows' sums that answer a question.
type sumsWanted struct {
	all, responses bool
	by             []metric.Dimension
}

func (p sumsWanted) fields() bson.D {
	fields := keys("_id", 0, "start", 1)
	switch {
	case p.all && p.responses:
		fields = append(fields, field("all", 1))
	case p.all:
		fields = append(fields, keys("all.count", 1, "all.errors", 1, "all.severity_sum", 1, "all.levels", 1)...)
	}
	for _, d := range p.by {
		fields = append(fields, field(string(d)+"s", 1))
	}
	return fields
}

// of decodes nothing else, whatever the server sent.
func (p sumsWanted) of(doc bson.Raw) (w windowSums, err error) {
	decode := func(name string, to any) {
		if v := doc.Lookup(name); v.Type != 0 && err == nil {
			err = v.Unmarshal(to)
		}
	}
	decode("start", &w.Start)
	switch {
	case p.all && p.responses:
		decode("all", &w.All)
	case p.all:
		decode("all", &w.All.Totals)
	}
	for _, d := range p.by {
		decode(string(d)+"s", w.of(d))
	}
	return w, err
}

// readWindowSums hands the sums of a segment's windows to add, and says which part of
// the segment has none.
func (s *Store) readWindowSums(ctx context.Context, seg metric.Segment, wanted sumsWanted, add func(*windowSums)) (missing []stretch, err error) {
	cur, err := s.metricSums.Find(ctx, appendRange(bson.D{field("period", seg.Period.Name)}, "start", true, seg.From, true, "$lt", seg.To),
		s.reading(s.findBy(ctx, "period_start").SetMaxTime(timeLeft(ctx)).SetBatchSize(10_000), wanted.fields()))
	if err != nil {
		return nil, err
	}
	defer func() { _ = cur.Close(context.WithoutCancel(ctx)) }()
	var have []time.Time
	for cur.Next(ctx) {
		w, err := wanted.of(cur.Current)
		if err != nil {
			return nil, fmt.Errorf("the sums of a window: %w", err)
		}
		have = append(have, w.Start)
		add(&w)
	}
	return lacking(seg, have), cur.Err()
}

// stretch is a segment without some of its windows.
type stretch struct {
	metric.Segment

	without []time.Time // the windows' starts
}

// stretchesMost: windows without sums are asked for by so many queries at most.
const stretchesMost = 8

// lacking are the windows of a segment that are not in have: the stretches between
// them, or, where there are many, one that leaves out the others.
func lacking(seg metric.Segment, have []time.Time) []stretch {
	known := make(map[int64]bool, len(have))
	for _, start := range have {
		known[start.Unix()] = true
	}
	var all []stretch
	for start := seg.From; start.Before(seg.To); start = start.Add(seg.Period.Length) {
		if known[start.Unix()] {
			continue
		}
		end := start.Add(seg.Period.Length)
		if n := len(all); n > 0 && all[n-1].To.Equal(start) {
			all[n-1].To = end
			continue
		}
		all = append(all, stretch{Segment: metric.Segment{Period: seg.Period, Range: metric.Range{From: start, To: end}}})
	}
	if n := len(all); n > stretchesMost {
		whole := stretch{Segment: all[0].Segment, without: have}
		whole.To = all[n-1].To
		return []stretch{whole}
	}
	return all
}
