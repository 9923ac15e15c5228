package ruleworker

import (
	"crypto/sha256"
	"encoding/binary"
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

// knownAlert is a hash of an alert's identity: keys may be long, and two alerts
// that were one by chance would be one alert lost, so it is 128 bits of SHA-256.
type knownAlert [16]byte

func knownAlertOf(ruleID string, version int, key string, slot int64) knownAlert {
	b := make([]byte, 0, 256)
	b = binary.LittleEndian.AppendUint64(b, uint64(version))
	b = binary.LittleEndian.AppendUint64(b, uint64(slot))
	b = binary.LittleEndian.AppendUint64(b, uint64(len(ruleID)))
	b = append(append(b, ruleID...), key...)
	sum := sha256.Sum256(b)
	return knownAlert(sum[:16])
}

// knownEach bounds each of the two generations: with both full, about 5 MB.
const knownEach = 50_000

func (k *known) has(r *rule.Rule, key string, slot int64) bool {
	a := knownAlertOf(r.ID, r.Version, key, slot)
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.recent[a] || k.old[a]
}

func (k *known) add(ruleID string, version int, a notification.Alert) {
	one := knownAlertOf(ruleID, version, string(a.Key), a.Slot)
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.recent == nil || len(k.recent) == knownEach {
		k.old, k.recent = k.recent, map[knownAlert]bool{}
	}
	k.recent[one] = true
}

// remember notes alerts that were committed.
func (w *windows) remember(owed []decision.Owed) {
	for _, o := range owed {
		if o.Alert == nil { // of an event that was given to a rule
			continue
		}
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
