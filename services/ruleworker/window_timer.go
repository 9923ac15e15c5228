package ruleworker

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/bson/primitive"
	"go.uber.org/zap"

	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/pkg/rule/window"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
)

const (
	// duesTogether bounds the slots that are taken at once, and with them one
	// query's keys.
	duesTogether = 500
	// dueTimeout bounds one evaluation of the timer, which holds no batch up.
	dueTimeout = 60 * time.Second
	// A round waits so long for its rules. Those that take longer go on beside the
	// next rounds, which leave them alone.
	roundPatience = time.Second
	// A rule with more alerts than that is settled by itself, beside the others: its
	// transactions take seconds, and they would wait for them.
	settledTogether = 200
	// besideTogether bounds what is settled beside the rounds at a time.
	besideTogether = 4
)

// DecideWindows decides the slots whose time has come, and publishes what they
// owe. It is run by one process at a time; a paused one that wakes beside its
// successor has lost the claims on its slots and changes nothing.
func (w *Worker) DecideWindows(ctx context.Context, every time.Duration) error {
	var all sync.WaitGroup
	all.Go(func() { // beside it: a new rule's slow query holds no other rule up
		seeds := newSeeder(w.Windows)
		each(ctx, every, func() { seeds.seed(ctx, w.Rules.Current(), w.Now()) })
		seeds.running.Wait()
	})
	t := &timer{
		Worker: w, places: newPlaces(), busy: map[string]bool{}, besides: make(chan struct{}, besideTogether),
		stored: &ingest{queues: w.Queues, stored: w.Storing, queue: w.Topology.Work(topology.Ingest), log: w.Log, metrics: w.Metrics},
	}
	all.Go(func() {
		each(ctx, every, func() { t.tick(ctx) })
		t.late.Wait()
		w.Metrics.windowsWait.Set(0)
	})
	all.Wait()
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

// timer decides slots that are due.
type timer struct {
	*Worker

	stored *ingest
	places *places

	besides chan struct{} // places of those that are settled beside the rounds

	mu   sync.Mutex
	busy map[string]bool // rules of rounds before that are still evaluated or settled
	late sync.WaitGroup  // those
}

// tick decides what is due, round after round.
func (t *timer) tick(ctx context.Context) {
	var err error
	for more := true; more && err == nil && ctx.Err() == nil; {
		now := t.Now()
		more, err = t.round(ctx, now, t.stored.storedUntil(ctx, now))
	}
	t.failed(ctx, err)
	if isOutage(err) {
		t.stored.databaseAway()
	}
}

func (t *timer) failed(ctx context.Context, err error) {
	if err != nil && ctx.Err() == nil {
		t.Log.Warn("due windows not decided, they will be", zap.Error(err))
	}
}

// round decides slots that are due now, of settled parts those that were due by
// the given time; more says that others may be due by now.
func (t *timer) round(ctx context.Context, now, settled time.Time) (more bool, err error) {
	token, dues, err := t.Windows.store.ClaimDues(ctx, now, settled, duesTogether, t.busyRules()...)
	if err != nil || len(dues) == 0 {
		return false, err
	}
	o := &duesOutcome{}
	groups, err := t.Windows.groupDues(ctx, t.Windows.in(t.Rules.Current()), dues, o, now)
	if err != nil {
		return false, err
	}
	inTime, err := t.evaluate(ctx, token, groups, now, settled)
	o.join(inTime)
	// A query that the database was away for does not undo what others found.
	if err := errors.Join(err, t.settle(ctx, token, o, now)); err != nil {
		return false, err
	}
	return len(dues) == duesTogether || o.overdue, nil
}

func (t *timer) busyRules() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	ids := make([]string, 0, len(t.busy))
	for id := range t.busy {
		ids = append(ids, id)
	}
	return ids
}

// evaluated is what was found about the slots of one rule.
type evaluated struct {
	id      string
	outcome *duesOutcome
	err     error
}

