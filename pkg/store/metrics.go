package store

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo/options"

	"github.com/events-aggregator/events-aggregator/pkg/metric"
)

// Metric is a document of `metrics`: one kind's value for one window of one
// series.
type Metric struct {
	ID         string           `bson:"_id" json:"-"`
	Type       string           `bson:"metric_type" json:"metric_type"`
	Dimensions MetricDimensions `bson:"dimensions" json:"dimensions"`
	Value      float64          `bson:"value" json:"value"`
	Count      int64            `bson:"count" json:"count"`
	Errors     *int64           `bson:"errors,omitempty" json:"errors,omitempty"` // ERROR_RATE
	Levels     *metric.Levels   `bson:"levels,omitempty" json:"levels,omitempty"` // EVENTS_COUNT
	Severity   *int64           `bson:"severity_sum,omitempty" json:"severity_sum,omitempty"`
	Min        *float64         `bson:"min,omitempty" json:"min,omitempty"` // RESPONSE_TIME, in milliseconds, as all that follow
	Max        *float64         `bson:"max,omitempty" json:"max,omitempty"`
	P50        *float64         `bson:"p50,omitempty" json:"p50,omitempty"`
	P95        *float64         `bson:"p95,omitempty" json:"p95,omitempty"`
	P99        *float64         `bson:"p99,omitempty" json:"p99,omitempty"`
	Histogram  []MetricBucket   `bson:"histogram,omitempty" json:"-"`
	Revision   int64            `bson:"revision" json:"revision"`
	Timestamp  time.Time        `bson:"timestamp" json:"timestamp"` // the window's start
	Period     string           `bson:"period" json:"period"`
	CreatedAt  time.Time        `bson:"created_at" json:"created_at"`
	UpdatedAt  time.Time        `bson:"updated_at" json:"updated_at"`
	ExpiresAt  time.Time        `bson:"expires_at" json:"-"`
}

// MetricBucket is how many response times are about so many milliseconds.
type MetricBucket struct {
	MS float64 `bson:"ms"`
	N  int64   `bson:"n"`
}

// figures are the numbers of a metric by the names that metric.Kind gives them.
func (m Metric) figures() map[string]float64 {
	f := map[string]float64{"value": m.Value, "count": float64(m.Count)}
	for name, v := range map[string]*int64{"errors": m.Errors, "severity_sum": m.Severity} {
		if v != nil {
			f[name] = float64(*v)
		}
	}
	for name, v := range map[string]*float64{"min": m.Min, "max": m.Max, "p50": m.P50, "p95": m.P95, "p99": m.P99} {
		if v != nil {
			f[name] = *v
		}
	}
	if m.Levels != nil {
		f["levels.info"], f["levels.warning"] = float64(m.Levels.Info), float64(m.Levels.Warning)
		f["levels.error"], f["levels.critical"] = float64(m.Levels.Error), float64(m.Levels.Critical)
	}
	for _, b := range m.Histogram {
		f["histogram"] += b.MS * float64(b.N)
	}
	return f
}

// MetricDimensions are a series as metrics name it. A region that the events
// do not name is "".
type MetricDimensions struct {
	EventType string `bson:"event_type" json:"event_type"`
	Source    string `bson:"source" json:"source"`
	Region    string `bson:"region" json:"region"`
}

// Series is what is counted under these dimensions.
func (d MetricDimensions) Series() metric.Series {
	return metric.Series{Type: d.EventType, Source: d.Source, Region: d.Region}
}

// MetricFilter selects metrics; zero values of the dimensions do not restrict.
type MetricFilter struct {
	Types             []string // metric_type; empty: all kinds
	Period            string
	From, To          time.Time // timestamp, To exclusive
	EventType, Source string
	Region            *string

	without []time.Time // timestamps that are left out
}

