package window

import (
	"context"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/bson/primitive"

	"github.com/events-aggregator/events-aggregator/pkg/notification"
)

// spike compares the events of a timeframe with those of the one before. Upwards
// both windows slide, the current one ending at an event; downwards, where the
// current one may be empty, they are slots.
type spike struct{}

func (spike) Name() string { return "spike" }
func (spike) Doc() string {
	return "spike_height times as many events in timeframe as in the one before, or so many times fewer"
}
func (spike) Settings() []Setting {
	return []Setting{
		timeframeSetting,
		{Name: "spike_height", Required: true, Doc: "how many times as many"},
		{Name: "spike_type", Required: true, Doc: "up, down or both"},
		{Name: "threshold_ref", Doc: "at least so many events in the timeframe before (0)"},
		{Name: "threshold_cur", Doc: "at least so many events in the timeframe (0)"},
		settleSetting,
	}
}

const (
	up   = "up"
	down = "down"
	both = "both"
)

func (spike) check(s *Spec, refuse func(string, string, ...any)) {
	if s.SpikeHeight != 0 && (s.SpikeHeight <= 1 || s.SpikeHeight > 1e6) {
		refuse("spike_height", "must be more than 1, and at most 1000000")
	}
	if s.SpikeType != "" && s.SpikeType != up && s.SpikeType != down && s.SpikeType != both {
		refuse("spike_type", "must be up, down or both")
	}
	if s.ThresholdRef < 0 {
		refuse("threshold_ref", "must be 0 or more")
	}
	if s.ThresholdCur < 0 {
		refuse("threshold_cur", "must be 0 or more")
	}
}

func (spike) looksUp(s *Spec) ([]string, time.Duration) {
	return s.GroupBy, 3 * s.Timeframe.Std()
}

func (spike) parts(s *Spec) []evaluator {
	r := ratio{s.SpikeHeight, s.ThresholdRef, s.ThresholdCur}
	var parts []evaluator
	if s.SpikeType != down {
		// An event that comes late into the window before undoes a spike; if it comes
		// less than settle late, it comes before its windows are current ones.
		timeframe := millis(s.Timeframe)
		parts = append(parts, rise{sliding{timeframe}, r, s.settle().Milliseconds() > timeframe})
	}
	if s.SpikeType != up {
		parts = append(parts, drop{tumbling{millis(s.Timeframe)}, r})
	}
	return parts
}

// ratio is what both directions ask for.
type ratio struct {
	height         float64
	minRef, minCur int
}

func (r ratio) enough(ref, cur int) bool { return ref >= r.minRef && cur >= r.minCur }

func (r ratio) alert(key string, timeframe, from, to int64, ref, cur int, last primitive.ObjectID) Alert {
	length := lengthOf(timeframe)
	return Alert{Event: last, Alert: notification.Alert{
		Key: keyOf(key), From: timeOf(from), To: timeOf(to), Value: float64(cur), Reference: float64(ref),
		Text: fmt.Sprintf("%s in %s, %d in the %s before; the ratio that counts is %s", count(cur), length, ref, length, number(r.height)),
	}}
}

// rise is a spike upwards.
type rise struct {
	sliding
	ratio
	late bool // it has to be settled
}

func (p rise) settled() bool { return p.late }
func (p rise) perKey() bool  { return !p.late }

// reach is that of the windows that have an event in the one before: with enough
// before, they may be spikes.
func (p rise) reach() int64 {
	if p.minRef > 0 {
		return 2 * p.timeframe
	}
	return p.timeframe
}

func (p rise) due(at int64) []int64 {
	slots := p.sliding.due(at)
	if last := floor(at+p.reach()-1, p.timeframe); last > slots[len(slots)-1] {
		slots = append(slots, last)
	}
	return slots
}

func (p rise) evaluate(ctx context.Context, r *reader, ask Ask, tell tell) (Found, error) {
	var found Found
	all, err := r.all(ctx, Query{From: ask.From - 2*p.timeframe + 1, To: ask.To, Keys: ask.Keys}, MaxObservations)
	if err != nil {
		return found, tooMany(err)
	}
	keys, series := byKey(all)
	for _, key := range keys {
		alerts, err := p.judge(ctx, r, key, series[key], ask, tell)
		if err != nil {
			return found, err
		}
		found.Alerts = append(found.Alerts, alerts...)
	}
	return found, nil
}

func (p rise) judge(ctx context.Context, r *reader, key string, series []Observation, ask Ask, tell tell) (alerts []Alert, err error) {
	told := never
	before := 0 // where the window before begins, up to the current one
	base := &baseline{key: key, series: series}
	p.slide(series, ask, func(first, last int) {
		end := series[last-1]
		start := end.At - p.timeframe
		for series[before].At <= start-p.timeframe {
			before++
		}
		cur, ref := last-first, first-before
		slot := floor(end.At, p.timeframe)
		if err != nil || slot == told || !p.enough(ref, cur) || float64(cur) < float64(ref)*p.height || ask.known(tell, key, slot) {
			return
		}
		var is bool
		if is, err = base.begins(ctx, r, start-p.timeframe); err != nil || !is {
			return
		}
		told = slot
		alerts = append(alerts, tell(slot, p.alert(key, p.timeframe, start, end.At, ref, cur, end.ID)))
	})
	return alerts, err
}

// baseline says whether a key's events began so early that there is something to
// compare with: ElastAlert's "two timeframes since the first event".
type baseline struct {
	key         string
	series      []Observation // all events since the first time that is asked for
	asked, long bool
}

// begins says whether there is an event at that time or before it. Times that
// are asked for do not go back.
func (b *baseline) begins(ctx context.Context, r *reader, at int64) (bool, error) {
	if b.long || len(b.series) > 0 && b.series[0].At <= at {
		return true, nil
	}
	if b.asked {
		return false, nil
	}
	b.asked = true
	var err error
	b.long, err = r.exists(ctx, Query{From: beginning, To: at + 1, Keys: []string{b.key}})
	return b.long, err
}

// drop is a spike downwards.
type drop struct {
	tumbling
	ratio
}

// due are an event's own window, and the next one, which may be empty.
func (p drop) due(at int64) []int64 {
	slot := floor(at, p.timeframe)
	return []int64{slot, slot + 1}
}

func (p drop) evaluate(ctx context.Context, r *reader, ask Ask, tell tell) (Found, error) {
	var found Found
	from, to := p.asked(ask)
	all, err := r.all(ctx, Query{From: (from - 1) * p.timeframe, To: to * p.timeframe, Keys: ask.Keys}, MaxObservations)
	if err != nil {
		return found, tooMany(err)
	}
	keys, series := byKey(all)
	for _, key := range keys {
		base := &baseline{key: key}
		err := p.eachSlot(series[key], from, to, func(slot int64, before, window []Observation) error {
			ref, cur := len(before), len(window)
			if ref == 0 || !p.enough(ref, cur) || float64(cur)*p.height > float64(ref) {
				return nil
			}
			start := slot * p.timeframe
			is, err := base.begins(ctx, r, start-p.timeframe)
			if err != nil {
				return err
			}
			if !is { // asked for each slot by itself: what is before a later one may be long enough
				base.asked = false
				return nil
			}
			var last primitive.ObjectID
			if cur > 0 {
				last = window[cur-1].ID
			}
			found.Alerts = append(found.Alerts, tell(slot, p.alert(key, p.timeframe, start, start+p.timeframe, ref, cur, last)))
			return nil
		})
		if err != nil {
			return found, err
		}
	}
	return found, nil
}
