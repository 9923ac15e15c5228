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
	Largest           int                // of one dimension's values, so many have windows of their own; 0: all

	apart []string // those, when there are more
}

// SumsRow is the sums of one window and one combination of values.
type SumsRow struct {
	Start         time.Time // of the window; zero for the whole range
	metric.Series           // the values of the dimensions in By, else ""
	Others        bool      // of all values that are not told apart
	metric.Sums
}

// Sums answers from metrics as far as their windows are complete, and for the
// rest from counters. Which windows have changed since they were made is read
// first, so a window that is taken from metrics is at least as new.
func (s *Store) Sums(ctx context.Context, q SumsQuery, now time.Time) ([]SumsRow, error) {
	rows := rowSums{}
	by, together := q.together()
	var err error
	if q.apart, err = q.apartOf(ctx, s, now); err != nil {
		return nil, searched(addingUp, err)
	}
	err = s.eachStretch(ctx, q, now, together, q.wanted(by), func(w *windowSums) { q.addWindow(rows, by, w) },
		func(part stretch) error { return q.addSeries(ctx, s, part, rows) })
	return rows.sorted(), searched(addingUp, err)
}

// Apart answers as Sums does what the whole range adds up to, and each value of each
// dimension in it.
func (s *Store) Apart(ctx context.Context, q SumsQuery, now time.Time) (metric.Apart, error) {
	q.Window, q.By = metric.Period{}, nil
	by, together := q.together()
	var sums metric.Apart
	rows := rowSums{}
	q.By = metric.Dimensions
	err := s.eachStretch(ctx, q, now, together && by == "", sumsWanted{all: true, responses: q.Responses, by: metric.Dimensions}, func(w *windowSums) { sums.AddApart(w.apart()) },
		func(part stretch) error { return q.addSeries(ctx, s, part, rows) })
	for _, r := range rows.sorted() {
		sums.Add(r.Series, r.Sums)
	}
	return sums, searched(addingUp, err)
}

const addingUp = "add up metrics"

// eachStretch divides a question: windows whose sums answer it go to add, everything
// else to rest.
func (s *Store) eachStretch(ctx context.Context, q SumsQuery, now time.Time, together bool, wanted sumsWanted, add func(*windowSums), rest func(stretch) error) error {
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
			return err
		}
		for _, w := range windows {
			changed[w.ID] = true
		}
	}
	segments := metric.Cover(q.Range, longest, func(p metric.Period, start time.Time) bool {
		return !changed[p.WindowID(start)] && !start.Add(p.Length).After(now) && p.KeptUntil(start).After(now.Add(expiryMargin))
	})
	for _, seg := range segments {
		parts := []stretch{{Segment: seg}}
		if together && seg.Period.Name != "" {
			var err error
			if parts, err = s.readWindowSums(ctx, seg, wanted, add); err != nil {
				return err
			}
		}
		for _, part := range parts {
			if err := rest(part); err != nil {
				return err
			}
		}
	}
	return nil
}

// together says whether the sums of windows answer: those over all series ("") or
// those of a dimension's values.
func (q SumsQuery) together() (by metric.Dimension, ok bool) {
	named := slices.Clone(q.By)
	for _, d := range metric.Dimensions {
		if q.value(d) != nil && !slices.Contains(named, d) {
			named = append(named, d)
		}
	}
	switch {
	case len(named) == 0:
		return "", true
	case len(named) == 1 && !q.Responses:
		return named[0], true
	default:
		return "", false
	}
}

// wanted is what of the sums of windows answers.
func (q SumsQuery) wanted(by metric.Dimension) sumsWanted {
	if by != "" {
		return sumsWanted{by: []metric.Dimension{by}}
	}
	return sumsWanted{all: true, responses: q.Responses}
}

// addWindow adds the sums of a window to the rows of a question.
func (q SumsQuery) addWindow(rows rowSums, by metric.Dimension, w *windowSums) {
	var start time.Time
	if q.Window.Name != "" {
		start = q.Window.Start(w.Start)
	}
	if by == "" {
		if w.All.Count > 0 {
			rows.at(start, metric.Series{}).Add(w.All)
		}
		return
	}
	for _, v := range *w.of(by) {
		if wanted := q.value(by); wanted != nil && *wanted != v.Value {
			continue
		}
		var series metric.Series
		if slices.Contains(q.By, by) {
			by.Set(&series, q.under(v.Value))
		}
		rows.at(start, series).Totals.Add(v.Totals)
	}
}

// addSeries adds the series of a stretch, one by one.
func (q SumsQuery) addSeries(ctx context.Context, s *Store, part stretch, rows rowSums) error {
	if err := rows.read(ctx, s, part.Segment, q.totals(part)); err != nil || !q.Responses {
		return err
	}
	if part.Period.Name != "" {
		return q.readResponses(ctx, s, part, rows)
	}
	return rows.read(ctx, s, part.Segment, q.responses(part))
}

// match finds a stretch's documents of one kind.
func (q SumsQuery) match(seg stretch, kind string) bson.D {
	if seg.Period.Name != "" {
		return q.metrics(seg).query(kind)
	}
	var d bson.D
	for _, dim := range metric.Dimensions {
		if v := q.value(dim); v != nil {
			d = append(d, field(string(dim), *v))
		}
	}
	return selection(appendRange(nil, "minute", true, seg.From, true, "$lt", seg.To), d)
}

// metrics finds those of a stretch.
func (q SumsQuery) metrics(seg stretch) MetricFilter {
	return MetricFilter{Period: seg.Period.Name, From: seg.From, To: seg.To, EventType: q.EventType, Source: q.Source, Region: q.Region, without: seg.without}
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

// key is what a stretch's documents are grouped by.
func (q SumsQuery) key(seg stretch) bson.D {
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
		key = append(key, field(string(d), q.underIn(path[d])))
	}
	return key
}

// totals adds up a stretch's counts.
func (q SumsQuery) totals(seg stretch) bson.A {
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
func (q SumsQuery) responses(seg stretch) bson.A {
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
		if isOther(series) {
			rows[key].Series, rows[key].Others = metric.Series{}, true
		}
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
	slices.SortFunc(out, SumsRow.compare)
	return out
}

// compare orders rows by time and series.
func (r SumsRow) compare(other SumsRow) int {
	if c := r.Start.Compare(other.Start); c != 0 {
		return c
	}
	return r.Compare(other.Series)
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
