package ruleworker

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/events-aggregator/events-aggregator/pkg/rule"
)

// RuleSource is where rules are kept.
type RuleSource interface {
	// RulesStamp rises with every change of any rule.
	RulesStamp(ctx context.Context) (int64, error)
	// EnabledRules are those that can be read, and those that cannot.
	EnabledRules(ctx context.Context) (rules []rule.Rule, unreadable []rule.RuleError, err error)
}

// Rules holds the compiled set that is matched now. It is swapped whole; who
// matches keeps the set that it has taken.
type Rules struct {
	follower

	source  RuleSource
	metrics *metrics
	report  *reporter // nil: nobody is told

	current atomic.Pointer[held]
	reload  sync.Mutex // one reload at a time
}

// held is a set with the stamp of all rules when it was read.
type held struct {
	set    *rule.Set
	stamp  int64 // noStamp before the first Load
	broken []rule.RuleError
}

const noStamp = -1

// NewRules is an empty set; Load fills it.
func NewRules(source RuleSource, log *zap.Logger, m *metrics) *Rules {
	r := &Rules{source: source, metrics: m}
	r.follower = newFollower("rules", log, r.Load)
	empty, _ := rule.NewSet(nil)
	r.current.Store(&held{set: empty, stamp: noStamp})
	return r
}

// Current is the set to match with.
func (r *Rules) Current() *rule.Set { return r.current.Load().set }

// Stamped is the set to match with, and the stamp that says later which version
// of each rule decided.
func (r *Rules) Stamped() (*rule.Set, int64) {
	h := r.current.Load()
	return h.set, h.stamp
}

// Load reads the rules if they changed since the last Load, and swaps the set.
// A rule that cannot be read or does not compile (changed by hand, saved by a
// newer version) is left out and named; the others go on.
func (r *Rules) Load(ctx context.Context) error {
	r.reload.Lock()
	defer r.reload.Unlock()
	stamp, err := r.source.RulesStamp(ctx)
	if err != nil {
		return err
	}
	if stamp == r.current.Load().stamp {
		return nil
	}
	rules, broken, stamp, err := r.read(ctx, stamp)
	if err != nil {
		return err
	}
	set, err := rule.NewSet(rules)
	var bad *rule.SetError
	if errors.As(err, &bad) {
		broken = append(broken, bad.Rules...)
	}
	for _, b := range broken {
		r.log.Error("rule left out: nobody matches with it", zap.String("rule_id", b.ID), zap.String("rule", b.Name), zap.Error(b.Err))
	}
	r.current.Store(&held{set: set, stamp: stamp, broken: broken})
	r.metrics.rules.Set(float64(set.Len()))
	r.metrics.broken.Set(float64(len(broken)))
	r.log.Info("rules loaded", zap.Int("rules", set.Len()), zap.Int64("stamp", stamp))
	return nil
}

// readTries bounds how often rules are read again because they changed
// meanwhile; under a stream of changes the last reading counts.
const readTries = 5

// read reads the rules and the stamp that they belong to. If they keep
// changing, the stamp is that from before they were read: a change between is
// then seen again by the next Load, never missed.
func (r *Rules) read(ctx context.Context, stamp int64) (rules []rule.Rule, unreadable []rule.RuleError, of int64, err error) {
	for try := 1; ; try++ {
		if rules, unreadable, err = r.source.EnabledRules(ctx); err != nil {
			return nil, nil, 0, err
		}
		after, err := r.source.RulesStamp(ctx)
		if err != nil {
			return nil, nil, 0, err
		}
		if after == stamp || try == readTries {
			return rules, unreadable, stamp, nil
		}
		stamp = after
	}
}

// Follow keeps the rules current until ctx ends, and tells which are held.
func (r *Rules) Follow(ctx context.Context, poll time.Duration) error {
	defer r.report.end(ctx)
	return r.follow(ctx, poll, func() { r.report.tell(ctx, r.current.Load(), poll) })
}
