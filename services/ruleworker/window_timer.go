package ruleworker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/events-aggregator/events-aggregator/pkg/rule/window"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
)

const (
	// duesTogether bounds the slots that are taken at once, and with them one
	// query's keys and one transaction's notifications.
	duesTogether = 500
	// dueTimeout bounds one evaluation of the timer, which holds no batch up.
	dueTimeout = 60 * time.Second
)

// DecideWindows decides the slots whose time has come, and publishes what they
// owe. It is run by one process at a time; a paused one that wakes beside its
// successor has lost the claims on its slots and changes nothing.
func (w *Worker) DecideWindows(ctx context.Context, every time.Duration) error {
	var both sync.WaitGroup
	both.Go(func() { // beside it: a new rule's slow query holds no other rule up
		seeds := newSeeder(w.Windows)
		each(ctx, every, func() { seeds.seed(ctx, w.Rules.Current(), w.Now()) })
	})
	both.Go(func() {
		stored := &ingest{queues: w.Queues, queue: w.Topology.Work(topology.Ingest).Name, log: w.Log, metrics: w.Metrics}
		defer w.Metrics.windowsWait.Set(0)
		each(ctx, every, func() {
			var err error
			for more := true; more && err == nil && ctx.Err() == nil; {
				now := w.Now()
				more, err = w.decideDues(ctx, now, stored.storedUntil(ctx, now))
			}
			if isOutage(err) {
				stored.databaseAway()
			}
			if err != nil && ctx.Err() == nil {
				w.Log.Warn("due windows not decided, they will be", zap.Error(err))
			}
		})
	})
	both.Wait()
	return nil
}

// each calls f at every tick until ctx ends.
func each(ctx context.Context, every time.Duration, f func()) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			f()
		}
	}
}

// decideDues decides the slots that are due now, of settled parts those that were
// due by the given time; more says that others may be due by now.
func (w *Worker) decideDues(ctx context.Context, now, settled time.Time) (more bool, err error) {
	token, dues, err := w.Windows.store.ClaimDues(ctx, now, settled, duesTogether)
	if err != nil || len(dues) == 0 {
		return false, err
	}
	outcome, err := w.Windows.decideDues(ctx, w.Windows.in(w.Rules.Current()), dues, now)
	if err != nil {
		return false, err
	}
	if err := w.settle(ctx, token, outcome, now); err != nil {
		return false, err
	}
	return len(dues) == duesTogether || outcome.overdue, nil
}

// duesOutcome is what became of some due slots.
type duesOutcome struct {
	quiet, loud []window.Due // without and with alerts
	alerts      []found
	next        []window.Due
	overdue     bool // some of next are due already
	heirs       []window.Due
	asleep      []window.Due
	failed      []failedDues
}

type failedDues struct {
	dues []window.Due
	next []window.Due // that would have followed
	err  error
}

// dueGroup are slots that one evaluation decides: the same slot of the same part
// for several keys.
type dueGroup struct {
	rule *windowRule
	part window.Part
	dues []window.Due
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

// decideDues evaluates due slots, several at a time. Only an outage is an error.
func (w *windows) decideDues(ctx context.Context, current map[string]*windowRule, dues []window.Due, now time.Time) (*duesOutcome, error) {
	o := &duesOutcome{}
	groups, err := w.groupDues(ctx, current, dues, o, now)
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	var group sync.WaitGroup
	places := make(chan struct{}, askTogether)
	for _, g := range groups {
		places <- struct{}{}
		group.Go(func() {
			defer func() { <-places }()
			got, evalErr := w.evaluateDue(ctx, g)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case evalErr == nil:
				o.add(g, got, now)
			case isOutage(evalErr), ctx.Err() != nil:
				err = errors.Join(err, evalErr)
			default:
				o.failed = append(o.failed, failedDues{g.dues, g.following(), evalErr})
			}
		})
	}
	group.Wait()
	return o, err
}

func (o *duesOutcome) add(g *dueGroup, got window.Found, now time.Time) {
	for _, key := range got.Next {
		next := window.NewDue(g.rule.rule.ID, g.rule.rule.Version, g.part, g.dues[0].Slot+1, key)
		o.next = append(o.next, next)
		o.overdue = o.overdue || !next.DueAt.After(now)
	}
	loud := map[string]bool{}
	for _, a := range got.Alerts {
		due := g.dueOf(a)
		loud[due] = true
		o.alerts = append(o.alerts, found{rule: g.rule.rule, alert: a, due: due})
	}
	for _, d := range g.dues {
		if loud[d.ID] {
			o.loud = append(o.loud, d)
		} else {
			o.quiet = append(o.quiet, d)
		}
	}
}

// groupDues finds the rule of each slot. Slots of rules that are gone are quiet.
// A rule that was changed meanwhile decides by its old version what concerns
// single events, since they came under it; windows that the new version decides
// as well are left to that.
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
		if r.fate == RuleDisabled || r.fate == RuleReplaced && inherits(r.parts[d.Part]) {
			if err := o.passOn(d, r, current[d.RuleID], now); err != nil {
				fail(id, d, err)
			}
			continue
		}
		at := slotOf{id, d.Part, d.Slot, len(d.Key) > 0}
		g := groups[at]
		if g == nil {
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

func (w *windows) evaluateDue(ctx context.Context, g *dueGroup) (window.Found, error) {
	ctx, cancel := context.WithTimeout(ctx, dueTimeout)
	defer cancel()
	started := time.Now()
	from, to := g.part.Slot(g.dues[0].Slot)
	ask := window.Ask{From: from, To: to}
	if g.part.PerKey() {
		ask.Keys = make([]string, len(g.dues))
		for i, d := range g.dues {
			ask.Keys[i] = string(d.Key)
		}
	}
	got, err := g.part.Evaluate(ctx, g.rule.source, ask)
	w.metrics.evaluated(g.rule.rule.Window.Kind, err, time.Since(started))
	return got, err
}
