package metric

import (
	"slices"
	"time"
)

// Segment is a stretch of whole minutes that one source answers: the metrics of
// a period or, with the zero Period, counters.
type Segment struct {
	Period Period
	Range
}

// Cover divides a range of whole minutes so that each is answered by the
// longest windows that are usable, none of them longer than longest. What is
// left of it is answered by counters: minutes are there before they are in
// windows, and a counter is no dearer to read than the metric of its minute.
func Cover(r Range, longest Period, usable func(p Period, start time.Time) bool) []Segment {
	var out []Segment
	at := slices.IndexFunc(Periods, func(p Period) bool { return p.Name == longest.Name })
	cover(r, at, usable, func(s Segment) {
		if n := len(out); n > 0 && out[n-1].Period.Name == s.Period.Name && out[n-1].To.Equal(s.From) {
			out[n-1].To = s.To
			return
		}
		out = append(out, s)
	})
	return out
}

func cover(r Range, period int, usable func(Period, time.Time) bool, add func(Segment)) {
	if !r.From.Before(r.To) {
		return
	}
	if period <= 0 { // a minute is as good as its counter
		add(Segment{Range: r})
		return
	}
	p := Periods[period]
	from := r.From // of what no window answers yet
	for start := p.Start(r.From.Add(p.Length - 1)); !start.Add(p.Length).After(r.To); start = start.Add(p.Length) {
		if !usable(p, start) {
			continue
		}
		cover(Range{from, start}, period-1, usable, add)
		from = start.Add(p.Length)
		add(Segment{Period: p, Range: Range{start, from}})
	}
	cover(Range{from, r.To}, period-1, usable, add)
}

// Count is how many windows of the period touch the range, without making them.
func (p Period) Count(r Range) int {
	whole := p.Whole(r)
	return int(whole.To.Sub(whole.From) / p.Length)
}

// Windows are the starts of the period's windows that touch the range.
func (p Period) Windows(r Range) []time.Time {
	var starts []time.Time
	for start := p.Start(r.From); start.Before(r.To); start = start.Add(p.Length) {
		starts = append(starts, start)
	}
	return starts
}

// Whole widens a range to whole windows of the period.
func (p Period) Whole(r Range) Range {
	return Range{p.Start(r.From), p.Start(r.To.Add(p.Length - 1))}
}
