package ingester

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/pkg/fault"
)

// Ledger lists what died between its transaction and its publish.
type Ledger interface {
	// Unpublished returns up to limit batches, oldest first and with their
	// events, that were stored before the given time and not published.
	Unpublished(ctx context.Context, before time.Time, limit int) ([]event.Batch, error)
}

// SweepOptions of the sweep.
type SweepOptions struct {
	Every time.Duration
	After time.Duration // age at which an unpublished batch counts as abandoned
	Limit int           // batches of one pass
}

// sweepGroup bounds the batches in memory at a time: each may be a megabyte.
const sweepGroup = 8

// Sweep publishes what a dead process stored and did not publish. One process
// does it at a time (a lease), to spare the database; two would do no harm,
// since every stage recognises a batch that it has seen.
func (g *Ingester) Sweep(ledger Ledger, o SweepOptions) func(ctx context.Context, term int64) error {
	return func(ctx context.Context, _ int64) error {
		ticker := time.NewTicker(o.Every)
		defer ticker.Stop()
		away := false // one line an outage, not one a pass
		for {
			n, err := g.sweepOnce(ctx, ledger, o)
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case err != nil && !away:
				g.log.Warn("sweep of unpublished batches interrupted", zap.Error(err))
			case n > 0:
				g.log.Info("abandoned batches published", zap.Int("batches", n))
			}
			away = err != nil
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-ticker.C:
			}
		}
	}
}

// sweepOnce returns how many batches it published.
func (g *Ingester) sweepOnce(ctx context.Context, ledger Ledger, o SweepOptions) (published int, err error) {
	for published < o.Limit {
		limit := min(sweepGroup, o.Limit-published)
		batches, err := ledger.Unpublished(ctx, time.Now().Add(-o.After), limit)
		if err != nil || len(batches) == 0 {
			return published, err
		}
		fault.At(fault.IngesterSweeping)
		if err := g.publishAgain(ctx, batches); err != nil {
			return published, err
		}
		published += len(batches)
		g.metrics.swept.Add(float64(len(batches)))
		if len(batches) < limit {
			break
		}
	}
	return published, nil
}

func (g *Ingester) publishAgain(ctx context.Context, batches []event.Batch) error {
	ids := make([]string, len(batches))
	messages := make([]broker.Message, len(batches))
	for i, b := range batches {
		m, err := g.route.Encode(b)
		if err != nil {
			return err
		}
		ids[i], messages[i] = b.ID, m
	}
	if err := g.publisher.Publish(ctx, messages...); err != nil {
		return err
	}
	return g.events.MarkPublished(ctx, time.Now().UTC(), ids...)
}
