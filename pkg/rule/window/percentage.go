package window

import (
	"context"
	"fmt"
	"time"

	"github.com/events-aggregator/events-aggregator/pkg/notification"
)

// percentage is the share of the events that fulfil match as well, in slots with
// enough events.
type percentage struct{}

func (percentage) Name() string { return "percentage" }
func (percentage) Doc() string {
	return "the share of events that fulfil match, in percent, is more than max or less than min"
}
func (percentage) Settings() []Setting {
	return []Setting{
		timeframeSetting,
		{Name: "match", Required: true, Doc: "a condition, beside the rule's own"},
		{Name: "max", Doc: "a greater share fires"},
		{Name: "min", Doc: "a smaller share fires"},
		{Name: "min_denominator", Doc: "windows with fewer events never fire (1)"},
		settleSetting,
	}
}

func (percentage) check(s *Spec, refuse func(string, string, ...any)) {
	if s.Max == nil && s.Min == nil {
		refuse("max", "is missing; a percentage rule needs max, min or both")
	}
	if s.Max != nil && (*s.Max < 0 || *s.Max > 100) {
		refuse("max", "must be 0 to 100")
	}
	if s.Min != nil && (*s.Min < 0 || *s.Min > 100) {
		refuse("min", "must be 0 to 100")
	}
	if s.Min != nil && s.Max != nil && *s.Min > *s.Max {
		refuse("min", "must not be more than max")
	}
	if s.MinDenominator < 0 {
		refuse("min_denominator", "must be 0 or more")
	}
}

func (percentage) looksUp(_ *Spec) ([]string, time.Duration) {
	return nil, 0
}

func (percentage) parts(s *Spec) []evaluator {
	return []evaluator{share{tumbling{millis(s.Timeframe)}, s.Min, s.Max, max(1, s.MinDenominator)}}
}

// share is percentage's only part.
type share struct {
	tumbling
	min, max *float64
	enough   int
}

func (p share) evaluate(ctx context.Context, r *reader, ask Ask, tell tell) (Found, error) {
	var found Found
	from, to := p.asked(ask)
	all, err := r.all(ctx, Query{From: from * p.timeframe, To: to * p.timeframe, Keys: ask.Keys, Matches: true}, MaxObservations)
	if err != nil {
		return found, tooMany(err)
	}
	keys, series := byKey(all)
	for _, key := range keys {
		err := p.eachSlot(series[key], from, to, func(slot int64, _, window []Observation) error {
			if len(window) < p.enough {
				return nil
			}
			matched := 0
			for _, o := range window {
				if o.Matched {
					matched++
				}
			}
			percent := 100 * float64(matched) / float64(len(window))
			var expected string
			var bound float64
			switch {
			case p.max != nil && percent > *p.max:
				expected, bound = "at most", *p.max
			case p.min != nil && percent < *p.min:
				expected, bound = "at least", *p.min
			default:
				return nil
			}
			start := slot * p.timeframe
			found.Alerts = append(found.Alerts, tell(slot, Alert{Event: window[len(window)-1].ID, Alert: notification.Alert{
				Key: keyOf(key), From: timeOf(start), To: timeOf(start + p.timeframe), Value: percent, Reference: bound,
				Text: fmt.Sprintf("%s %% of %s in %s; %s %s %% are expected", number(percent), count(len(window)), lengthOf(p.timeframe), expected, number(bound)),
			}}))
			return nil
		})
		if err != nil {
			return found, err
		}
	}
	return found, nil
}
