package ruleworker

import (
	"context"
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
	// f, at most limit, oldest first.
	DecidedUnpublished(ctx context.Context, before time.Time, limit int, f func(event.Batch) error) error
}

// Sweep publishes the owed notifications of abandoned batches again. It is run
// by one process at a time; running it twice is harmless.
func (w *Worker) Sweep(ctx context.Context, a Abandoned, every, age time.Duration, limit int) error {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		swept := 0
		err := a.DecidedUnpublished(ctx, w.Now().Add(-age), limit, func(b event.Batch) error {
			swept++
			fault.At(fault.RuleWorkerSweeping)
			switch err := w.publishOwed(ctx, b); {
			case err == nil:
			case broker.IsOutage(err) || ctx.Err() != nil:
				return err
			default: // one batch's trouble is not that of those behind it
				w.Log.Warn("actions of an abandoned batch not published, they are tried again", zap.String("batch_id", b.ID), zap.Error(err))
				return nil
			}
			return w.Ledger.MarkMatched(ctx, w.Now(), b.ID)
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
