package metric

import (
	"math"
	"slices"
	"time"
)

// Comparison compares what is stored with a recount over one range, part by
// part in the order of time: Minutes for each part, then the windows that it
// completed.
type Comparison struct {
	Range
	Events  int64
	LeftOut []LeftOut // single minutes and windows
	Drift   []Drift
	Windows map[string][]time.Time // the compared windows' starts by period

	open map[string]map[int64]*WindowSum // by period and start
}

// WindowSum is a window's recount.
type WindowSum struct {
	Start  time.Time
	Series map[Series]Sums
	out    bool // holds a minute that is left out
}

// NewComparison begins a comparison of whole minutes.
func NewComparison(r Range) *Comparison {
	c := &Comparison{Range: r, Windows: map[string][]time.Time{}, open: map[string]map[int64]*WindowSum{}}
	for _, p := range Periods {
		c.open[p.Name] = map[int64]*WindowSum{}
	}
	return c
}

// Minutes compares the counters of one part with its recount, except for the
// minutes in out, each with its reason.
func (c *Comparison) Minutes(part Range, stored []Counter, recounted []Increment, out map[time.Time]string) {
	type key struct {
		minute int64
		series Series
	}
	type pair struct {
		stored    Counter
		recounted Increment
	}
	pairs := map[key]*pair{}
	at := func(minute time.Time, series Series) *pair {
		k := key{minute.Unix(), series}
		if pairs[k] == nil {
			pairs[k] = &pair{}
		}
		return pairs[k]
	}
	for _, s := range stored {
		at(s.Minute, s.Series).stored = s
	}
	for _, r := range recounted {
		at(r.Minute, r.Series).recounted.add(r)
	}
	for minute := part.From; minute.Before(part.To); minute = minute.Add(time.Minute) {
		for _, p := range Periods {
			c.window(p, minute) // opened also without events: nothing should be stored for it
		}
		if reason, is := out[minute]; is {
			c.leaveOut(minute, reason)
		}
	}
	for k, p := range pairs {
		minute := time.Unix(k.minute, 0).UTC()
		if _, is := out[minute]; is {
			continue
		}
		c.Events += p.recounted.Count
		for _, period := range Periods {
			if w := c.window(period, minute); w != nil {
				sum := w.Series[k.series]
				sum.Add(p.recounted.Sums)
				w.Series[k.series] = sum
			}
		}
		if !p.stored.Equal(p.recounted.Sums) {
			counted, again := p.stored.Sums, p.recounted.Sums
			c.Drift = append(c.Drift, Drift{
				Kind: KindCounter, Start: minute, Series: k.series, Counted: &counted, Recounted: &again,
				Revision: p.stored.Revision, EventsUntil: p.recounted.EventsUntil,
			})
		}
	}
}

func (c *Comparison) leaveOut(minute time.Time, reason string) {
	c.LeftOut = append(c.LeftOut, LeftOut{From: minute, To: minute.Add(time.Minute), Reason: reason})
	for _, p := range Periods {
		if w := c.window(p, minute); w != nil {
			w.out = true
		}
	}
}

// window is the open window that the minute is in, nil when it is not wholly
// in the comparison's range.
func (c *Comparison) window(p Period, minute time.Time) *WindowSum {
	start := p.Start(minute)
	if start.Before(c.From) || start.Add(p.Length).After(c.To) {
		return nil
	}
	w := c.open[p.Name][start.Unix()]
	if w == nil {
		w = &WindowSum{Start: start, Series: map[Series]Sums{}}
		c.open[p.Name][start.Unix()] = w
	}
	return w
}

// Complete takes the windows of a period, in order, that lie wholly in the
// range, end by the given time and hold no minute that was left out. span
// reaches from the first to the last of them.
func (c *Comparison) Complete(p Period, until time.Time) (windows []WindowSum, span Range) {
	for start, w := range c.open[p.Name] {
		if w.Start.Add(p.Length).After(until) {
			continue
		}
		delete(c.open[p.Name], start)
		if !w.out {
			windows = append(windows, *w)
		}
	}
	slices.SortFunc(windows, func(a, b WindowSum) int { return a.Start.Compare(b.Start) })
	if n := len(windows); n > 0 {
		span = Range{windows[0].Start, windows[n-1].Start.Add(p.Length)}
	}
	return windows, span
}

// Metrics compares a complete window with the metrics that are stored for it.
// skip is a reason for leaving the window out after all, or "".
func (c *Comparison) Metrics(p Period, w WindowSum, stored []Value, skip string) {
	if skip != "" {
		c.LeftOut = append(c.LeftOut, LeftOut{Period: p.Name, From: w.Start, To: w.Start.Add(p.Length), Reason: skip})
		return
	}
	c.Windows[p.Name] = append(c.Windows[p.Name], w.Start)
	type key struct {
		kind   string
		series Series
	}
	have := map[key]Value{}
	for _, v := range stored {
		have[key{v.Kind, v.Series}] = v
		if _, known := w.Series[v.Series]; !known {
			w.Series[v.Series] = Sums{}
		}
	}
	for series, sums := range w.Series {
		for _, kind := range Kinds {
			v, exists := have[key{kind.Name, series}]
			expected := kind.Figures(sums)
			if len(expected) == 0 && exists && v.Figures["count"] != 0 {
				none := v.Figures["value"]
				c.Drift = append(c.Drift, Drift{Kind: kind.Name, Period: p.Name, Start: w.Start, Series: series, Figure: "value", Value: &none})
			}
			if !exists && sums.Count == 0 { // corrected to nothing, and nothing is there
				continue
			}
			for _, f := range expected {
				is := v.Figures[f.Name]
				if exists && same(is, f.Value) {
					continue
				}
				d := Drift{Kind: kind.Name, Period: p.Name, Start: w.Start, Series: series, Figure: f.Name, Expected: &f.Value}
				if exists {
					d.Value = &is
				}
				c.Drift = append(c.Drift, d)
				break // the first that is wrong says enough
			}
		}
	}
}

// same allows for the rounding of another implementation's division.
func same(a, b float64) bool { return math.Abs(a-b) <= 1e-9*math.Max(math.Abs(a), math.Abs(b)) }

// SortDrift orders by time, then counters before metrics, then series.
func SortDrift(drift []Drift) {
	rank := func(d Drift) int {
		return slices.IndexFunc(Periods, func(p Period) bool { return p.Name == d.Period }) // −1 for counters
	}
	slices.SortFunc(drift, func(a, b Drift) int {
		if c := a.Start.Compare(b.Start); c != 0 {
			return c
		}
		if c := rank(a) - rank(b); c != 0 {
			return c
		}
		if c := a.Compare(b.Series); c != 0 {
			return c
		}
		if a.Kind < b.Kind {
			return -1
		}
		return 1
	})
}
