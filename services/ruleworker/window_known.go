package ruleworker

import (
	"sync"
	"time"

	"github.com/events-aggregator/events-aggregator/pkg/decision"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/rule"
)

// known remembers alerts that exist, so that a flood is not asked about again
// with each of its batches. What it forgets costs a query, nothing else.
type known struct {
	mu          sync.Mutex
	recent, old map[knownAlert]bool
}

type knownAlert struct {
	rule    string
	version int
	key     string
	slot    int64
}

// knownEach bounds each of the two generations: with both full, about 10 MB.
const knownEach = 50_000

func (k *known) has(r *rule.Rule, key string, slot int64) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	a := knownAlert{r.ID, r.Version, key, slot}
	return k.recent[a] || k.old[a]
}

func (k *known) add(ruleID string, version int, a notification.Alert) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.recent == nil || len(k.recent) == knownEach {
		k.old, k.recent = k.recent, map[knownAlert]bool{}
	}
	k.recent[knownAlert{ruleID, version, string(a.Key), a.Slot}] = true
}

// remember notes alerts that were committed.
func (w *windows) remember(owed []decision.Owed) {
	for _, o := range owed {
		w.known.add(o.RuleID, o.RuleVersion, *o.Alert)
	}
}

// slowRules remembers rules whose query took too long or was refused: for a
// while they are not asked about as events come, so that they hold nobody up.
type slowRules struct {
	mu    sync.Mutex
	until map[string]time.Time
}

// slowFor is how long such a rule is decided by the timer alone.
const slowFor = 30 * time.Second

func (s *slowRules) is(ruleID string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	until, there := s.until[ruleID]
	if there && !now.Before(until) {
		delete(s.until, ruleID)
		return false
	}
	return there
}

func (s *slowRules) add(ruleID string, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.until == nil {
		s.until = map[string]time.Time{}
	}
	s.until[ruleID] = now.Add(slowFor)
}
