package window

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/events-aggregator/events-aggregator/pkg/notification"
)

// frequency fires when a window (t−timeframe, t] that ends at an event has
// num_events or more.
type frequency struct{}

func (frequency) Name() string { return "frequency" }
func (frequency) Doc() string  { return "at least num_events events within timeframe" }
func (frequency) Settings() []Setting {
	return []Setting{timeframeSetting, {Name: "num_events", Required: true, Doc: "how many events are enough"}}
}

// maxEvents bounds counts that rules ask for: what one evaluation may read,
// twice.
const maxEvents = MaxObservations / 4

func (frequency) check(s *Spec, refuse func(string, string, ...any)) {
	if s.NumEvents != 0 && (s.NumEvents < 1 || s.NumEvents > maxEvents) {
		refuse("num_events", "must be 1 to %d", maxEvents)
	}
}

func (frequency) looksUp(s *Spec) ([]string, time.Duration) {
	return s.GroupBy, 2 * s.Timeframe.Std()
}

func (frequency) parts(s *Spec) []evaluator {
	return []evaluator{often{sliding{millis(s.Timeframe)}, s.NumEvents}}
}

// often is frequency's only part.
type often struct {
	sliding
	enough int
}

func (o often) evaluate(ctx context.Context, r *reader, ask Ask, tell tell) (Found, error) {
	var found Found
	limit := MaxObservations
	if ask.Keys != nil {
		limit = min(max(coldLimit, 3*o.enough*len(ask.Keys)), r.left/2)
	}
	all, err := r.all(ctx, Query{From: ask.From - o.timeframe + 1, To: ask.To, Keys: ask.Keys}, limit)
	switch {
	case errors.Is(err, errFull) && ask.Keys != nil:
		for _, key := range ask.Keys {
			alerts, err := o.hot(ctx, r, ask, key, tell)
			if err != nil {
				return found, err
			}
			found.Alerts = append(found.Alerts, alerts...)
		}
		return found, nil
	case err != nil:
		return found, tooMany(err)
	}
	keys, series := byKey(all)
	for _, key := range keys {
		found.Alerts = append(found.Alerts, o.judge(key, series[key], ask, tell)...)
	}
	return found, nil
}

// coldLimit is how many events may be read at once even if fewer would do:
// about as long as one round trip.
const coldLimit = 1000

// hot evaluates one key that has many events, reading few of them. In a slot,
// if num_events end in it, the window at the last of these is full, since a
// slot is as long as a window; so those that follow change nothing. Of what is
// before the slot only as many count as a window may still lack.
func (o often) hot(ctx context.Context, r *reader, ask Ask, key string, tell tell) ([]Alert, error) {
	var alerts []Alert
	for slot := floor(ask.From, o.timeframe); slot*o.timeframe < ask.To; slot++ {
		if ask.known(tell, key, slot) {
			continue
		}
		from, to := max(slot*o.timeframe, ask.From), min((slot+1)*o.timeframe, ask.To)
		ends, err := r.some(ctx, Query{From: from, To: to, Keys: []string{key}, Order: OldestFirst}, o.enough)
		if err != nil {
			return nil, err
		}
		if len(ends) == 0 {
			continue
		}
		before, err := r.some(ctx, Query{From: from - o.timeframe + 1, To: from, Keys: []string{key}, Order: NewestFirst}, o.enough-1)
		if err != nil {
			return nil, err
		}
		slices.Reverse(before)
		part := ask
		part.From, part.To = from, to
		alerts = append(alerts, o.judge(key, append(before, ends...), part, tell)...)
	}
	return alerts, nil
}

// judge looks at the windows of one key.
func (o often) judge(key string, series []Observation, ask Ask, tell tell) []Alert {
	var alerts []Alert
	told := never
	o.slide(series, ask, func(first, last int) {
		n, end := last-first, series[last-1]
		slot := floor(end.At, o.timeframe)
		if n < o.enough || slot == told || ask.known(tell, key, slot) {
			return
		}
		told = slot
		alerts = append(alerts, tell(slot, Alert{Event: end.ID, Alert: notification.Alert{
			Key: keyOf(key), From: timeOf(end.At - o.timeframe), To: timeOf(end.At),
			Value: float64(n), Reference: float64(o.enough),
			Text: fmt.Sprintf("%s in %s; %d are enough", count(n), lengthOf(o.timeframe), o.enough),
		}}))
	})
	return alerts
}
