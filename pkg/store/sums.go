package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/metric"
)

// SumsQuery asks what was counted in whole minutes. Its time is the context's.
type SumsQuery struct {
	metric.Range
	Window            metric.Period      // sums of each of its windows; zero: of the whole range
	By                []metric.Dimension // sums of each combination of their values
	EventType, Source string             // "": all
	Region            *string            // nil: all
	Responses         bool               // response times, too
}

// SumsRow is the sums of one window and one combination of values.
type SumsRow struct {
	Start         time.Time // of the window; zero for the whole range
	metric.Series           // the values of the dimensions in By, else ""
	metric.Sums
}

// Sums answers from metrics as far as their windows are complete, and for the
// rest from counters. Which windows have changed since they were made is read
// first, so a window that is taken from metrics is at least as new.
func (s *Store) Sums(ctx context.Context, q SumsQuery, now time.Time) ([]SumsRow, error) {
	const doing = "add up metrics"
	longest := q.Window
	if longest.Name == "" {
		longest = metric.Periods[len(metric.Periods)-1]
	}
	changed := map[string]bool{}
	for _, p := range metric.Periods {
		if p.Length <= time.Minute || p.Length > longest.Length {
			continue
		}
		windows, err := s.changedIn(ctx, p, p.Start(q.From), q.To)
		if err != nil {
			return nil, searched(doing, err)
		}
		for _, w := range windows {
			changed[w.ID] = true
		}
	}
	segments := metric.Cover(q.Range, longest, func(p metric.Period, start time.Time) bool {
		return !changed[p.WindowID(start)] && !start.Add(p.Length).After(now) && p.KeptUntil(start).After(now.Add(expiryMargin))
	})
	rows := rowSums{}
	for _, seg := range segments {
		if err := rows.read(ctx, s, seg, q.totals(seg)); err != nil {
			return nil, searched(doing, err)
		}
		if q.Responses {
			var err error
			if seg.Period.Name != "" {
				err = q.readResponses(ctx, s, seg, rows)
			} else {
				err = rows.read(ctx, s, seg, q.responses(seg))
			}
			if err != nil {
				return nil, searched(doing, err)
			}
		}
	}
	return rows.sorted(), nil
}

// match finds a segment's documents of one kind.
func (q SumsQuery) match(seg metric.Segment, kind string) bson.D {
	if seg.Period.Name != "" {
		return MetricFilter{Period: seg.Period.Name, From: seg.From, To: seg.To, EventType: q.EventType, Source: q.Source, Region: q.Region}.query(kind)
	}
	var d bson.D
	for _, dim := range metric.Dimensions {
		if v := q.value(dim); v != nil {
			d = append(d, field(string(dim), *v))
		}
	}
	return selection(appendRange(nil, "minute", true, seg.From, true, "$lt", seg.To), d)
}

// value is what the dimension must be, nil: anything.
func (q SumsQuery) value(d metric.Dimension) *string {
	switch {
	case d == metric.Type && q.EventType != "":
		return &q.EventType
	case d == metric.Source && q.Source != "":
		return &q.Source
	case d == metric.Region:
		return q.Region
	default:
		return nil
	}
}

// key is what a segment's documents are grouped by.
func (q SumsQuery) key(seg metric.Segment) bson.D {
	at, path := "$timestamp", map[metric.Dimension]string{
		metric.Type: "$dimensions.event_type", metric.Source: "$dimensions.source", metric.Region: "$dimensions.region"}
	if seg.Period.Name == "" {
		at, path = "$minute", map[metric.Dimension]string{metric.Type: "$type", metric.Source: "$source", metric.Region: "$region"}
	}
	key := bson.D{}
	switch q.Window.Name {
	case "":
	case seg.Period.Name:
		key = append(key, field("start", at))
	default:
		key = append(key, field("start", windowStart(q.Window, at)))
	}
	for _, d := range q.By {
		key = append(key, field(string(d), path[d]))
	}
	return key
}

