package metric

import (
	"slices"
	"time"
)

// Counter is one counter as it is stored.
type Counter struct {
	Minute      time.Time `bson:"minute"`
	Series      `bson:",inline"`
	Sums        `bson:",inline"`
	Revision    int64     `bson:"revision"`
	EventsUntil time.Time `bson:"events_until"`
}

// Value is one metric as it is stored.
type Value struct {
	Kind  string
	Start time.Time // of its window
	Series
	Figures map[string]float64
}

// Report is what a recount found.
type Report struct {
	From    time.Time      `json:"from"`
	To      time.Time      `json:"to"`
	Minutes int            `json:"minutes"` // compared
	Events  int64          `json:"events"`  // recounted in them
	Windows map[string]int `json:"windows"` // whose metrics were compared, by period
	LeftOut []LeftOut      `json:"left_out"`
	Drift   []Drift        `json:"drift"`
}

// LeftOut is a range that was not compared, and why. A window that holds a
// minute that was left out is left out with it, without a line of its own.
type LeftOut struct {
	Period string    `json:"period,omitempty"` // of metrics; "" for counters
	From   time.Time `json:"from"`
	To     time.Time `json:"to"`
	Reason string    `json:"reason"`
}

// JoinLeftOut sorts by period and time, and makes one range of those that
// follow on each other for the same reason.
func JoinLeftOut(all []LeftOut) []LeftOut {
	rank := func(l LeftOut) int {
		return slices.IndexFunc(Periods, func(p Period) bool { return p.Name == l.Period }) // −1 for counters
	}
	slices.SortFunc(all, func(a, b LeftOut) int {
		if c := rank(a) - rank(b); c != 0 {
			return c
		}
		return a.From.Compare(b.From)
	})
	joined := []LeftOut{}
	for _, l := range all {
		if n := len(joined); n > 0 && joined[n-1].Period == l.Period && joined[n-1].Reason == l.Reason && joined[n-1].To.Equal(l.From) {
			joined[n-1].To = l.To
			continue
		}
		joined = append(joined, l)
	}
	return joined
}

// The reasons for leaving something out.
const (
	ReasonUncounted       = "holds events of batches that are not counted yet"
	ReasonMoving          = "was being counted while it was read"
	ReasonEventsExpired   = "its events may have expired"
	ReasonTooOld          = "is older than events are counted"
	ReasonNotMaterialised = "is not materialised yet"
	ReasonMetricsExpired  = "its metrics may have expired"
)

// Drift is one difference between what is stored and the recount. For a
// counter Counted and Recounted say what; for a metric, and for what a window's
// metrics add up to, Value and Expected.
type Drift struct {
	Kind   string    `json:"kind"`             // "COUNTER", "SUMS" or the metric's type
	Period string    `json:"period,omitempty"` // "" for a counter
	Start  time.Time `json:"start"`            // of the minute or window
	Series
	Counted   *Sums    `json:"counted,omitempty"`
	Recounted *Sums    `json:"recounted,omitempty"`
	Figure    string   `json:"figure,omitempty"`   // the metric's field that is wrong, "value" first
	Value     *float64 `json:"value,omitempty"`    // nil: there is no such metric
	Expected  *float64 `json:"expected,omitempty"` // nil: there should be no such metric
	Repaired  bool     `json:"repaired,omitempty"`

	// What a repair needs to know of the counter; Revision is 0 when there is none.
	Revision    int64     `json:"-"`
	EventsUntil time.Time `json:"-"`
}

// KindCounter is the Kind of a counter's drift, KindSums that of what the metrics
// of a window add up to, which is of no series.
const (
	KindCounter = "COUNTER"
	KindSums    = "SUMS"
)

// DriftKey says which counter or metric a drift is about.
type DriftKey struct {
	Kind, Period string
	Start        int64
	Series       Series
}

// Key identifies the drift's counter or metric.
func (d Drift) Key() DriftKey { return DriftKey{d.Kind, d.Period, d.Start.Unix(), d.Series} }

// Range is the drift's minute or window.
func (d Drift) Range() Range {
	length := time.Minute
	if p, ok := PeriodNamed(d.Period); ok {
		length = p.Length
	}
	return Range{d.Start, d.Start.Add(length)}
}

// Unrepaired is how many drifts are still there.
func (r Report) Unrepaired() int {
	n := 0
	for _, d := range r.Drift {
		if !d.Repaired {
			n++
		}
	}
	return n
}

// Range is a stretch of time, To exclusive.
type Range struct{ From, To time.Time }

// Join merges ranges that overlap or touch; they must be in order of From.
func Join(ranges []Range) []Range {
	var joined []Range
	for _, r := range ranges {
		if n := len(joined); n > 0 && !r.From.After(joined[n-1].To) {
			if r.To.After(joined[n-1].To) {
				joined[n-1].To = r.To
			}
			continue
		}
		joined = append(joined, r)
	}
	return joined
}
