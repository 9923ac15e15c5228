package ruleworker

import (
	"context"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/pkg/rule/window"
	"github.com/events-aggregator/events-aggregator/pkg/telemetry"
)

const (
	// duesWritten is how many slots are made due by one command.
	duesWritten = 1000
	// seedRetry is when a rule is seeded again that the database refused to.
	seedRetry = time.Minute
	// seedsTogether are seeded at a time: a slow one leaves places to others.
	seedsTogether = 3
)

// seeder makes slots due of rules and versions that are new, so that what was
// there before them counts: the slot that is running now, with the events that
// came before the rule, and those before it that are not settled. A process that
// takes the lease over seeds all rules; what is due already stays as it is.
type seeder struct {
	windows *windows
	places  chan struct{}
	running sync.WaitGroup

	mu    sync.Mutex
	done  map[string]int // the version of each rule that is seeded
	again map[string]time.Time
	busy  map[string]bool
}

func newSeeder(w *windows) *seeder {
	return &seeder{windows: w, places: make(chan struct{}, seedsTogether), done: map[string]int{}, again: map[string]time.Time{}, busy: map[string]bool{}}
}

// seed begins to seed what is new. One rule's trouble is not that of the others,
// and none waits for a slow one as long as there are places.
func (s *seeder) seed(ctx context.Context, set *rule.Set, now time.Time) {
	for id, r := range s.windows.in(set) {
		if !s.begins(id, r.rule.Version, now) {
			continue
		}
		select {
		case s.places <- struct{}{}:
		case <-ctx.Done():
			return
		}
		s.running.Go(func() {
			defer func() { <-s.places }()
			s.ended(ctx, r.rule, now, s.windows.seedRule(ctx, r, now))
		})
	}
}

func (s *seeder) begins(id string, version int, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy[id] || s.done[id] == version || now.Before(s.again[id]) {
		return false
	}
	s.busy[id] = true
	return true
}

func (s *seeder) ended(ctx context.Context, r *rule.Rule, now time.Time, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.busy, r.ID)
	switch {
	case ctx.Err() != nil:
	case err == nil:
		s.done[r.ID] = r.Version
		delete(s.again, r.ID)
	default:
		s.again[r.ID] = now.Add(seedRetry)
		if isOutage(err) {
			delete(s.again, r.ID)
		}
		s.windows.log.Warn("windows that began before the rule not watched yet, they will be",
			zap.String(telemetry.FieldRule, r.ID), zap.Int("version", r.Version), zap.Error(err))
	}
}

func (w *windows) seedRule(ctx context.Context, r *windowRule, now time.Time) error {
	if err := w.inherit(ctx, r, now); err != nil {
		return err
	}
	w.warnings.note(r.rule, "")
	for _, p := range r.parts {
		if !p.Settled() {
			continue
		}
		if err := w.seedPart(ctx, r, p, now); err != nil {
			return err
		}
	}
	return nil
}

func (w *windows) seedPart(ctx context.Context, r *windowRule, p window.Part, now time.Time) error {
	first, last := p.SlotOf(now.Add(-p.Settle())), p.SlotOf(now)
	var dues []window.Due
	write := func(atLeast int) error {
		if len(dues) < atLeast {
			return nil
		}
		err := w.store.AddDues(ctx, unique(dues))
		dues = dues[:0]
		return err
	}
	due := func(slot int64, key string) error {
		dues = append(dues, window.NewDue(r.rule.ID, r.rule.Version, p, slot, key))
		return write(duesWritten)
	}
	switch {
	case p.PerKey() && len(r.rule.Window.GroupBy) > 0:
		seen, err := w.recentKeys(ctx, r, p, first)
		if err != nil {
			return err
		}
		// A chain of slots goes on by itself: from the first one on if the key is
		// watched there, otherwise from the slot after its first event.
		for key, at := range seen {
			if err := due(first, key); err != nil {
				return err
			}
			for _, slot := range p.Due(at, at) {
				if slot > first {
					if err := due(slot, key); err != nil {
						return err
					}
				}
			}
		}
	case p.PerKey():
		if err := due(first, ""); err != nil {
			return err
		}
	default:
		for slot := first; slot <= last; slot++ {
			if err := due(slot, ""); err != nil {
				return err
			}
		}
	}
	return write(1)
}

// recentKeys are the keys that were seen from the slot before the first one on,
// each with its first time: older ones wait until they are seen again. A query
// that is refused, or that has too much to read, costs seeds, which events make
// up for, and a warning.
func (w *windows) recentKeys(ctx context.Context, r *windowRule, p window.Part, first int64) (map[string]time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, dueTimeout)
	defer cancel()
	from, _ := p.Slot(first - 1)
	earliest := map[string]int64{}
	read := 0
	err := r.source.Observe(ctx, window.Query{From: from, To: farFuture}, func(o window.Observation) bool {
		if read == w.seedLimit {
			read++
			return false
		}
		read++
		if at, there := earliest[o.Key]; !there || o.At < at {
			earliest[o.Key] = o.At
		}
		return true
	})
	seen := make(map[string]time.Time, len(earliest))
	for key, at := range earliest {
		seen[key] = time.UnixMilli(at)
	}
	switch {
	case isOutage(err), ctx.Err() != nil && !isTooSlow(err):
		return seen, err
	case err != nil:
		w.seededInPart(r, len(seen), "their query fails or is slow: "+err.Error())
	case read > w.seedLimit:
		w.seededInPart(r, len(seen), fmt.Sprintf("there are more than %d events", w.seedLimit))
	}
	return seen, nil
}

// seededInPart says that not all keys from before a rule are watched, and what
// helps.
func (w *windows) seededInPart(r *windowRule, keys int, why string) {
	w.warnings.note(r.rule, fmt.Sprintf("of the keys that were seen shortly before it began only %d are surely watched, the others once they are seen again: %s; narrower conditions, a shorter timeframe or an index (eactl rules apply --create-indexes) help",
		keys, why))
	w.log.Warn("keys seen before the rule are not all watched until they are seen again; narrower conditions, a shorter timeframe or an index help",
		zap.String(telemetry.FieldRule, r.rule.ID), zap.String("rule", r.rule.Name), zap.Int("version", r.rule.Version), zap.Int("watched", keys), zap.String("why", why))
}

// farFuture is later than every event may be.
const farFuture = int64(1) << 45 // in the year 3084
