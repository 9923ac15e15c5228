package metric

import (
	"errors"
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
	names     *Names
	under     func(string) string // what a value counts under; nil: itself
	rows      map[TallyKey]*tallied
	size      int // of the rows, in buckets
	room      Room
	whole     bool // windows are not told apart
}

// TallyKey is a window's start in Unix seconds, 0 without windows, and the values of
// the dimensions, "" for the others.
type TallyKey struct {
	Start int64
	Series
}

// Room is how large the rows of a tally may be, counted in buckets of response times,
// when they are of more values than so many. Zero: there is no bound.
type Room struct{ Rows, Values int }

const (
	// TallyMost is that size.
	TallyMost = 1_000_000
	// rowSize is that of a row without response times.
	rowSize = 16
)

// ErrTallyFull says that there is no room for what several dimensions, or one without
// windows, have to be told apart.
var ErrTallyFull = errors.New("events have more values than are told apart together")

// NewTally begins to add up. A zero window is one for all events. When there is no more
// room the windows of one dimension's values are not told apart any more: see Whole.
func NewTally(window Period, by []Dimension, responses bool, names *Names, room Room) *Tally {
	return &Tally{window: window, by: by, responses: responses, names: names, room: room, rows: map[TallyKey]*tallied{}}
}

// Under has each value count under what it is told, which is for before the first event.
func (t *Tally) Under(under func(value string) string) *Tally {
	t.under = under
	return t
}

// Whole says whether windows were too many: there is a row for all the time of each
// value, without percentiles, which tells what to ask apart.
func (t *Tally) Whole() bool { return t.whole }

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
// document, or ErrTallyFull.
func (t *Tally) Add(doc bson.Raw) error {
	f, err := scan(doc)
	if err != nil {
		return err
	}
	if t.full() {
		if err := t.widen(); err != nil {
			return err
		}
	}
	var key TallyKey
	if t.window.Name != "" && !t.whole {
		key.Start = t.window.Start(time.UnixMilli(f.timestamp)).Unix()
	}
	for _, d := range t.by {
		name := t.names.name(d, f.of(d))
		if t.under != nil {
			name = t.under(name)
		}
		d.Set(&key.Series, name)
	}
	row := t.rows[key]
	if row == nil {
		row = &tallied{}
		t.rows[key] = row
		t.size += rowSize
	}
	t.size += row.add(&f, t.responses, !t.whole)
	return nil
}

// full says whether there is no more room. Without dimensions there is a row for each window.
func (t *Tally) full() bool {
	if t.room.Rows == 0 || t.size < t.room.Rows || len(t.by) == 0 {
		return false
	}
	return len(t.by) > 1 || t.names.count(t.by[0]) > t.room.Values
}

// widen puts the windows of each value together. The rows that are left are no more than
// the names, so there is no further bound.
func (t *Tally) widen() error {
	if t.window.Name == "" || len(t.by) != 1 {
		return ErrTallyFull
	}
	rows := map[TallyKey]*tallied{}
	for key, row := range t.rows {
		key.Start, row.buckets = 0, nil
		if to := rows[key]; to != nil {
			to.sums.Add(row.sums)
			continue
		}
		rows[key] = row
	}
	t.rows, t.whole, t.room = rows, true, Room{}
	return nil
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
func (row *tallied) add(f *fields, responses, buckets bool) int {
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
	if !buckets {
		return 0
	}
	if row.buckets == nil {
		row.buckets = map[int]int64{}
	}
	before := len(row.buckets)
	row.buckets[bucketOf(us)]++
	return len(row.buckets) - before
}

func (row *tallied) whole() Sums {
	sums := row.sums
	for i, n := range row.buckets {
		sums.Response.Histogram = append(sums.Response.Histogram, Bucket{i, n})
	}
	sums.Response.Histogram = sums.Response.Histogram.Sorted()
	return sums
}
