package metric

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/bson"
)

// Tally adds stored events up, window by window and by the values of some
// dimensions, reading of each no more than it must.
type Tally struct {
	window    Period
	by        []Dimension
	responses bool
	names     *Names
	rows      map[TallyKey]*tallied
	size      int               // of the rows, in buckets
	most      int               // from where on series are put together
	series    map[Series]Series // under which each counts: itself, or rest
	rest      Series
	apart     int  // series that count under themselves
	closed    bool // no more of them than seriesKept
}

// TallyKey is a window's start in Unix seconds, 0 without windows, and the values of
// the dimensions, "" for the others.
type TallyKey struct {
	Start int64
	Series
}

const (
	// TallyMost bounds the rows of a tally, together with the buckets of their
	// response times: one row is as large as rowSize buckets.
	TallyMost = 1_000_000
	rowSize   = 16
	// seriesKept are told apart however many windows they have: an answer shows as
	// many.
	seriesKept = 20
)

// NewTally begins to add up. A zero window is one for all events. Where rows are more
// than most (TallyMost), those of the series with the fewest events become one, Other.
func NewTally(window Period, by []Dimension, responses bool, names *Names, most int) *Tally {
	t := &Tally{window: window, by: by, responses: responses, names: names, rows: map[TallyKey]*tallied{}, most: most, series: map[Series]Series{}}
	for _, d := range by {
		d.Set(&t.rest, Other)
	}
	t.series[t.rest] = t.rest
	return t
}

// Fields are the paths of an event that Add reads.
func (t *Tally) Fields() []string { return fieldsOf(t.window.Name != "", t.by, t.responses) }

func fieldsOf(windows bool, by []Dimension, responses bool) []string {
	paths := []string{"severity"}
	if windows {
		paths = append(paths, "timestamp")
	}
	for _, d := range by {
		paths = append(paths, map[Dimension]string{Type: "type", Source: "source", Region: "metadata.region"}[d])
	}
	if responses {
		paths = append(paths, "payload.response_time_ms", "payload.duration_ms")
	}
	return paths
}

// Add adds an event. What it lacks counts as none; an error means that it is no
// document.
func (t *Tally) Add(doc bson.Raw) error {
	f, err := scan(doc)
	if err != nil {
		return err
	}
	var key TallyKey
	if t.window.Name != "" {
		key.Start = t.window.Start(time.UnixMilli(f.timestamp)).Unix()
	}
	for _, d := range t.by {
		d.Set(&key.Series, t.names.name(d, f.of(d)))
	}
	if t.size >= t.most {
		t.fold()
	}
	key.Series = t.under(key.Series)
	row := t.rows[key]
	if row == nil {
		row = &tallied{}
		t.rows[key] = row
		t.size += rowSize
	}
	t.size += row.add(&f, t.responses)
	return nil
}

// under is what a series counts under.
func (t *Tally) under(series Series) Series {
	if under, known := t.series[series]; known {
		return under
	}
	if t.closed && t.apart >= seriesKept {
		return t.rest
	}
	t.apart++
	t.series[series] = series
	return series
}

// fold puts the smaller half of the series together. What was folded stays so: each
// series that is left has all of its events, and Other those of all that are not.
func (t *Tally) fold() {
	keep := max(t.apart/2, seriesKept)
	if keep == seriesKept {
		t.closed, t.most = true, math.MaxInt
	}
	if t.apart <= keep {
		return
	}
	counts := map[Series]int64{}
	for key, row := range t.rows {
		if key.Series != t.rest {
			counts[key.Series] += row.sums.Count
		}
	}
	series := slices.SortedFunc(maps.Keys(counts), func(a, b Series) int { return cmp.Or(cmp.Compare(counts[b], counts[a]), a.Compare(b)) })
	for _, one := range series[keep:] {
		t.series[one] = t.rest
	}
	rows := map[TallyKey]*tallied{}
	t.apart, t.size = keep, 0
	for key, row := range t.rows {
		key.Series = t.series[key.Series]
		if to := rows[key]; to != nil {
			t.size += to.merge(row)
			continue
		}
		rows[key] = row
		t.size += rowSize + len(row.buckets)
	}
	t.rows = rows
}

// Len is how many sums Each hands over.
func (t *Tally) Len() int { return len(t.rows) }

// Each hands over what was added up.
func (t *Tally) Each(f func(TallyKey, Sums)) {
	for key, row := range t.rows {
		f(key, row.whole())
	}
}

// of is the event's value in a dimension.
func (f *fields) of(d Dimension) []byte {
	switch d {
	case Type:
		return f.typ
	case Source:
		return f.source
	default:
		return f.region
	}
}

// tallied are the sums of one key.
type tallied struct {
	sums    Sums
	buckets map[int]int64
}

// add adds an event, and says how many buckets there are more.
func (row *tallied) add(f *fields, responses bool) int {
	row.sums.Totals.Add(TotalsOf(int(f.severity), 1))
	if !responses {
		return 0
	}
	ms, ok := f.responseTime()
	if !ok {
		return 0
	}
	us := int64(math.Floor(ms * 1000))
	row.sums.Response.Add(Response{Count: 1, SumMicros: us, MinMS: ms, MaxMS: ms})
	return row.count(bucketOf(us), 1)
}

func (row *tallied) count(bucket int, n int64) (more int) {
	if row.buckets == nil {
		row.buckets = map[int]int64{}
	}
	before := len(row.buckets)
	row.buckets[bucket] += n
	return len(row.buckets) - before
}

// merge adds another's, and says how many buckets there are more.
func (row *tallied) merge(other *tallied) (more int) {
	row.sums.Add(other.sums)
	for bucket, n := range other.buckets {
		more += row.count(bucket, n)
	}
	return more
}

func (row *tallied) whole() Sums {
	sums := row.sums
	for i, n := range row.buckets {
		sums.Response.Histogram = append(sums.Response.Histogram, Bucket{i, n})
	}
	sums.Response.Histogram = sums.Response.Histogram.Sorted()
	return sums
}
