package ruleworker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/pkg/rule/window"
)

// keysTogether is how many keys one evaluation decides that failed so many times:
// 500, 125, 31, 7, and then each alone, after 15 seconds. What one key has too
// many events for, or a query that is refused for one, keeps no other key back.
func keysTogether(tries int) int { return max(1, duesTogether>>(2*min(tries, 10))) }

// dueGroup are slots that one evaluation decides: the same slot of the same part
// for several keys.
type dueGroup struct {
	rule *windowRule
	part window.Part
	dues []window.Due
	end  int64 // the slot before which the evaluation ended
}

func (g *dueGroup) keys() []string {
	keys := make([]string, len(g.dues))
	for i, d := range g.dues {
		keys[i] = string(d.Key)
	}
	return keys
}

// following are the slots after the group's, of all its keys.
func (g *dueGroup) following() []window.Due {
	if !g.part.PerKey() || !g.part.Settled() {
		return nil // each of their slots is made due by its events
	}
	next := make([]window.Due, len(g.dues))
	for i, d := range g.dues {
		next[i] = window.NewDue(d.RuleID, d.RuleVersion, g.part, d.Slot+1, string(d.Key))
	}
	return next
}

// dueOf is the slot that an alert of the group was found in.
func (g *dueGroup) dueOf(a window.Alert) string {
	for _, d := range g.dues {
		if bytes.Equal(d.Key, a.Key) {
			return d.ID
		}
	}
	return g.dues[0].ID // it is of all keys
}

// groupDues finds the rule of each slot. Slots of rules that are gone are quiet.
// A rule that was changed meanwhile decides by its old version what concerns
// single events, since they came under it, and windows of which it has told a
// part; windows that the new version decides as well are left to that. Keys that cannot be searched are by themselves: their
// query reads what it does not look for.
func (w *windows) groupDues(ctx context.Context, current map[string]*windowRule, dues []window.Due, o *duesOutcome, now time.Time) ([]*dueGroup, error) {
	type of struct {
		id      string
		version int
	}
	type slotOf struct {
		of
		part  int
		slot  int64
		keyed bool
		wide  bool // its key cannot be searched
		tries int
	}
	versions := map[of]*windowRule{}
	unread := map[of]error{}
	failed := map[of]*failedDues{}
	fail := func(id of, d window.Due, err error) {
		if failed[id] == nil {
			failed[id] = &failedDues{err: err}
		}
		failed[id].dues = append(failed[id].dues, d)
	}
	groups := map[slotOf]*dueGroup{}
	var order []*dueGroup
	for _, d := range dues {
		id := of{d.RuleID, d.RuleVersion}
		r, known := versions[id]
		if !known {
			var err error
			if r, err = w.ruleOf(ctx, current, d); isOutage(err) || ctx.Err() != nil {
				return nil, errors.Join(err, ctx.Err())
			}
			versions[id], unread[id] = r, err
		}
		if err := unread[id]; err != nil {
			fail(id, d, err)
			continue
		}
		if r == nil || d.Part >= len(r.parts) {
			o.quiet = append(o.quiet, d)
			continue
		}
		if r.fate == RuleDisabled || r.fate == RuleReplaced && inherits(r.parts[d.Part]) && d.Parts == 0 {
			if err := o.passOn(d, r, current[d.RuleID], now); err != nil {
				fail(id, d, err)
			}
			continue
		}
		at := slotOf{id, d.Part, d.Slot, len(d.Key) > 0, !rule.SearchableKey(string(d.Key)), d.Tries}
		g := groups[at]
		if g == nil || len(g.dues) == keysTogether(d.Tries) {
			g = &dueGroup{rule: r, part: r.parts[d.Part]}
			groups[at] = g
			order = append(order, g)
		}
		g.dues = append(g.dues, d)
	}
	for _, f := range failed {
		o.failed = append(o.failed, *f)
	}
	return order, nil
}

