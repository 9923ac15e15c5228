package store

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"

	"github.com/events-aggregator/events-aggregator/pkg/metric"
)

const (
	// materialiseTimeout bounds one step, such as a pipeline: a day of a thousand series is
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
	for _, pipeline := range []bson.A{totalsPipeline(p, sp.from, sp.to, at), responsesPipeline(p, sp.from, sp.to, at)} {
		if err := s.merge(ctx, pipeline); err != nil {
			return classify("materialise "+p.Name, err)
		}
	}
	if keepsSums(p) {
		if err := s.addUpWindows(ctx, p, sp, at); err != nil {
			return classify("add up metrics of "+p.Name, err)
		}
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	done := make([]mongo.WriteModel, len(sp.windows))
	for i, w := range sp.windows {
		done[i] = mongo.NewDeleteOneModel().SetFilter(bson.D{field("_id", w.ID), field("token", w.Token)})
	}
	_, err := s.metricWindows.BulkWrite(ctx, done, options.BulkWrite().SetOrdered(false))
	return classify("materialise "+p.Name, err)
}

// merge runs a pipeline over counters that ends in metrics.
func (s *Store) merge(ctx context.Context, pipeline bson.A) error {
	ctx, cancel := context.WithTimeout(ctx, materialiseTimeout)
	defer cancel()
	cur, err := s.counters.Aggregate(ctx, pipeline, s.aggregateBy(ctx, "minute").SetAllowDiskUse(true))
	if err == nil {
		err = cur.Close(ctx) // $merge returns nothing
	}
	return err
}

// totalsPipeline turns the counters of [from, to) into the period's metrics of
// every kind that is not made of response times.
func totalsPipeline(p metric.Period, from, to, at time.Time) bson.A {
	group := bson.D{
		field("_id", bson.D{field("start", windowStart(p, "$minute")), field("series", "$series")}),
		field("type", bson.D{field("$first", "$type")}),
		field("source", bson.D{field("$first", "$source")}),
		field("region", bson.D{field("$first", "$region")}),
		field("revision", bson.D{field("$sum", "$revision")}),
	}
	return append(bson.A{
		bson.D{field("$match", bson.D{field("minute", bson.D{field("$gte", from), field("$lt", to)})})},
		bson.D{field("$group", append(group, sumTotals()...))},
		bson.D{field("$set", bson.D{field("levels", nestedLevels)})},
	}, intoMetrics(p, at, false)...)
}

// responsesPipeline does so for the kinds that are made of response times. Each
// counter becomes its totals (with an empty name, so that they come first) and
// its buckets, which are added up by name.
func responsesPipeline(p metric.Period, from, to, at time.Time) bson.A {
	sum := func(path string) bson.D { return bson.D{field("$sum", path)} }
	first := func(path string) bson.D { return bson.D{field("$first", path)} }
	totals := bson.D{
		field("k", ""), field("v", "$rt_count"), field("us", "$rt_sum_us"),
		field("min", "$rt_min_ms"), field("max", "$rt_max_ms"), field("revision", "$revision"),
	}
	return append(bson.A{
		bson.D{field("$match", bson.D{
			field("minute", bson.D{field("$gte", from), field("$lt", to)}), field("rt_hist", bson.D{field("$exists", true)}),
		})},
		bson.D{field("$project", bson.D{
			field("_id", 0), field("start", windowStart(p, "$minute")), field("series", 1),
			field("type", 1), field("source", 1), field("region", 1),
			field("part", bson.D{field("$concatArrays", bson.A{bson.A{totals}, bson.D{field("$objectToArray", "$rt_hist")}})}),
		})},
		bson.D{field("$unwind", "$part")},
		bson.D{field("$group", bson.D{
			field("_id", bson.D{field("start", "$start"), field("series", "$series"), field("k", "$part.k")}),
			field("type", first("$type")), field("source", first("$source")), field("region", first("$region")),
			field("n", sum("$part.v")), field("us", sum("$part.us")), field("revision", sum("$part.revision")),
			field("min", bson.D{field("$min", "$part.min")}), field("max", bson.D{field("$max", "$part.max")}),
		})},
		bson.D{field("$sort", keys("_id.k", 1))},
		bson.D{field("$group", bson.D{
			field("_id", bson.D{field("start", "$_id.start"), field("series", "$_id.series")}),
			field("type", first("$type")), field("source", first("$source")), field("region", first("$region")),
			field("count", first("$n")), field("sum_us", first("$us")), field("revision", first("$revision")),
			field("min", first("$min")), field("max", first("$max")),
			field("buckets", bson.D{field("$push", bson.D{field("k", "$_id.k"), field("n", "$n")})}),
		})},
		bson.D{field("$set", bson.D{field("histogram", metric.HistogramField(bson.D{field("$filter", bson.D{
			field("input", "$buckets"), field("as", "b"), // without the totals, and what was corrected to nothing
			field("cond", bson.D{field("$and", bson.A{
				bson.D{field("$ne", bson.A{"$$b.k", ""})}, bson.D{field("$gt", bson.A{"$$b.n", 0})},
			})}),
		})}))})},
	}, intoMetrics(p, at, true)...)
}

// windowStart is the start of the period's window that a minute is in.
func windowStart(p metric.Period, minute string) bson.D {
	return bson.D{field("$dateTrunc", bson.D{field("date", minute), field("unit", p.Unit), field("binSize", p.Units)})}
}

// intoMetrics makes the documents of the kinds out of groups and writes those
// that are newer than what is there.
func intoMetrics(p metric.Period, at time.Time, responses bool) bson.A {
	docs := bson.A{}
	for _, kind := range metric.Kinds {
		if kind.Responses == responses {
			docs = append(docs, metricDocument(p, kind, at))
		}
	}
	return bson.A{
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
