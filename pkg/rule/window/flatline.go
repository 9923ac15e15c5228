package window

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/events-aggregator/events-aggregator/pkg/notification"
)

// flatline fires for each slot in which a key has fewer than threshold events,
// from the slot after the one in which the key was first seen until it was not
// seen for long. Without group_by there is one key, which is always watched.
type flatline struct{}

func (flatline) Name() string { return "flatline" }
func (flatline) Doc() string {
	return "fewer than threshold events in timeframe, for a key that was seen before"
}
func (flatline) Settings() []Setting {
	return []Setting{
		timeframeSetting,
		{Name: "threshold", Required: true, Doc: "fewer events than this are too few"},
		{Name: "forget_keys", Doc: "one alert, then none until the key is seen again (false)"},
		settleSetting,
	}
}

func (flatline) check(s *Spec, refuse func(string, string, ...any)) {
	if s.Threshold != 0 && (s.Threshold < 1 || s.Threshold > maxEvents) {
		refuse("threshold", "must be 1 to %d", maxEvents)
	}
	if s.ForgetKeys && len(s.GroupBy) == 0 {
		refuse("forget_keys", "needs group_by: without it there are no keys")
	}
}

func (flatline) looksUp(s *Spec) ([]string, time.Duration) {
	return s.GroupBy, time.Duration(rememberedFor(millis(s.Timeframe))) * time.Millisecond
}

func (flatline) parts(s *Spec) []evaluator {
	timeframe := millis(s.Timeframe)
	return []evaluator{silence{tumbling{timeframe}, s.Threshold, len(s.GroupBy) > 0, s.ForgetKeys, rememberedFor(timeframe)}}
}

// A key that was not seen for ten timeframes, and at least a day, is forgotten:
// keys of sessions and containers would otherwise fire for ever.
const (
	rememberedTimeframes = 10
	rememberedLeast      = int64(24 * time.Hour / time.Millisecond)
)

// rememberedFor is how long a key is watched after its last event, in whole
// timeframes.
func rememberedFor(timeframe int64) int64 {
	return max(rememberedTimeframes*timeframe, (rememberedLeast+timeframe-1)/timeframe*timeframe)
}

// silence is flatline's only part.
type silence struct {
	tumbling
	threshold  int
	grouped    bool
	forget     bool
	remembered int64
}

func (silence) perKey() bool { return true }

// due is the slot after an event's own: of its own slot, either an earlier event
// has made it due, or the key was not watched yet when it began.
func (s silence) due(at int64) []int64 { return []int64{floor(at, s.timeframe) + 1} }

// watchedFrom is the last complete slot for an event that comes later: what was
// silent before it was known is history, and one wrong clock would tell a day of
// it. A key that is forgotten with its first alert has one at most.
func (s silence) watchedFrom(slot, complete int64) int64 {
	if s.forget {
		return slot
	}
	return max(slot, complete)
}

func (s silence) evaluate(ctx context.Context, r *reader, ask Ask, tell tell) (Found, error) {
	from, to := s.asked(ask)
	if ask.Keys == nil {
		return s.sweep(ctx, r, ask, tell)
	}
	if int64(len(ask.Keys))*(to-from) > lookUps {
		// Looked up one by one each key is a query or two; where all that is
		// remembered of them is little, it is read at once.
		all, err := r.all(ctx, Query{From: from*s.timeframe - s.remembered, To: to * s.timeframe, Keys: ask.Keys}, shortlyLimit)
		switch {
		case err == nil:
			r = &reader{source: newMemory(all), left: -1}
		case !errors.Is(err, errFull):
			return Found{}, err
		}
	}
	var found Found
	for slot := from; slot < to; slot++ {
		counts, err := s.counts(ctx, r, ask.Keys, slot)
		if err != nil {
			return found, err
		}
		for _, key := range ask.Keys {
			alert, next, err := s.judge(ctx, r, key, slot, counts[key])
			if err != nil {
				return found, err
			}
			if alert && !ask.known(tell, key, slot) {
				found.Alerts = append(found.Alerts, tell(slot, s.alert(key, slot, counts[key])))
			}
			if next && slot == to-1 {
				found.Next = append(found.Next, key)
			}
		}
	}
	return found, nil
}

// counts are the keys' events in a slot, each up to the threshold.
func (s silence) counts(ctx context.Context, r *reader, keys []string, slot int64) (map[string]int, error) {
	counts := make(map[string]int, len(keys))
	enough := 0
	q := Query{From: slot * s.timeframe, To: (slot + 1) * s.timeframe, Keys: keys}
	if len(keys) == 1 {
		q.Wanted = s.threshold
	}
	err := r.each(ctx, q, func(o Observation) bool {
		counts[o.Key]++
		if counts[o.Key] == s.threshold {
			enough++
		}
		return enough < len(keys)
	})
	return counts, err
}

// judge says whether a key has an alert in a slot, and whether it is watched in
// the next one.
func (s silence) judge(ctx context.Context, r *reader, key string, slot int64, count int) (alert, next bool, err error) {
	few := count < s.threshold
	if !s.grouped {
		return few, true, nil
	}
	if !few {
		return false, true, nil
	}
	watched, err := s.watched(ctx, r, key, slot)
	if err != nil {
		return false, false, err
	}
	switch {
	case s.forget:
		return watched, !watched && count > 0, nil
	case count > 0:
		return watched, true, nil
	case !watched:
		return false, false, nil
	}
	start := slot * s.timeframe
	next, err = r.exists(ctx, Query{From: start + s.timeframe - s.remembered, To: start, Keys: []string{key}})
	return true, next, err
}

// watched says whether a key was seen before a slot began, and not forgotten
// since.
func (s silence) watched(ctx context.Context, r *reader, key string, slot int64) (bool, error) {
	start := slot * s.timeframe
	q := Query{From: start - s.remembered, To: start, Keys: []string{key}}
	if !s.forget {
		return r.exists(ctx, q)
	}
	// An alert forgets the key, so whether it is watched depends on the slot
	// before, and that on the one before it. Two kinds of slots end the chain:
	// after one with enough events a key is watched, after an empty one it is not.
	q.Order = NewestFirst
	var few []int // events of the slots before, the last one first, each not empty and too few
	watched := false
	n, at := 0, slot-1
	err := r.each(ctx, q, func(o Observation) bool {
		for floor(o.At, s.timeframe) < at {
			if n == 0 {
				return false
			}
			few = append(few, n)
			n, at = 0, at-1
		}
		if n++; n == s.threshold {
			watched, n = true, 0
			return false
		}
		return true
	})
	if n > 0 { // the oldest slot that is remembered
		few = append(few, n)
	}
	for range few { // in each, a key that is watched has an alert and is forgotten; another is seen
		watched = !watched
	}
	return watched, err
}

func (s silence) alert(key string, slot int64, n int) Alert {
	return Alert{Alert: notification.Alert{
		Key: keyOf(key), From: timeOf(slot * s.timeframe), To: timeOf((slot + 1) * s.timeframe),
		Value: float64(n), Reference: float64(s.threshold),
		Text: fmt.Sprintf("%s in %s; at least %d are expected", count(n), lengthOf(s.timeframe), s.threshold),
	}}
}
