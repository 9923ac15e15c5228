// Package aggregator counts stored events, exactly once, and turns the
// one-minute counters into metrics. A batch's mark and its increments are one
// transaction, so a batch that comes again adds nothing; the ack comes last.
package aggregator

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/fault"
	"github.com/events-aggregator/events-aggregator/pkg/metric"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
)

// Ledger is where counts are committed.
type Ledger interface {
	// Count adds batches, each once whoever else counts it, and names those
	// that this call added, also with an error.
	Count(ctx context.Context, at time.Time, retention time.Duration, batches []metric.Batch) (counted map[string]bool, err error)
	// MarkCounted notes in the ledger that batches are counted.
	MarkCounted(ctx context.Context, at time.Time, batchIDs ...string) error
}

// Counter counts batches of ea.stored.
type Counter struct {
	Ledger     Ledger
	Dimensions *Dimensions
	Topology   topology.Table
	Retention  time.Duration // of counters
	Log        *zap.Logger
	Metrics    *metrics
	Now        func() time.Time
}

// Handle counts several batches in one transaction. One that is no batch fails
// them all; they then come one by one, and it alone is dead-lettered.
func (c *Counter) Handle(ctx context.Context, deliveries []*broker.Delivery) error {
	started := c.Now()
	oldest := metric.Oldest(started, c.Retention)
	batches := make([]metric.Batch, len(deliveries))
	ids := make([]string, len(deliveries))
	sizes := make(map[string]size, len(deliveries))
	for i, d := range deliveries {
		b, err := c.Topology.Stored().Decode(d.Message)
		if err != nil {
			return err
		}
		if b.ID == "" {
			return broker.Permanent(&topology.Malformed{Err: fmt.Errorf("message %q names no batch", d.MessageID)})
		}
		increments, tooOld, err := metric.Sum(b.Events, oldest)
		if err != nil {
			return broker.Permanent(fmt.Errorf("count batch %s: %w", b.ID, err))
		}
		batches[i], ids[i] = metric.Batch{ID: b.ID, Increments: increments}, b.ID
		sizes[b.ID] = size{events: len(b.Events) - tooOld, tooOld: tooOld}
	}
	if err := c.Dimensions.Name(ctx, batches); err != nil {
		return err
	}
	counted, err := c.Ledger.Count(ctx, started, c.Retention, batches)
	c.report(sizes, counted, oldest)
	if err != nil {
		return err
	}
	fault.At(fault.AggregatorCounted)
	if err := c.Ledger.MarkCounted(ctx, c.Now(), ids...); err != nil {
		return err
	}
	c.Metrics.took(len(deliveries), len(deliveries)-len(counted), c.Now().Sub(started))
	c.Log.Debug("batches counted", zap.Strings("batch_ids", ids), zap.Int("new", len(counted)))
	return nil
}

// size is how many events of a batch are counted and how many are not.
type size struct{ events, tooOld int }

func (c *Counter) report(sizes map[string]size, counted map[string]bool, oldest time.Time) {
	for id := range counted {
		s := sizes[id]
		c.Metrics.counted(s)
		if s.tooOld > 0 {
			c.Log.Info("events older than the counters' retention are stored and not counted",
				zap.String("batch_id", id), zap.Int("events", s.tooOld), zap.Time("oldest_counted", oldest))
		}
	}
}
