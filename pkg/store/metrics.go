package store

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo"
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
	Revision   int64            `bson:"revision" json:"revision"`
	Timestamp  time.Time        `bson:"timestamp" json:"timestamp"` // the window's start
	Period     string           `bson:"period" json:"period"`
	CreatedAt  time.Time        `bson:"created_at" json:"created_at"`
	UpdatedAt  time.Time        `bson:"updated_at" json:"updated_at"`
	ExpiresAt  time.Time        `bson:"expires_at" json:"-"`
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
		o := options.Find().SetSort(keys("metric_type", 1, "period", 1, "timestamp", 1)).
			SetHint("type_period_time").SetMaxTime(operationTimeout / 2)
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

func (f MetricFilter) query(kind string) bson.D {
	q := bson.D{field("metric_type", kind), field("period", f.Period)}
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

const (
	// materialiseTimeout bounds one pipeline: a day of a thousand series is
	// over a million counters.
	materialiseTimeout = 5 * time.Minute
	// bridgedWindows: windows that lie so close are made in one go, with the
	// unchanged ones between them, which stay as they are.
	bridgedWindows = 10
	// spanMax bounds what one pipeline reads.
	spanMax = 24 * time.Hour
)

// Materialise makes the metrics of the period's windows from their counters
// and takes the windows off the list of changed ones, each only if it has not
// changed again since it was listed. Metrics carry the sum of their counters'
// revisions, and an older sum never replaces a newer one; so it does no harm
// when several processes do this at once, or when one was paused and comes
// late. windows must be in the order of ChangedWindows.
func (s *Store) Materialise(ctx context.Context, p metric.Period, windows []metric.Window, at time.Time) error {
	for _, sp := range spans(p, windows) {
		if err := s.materialiseSpan(ctx, p, sp, at); err != nil {
			return err
		}
	}
	return nil
}

// span is a range of windows that are made together.
type span struct {
	from, to time.Time
	windows  []metric.Window
}

func spans(p metric.Period, windows []metric.Window) []span {
	var all []span
	for _, w := range windows {
		end := w.Start.Add(p.Length)
		if n := len(all); n > 0 {
			last := &all[n-1]
			if w.Start.Sub(last.to) <= bridgedWindows*p.Length && end.Sub(last.from) <= max(spanMax, p.Length) {
				last.to, last.windows = end, append(last.windows, w)
				continue
			}
		}
		all = append(all, span{from: w.Start, to: end, windows: []metric.Window{w}})
	}
	return all
}

func (s *Store) materialiseSpan(ctx context.Context, p metric.Period, sp span, at time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, materialiseTimeout)
	defer cancel()
	cur, err := s.counters.Aggregate(ctx, materialisePipeline(p, sp.from, sp.to, at),
		options.Aggregate().SetAllowDiskUse(true).SetHint("minute"))
	if err != nil {
		return classify("materialise "+p.Name, err)
	}
	_ = cur.Close(ctx) // $merge returns nothing
	done := make([]mongo.WriteModel, len(sp.windows))
	for i, w := range sp.windows {
		done[i] = mongo.NewDeleteOneModel().SetFilter(bson.D{field("_id", w.ID), field("token", w.Token)})
	}
	_, err = s.metricWindows.BulkWrite(ctx, done, options.BulkWrite().SetOrdered(false))
	return classify("materialise "+p.Name, err)
}

// materialisePipeline turns the counters of [from, to) into the period's
// metrics, of every kind.
func materialisePipeline(p metric.Period, from, to, at time.Time) bson.A {
	group := bson.D{
		field("_id", bson.D{
			field("start", bson.D{field("$dateTrunc", bson.D{field("date", "$minute"), field("unit", p.Unit), field("binSize", p.Units)})}),
			field("series", "$series"),
		}),
		field("type", bson.D{field("$first", "$type")}),
		field("source", bson.D{field("$first", "$source")}),
		field("region", bson.D{field("$first", "$region")}),
		field("revision", bson.D{field("$sum", "$revision")}),
	}
	docs := bson.A{}
	for _, kind := range metric.Kinds {
		docs = append(docs, metricDocument(p, kind, at))
	}
	return bson.A{
		bson.D{field("$match", bson.D{field("minute", bson.D{field("$gte", from), field("$lt", to)})})},
		bson.D{field("$group", append(group, sumTotals()...))},
		bson.D{field("$set", bson.D{field("levels", nestedLevels)})},
		bson.D{field("$project", bson.D{field("_id", 0), field("docs", docs)})},
		bson.D{field("$unwind", "$docs")},
		bson.D{field("$replaceRoot", bson.D{field("newRoot", "$docs")})},
		bson.D{field("$merge", bson.D{
			field("into", "metrics"), field("on", "_id"),
			field("whenMatched", bson.A{bson.D{field("$replaceWith", bson.D{field("$cond", bson.A{
				bson.D{field("$gt", bson.A{"$$new.revision", "$revision"})},
				bson.D{field("$mergeObjects", bson.A{"$$new", bson.D{field("created_at", "$created_at")}})},
				"$$ROOT",
			})})}}),
			field("whenNotMatched", "insert"),
		})},
	}
}

// metricDocument is one document of `metrics` as an expression over a group.
func metricDocument(p metric.Period, kind metric.Kind, at time.Time) bson.D {
	literal := func(v any) bson.D { return bson.D{field("$literal", v)} }
	d := bson.D{
		field("_id", bson.D{field("$concat", bson.A{
			literal(p.Name + ":" + kind.Name + ":"),
			bson.D{field("$dateToString", bson.D{field("date", "$_id.start"), field("format", "%Y-%m-%dT%H:%M:%SZ")})},
			":", "$_id.series",
		})}),
		field("metric_type", literal(kind.Name)),
		field("dimensions", bson.D{field("event_type", "$type"), field("source", "$source"), field("region", "$region")}),
		field("value", kind.Expression),
		field("count", "$count"),
	}
	d = append(d, kind.Extra...)
	return append(d,
		field("revision", "$revision"),
		field("timestamp", "$_id.start"),
		field("period", literal(p.Name)),
		field("created_at", literal(at)),
		field("updated_at", literal(at)),
		field("expires_at", bson.D{field("$dateAdd", bson.D{
			field("startDate", "$_id.start"), field("unit", "millisecond"),
			field("amount", (p.Length + p.Retention).Milliseconds()),
		})}),
	)
}

// metricID is the _id that the pipeline makes.
func metricID(p metric.Period, kind string, start time.Time, series metric.Series) string {
	return p.Name + ":" + kind + ":" + start.UTC().Format(time.RFC3339) + ":" + series.Name()
}