// evaluate evaluates groups, each rule's by themselves, and returns the outcome
// of those that are done soon and have few alerts. The others are settled beside
// this round, when they are done.
func (t *timer) evaluate(ctx context.Context, token primitive.ObjectID, groups []*dueGroup, now, settled time.Time) (*duesOutcome, error) {
	byRule := map[string][]*dueGroup{}
	for _, g := range groups {
		byRule[g.rule.rule.ID] = append(byRule[g.rule.rule.ID], g)
	}
	results := make(chan evaluated, len(byRule))
	for id, some := range byRule {
		go func() {
			o, err := t.evaluateRule(ctx, some, now, settled)
			results <- evaluated{id, o, err}
		}()
	}
	patience := time.NewTimer(roundPatience)
	defer patience.Stop()
	inTime := &duesOutcome{}
	var err error
	for len(byRule) > 0 {
		select {
		case r := <-results:
			delete(byRule, r.id)
			if r.err == nil && len(r.outcome.alerts) > settledTogether {
				t.beside(ctx, token, r.id, func() evaluated { return r })
				continue
			}
			inTime.join(r.outcome)
			err = errors.Join(err, r.err)
			continue
		case <-patience.C:
		}
		break
	}
	for id := range byRule {
		t.beside(ctx, token, id, func() evaluated { return <-results })
	}
	return inTime, err
}

// beside settles what is found about a rule beside this round and the next ones,
// which leave that rule alone until then.
func (t *timer) beside(ctx context.Context, token primitive.ObjectID, id string, found func() evaluated) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.busy[id] = true
	t.late.Go(func() {
		r := found()
		if r.err == nil {
			t.besides <- struct{}{}
			r.err = t.settle(ctx, token, r.outcome, t.Now())
			<-t.besides
		}
		t.failed(ctx, r.err)
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.busy, r.id)
	})
}

// evaluateRule evaluates the groups of one rule. Only an outage is an error. When
// one takes too long the others are not begun: they would, too. If not, they are
// decided next time, which comes earlier for them.
func (t *timer) evaluateRule(ctx context.Context, groups []*dueGroup, now, settled time.Time) (*duesOutcome, error) {
	o := &duesOutcome{}
	var mu sync.Mutex
	var slow, err error
	long := false // some evaluation took long
	var group sync.WaitGroup
	own := make(chan struct{}, evaluationsEach)
	for _, g := range groups {
		own <- struct{}{}
		at := t.places.take(g.rule.rule.ID)
		group.Go(func() {
			defer func() { <-own }()
			mu.Lock()
			evalErr, behind := slow, slow != nil
			mu.Unlock()
			var got window.Found
			if !behind {
				got, evalErr = t.Windows.evaluateDue(ctx, g, settled)
			}
			held := at.give()
			mu.Lock()
			defer mu.Unlock()
			long = long || held
			switch {
			case evalErr == nil:
				o.add(g, got, now)
			case isOutage(evalErr), ctx.Err() != nil:
				err = errors.Join(err, evalErr)
			default:
				if isTooSlow(evalErr) {
					slow = evalErr
				}
				o.failed = append(o.failed, failedDues{g.rule.rule, g.dues, g.following(), evalErr, behind})
			}
		})
	}
	group.Wait()
	if !long && slow == nil && len(groups) > 0 {
		t.places.know(groups[0].rule.rule.ID, false)
	}
	return o, err
}

// isTooSlow: a query took longer than it may.
func isTooSlow(err error) bool {
	var slow interface{ TooSlow() bool }
	return errors.As(err, &slow) && slow.TooSlow()
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
	rule *rule.Rule // nil: it could not be read
	dues []window.Due
	next []window.Due // that would have followed
	err  error
	// behind: they were not begun, since others of the rule took too long
	behind bool
}

// join takes what became of other slots in.
func (o *duesOutcome) join(other *duesOutcome) {
	o.quiet, o.loud = append(o.quiet, other.quiet...), append(o.loud, other.loud...)
	o.alerts, o.next = append(o.alerts, other.alerts...), append(o.next, other.next...)
	o.heirs, o.asleep = append(o.heirs, other.heirs...), append(o.asleep, other.asleep...)
	o.failed = append(o.failed, other.failed...)
	o.overdue = o.overdue || other.overdue
}

func (o *duesOutcome) add(g *dueGroup, got window.Found, now time.Time) {
	for _, key := range got.Next {
		next := window.NewDue(g.rule.rule.ID, g.rule.rule.Version, g.part, g.end, key)
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
