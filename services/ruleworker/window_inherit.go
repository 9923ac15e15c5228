package ruleworker

import (
	"context"
	"slices"
	"time"

	"github.com/events-aggregator/events-aggregator/pkg/rule/window"
)

// A key that is silent has nothing but its due slot: no event makes it watched
// again. So when a rule is changed, the new version takes the due slots of the
// old one over, as soon as it is known and once more when their time comes, in
// case a worker that did not know it yet has made one due in between. Whoever is
// just deciding one by the old version loses it first, and what was decided is
// not taken over: no window is told by both.

const (
	// whyAsleep is the error of slots that wait for a disabled rule. They are
	// looked at again after asleepFor, and forgotten as their keys are.
	whyAsleep = "the rule is disabled"
	asleepFor = time.Hour
)

// heirs are the slots of a new version that stand for one of an old version: the
// same one where windows are cut in the same way. A slot that has slept, and keys
// whose windows were cut differently, go on with the slot that is running.
func heirs(d window.Due, old, heir *windowRule, now time.Time) []window.Due {
	was, is := old.rule.Window, heir.rule.Window
	if was.Kind != is.Kind || !slices.Equal(was.GroupBy, is.GroupBy) || len(old.parts) != len(heir.parts) || d.Part >= len(old.parts) {
		return nil
	}
	p := heir.parts[d.Part]
	if !inherits(old.parts[d.Part]) || !inherits(p) {
		return nil
	}
	slot := d.Slot
	if d.Error == whyAsleep || p.Length() != old.parts[d.Part].Length() {
		if !p.PerKey() {
			return nil // seeded
		}
		slot = p.SlotOf(now.Add(-p.Settle()))
	}
	return []window.Due{window.NewDue(heir.rule.ID, heir.rule.Version, p, slot, string(d.Key))}
}

// inherits: what is about a window is decided by one version alone; what is
// about single events by the version that they came under.
func inherits(p window.Part) bool { return p.Settled() && !p.EachEvent() }

// inherit takes the due slots of a rule's older versions over.
func (w *windows) inherit(ctx context.Context, heir *windowRule, now time.Time) error {
	versions := map[int]*windowRule{}
	for after := ""; ; {
		dues, last, err := w.store.HandOverDues(ctx, heir.rule.ID, heir.rule.Version, after, duesWritten)
		if err != nil || last == "" {
			return err
		}
		after = last
		var taken []window.Due
		for _, d := range dues {
			old, known := versions[d.RuleVersion]
			if !known {
				// One that cannot be read fails when its slots' time comes.
				if old, err = w.ruleOf(ctx, nil, d); isOutage(err) || ctx.Err() != nil {
					return err
				}
				versions[d.RuleVersion] = old
			}
			if old != nil {
				taken = append(taken, heirs(d, old, heir, now)...)
			}
		}
		if err := w.store.AddDues(ctx, unique(taken)); err != nil {
			return err
		}
	}
}

// asleep says whether a slot of a disabled rule waits until it is enabled again:
// if it is of a key, until that is forgotten.
func asleep(d window.Due, r *windowRule, now time.Time) bool {
	p := r.parts[d.Part]
	if !inherits(p) || !p.PerKey() || len(d.Key) == 0 {
		return false
	}
	_, remembered := r.rule.Window.LooksUp()
	from, _ := p.Slot(d.Slot)
	return now.Before(time.UnixMilli(from).Add(remembered))
}