// totals adds up a segment's counts.
func (q SumsQuery) totals(seg metric.Segment) bson.A {
	group := append(bson.D{field("_id", q.key(seg))}, sumTotals()...)
	if seg.Period.Name != "" { // there errors are the sum of their levels
		for i, e := range group {
			if e.Key == "errors" {
				group[i].Value = bson.D{field("$sum", bson.D{field("$add", bson.A{"$levels.error", "$levels.critical"})})}
			}
		}
	}
	return bson.A{
		bson.D{field("$match", q.match(seg, "EVENTS_COUNT"))},
		bson.D{field("$group", group)},
		bson.D{field("$set", bson.D{field("levels", nestedLevels)})},
	}
}

// responses adds up the response times of counters, bucket by bucket: each of them
// becomes its totals (k: −1) and its buckets.
func (q SumsQuery) responses(seg metric.Segment) bson.A {
	match := append(q.match(seg, ""), field("rt_hist", bson.D{field("$exists", true)}))
	totals := bson.D{field("k", noBucket), field("n", "$rt_count"), field("us", "$rt_sum_us"), field("min", "$rt_min_ms"), field("max", "$rt_max_ms")}
	buckets := metric.HistogramField(bson.D{field("$map", bson.D{
		field("input", bson.D{field("$objectToArray", "$rt_hist")}), field("as", "h"),
		field("in", bson.D{field("k", "$$h.k"), field("n", "$$h.v")}),
	})})
	parts := bson.D{field("$map", bson.D{field("input", buckets), field("as", "b"),
		field("in", bson.D{field("k", "$$b.ms"), field("n", "$$b.n")})}),
	}
	return bson.A{
		bson.D{field("$match", match)},
		bson.D{field("$project", bson.D{field("_id", 0), field("key", q.key(seg)),
			field("part", bson.D{field("$concatArrays", bson.A{bson.A{totals}, parts})})})},
		bson.D{field("$unwind", "$part")},
		bson.D{field("$group", bson.D{
			field("_id", bson.D{field("key", "$key"), field("k", "$part.k")}),
			field("n", bson.D{field("$sum", "$part.n")}), field("us", bson.D{field("$sum", "$part.us")}),
			field("min", bson.D{field("$min", "$part.min")}), field("max", bson.D{field("$max", "$part.max")}),
		})},
		bson.D{field("$project", bson.D{field("_id", "$_id.key"), field("response", bson.D{
			field("k", "$_id.k"), field("n", "$n"), field("us", "$us"), field("min", "$min"), field("max", "$max"),
		})})},
	}
}

// rowKey is the window and the values of a row.
type rowKey struct {
	start  int64
	series metric.Series
}

// rowSums are rows that several queries add to.
type rowSums map[rowKey]*SumsRow

// sumsPart is what a query adds to one row: totals, or a part of the response
// times.
type sumsPart struct {
	Key struct {
		Start         time.Time `bson:"start"`
		metric.Series `bson:",inline"`
	} `bson:"_id"`
	metric.Totals `bson:",inline"`
	Response      *struct {
		K   float64  `bson:"k"`
		N   int64    `bson:"n"`
		Us  int64    `bson:"us"`
		Min *float64 `bson:"min"`
		Max *float64 `bson:"max"`
	} `bson:"response"`
}

func (rows rowSums) at(start time.Time, series metric.Series) *SumsRow {
	key := rowKey{series: series}
	if !start.IsZero() {
		key.start = start.Unix()
	}
	if rows[key] == nil {
		rows[key] = &SumsRow{Series: series}
		if !start.IsZero() {
			rows[key].Start = start.UTC()
		}
	}
	return rows[key]
}

// read adds what a pipeline finds in a segment's collection.
func (rows rowSums) read(ctx context.Context, s *Store, seg metric.Segment, pipeline bson.A) error {
	collection, index := s.metrics, kindIndex
	if seg.Period.Name == "" {
		collection, index = s.counters, "minute"
	}
	cur, err := collection.Aggregate(ctx, pipeline,
		s.aggregateBy(ctx, index).SetAllowDiskUse(true).SetMaxTime(timeLeft(ctx)).SetBatchSize(10_000))
	if err != nil {
		return err
	}
	defer func() { _ = cur.Close(context.WithoutCancel(ctx)) }()
	for cur.Next(ctx) {
		var p sumsPart
		if err := cur.Decode(&p); err != nil {
			return fmt.Errorf("a group: %w", err)
		}
		row := rows.at(p.Key.Start, p.Key.Series)
		switch r := p.Response; {
		case r == nil:
			row.Totals.Add(p.Totals)
		case r.K == noBucket && r.N > 0 && r.Min != nil && r.Max != nil:
			buckets := row.Response.Histogram // put in order when all are in
			row.Response.Histogram = nil
			row.Response.Add(metric.Response{Count: r.N, SumMicros: r.Us, MinMS: *r.Min, MaxMS: *r.Max})
			row.Response.Histogram = buckets
		case r.K != noBucket && r.N > 0:
			row.Response.Histogram = append(row.Response.Histogram, metric.Bucket{Index: metric.BucketAt(r.K), N: r.N})
		}
	}
	return cur.Err()
}

