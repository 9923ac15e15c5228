package window

import (
	"context"
	"fmt"
	"time"

	"github.com/events-aggregator/events-aggregator/pkg/notification"
)

// cardinality counts the different values of a field. More than max is seen as
// events come, in windows that end at them; fewer than min in slots, of keys
// that have events in them and had some before.
type cardinality struct{}

func (cardinality) Name() string { return "cardinality" }
func (cardinality) Doc() string {
	return "more than max, or fewer than min, different values of field in timeframe"
}
func (cardinality) Settings() []Setting {
	return []Setting{
		timeframeSetting,
		{Name: "field", Required: true, Doc: "path of the values; without one, or null, an event has none"},
		{Name: "max", Doc: "more different values fire"},
		{Name: "min", Doc: "fewer different values fire"},
		settleSetting,
	}
}

func (cardinality) check(s *Spec, refuse func(string, string, ...any)) {
	if s.Max == nil && s.Min == nil {
		refuse("max", "is missing; a cardinality rule needs max, min or both")
	}
	if s.Max != nil && (*s.Max < 0 || *s.Max >= MaxObservations) {
		refuse("max", "must be 0 to %d", MaxObservations-1)
	}
	if s.Min != nil && (*s.Min <= 0 || *s.Min > MaxObservations) {
		refuse("min", "must be more than 0, and at most %d", MaxObservations)
	}
	if s.Min != nil && s.Max != nil && *s.Min > *s.Max {
		refuse("min", "must not be more than max")
	}
}

func (cardinality) looksUp(s *Spec) ([]string, time.Duration) {
	return s.GroupBy, 2 * s.Timeframe.Std()
}

func (cardinality) parts(s *Spec) []evaluator {
	var parts []evaluator
	timeframe := millis(s.Timeframe)
	if s.Max != nil {
		parts = append(parts, variety{sliding{timeframe}, s.Field, *s.Max})
	}
	if s.Min != nil {
		parts = append(parts, monotony{tumbling{timeframe}, s.Field, *s.Min, rememberedFor(timeframe)})
	}
	return parts
}

// variety is more values than max.
type variety struct {
	sliding
	field string
	max   float64
}

func (p variety) evaluate(ctx context.Context, r *reader, ask Ask, tell tell) (Found, error) {
	var found Found
	all, err := r.all(ctx, Query{From: ask.From - p.timeframe + 1, To: ask.To, Keys: ask.Keys, Present: true, Values: true}, MaxObservations)
	if err != nil {
		return found, tooMany(err)
	}
	keys, series := byKey(all)
	for _, key := range keys {
		found.Alerts = append(found.Alerts, p.judge(key, series[key], ask, tell)...)
	}
	return found, nil
}

func (p variety) judge(key string, series []Observation, ask Ask, tell tell) []Alert {
	var alerts []Alert
	told := never
	held := tally{}
	p.slide(series, ask, func(first, last int) {
		end := series[last-1]
		slot := floor(end.At, p.timeframe)
		different := held.move(series, first, last)
		if float64(different) <= p.max || slot == told || ask.known(tell, key, slot) {
			return
		}
		told = slot
		alerts = append(alerts, tell(slot, Alert{Event: end.ID, Alert: notification.Alert{
			Key: keyOf(key), From: timeOf(end.At - p.timeframe), To: timeOf(end.At), Value: float64(different), Reference: p.max,
			Text: fmt.Sprintf("%s of %s in %s; at most %s are expected", values(different), p.field, lengthOf(p.timeframe), number(p.max)),
		}}))
	})
	return alerts
}

// tally counts the values of a window that moves forward in a series.
type tally struct {
	first, last int // series[first:last] is counted
	counts      map[string]int
}

// move counts series[first:last] and returns how many different values it has.
func (t *tally) move(series []Observation, first, last int) int {
	if t.counts == nil {
		t.counts = map[string]int{}
	}
	for ; t.last < last; t.last++ {
		t.counts[series[t.last].Value]++
	}
	for ; t.first < first; t.first++ {
		v := series[t.first].Value
		if t.counts[v]--; t.counts[v] == 0 {
			delete(t.counts, v)
		}
	}
	return len(t.counts)
}

// monotony is fewer values than min.
type monotony struct {
	tumbling
	field      string
	min        float64
	remembered int64
}

func (p monotony) evaluate(ctx context.Context, r *reader, ask Ask, tell tell) (Found, error) {
	var found Found
	from, to := p.asked(ask)
	all, err := r.all(ctx, Query{From: from * p.timeframe, To: to * p.timeframe, Keys: ask.Keys, Values: true}, MaxObservations)
	if err != nil {
		return found, tooMany(err)
	}
	keys, series := byKey(all)
	for _, key := range keys {
		err := p.eachSlot(series[key], from, to, func(slot int64, before, window []Observation) error {
			different := map[string]bool{}
			for _, o := range window {
				if o.Value != "" {
					different[o.Value] = true
				}
			}
			if len(window) == 0 || float64(len(different)) >= p.min {
				return nil
			}
			start := slot * p.timeframe
			if len(before) == 0 {
				seen, err := r.exists(ctx, Query{From: start - p.remembered, To: start, Keys: []string{key}})
				if err != nil || !seen {
					return err
				}
			}
			found.Alerts = append(found.Alerts, tell(slot, Alert{Event: window[len(window)-1].ID, Alert: notification.Alert{
				Key: keyOf(key), From: timeOf(start), To: timeOf(start + p.timeframe), Value: float64(len(different)), Reference: p.min,
				Text: fmt.Sprintf("%s of %s in %s; at least %s are expected", values(len(different)), p.field, lengthOf(p.timeframe), number(p.min)),
			}}))
			return nil
		})
		if err != nil {
			return found, err
		}
	}
	return found, nil
}

func values(n int) string {
	if n == 1 {
		return "1 value"
	}
	return fmt.Sprintf("%d different values", n)
}
