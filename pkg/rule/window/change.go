package window

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/events-aggregator/events-aggregator/pkg/notification"
)

// change fires for an event whose field differs from that of the event of its
// key before it.
type change struct{}

func (change) Name() string { return "change" }
func (change) Doc() string {
	return "field differs from the event of the key before, which is at most timeframe older"
}
func (change) Settings() []Setting {
	return []Setting{
		{Name: "field", Required: true, Doc: "path of the value; none is as good as null"},
		{Name: "timeframe", Doc: "how old the event before may be (any age)"},
		{Name: "ignore_null", Doc: "events without a value do not count (false)"},
		settleSetting,
	}
}

func (change) check(*Spec, func(string, string, ...any)) {}

func (change) looksUp(s *Spec) ([]string, time.Duration) {
	// An event before may be of any age; a day is what usually decides.
	return s.GroupBy, cmp.Or(s.Timeframe.Std(), 24*time.Hour)
}

func (change) parts(s *Spec) []evaluator {
	return []evaluator{difference{single{}, s.Field, millis(s.Timeframe), s.IgnoreNull}}
}

// difference is change's only part.
type difference struct {
	single
	field     string
	timeframe int64 // 0: any
	present   bool
}

// beginning is before every event's timestamp.
const beginning = -int64(1) << 45 // in the year 855

func (p difference) evaluate(ctx context.Context, r *reader, ask Ask, tell tell) (Found, error) {
	var found Found
	all, err := r.all(ctx, Query{From: ask.From, To: ask.To, Keys: ask.Keys, Present: p.present, Values: true}, MaxObservations)
	if err != nil {
		return found, tooMany(err)
	}
	keys, series := byKey(all)
	if err := p.next(ctx, r, ask, keys, series); err != nil {
		return found, err
	}
	last, complete, err := p.last(ctx, r, ask, len(keys))
	if err != nil {
		return found, err
	}
	for _, key := range keys {
		before, there := last[key]
		if !there && !complete {
			if before, there, err = p.before(ctx, r, key, series[key][0].At); err != nil {
				return found, err
			}
		}
		told := never
		for _, o := range series[key] {
			if there && o.Value != before.Value && (p.timeframe == 0 || o.At-before.At <= p.timeframe) && o.At != told {
				told = o.At // two changes of one instant are one alert
				found.Alerts = append(found.Alerts, p.alert(o, before, tell))
			}
			before, there = o, true
		}
	}
	return found, nil
}

func (p difference) alert(o, before Observation, tell tell) Alert {
	return tell(o.At, Alert{Event: o.ID, Alert: notification.Alert{
		Key: keyOf(o.Key), From: timeOf(before.At), To: timeOf(o.At),
		Text: fmt.Sprintf("%s changed from %s to %s", p.field, show(before.Value), show(o.Value)),
	}})
}

// next adds to each key's series the events of the first instant after those
// asked for, as far as windows were decided: one of the series may have come
// since, and be what they differ from.
func (p difference) next(ctx context.Context, r *reader, ask Ask, keys []string, series map[string][]Observation) error {
	if ask.Decided <= ask.To {
		return nil
	}
	q := Query{From: ask.To, To: ask.Decided, Present: p.present, Values: true}
	missing := keys
	if len(keys) > lookUps {
		soon := q
		soon.To, soon.Keys = min(q.To, q.From+shortly), ask.Keys
		all, err := r.all(ctx, soon, shortlyLimit)
		if err != nil && !errors.Is(err, errFull) {
			return err
		}
		if err == nil {
			_, after := byKey(all)
			missing = nil
			for _, key := range keys {
				if after[key] == nil {
					missing = append(missing, key)
				}
				series[key] = append(series[key], atFirst(after[key])...)
			}
			if q.From = soon.To; q.From >= q.To {
				return nil
			}
		}
	}
	for _, key := range missing {
		q.Keys, q.Order, q.Wanted = []string{key}, OldestFirst, 1
		var first []Observation
		err := r.each(ctx, q, func(o Observation) bool {
			if len(first) > 0 && first[0].At != o.At {
				return false
			}
			first = append(first, o)
			return true
		})
		if err != nil {
			return err
		}
		sortByTime(first)
		series[key] = append(series[key], first...)
	}
	return nil
}

// atFirst are the observations of a series' first instant.
func atFirst(s []Observation) []Observation {
	n := 0
	for n < len(s) && s[n].At == s[0].At {
		n++
	}
	return s[:n]
}

// last are the last events of keys that came shortly before, when there are so
// many keys that it is worth it.
func (p difference) last(ctx context.Context, r *reader, ask Ask, keys int) (last map[string]Observation, complete bool, err error) {
	last = map[string]Observation{}
	if keys <= lookUps {
		return last, false, nil
	}
	before, complete, err := shortlyBefore(ctx, r, ask, p.timeframe)
	for _, o := range before {
		if o.Value != "" || !p.present {
			last[o.Key] = o
		}
	}
	return last, complete, err
}

// before is the event of a key before a time. Of several at the same instant it
// is the last one by _id, as within a series.
func (p difference) before(ctx context.Context, r *reader, key string, at int64) (o Observation, there bool, err error) {
	from := beginning
	if p.timeframe > 0 {
		from = at - p.timeframe
	}
	q := Query{From: from, To: at, Keys: []string{key}, Present: p.present, Values: true, Order: NewestFirst, Wanted: 1}
	var newest []Observation
	err = r.each(ctx, q, func(o Observation) bool {
		if len(newest) > 0 && newest[0].At != o.At {
			return false
		}
		newest = append(newest, o)
		return true
	})
	if len(newest) == 0 {
		return o, false, err
	}
	sortByTime(newest)
	return newest[len(newest)-1], true, err
}
