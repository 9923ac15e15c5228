package aggregator

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"go.uber.org/zap"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/deadletter"
	"github.com/events-aggregator/events-aggregator/pkg/fault"
)

// DeadLetterSaver is where dead letters are recorded.
type DeadLetterSaver interface {
	// SaveDeadLetters records each once, however often it comes, and notes its
	// end (replayed, purged) whenever that is known.
	SaveDeadLetters(ctx context.Context, records ...deadletter.Record) error
}

// Recorder records the copies of dead letters, and their ends. The dead letters
// themselves lie in their owners' queues and are not touched: what cannot be
// recorded is missing here and nowhere else, so it is said and let go instead
// of being tried for ever.
type Recorder struct {
	Saver     DeadLetterSaver
	Prefix    string // of the topology
	Retention time.Duration
	Log       *zap.Logger
	Metrics   *metrics
	Now       func() time.Time
}

// Handle records several together. When the database refuses one they come
// again one by one; that one is then recorded without its body and headers.
func (r *Recorder) Handle(ctx context.Context, deliveries []*broker.Delivery) error {
	records := make([]deadletter.Record, 0, len(deliveries))
	for _, d := range deliveries {
		// What came so often may be what nothing can be done with but to be brief.
		if record, ok := r.read(d, d.Suspect()); ok {
			records = append(records, record)
		}
	}
	err := r.Saver.SaveDeadLetters(ctx, records...)
	if err != nil && len(deliveries) == 1 && !broker.IsOutage(err) && ctx.Err() == nil {
		return r.saveBare(ctx, deliveries[0], err)
	}
	if err != nil {
		return err
	}
	fault.At(fault.AggregatorRecorded)
	r.Metrics.recorded.Add(float64(len(records)))
	return nil
}

// saveBare records what a database can refuse nothing of.
func (r *Recorder) saveBare(ctx context.Context, d *broker.Delivery, refused error) error {
	record, ok := r.read(d, true)
	if ok {
		err := r.Saver.SaveDeadLetters(ctx, record)
		if err == nil {
			r.Log.Warn("dead letter recorded without body and headers", zap.String("dead_id", record.ID), zap.Error(refused))
			r.Metrics.recorded.Inc()
			return nil
		}
		if broker.IsOutage(err) || ctx.Err() != nil {
			return err
		}
		refused = err
	}
	r.unrecorded(d, refused)
	return nil
}

func (r *Recorder) unrecorded(d *broker.Delivery, why error) {
	r.Metrics.unrecorded.Inc()
	r.Log.Error("dead letter not recorded; it lies in its queue all the same",
		zap.String("owner", d.RoutingKey), zap.String("message_id", d.MessageID), zap.Error(why))
}

// read makes the record of a delivery; false when there is none to be made.
// A panic is a mistake in the program that one message must not repeat for ever.
func (r *Recorder) read(d *broker.Delivery, bare bool) (record deadletter.Record, ok bool) {
	defer func() {
		if p := recover(); p != nil {
			r.unrecorded(d, fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
			ok = false
		}
	}()
	now := r.Now()
	switch dead := d.DeadLetter(); {
	case dead == nil:
		end, err := deadletter.End(d.Message)
		if err != nil {
			r.unrecorded(d, err)
			return record, false
		}
		record = end
	case bare:
		record = deadletter.Bare(dead, r.Prefix, now).Record
	default:
		record = deadletter.Read(dead, r.Prefix, now).Record
	}
	if bare {
		record.Body, record.Headers = nil, nil
	}
	record.ExpiresAt = now.Add(r.Retention)
	return record, true
}
