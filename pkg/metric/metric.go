// Package metric is the arithmetic of counting: what one event adds to which
// minute's counter, the periods and kinds of metrics that counters become, and
// the comparison of what was counted with a recount. It is pure.
package metric

import (
	"math"
	"slices"
	"strings"
	"time"
)

// Series is the dimensions of one counter. A region that an event does not
// name is "", in counters, in metrics and in the API.
type Series struct {
	Type   string `bson:"type" json:"event_type"`
	Source string `bson:"source" json:"source"`
	Region string `bson:"region" json:"region"`
}

// escaper keeps the parts of a series' name apart, whatever they hold.
var escaper = strings.NewReplacer("%", "%25", ":", "%3A")

// Name is the series' unambiguous name, "type:source:region"; colons and
// percent signs within a part are written %3A and %25.
func (s Series) Name() string {
	return escaper.Replace(s.Type) + ":" + escaper.Replace(s.Source) + ":" + escaper.Replace(s.Region)
}

// Levels are the counts by severity band.
type Levels struct {
	Info     int64 `bson:"info" json:"info"`
	Warning  int64 `bson:"warning" json:"warning"`
	Error    int64 `bson:"error" json:"error"`
	Critical int64 `bson:"critical" json:"critical"`
}

// Totals are the counts of a minute or of a longer window. Errors are the
// events with severity 7 or more, so they are Levels.Error + Levels.Critical;
// Severity is the sum of all severities, for their average.
type Totals struct {
	Count    int64  `bson:"count" json:"count"`
	Errors   int64  `bson:"errors" json:"errors"`
	Severity int64  `bson:"severity_sum" json:"severity_sum"`
	Levels   Levels `bson:"levels" json:"levels"`
}

// Add adds other to t.
func (t *Totals) Add(other Totals) {
	t.Count += other.Count
	t.Errors += other.Errors
	t.Severity += other.Severity
	t.Levels.Info += other.Levels.Info
	t.Levels.Warning += other.Levels.Warning
	t.Levels.Error += other.Levels.Error
	t.Levels.Critical += other.Levels.Critical
}

// ErrorRate is the share of errors, 0 of nothing.
func (t Totals) ErrorRate() float64 { return ratio(t.Errors, t.Count) }

// SeverityMean is the average severity, 0 of nothing.
func (t Totals) SeverityMean() float64 { return ratio(t.Severity, t.Count) }

func ratio(part, whole int64) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}

// Response are the response times of a counter's events, as far as they name
// one. The sum is kept in whole microseconds, because sums of fractions depend
// on their order and a recount could not reproduce them.
type Response struct {
	Count     int64     `bson:"rt_count" json:"count"`
	SumMicros int64     `bson:"rt_sum_us" json:"sum_us"`
	MinMS     float64   `bson:"rt_min_ms" json:"min_ms"`
	MaxMS     float64   `bson:"rt_max_ms" json:"max_ms"`
	Histogram Histogram `bson:"rt_hist" json:"histogram"`
}

// Add adds other to r.
func (r *Response) Add(other Response) {
	switch {
	case other.Count == 0:
	case r.Count == 0:
		*r = other
	default:
		r.Count += other.Count
		r.SumMicros += other.SumMicros
		r.MinMS = math.Min(r.MinMS, other.MinMS)
		r.MaxMS = math.Max(r.MaxMS, other.MaxMS)
		r.Histogram = r.Histogram.plus(other.Histogram)
	}
}

// Mean is the average in milliseconds, 0 of nothing.
func (r Response) Mean() float64 { return ratio(r.SumMicros, r.Count) / 1000 }

// Equal says whether both are the same. What was corrected to nothing is the
// same as none, whatever its bounds were.
func (r Response) Equal(other Response) bool {
	return r.Count == 0 && other.Count == 0 && len(r.Histogram) == 0 && len(other.Histogram) == 0 ||
		r.Count == other.Count && r.SumMicros == other.SumMicros && r.MinMS == other.MinMS && r.MaxMS == other.MaxMS &&
			slices.Equal(r.Histogram, other.Histogram)
}

// Sums are all that a minute or a longer window adds up.
type Sums struct {
	Totals   `bson:",inline"`
	Response Response `bson:",inline" json:"response,omitzero"`
}

// Add adds other to s.
func (s *Sums) Add(other Sums) {
	s.Totals.Add(other.Totals)
	s.Response.Add(other.Response)
}

// Equal says whether both are the same.
func (s Sums) Equal(other Sums) bool {
	return s.Totals == other.Totals && s.Response.Equal(other.Response)
}

// Increment is what some events add to one counter: one minute of one series.
type Increment struct {
	Minute time.Time
	Series
	Sums
	// EventsUntil is when the first of these events expires: from then on a
	// recount may find fewer events than were counted.
	EventsUntil time.Time
}

// add adds other to i; they are of the same counter.
func (i *Increment) add(other Increment) {
	i.Add(other.Sums)
	i.EventsUntil = earlier(i.EventsUntil, other.EventsUntil)
}

// earlier treats the zero time as "never".
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}

// Batch is what one ingest batch adds to the counters. One that adds nothing
// (all its events are too old) is counted as done all the same.
type Batch struct {
	ID         string
	Increments []Increment
}

// Merge adds up the increments of the same counters. The result is ordered by
// minute and series, so that everybody who writes several counters takes them
// in the same order.
func Merge(sets ...[]Increment) []Increment {
	type counter struct {
		minute int64
		series Series
	}
	var merged []Increment
	at := map[counter]int{}
	for _, set := range sets {
		for _, inc := range set {
			key := counter{inc.Minute.Unix(), inc.Series}
			i, known := at[key]
			if !known {
				at[key] = len(merged)
				merged = append(merged, inc)
				continue
			}
			merged[i].add(inc)
		}
	}
	slices.SortFunc(merged, compareIncrements)
	return merged
}

func compareIncrements(a, b Increment) int {
	if c := a.Minute.Compare(b.Minute); c != 0 {
		return c
	}
	return a.Compare(b.Series)
}

// Compare orders series by type, source and region.
func (s Series) Compare(other Series) int {
	if c := strings.Compare(s.Type, other.Type); c != 0 {
		return c
	}
	if c := strings.Compare(s.Source, other.Source); c != 0 {
		return c
	}
	return strings.Compare(s.Region, other.Region)
}
