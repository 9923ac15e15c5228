package window

import (
	"context"
	"fmt"
	"time"
)

// Telling is what one part of a window rule makes of one event: whether a window
// that the event lies in fired, or what was lacking.
type Telling struct {
	Fired bool   `json:"fired"`
	Text  string `json:"text"`
	// Alert is the one that fired.
	Alert *Alert `json:"-"`
	// Waits is set while the event's window is not settled: then nothing is
	// decided yet.
	Waits *time.Time `json:"waits_until,omitempty"`
}

// Tell explains what the windows of one key make of an event that fulfils the
// rule's condition. value is the event's Value. It reads the same events as an
// evaluation does.
func (s *Spec) Tell(ctx context.Context, source Source, key string, at time.Time, value string, now time.Time) ([]Telling, error) {
	var all []Telling
	for _, p := range s.Parts() {
		t, err := p.tell(ctx, source, observed{key: key, value: value, at: at.UnixMilli()}, now)
		if err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return all, nil
}

// observed is the event that is asked about.
type observed struct {
	key, value string
	at         int64
}

func (p Part) tell(ctx context.Context, source Source, o observed, now time.Time) (Telling, error) {
	ask := Ask{Keys: []string{o.key}, From: o.at, To: o.at + p.Length()}
	slot := floor(o.at, p.length())
	tumbles := isTumbling(p.evaluator)
	switch {
	case tumbles:
		ask.From, ask.To = p.Slot(slot)
	case p.EachEvent():
		ask.To = o.at + 1
	}
	if due := p.DueAt(slot); p.Settled() && due.After(now) {
		return Telling{Waits: &due, Text: fmt.Sprintf("its window is decided at %s, %s after it ends: events that come late can still change it",
			clock(due.UnixMilli()), lengthOf(p.settle.Milliseconds()))}, nil
	}
	found, err := p.Evaluate(ctx, source, ask)
	if err != nil {
		return Telling{}, err
	}
	for _, a := range found.Alerts {
		if tumbles || !a.To.Before(timeOf(o.at)) && (!p.EachEvent() || a.To.Equal(timeOf(o.at))) {
			return Telling{Fired: true, Text: a.Text, Alert: &a}, nil
		}
	}
	l, ok := p.evaluator.(lacking)
	if !ok {
		return Telling{Text: "no window that the event lies in fired"}, nil
	}
	text, err := l.lacks(ctx, &reader{source: source, left: MaxObservations}, o)
	return Telling{Text: text}, err
}

// lacking says what the windows of an event lacked to fire.
type lacking interface {
	lacks(ctx context.Context, r *reader, o observed) (string, error)
}

func isTumbling(e evaluator) bool {
	switch e.(type) {
	case silence, drop, monotony, share:
		return true
	default:
		return false
	}
}

// clock writes a moment for a reader.
func clock(ms int64) string { return timeOf(ms).Format("2006-01-02 15:04:05Z") }

// around are a key's observations in the windows of one length that contain the
// event, in the order of time.
func around(ctx context.Context, r *reader, o observed, back, forward int64, values bool) ([]Observation, error) {
	all, err := r.all(ctx, Query{From: o.at - back + 1, To: o.at + forward, Keys: []string{o.key}, Values: values, Present: values}, MaxObservations)
	sortByTime(all)
	return all, tooMany(err)
}

func (p often) lacks(ctx context.Context, r *reader, o observed) (string, error) {
	series, err := around(ctx, r, o, p.timeframe, p.timeframe, false)
	most := 0
	p.slide(series, Ask{From: o.at, To: o.at + p.timeframe}, func(first, last int) { most = max(most, last-first) })
	return fmt.Sprintf("%s in the fullest %s with it; %d are needed", count(most), lengthOf(p.timeframe), p.enough), err
}

func (p rise) lacks(ctx context.Context, r *reader, o observed) (string, error) {
	series, err := around(ctx, r, o, 2*p.timeframe, 1, false)
	cur, ref := 0, 0
	for _, one := range series {
		if one.At > o.at-p.timeframe {
			cur++
		} else {
			ref++
		}
	}
	return p.between(cur, ref, "times as many") + p.short(cur, ref, float64(cur) >= float64(ref)*p.height), err
}

func (p drop) lacks(ctx context.Context, r *reader, o observed) (string, error) {
	start := floor(o.at, p.timeframe) * p.timeframe
	series, err := around(ctx, r, observed{key: o.key, at: start}, p.timeframe+1, p.timeframe, false)
	cur, ref := 0, 0
	for _, one := range series {
		if one.At >= start {
			cur++
		} else {
			ref++
		}
	}
	return p.between(cur, ref, "times fewer") + p.short(cur, ref, float64(cur)*p.height <= float64(ref)), err
}

func (r ratio) between(cur, ref int, asked string) string {
	return fmt.Sprintf("%s in its window, %d in the one before; %s %s are needed", count(cur), ref, number(r.height), asked)
}

// short says what else a spike lacks.
func (r ratio) short(cur, ref int, fires bool) string {
	switch {
	case ref < r.minRef:
		return fmt.Sprintf(", and threshold_ref asks for %d before", r.minRef)
	case cur < r.minCur:
		return fmt.Sprintf(", and threshold_cur asks for %d now", r.minCur)
	case ref == 0:
		return "; with nothing before there is nothing to compare with"
	case fires:
		return "; but the first event of the key is less than two timeframes old"
	}
	return ""
}

// slotText begins what is said about a slot.
func slotText(what string, slot, timeframe int64) string {
	return fmt.Sprintf("%s from %s to %s", what, clock(slot*timeframe), clock((slot+1)*timeframe))
}

func (p silence) lacks(ctx context.Context, r *reader, o observed) (string, error) {
	slot := floor(o.at, p.timeframe)
	series, err := around(ctx, r, observed{key: o.key, at: slot * p.timeframe}, 1, p.timeframe, false)
	text := slotText(count(len(series)), slot, p.timeframe)
	if len(series) >= p.threshold {
		return fmt.Sprintf("%s; fewer than %d fire", text, p.threshold), err
	}
	return text + "; few, but the key was not seen before that, so it is watched from the next window on", err
}

func (p monotony) lacks(ctx context.Context, r *reader, o observed) (string, error) {
	slot := floor(o.at, p.timeframe)
	series, err := around(ctx, r, observed{key: o.key, at: slot * p.timeframe}, 1, p.timeframe, true)
	n := different(series)
	text := slotText(values(n)+" of "+p.field, slot, p.timeframe)
	if float64(n) >= p.min {
		return fmt.Sprintf("%s; fewer than %s fire", text, number(p.min)), err
	}
	return text + "; few, but the key was not seen before that", err
}

func (p variety) lacks(ctx context.Context, r *reader, o observed) (string, error) {
	series, err := around(ctx, r, o, p.timeframe, p.timeframe, true)
	most := 0
	p.slide(series, Ask{From: o.at, To: o.at + p.timeframe}, func(first, last int) { most = max(most, different(series[first:last])) })
	return fmt.Sprintf("%s of %s in the fullest %s with it; more than %s fire", values(most), p.field, lengthOf(p.timeframe), number(p.max)), err
}

func different(series []Observation) int {
	seen := map[string]bool{}
	for _, o := range series {
		if o.Value != "" {
			seen[o.Value] = true
		}
	}
	return len(seen)
}

func (p share) lacks(ctx context.Context, r *reader, o observed) (string, error) {
	slot := floor(o.at, p.timeframe)
	all, err := r.all(ctx, Query{From: slot * p.timeframe, To: (slot + 1) * p.timeframe, Keys: []string{o.key}, Matches: true}, MaxObservations)
	if err != nil {
		return "", tooMany(err)
	}
	matched := 0
	for _, one := range all {
		if one.Matched {
			matched++
		}
	}
	text := slotText(fmt.Sprintf("%d of %s fulfil match", matched, count(len(all))), slot, p.timeframe)
	if len(all) < p.enough {
		return fmt.Sprintf("%s; min_denominator asks for %d events", text, p.enough), nil
	}
	return text + ", which is within the bounds", nil
}

func (p novelty) lacks(ctx context.Context, r *reader, o observed) (string, error) {
	if o.value == "" {
		return fmt.Sprintf("the event has no %s, so there is nothing new in it", p.field), nil
	}
	seen, err := r.some(ctx, Query{From: o.at - p.back, To: o.at, Keys: []string{o.key}, Value: o.value, Values: true, Order: NewestFirst}, 1)
	if len(seen) == 0 { // of several at the same instant the first one is new
		return fmt.Sprintf("another event of the same instant was the first with this %s", p.field), err
	}
	return fmt.Sprintf("%s is %s, which was seen at %s, within %s before", p.field, show(o.value), clock(seen[0].At), lengthOf(p.back)), err
}

func (p difference) lacks(ctx context.Context, r *reader, o observed) (string, error) {
	if o.value == "" && p.present {
		return fmt.Sprintf("the event has no %s, and ignore_null leaves such events out", p.field), nil
	}
	before, there, err := p.before(ctx, r, o.key, o.at)
	if !there {
		return fmt.Sprintf("there is no event before it to compare %s with", p.field), err
	}
	return fmt.Sprintf("%s is %s, as in the event before, of %s", p.field, show(o.value), clock(before.At)), err
}