// FindMetrics lists metrics by kind and time, at most limit (0: all).
func (s *Store) FindMetrics(ctx context.Context, f MetricFilter, limit int) ([]Metric, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	types := f.Types
	if len(types) == 0 {
		for _, k := range metric.Kinds {
			types = append(types, k.Name)
		}
	}
	var found []Metric
	for _, kind := range types { // one by one, so that each is a single range of the index
		o := s.findBy(ctx, kindIndex).SetSort(keys("metric_type", 1, "period", 1, "timestamp", 1)).SetMaxTime(operationTimeout / 2)
		if limit > 0 {
			if len(found) == limit {
				break
			}
			o.SetLimit(int64(limit - len(found)))
		}
		cur, err := s.metrics.Find(ctx, f.query(kind), o)
		var some []Metric
		if err == nil {
			err = cur.All(ctx, &some)
		}
		if err != nil {
			return nil, classify("list metrics", err)
		}
		found = append(found, some...)
	}
	return found, nil
}

// kindIndex finds the windows of one kind and period.
const kindIndex = "kind_period_time"

// MetricPosition is a place in the list of metrics.
type MetricPosition struct {
	Timestamp time.Time
	ID        string
}

// ListMetrics lists metrics newest first, after a place in the list (nil: from
// its beginning). An empty period means all.
func (s *Store) ListMetrics(ctx context.Context, f MetricFilter, after *MetricPosition, limit int) ([]Metric, error) {
	t := timeline{collection: s.metrics, doing: "list metrics", path: timestamp, index: "time", from: f.From, to: f.To, limit: limit,
		textIDs: true, project: keys("histogram", 0)}
	if len(f.Types) == 1 && f.Period != "" {
		t.index, t.by = kindIndex, bson.D{field("metric_type", f.Types[0]), field("period", f.Period)}
		f.Types, f.Period = nil, ""
	}
	f.From, f.To = time.Time{}, time.Time{}
	t.rest = f.list()
	if after != nil {
		t.after = &place{after.Timestamp, after.ID}
	}
	return listOf[Metric](ctx, s, t)
}

// Query is the filter as a condition, for streams.
func (f MetricFilter) Query() bson.D { return f.list() }

// list is the filter with all that it leaves open.
func (f MetricFilter) list() bson.D {
	q := bson.D{}
	if len(f.Types) == 1 {
		q = append(q, field("metric_type", f.Types[0]))
	} else if len(f.Types) > 1 {
		q = append(q, field("metric_type", bson.D{field("$in", f.Types)}))
	}
	if f.Period != "" {
		q = append(q, field("period", f.Period))
	}
	return f.restrict(q)
}

func (f MetricFilter) query(kind string) bson.D {
	first := appendRange(bson.D{field("metric_type", kind), field("period", f.Period)}, timestamp, !f.From.IsZero(), f.From, !f.To.IsZero(), "$lt", f.To)
	f.From, f.To = time.Time{}, time.Time{}
	rest := f.restrict(bson.D{})
	if len(f.without) > 0 {
		rest = append(rest, field(timestamp, bson.D{field("$nin", f.without)}))
	}
	return selection(first, rest)
}

func (f MetricFilter) restrict(q bson.D) bson.D {
	q = appendRange(q, "timestamp", !f.From.IsZero(), f.From, !f.To.IsZero(), "$lt", f.To)
	if f.EventType != "" {
		q = append(q, field("dimensions.event_type", f.EventType))
	}
	if f.Source != "" {
		q = append(q, field("dimensions.source", f.Source))
	}
	if f.Region != nil {
		q = append(q, field("dimensions.region", *f.Region))
	}
	return q
}

// ChangedWindows lists the period's windows that wait to be materialised,
// earliest first.
func (s *Store) ChangedWindows(ctx context.Context, p metric.Period, limit int) ([]metric.Window, error) {
	return s.changedWindows(ctx, bson.D{field("period", p.Name)}, limit)
}

// changedIn lists those within [from, to).
func (s *Store) changedIn(ctx context.Context, p metric.Period, from, to time.Time) ([]metric.Window, error) {
	return s.changedWindows(ctx, appendRange(bson.D{field("period", p.Name)}, "start", true, from, true, "$lt", to), 0)
}

func (s *Store) changedWindows(ctx context.Context, filter bson.D, limit int) ([]metric.Window, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	cur, err := s.metricWindows.Find(ctx, filter, options.Find().SetSort(keys("period", 1, "start", 1)).SetLimit(int64(limit)))
	var windows []metric.Window
	if err == nil {
		err = cur.All(ctx, &windows)
	}
	return windows, classify("list changed windows", err)
}
