package ruleworker

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/bson/primitive"
	"go.uber.org/zap"

	"github.com/events-aggregator/events-aggregator/pkg/decision"
	"github.com/events-aggregator/events-aggregator/pkg/fault"
	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/pkg/rule/window"
	"github.com/events-aggregator/events-aggregator/pkg/telemetry"
)

const (
	// owedTogether is about how many notifications one transaction commits: more
	// would run into its limits of time and size.
	owedTogether = 1000
	// A slot that cannot be decided is tried again after a second, then twice as
	// long each time; after so many times, about a day, it is given up.
	dueRetry     = time.Second
	dueRetryMost = 5 * time.Minute
	dueTries     = 300
	// dueFailing tries, eight minutes and more, are worth an event about the rule.
	dueFailing   = 10
	longestCause = 500
)

// settle takes decided slots away, after those that follow them are due, commits
// what they owe, and lets those wait that could not be decided.
func (w *Worker) settle(ctx context.Context, token primitive.ObjectID, o *duesOutcome, now time.Time) error {
	if err := w.Windows.settleQuiet(ctx, token, o, now); err != nil || len(o.loud) == 0 {
		return err
	}
	owed, err := w.Windows.owe(ctx, o.alerts, nil, now)
	if err != nil {
		return err
	}
	w.Holder.hold(owed)
	fault.At(fault.RuleWorkerWindowEvaluated)
	for _, d := range portions(o.loud, owed) {
		if err := w.settleLoud(ctx, token, d, now); err != nil {
			return err
		}
	}
	return nil
}

// settleQuiet settles the slots without alerts.
func (w *windows) settleQuiet(ctx context.Context, token primitive.ObjectID, o *duesOutcome, now time.Time) error {
	if len(o.next) > 0 {
		if err := w.store.FollowDues(ctx, unique(o.next)); err != nil {
			return err
		}
	}
	if err := w.store.AddDues(ctx, unique(o.heirs)); err != nil {
		return err
	}
	if err := w.store.SleepDues(ctx, token, o.asleep, now.Add(asleepFor), whyAsleep); err != nil {
		return err
	}
	for _, f := range alike(o.failed) {
		if err := w.postponeDues(ctx, token, f, now); err != nil {
			return err
		}
	}
	return w.store.DropDues(ctx, token, o.quiet)
}

// portion is what one transaction commits: slots with all that they owe, or a
// part of what one slot owes, which is then not taken away.
type portion struct {
	dues []window.Due
	owed []decision.Owed
	part bool
}

// portions cut what slots owe, in its order, so that no transaction is large. All
// that one alert owes stays together, since where its first notification exists
// the others are taken to exist.
func portions(dues []window.Due, owed []decision.Owed) []portion {
	byDue := make(map[string][]decision.Owed, len(dues))
	rank := make(map[string]int, len(dues))
	for i, o := range owed {
		if byDue[o.Due] == nil {
			rank[o.Due] = i
		}
		byDue[o.Due] = append(byDue[o.Due], o)
	}
	dues = slices.Clone(dues)
	slices.SortStableFunc(dues, func(a, b window.Due) int { return cmp.Compare(rank[a.ID], rank[b.ID]) })
	var all []portion
	var last portion
	for _, d := range dues {
		owes := byDue[d.ID]
		for len(owes) > owedTogether {
			n := alertsUntil(owes, owedTogether)
			if n == len(owes) {
				break
			}
			if len(last.dues) > 0 {
				all, last = append(all, last), portion{}
			}
			all = append(all, portion{[]window.Due{d}, owes[:n:n], true})
			owes = owes[n:]
		}
		if len(last.dues) > 0 && len(last.owed)+len(owes) > owedTogether {
			all, last = append(all, last), portion{}
		}
		last.dues, last.owed = append(last.dues, d), append(last.owed, owes...)
	}
	return append(all, last)
}

// alertsUntil is how many notifications whole alerts have, at least least.
func alertsUntil(owed []decision.Owed, least int) int {
	for n := least; n < len(owed); n++ {
		a, b := owed[n-1].Alert, owed[n].Alert
		if a.Slot != b.Slot || !bytes.Equal(a.Key, b.Key) {
			return n
		}
	}
	return len(owed)
}

