package ingester

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/pkg/fault"
	"github.com/events-aggregator/events-aggregator/pkg/telemetry"
)

// storedBatch is in the ledger and on its way to the other stages.
type storedBatch struct {
	batch event.Batch
	items []*item
	began time.Time
}

// groupLimit bounds what is published with one wait for confirms and marked
// with one update. More than a few batches never wait while the writers keep up.
const groupLimit = 16

// publish tells the other stages of stored batches, a few at a time, and acks.
func (r *run) publish(ctx context.Context) {
	for first := range r.committed {
		group := append(make([]storedBatch, 0, groupLimit), first)
		for more := true; more && len(group) < groupLimit; {
			select {
			case next, ok := <-r.committed:
				if more = ok; ok {
					group = append(group, next)
				}
			default:
				more = false
			}
		}
		r.publishGroup(ctx, group)
	}
}

// publishGroup publishes, marks and acks. What cannot be published before the
// process stops goes back to the queue, is recognised there when it comes
// again, and the sweep publishes its batch. What cannot be marked is acked all
// the same: the mark only spares the sweep a repeat.
func (r *run) publishGroup(ctx context.Context, group []storedBatch) {
	batchIDs := make([]string, len(group))
	messages := make([]broker.Message, len(group))
	for i, s := range group {
		m, err := r.route.Encode(s.batch)
		if err != nil { // impossible for documents that the database has taken
			r.log.Error("stored batch not encoded", zap.String(telemetry.FieldBatch, s.batch.ID), zap.Error(err))
			giveBackStored(group, err)
			return
		}
		batchIDs[i], messages[i] = s.batch.ID, m
	}
	err := r.patiently(ctx, "publish", func() error {
		bound, cancel := context.WithTimeout(ctx, r.patience())
		defer cancel()
		return r.publisher.Publish(bound, messages...)
	})
	if err != nil {
		giveBackStored(group, err)
		return
	}
	fault.At(fault.IngesterPublished)
	now := time.Now().UTC()
	_ = r.patiently(ctx, "mark published", func() error { return r.events.MarkPublished(ctx, now, batchIDs...) })
	fault.At(fault.IngesterMarked)
	all := make([]*item, 0, 1024)
	for _, s := range group {
		all = append(all, s.items...)
	}
	settleStored(all)
	for _, s := range group {
		r.metrics.processed.Observe(telemetry.StageStore, now.Sub(s.began))
		r.log.Debug("batch stored", zap.String(telemetry.FieldBatch, s.batch.ID), zap.Int("events", len(s.items)),
			zap.Int("max_severity", s.batch.MaxSeverity), zap.Duration("took", now.Sub(s.began)))
	}
}

// giveBackStored returns messages whose events are stored and not published.
func giveBackStored(group []storedBatch, why error) {
	for _, s := range group {
		for _, it := range s.items {
			it.message.settle(returned, why)
		}
	}
}
