package ruleworker

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/pkg/rule/window"
	"github.com/events-aggregator/events-aggregator/pkg/telemetry"
)

// seed makes slots due of rules and versions that are new, so that what was
// there before them counts: the slot that is running now, with the events that
// came before the rule, and those before it that are not settled. A process that
// takes the lease over seeds all rules; what is due already stays as it is.
// An error is an outage.
func (w *windows) seed(ctx context.Context, set *rule.Set, seeded map[string]int, now time.Time) error {
	for id, r := range w.in(set) {
		if seeded[id] == r.rule.Version {
			continue
		}
		for _, p := range r.parts {
			if !p.Settled() {
				continue
			}
			if err := w.seedPart(ctx, r, p, now); err != nil {
				return err
			}
		}
		seeded[id] = r.rule.Version
	}
	return nil
}

func (w *windows) seedPart(ctx context.Context, r *windowRule, p window.Part, now time.Time) error {
	last := p.SlotOf(now)
	first := p.SlotOf(now.Add(-p.Settle()))
	keys := []string{""}
	if p.PerKey() && len(r.rule.Window.GroupBy) > 0 {
		var err error
		if keys, err = w.recentKeys(ctx, r, p, first); err != nil {
			return err
		}
	}
	var dues []window.Due
	for slot := first; slot <= last; slot++ {
		for _, key := range keys {
			dues = append(dues, window.NewDue(r.rule.ID, r.rule.Version, p, slot, key))
		}
	}
	if len(dues) == 0 {
		return nil
	}
	return w.store.AddDues(ctx, dues)
}

// recentKeys are the keys that were seen from the slot before the first one on:
// older ones wait until they are seen again. A query that is refused costs the
// seeds, which events make up for.
func (w *windows) recentKeys(ctx context.Context, r *windowRule, p window.Part, first int64) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, dueTimeout)
	defer cancel()
	from, _ := p.Slot(first - 1)
	seen := map[string]bool{}
	var keys []string
	read := 0
	err := r.source.Observe(ctx, window.Query{From: from, To: farFuture}, func(o window.Observation) bool {
		if !seen[o.Key] {
			seen[o.Key] = true
			keys = append(keys, o.Key)
		}
		read++
		return read < window.MaxObservations
	})
	if err != nil && !isOutage(err) {
		w.log.Warn("keys seen before the rule are not watched until they are seen again", zap.String(telemetry.FieldRule, r.rule.ID), zap.Error(err))
		return keys, nil
	}
	return keys, err
}

// farFuture is later than every event may be.
const farFuture = int64(1) << 45 // in the year 3084