// settleLoud commits slots that have alerts, and publishes what they owe. Those
// that the database refuses to commit wait; the others do not.
func (w *Worker) settleLoud(ctx context.Context, token primitive.ObjectID, p portion, now time.Time) error {
	committed, err := w.Windows.commitDues(ctx, token, p, now)
	switch {
	case err == nil:
	case isOutage(err) || ctx.Err() != nil:
		return err
	case len(p.dues) == 1:
		return w.Windows.postponeDues(ctx, token, failedDues{dues: p.dues, err: err}, now)
	default:
		for _, d := range p.dues {
			if err := w.settleLoud(ctx, token, p.of(d), now); err != nil {
				return err
			}
		}
		return nil
	}
	if len(committed) == 0 {
		return nil
	}
	fault.At(fault.RuleWorkerWindowDecided)
	w.Metrics.decided(nil, committed)
	w.Windows.remember(committed)
	told, err := w.tell(ctx, committed)
	if err != nil {
		return err // the sweep publishes them
	}
	fault.At(fault.RuleWorkerWindowPublished)
	return w.Outbox.MarkPublished(ctx, told...)
}

func (w *windows) commitDues(ctx context.Context, token primitive.ObjectID, p portion, now time.Time) ([]decision.Owed, error) {
	if p.part {
		return w.store.OweDue(ctx, now, token, p.dues[0], p.owed)
	}
	return w.store.DecideDues(ctx, now, token, p.dues, p.owed)
}

// of is one slot's share.
func (p portion) of(d window.Due) portion {
	one := portion{dues: []window.Due{d}}
	for _, o := range p.owed {
		if o.Due == d.ID {
			one.owed = append(one.owed, o)
		}
	}
	return one
}

// alike are the slots that failed for the same cause and as often: each is given
// up by its own tries, and many groups of a broken rule are one warning.
func alike(failed []failedDues) []failedDues {
	type like struct {
		rule           string
		version, tries int
		cause          string
		behind         bool
	}
	place := map[like]int{}
	var all []failedDues
	for _, f := range failed {
		for i, d := range f.dues {
			l := like{d.RuleID, d.RuleVersion, d.Tries, f.err.Error(), f.behind}
			at, known := place[l]
			if !known {
				at = len(all)
				place[l] = at
				all = append(all, failedDues{rule: f.rule, err: f.err, behind: f.behind})
			}
			all[at].dues = append(all[at].dues, d)
			if i < len(f.next) {
				all[at].next = append(all[at].next, f.next[i])
			}
		}
	}
	return all
}

// postponeDues lets slots of one rule wait that could not be decided as often. A chain of slots goes
// on after one that is given up.
func (w *windows) postponeDues(ctx context.Context, token primitive.ObjectID, f failedDues, now time.Time) error {
	first := f.dues[0]
	fields := []zap.Field{zap.String(telemetry.FieldRule, first.RuleID), zap.Int("version", first.RuleVersion),
		zap.Int64("slot", first.Slot), zap.Int("keys", len(f.dues)), zap.Int("tries", first.Tries+1), zap.Error(f.err)}
	cause := f.err.Error()
	cause = strings.ToValidUTF8(cause[:min(len(cause), longestCause)], "")
	if tries := first.Tries + 1; tries == dueFailing || tries >= dueTries {
		if err := w.store.Announce(ctx, decision.Failing(f.about(), tries, cause, now)); err != nil {
			return err
		}
	}
	if first.Tries+1 >= dueTries {
		w.log.Error("window given up: its query never succeeded", fields...)
		if err := w.store.FollowDues(ctx, f.next); err != nil {
			return err
		}
		return w.store.DropDues(ctx, token, f.dues)
	}
	wait := min(dueRetry<<min(first.Tries, 10), dueRetryMost)
	if isTooSlow(f.err) { // it would take places all the time
		wait = max(wait, 2*dueTimeout)
	}
	if f.behind { // those that were slow are not before them again
		wait = dueTimeout
	}
	w.log.Warn("window not decided, it is tried again; its query needs an index, or its condition is refused, or its version is not understood", fields...)
	return w.store.PostponeDues(ctx, token, f.dues, now.Add(wait), cause)
}

// about is the rule, as far as it is known.
func (f failedDues) about() rule.Rule {
	if f.rule != nil {
		return *f.rule
	}
	return rule.Rule{ID: f.dues[0].RuleID, Version: f.dues[0].RuleVersion}
}
