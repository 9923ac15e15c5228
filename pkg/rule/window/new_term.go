package window

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/rule/interval"
)

// newTerm fires for an event whose field has a value that no event of its key
// had in terms_window before it.
type newTerm struct{}

func (newTerm) Name() string { return "new_term" }
func (newTerm) Doc() string  { return "a value of field that was not seen in terms_window before" }
func (newTerm) Settings() []Setting {
	return []Setting{
		{Name: "field", Required: true, Doc: "path of the values; events without one, or null, do not count"},
		{Name: "terms_window", Doc: "how far back values are known (30d)"},
		settleSetting,
	}
}

const termsWindowDefault = interval.Duration(30 * 24 * time.Hour)

func (newTerm) check(*Spec, func(string, string, ...any)) {}

func (newTerm) looksUp(s *Spec) ([]string, time.Duration) {
	return append(slices.Clone(s.GroupBy), s.Field), termsWindow(s).Std()
}

func (newTerm) parts(s *Spec) []evaluator {
	return []evaluator{novelty{single{}, s.Field, millis(termsWindow(s))}}
}

func termsWindow(s *Spec) interval.Duration {
	if s.TermsWindow == 0 {
		return termsWindowDefault
	}
	return s.TermsWindow
}

// novelty is new_term's only part.
type novelty struct {
	single
	field string
	back  int64
}

type term struct{ key, value string }

func (p novelty) evaluate(ctx context.Context, r *reader, ask Ask, tell tell) (Found, error) {
	var found Found
	all, err := r.all(ctx, Query{From: ask.From, To: ask.To, Keys: ask.Keys, Present: true, Values: true}, MaxObservations)
	if err != nil {
		return found, tooMany(err)
	}
	sortByTime(all)
	last, complete, err := p.seen(ctx, r, ask, all)
	if err != nil {
		return found, err
	}
	for _, o := range all {
		t := term{o.Key, o.Value}
		before, there := last[t]
		last[t] = o.At
		known := there && before >= o.At-p.back || ask.Terms.within(t, o.At-p.back, o.At)
		if !known && !there && !complete {
			if known, err = p.lookUp(ctx, r, ask, t, o.At); err != nil {
				return found, err
			}
		}
		ask.Terms.saw(t, o.At)
		if known {
			continue
		}
		a := tell(floor(o.At, p.back), Alert{Event: o.ID, Alert: notification.Alert{
			Key: withValue(o.Key, o.Value), From: timeOf(o.At - p.back), To: timeOf(o.At), Value: 1,
			Text: fmt.Sprintf("%s is %s, which was not seen in %s before", p.field, show(o.Value), lengthOf(p.back)),
		}})
		found.Alerts = append(found.Alerts, a)
	}
	return found, nil
}

// lookUp says whether a value was stored within the time before.
func (p novelty) lookUp(ctx context.Context, r *reader, ask Ask, t term, at int64) (bool, error) {
	newest, err := r.some(ctx, Query{From: at - p.back, To: at, Keys: []string{t.key}, Value: t.value, Order: NewestFirst}, 1)
	for _, o := range newest {
		ask.Terms.saw(t, o.At)
	}
	return len(newest) > 0, err
}

// seen are the terms that came shortly before, with their last time, when there
// are so many to look up that it is worth it.
func (p novelty) seen(ctx context.Context, r *reader, ask Ask, all []Observation) (last map[term]int64, complete bool, err error) {
	last = map[term]int64{}
	different := map[term]bool{} // those that would be looked up
	for _, o := range all {
		if t := (term{o.Key, o.Value}); !ask.Terms.within(t, o.At-p.back, o.At) {
			different[t] = true
		}
	}
	if len(different) <= lookUps {
		return last, false, nil
	}
	before, complete, err := shortlyBefore(ctx, r, ask, p.back)
	for _, o := range before {
		if o.Value != "" {
			last[term{o.Key, o.Value}] = o.At
		}
	}
	return last, complete, err
}