// passOn leaves a slot of an old version to the new one, or lets it sleep.
func (o *duesOutcome) passOn(d window.Due, r, heir *windowRule, now time.Time) error {
	switch {
	case r.fate == RuleDisabled && asleep(d, r, now):
		o.asleep = append(o.asleep, d)
		return nil
	case r.fate == RuleDisabled:
	case heir == nil || heir.rule.Version <= d.RuleVersion:
		return errNotLoaded
	default:
		o.heirs = append(o.heirs, heirs(d, r, heir, now)...)
	}
	o.quiet = append(o.quiet, d)
	return nil
}

// errNotLoaded: there is a newer version, which this worker does not hold (yet).
var errNotLoaded = errors.New("the rule has a newer version, which is not loaded here")

// ruleOf is the rule that a slot belongs to; nil when it is gone.
func (w *windows) ruleOf(ctx context.Context, current map[string]*windowRule, d window.Due) (*windowRule, error) {
	if r := current[d.RuleID]; r != nil && r.rule.Version == d.RuleVersion {
		return r, nil
	}
	r, fate, err := w.store.RuleVersion(ctx, d.RuleID, d.RuleVersion)
	if err != nil || fate == RuleGone || r.Window == nil {
		return nil, err
	}
	compiled := w.compile(&r)
	if len(compiled.parts) == 0 {
		return nil, fmt.Errorf("version %d of rule %s has a window of the kind %q, which is not known here", r.Version, r.ID, r.Window.Kind)
	}
	compiled.fate = fate
	return compiled, nil
}

// evaluateDue evaluates a group's slot, and those that follow it as far as they
// are due and no event has made them so.
func (w *windows) evaluateDue(ctx context.Context, g *dueGroup, settled time.Time) (window.Found, error) {
	ctx, cancel := context.WithTimeout(ctx, dueTimeout)
	defer cancel()
	started := time.Now()
	var got window.Found
	end, err := g.reach(ctx, settled)
	if err == nil {
		g.end = end
		from, _ := g.part.Slot(g.dues[0].Slot)
		to, _ := g.part.Slot(end)
		ask := window.Ask{From: from, To: to, Terms: w.terms.Of(g.rule.rule.ID, g.rule.rule.Version)}
		ask.Decided, _ = g.part.Slot(g.part.SlotOf(settled.Add(-g.part.Settle())))
		if g.part.PerKey() {
			ask.Keys = g.keys()
		}
		got, err = g.part.Evaluate(ctx, g.rule.source, ask)
	}
	w.metrics.evaluated(g.rule.rule.Window.Kind, err, time.Since(started))
	return got, err
}

const (
	// chainTogether is how many slots of a chain one evaluation decides, for groups
	// of at most chainKeys: larger ones are worth an evaluation for each slot.
	chainTogether = 1000
	chainKeys     = 20
)

// reach is the slot before which a group's evaluation ends. An event that comes
// hours late makes one slot due, and that the next one, up to now: those are
// decided at once. The chain is followed to the next event of a key, since that
// one has made the slot after its own due, and so on: each slot is evaluated
// once. One that failed is tried by itself.
func (g *dueGroup) reach(ctx context.Context, settled time.Time) (int64, error) {
	slot := g.dues[0].Slot
	if !g.part.PerKey() || !g.part.Settled() || len(g.dues) > chainKeys || g.dues[0].Tries > 0 {
		return slot + 1, nil
	}
	running := g.part.SlotOf(settled.Add(-g.part.Settle())) // the first one that is not due
	end := min(running, slot+chainTogether)
	if end <= slot+1 {
		return slot + 1, nil
	}
	from, _ := g.part.Slot(slot)
	to, _ := g.part.Slot(end)
	err := g.rule.source.Observe(ctx, window.Query{From: from, To: to, Keys: g.keys(), Order: window.OldestFirst, Wanted: 1}, func(o window.Observation) bool {
		end = min(end, g.part.SlotOf(time.UnixMilli(o.At))+1)
		return false
	})
	return end, err
}
