package metric

import (
	"math"
	"time"

	"go.mongodb.org/mongo-driver/bson"
)

// Tally adds stored events up, window by window and by the values of some
// dimensions, reading of each no more than it must.
type Tally struct {
	window    Period
	by        []Dimension
	responses bool
	names     map[string]string
	rows      map[TallyKey]*tallied
}

// TallyKey is a window's start in Unix seconds, 0 without windows, and the values of
// the dimensions, "" for the others.
type TallyKey struct {
	Start int64
	Series
}

// tallied are the sums of one key.
type tallied struct {
	sums    Sums
	buckets map[int]int64
}

// NewTally begins to add up. A zero window is one for all events.
func NewTally(window Period, by []Dimension, responses bool) *Tally {
	return &Tally{window: window, by: by, responses: responses, names: map[string]string{}, rows: map[TallyKey]*tallied{}}
}

// Fields are the paths of an event that Add reads.
func (t *Tally) Fields() []string {
	paths := []string{"severity"}
	if t.window.Name != "" {
		paths = append(paths, "timestamp")
	}
	for _, d := range t.by {
		paths = append(paths, map[Dimension]string{Type: "type", Source: "source", Region: "metadata.region"}[d])
	}
	if t.responses {
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
		d.Set(&key.Series, t.name(f.of(d)))
	}
	row := t.rows[key]
	if row == nil {
		row = &tallied{buckets: map[int]int64{}}
		t.rows[key] = row
	}
	row.sums.Totals.Add(TotalsOf(int(f.severity), 1))
	if !t.responses {
		return nil
	}
	if ms, ok := f.responseTime(); ok {
		us := int64(math.Floor(ms * 1000))
		row.sums.Response.Add(Response{Count: 1, SumMicros: us, MinMS: ms, MaxMS: ms})
		row.buckets[bucketOf(us)]++
	}
	return nil
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

// name is a value without a copy for each event.
func (t *Tally) name(b []byte) string {
	if name, known := t.names[string(b)]; known {
		return name
	}
	name := string(b)
	t.names[name] = name
	return name
}

// Each hands over what was added up.
func (t *Tally) Each(f func(TallyKey, Sums)) {
	for key, row := range t.rows {
		sums := row.sums
		for i, n := range row.buckets {
			sums.Response.Histogram = append(sums.Response.Histogram, Bucket{i, n})
		}
		sums.Response.Histogram = sums.Response.Histogram.Sorted()
		f(key, sums)
	}
}
