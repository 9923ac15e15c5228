package ingester

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/events-aggregator/events-aggregator/pkg/app"
	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
)

// Wire makes the process an ingester.
func Wire(_ context.Context, p *app.Process) error { return wire(p, heldMost, conflictPatience) }

func wire(p *app.Process, held int, conflict time.Duration) error {
	cfg := p.Config.Ingester
	decoder, err := event.NewDecoder(event.Options{
		Retention: cfg.Retention, RetentionByType: cfg.RetentionByType,
		Region: cfg.Region, Ingester: p.Instance, SchemaDir: cfg.SchemaDir,
	})
	if err != nil {
		return fmt.Errorf("ingester: %w", err)
	}
	if types := decoder.Schemas(); len(types) > 0 {
		p.Log.Info("payloads are checked against schemas", zap.Strings("types", types), zap.String("folder", cfg.SchemaDir))
	}
	db := database{store: p.Store, ingester: p.Instance}
	g := New(Options{
		BatchEvents: cfg.BatchEvents, BatchBytes: cfg.BatchBytes, BatchWait: cfg.BatchWait,
		Writers: cfg.Writers, Prefetch: cfg.Prefetch, HeldBytes: held, ConflictWait: conflict, RecentIDs: cfg.RecentIDs,
	}, decoder, db, p.Publisher, p.Topology.Stored(), p.Metrics, p.Log)

	p.Consume(topology.Ingest, cfg.Prefetch, g.Loop)
	p.Go("progress", g.Report(p.Store, p.Instance))
	sweep := p.Config.Sweep
	p.Lease("ingester-sweep", g.Sweep(db, SweepOptions{Every: sweep.Every, After: sweep.StoredAfter, Limit: sweep.Limit}))
	return nil
}

// database is the store as the ingester needs it.
type database struct {
	store    *store.Store
	ingester string
}

func (d database) SaveBatch(ctx context.Context, b event.Batch) error {
	err := d.store.SaveBatch(ctx, b, d.ingester)
	var duplicate *store.Duplicate
	var rejected *store.Rejected
	switch {
	case errors.As(err, &duplicate):
		return fmt.Errorf("%w: %w", ErrDuplicate, err)
	case errors.As(err, &rejected):
		return &Refused{Index: rejected.Index, Err: err}
	default:
		return err
	}
}

func (d database) KnownEvents(ctx context.Context, eventIDs []string) (map[string]bool, error) {
	return d.store.KnownEvents(ctx, eventIDs)
}

func (d database) MarkPublished(ctx context.Context, at time.Time, batchIDs ...string) error {
	return d.store.MarkStage(ctx, store.Published, at, batchIDs...)
}

func (d database) Unpublished(ctx context.Context, before time.Time, limit int) ([]event.Batch, error) {
	rows, err := d.store.OpenBatches(ctx, store.Published, before, store.LedgerRow{}, limit)
	if err != nil {
		return nil, err
	}
	batches := make([]event.Batch, len(rows))
	for i, row := range rows {
		if batches[i], err = d.store.LoadBatch(ctx, row); err != nil {
			return nil, err
		}
	}
	return batches, nil
}