// sorted are the rows with something in them by time and series.
func (rows rowSums) sorted() []SumsRow {
	out := make([]SumsRow, 0, len(rows))
	for _, r := range rows {
		if r.Count == 0 { // of counters that were corrected to nothing
			continue
		}
		r.Response.Histogram = r.Response.Histogram.Sorted()
		out = append(out, *r)
	}
	slices.SortFunc(out, func(a, b SumsRow) int {
		if c := a.Start.Compare(b.Start); c != 0 {
			return c
		}
		return a.Compare(b.Series)
	})
	return out
}

// EventSums answers as Sums does from the events themselves: what was not
// counted yet is in it, and f may ask for what metrics do not know.
func (s *Store) EventSums(ctx context.Context, q SumsQuery, f EventFilter) ([]SumsRow, error) {
	const doing = "add up events"
	f.From, f.To = q.From, q.To
	if v := q.value(metric.Type); v != nil {
		f.Type = *v
	}
	if v := q.value(metric.Source); v != nil {
		f.Source = *v
	}
	how := f.served()
	if how.index == "" || how.index == "location" { // every pipeline names an index
		how = served{index: "time"}
	}
	var region bson.D
	if q.Region != nil {
		region = bson.D{regionIs(*q.Region)}
	}
	key := bson.D{field("severity", "$severity")}
	if q.Window.Name != "" {
		key = append(key, field("minute", windowStart(q.Window, "$timestamp")))
	}
	read := bson.D{field("_id", 0), field("timestamp", 1), field("severity", 1)}
	for _, d := range q.By {
		key = append(key, field(string(d), "$"+string(d)))
		if d == metric.Region {
			read = append(read, field("region", stringOf("$metadata.region")))
		} else {
			read = append(read, field(string(d), 1))
		}
	}
	if q.Responses {
		read = append(read, field("ms", responseMS()))
	}
	cur, err := s.events.Aggregate(ctx, bson.A{
		bson.D{field("$match", f.selected(how, region...))},
		bson.D{field("$project", read)},
		bson.D{field("$group", append(bson.D{field("_id", append(key, bucketKey(q.Responses)))}, sumEvents(q.Responses)...))},
	}, s.aggregateBy(ctx, how.index).SetAllowDiskUse(true).SetMaxTime(timeLeft(ctx)).SetBatchSize(10_000))
	if err != nil {
		return nil, searched(doing, err)
	}
	var groups []recounted
	if err := cur.All(ctx, &groups); err != nil {
		return nil, searched(doing, err)
	}
	rows := rowSums{}
	for _, g := range groups {
		row := rows.at(g.ID.Minute, metric.Series{Type: g.ID.Type, Source: g.ID.Source, Region: g.ID.Region})
		row.Add(g.increment().Sums)
	}
	return rows.sorted(), nil
}

// regionIs finds events by the region that they are counted under.
func regionIs(region string) bson.E {
	if region == "" { // absent, or no string
		return field("metadata.region", bson.D{field("$not", bson.D{field("$type", "string")})})
	}
	return field("metadata.region", region)
}

// Counted says whether events of these values are counted by name; what is
// counted as `other` is found among the events alone.
func (s *Store) Counted(ctx context.Context, eventType, source string, region *string) (bool, error) {
	registry, err := s.Registry(ctx)
	if err != nil {
		return false, searched("look up what is counted by name", err)
	}
	of := ""
	if region != nil {
		of = *region
	}
	series := metric.Series{Type: eventType, Source: source, Region: of}
	for _, d := range metric.Dimensions {
		if v := d.Of(series); registry[d].Full && strings.TrimSpace(v) != "" && registry.Name(d, v) != v {
			return false, nil
		}
	}
	return true, nil
}
