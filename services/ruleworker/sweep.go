package ruleworker

import (
	"context"
	"maps"
	"time"

	"go.uber.org/zap"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/pkg/fault"
)

// Abandoned finds batches that were decided some time ago and whose actions
// were not published, with their events.
type Abandoned interface {
	// DecidedUnpublished hands each such batch stored before the given time to
	// f, oldest first and without those to skip, until f has published limit of
	// them.
	DecidedUnpublished(ctx context.Context, before time.Time, limit int, skip func(batchID string) bool, f func(event.Batch) (published bool, err error)) error
}

// asideFor is how long a batch that the database refuses something of is left
// alone: each try reads all its events.
const asideFor = 10 * time.Minute

// Sweep publishes the owed notifications of abandoned batches again. It is run
// by one process at a time; running it twice is harmless.
func (w *Worker) Sweep(ctx context.Context, a Abandoned, every, age time.Duration, limit int) error {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	aside := map[string]time.Time{} // until when
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		swept := 0
		maps.DeleteFunc(aside, func(_ string, until time.Time) bool { return !w.Now().Before(until) })
		skip := func(id string) bool { _, is := aside[id]; return is }
		err := a.DecidedUnpublished(ctx, w.Now().Add(-age), limit, skip, func(b event.Batch) (published bool, err error) {
			fault.At(fault.RuleWorkerSweeping)
			switch err := w.publishOwed(ctx, b); {
			case err == nil:
			case broker.IsOutage(err) || ctx.Err() != nil:
				return false, err
			default: // one batch's trouble is not that of those behind it
				w.Log.Warn("actions of an abandoned batch not published, they are tried again", zap.String("batch_id", b.ID), zap.Error(err))
				aside[b.ID] = w.Now().Add(asideFor)
				return false, nil
			}
			swept++
			return true, w.Ledger.MarkMatched(ctx, w.Now(), b.ID)
		})
		if err != nil && ctx.Err() == nil {
			w.Log.Warn("sweep of unpublished actions stopped early", zap.Error(err))
		}
		if swept > 0 {
			w.Metrics.swept.Add(float64(swept))
			w.Log.Info("actions of abandoned batches published again", zap.Int("batches", swept))
		}
	}
}
