package ingester

import (
	"context"
	"errors"
	"time"

	"github.com/cenkalti/backoff/v4"
	"go.mongodb.org/mongo-driver/bson"
	"go.uber.org/zap"

	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/pkg/fault"
	"github.com/events-aggregator/events-aggregator/pkg/telemetry"
)

// conflictPatience is how long an event is tried again whose id is taken though
// nobody stored it: by a transaction of a process that died, which the server
// ends after a minute at the latest, or by one that no majority has. Then it goes
// back, so that it does not keep others waiting for as long as that lasts.
const conflictPatience = 2 * time.Minute

// write stores batches until the channels close; again may be nil.
func (r *run) write(ctx context.Context, fresh, again <-chan *batch) {
	for fresh != nil || again != nil {
		var b *batch
		var ok bool
		select {
		case b, ok = <-fresh:
			if !ok {
				fresh = nil
				continue
			}
		case b, ok = <-again:
			if !ok {
				again = nil
				continue
			}
		}
		r.metrics.batchBegins(b)
		r.store(ctx, b.items, b.began)
	}
}

// store looks up what may be known and stores the rest.
func (r *run) store(ctx context.Context, items []*item, began time.Time) {
	items, err := r.withoutKnown(ctx, items, foundBefore, func(it *item) bool { return it.maybeKnown })
	if err != nil {
		r.giveBack(items, err)
		return
	}
	r.save(ctx, items, began)
}

// save stores the events in one transaction, or in several when some of them
// are duplicates or are refused, and hands them on to be published.
func (r *run) save(ctx context.Context, items []*item, began time.Time) {
	var conflict *backoff.ExponentialBackOff
	for len(items) > 0 {
		b := stamp(items, time.Now())
		err := r.patiently(ctx, "store", func() error { return r.saveOnce(ctx, b) })
		var no *Refused
		switch {
		case err == nil:
			r.hasCommitted(b, items, began)
			return
		case errors.Is(err, ErrDuplicate):
			before := len(items)
			if items, err = r.withoutKnown(ctx, items, foundByConflict, func(*item) bool { return true }); err != nil {
				r.giveBack(items, err)
				return
			}
			if len(items) < before {
				continue
			}
			// Taken by a transaction that is not committed: only its event waits.
			if len(items) > 1 {
				r.saveParts(ctx, items, -1, began)
				return
			}
			if conflict == nil {
				conflict = newWait(min(r.o.ConflictWait, r.patience()))
			}
			next := conflict.NextBackOff()
			if next == backoff.Stop {
				r.log.Warn("event given back: its id is taken, and no majority of MongoDB's servers shows by what",
					zap.String(telemetry.FieldEvent, items[0].doc.EventID))
			}
			if next == backoff.Stop || !r.pause(ctx, next) {
				r.giveBack(items, errNotNow)
				return
			}
		case errors.As(err, &no) && len(items) == 1:
			r.refuse(ctx, items[0], no, began)
			return
		case errors.As(err, &no):
			r.saveParts(ctx, items, no.Index, began)
			return
		default:
			r.giveBack(items, err)
			return
		}
	}
}

func (r *run) saveOnce(ctx context.Context, b event.Batch) error {
	start := time.Now()
	err := r.events.SaveBatch(ctx, b)
	if err == nil {
		r.metrics.transaction.Observe(time.Since(start).Seconds())
	}
	return err
}

// stamp makes a batch of the events under ids of its own. The ids stay for as
// long as the batch is tried, so that the ledger recognises it when a commit's
// result was lost.
func stamp(items []*item, now time.Time) event.Batch {
	first, at := event.NewIDBlock(len(items))
	b := event.Batch{ID: first.Hex(), FirstID: first, LastID: at(len(items) - 1),
		StoredAt: now.UTC().Truncate(time.Millisecond), Events: make([]bson.Raw, len(items))}
	for i, it := range items {
		it.doc.Stamp(at(i), b.ID)
		b.Events[i] = it.doc.Raw
		b.MaxSeverity = max(b.MaxSeverity, it.doc.Severity)
	}
	return b
}

// withoutKnown settles the events that are stored already and returns the
// others; only the suspected ones are looked up. On an error nothing changed.
func (r *run) withoutKnown(ctx context.Context, items []*item, found string, suspected func(*item) bool) ([]*item, error) {
	var eventIDs []string
	for _, it := range items {
		if suspected(it) {
			eventIDs = append(eventIDs, it.doc.EventID)
		}
	}
	if len(eventIDs) == 0 {
		return items, nil
	}
	var known map[string]bool
	err := r.patiently(ctx, "look up", func() (err error) {
		known, err = r.events.KnownEvents(ctx, eventIDs)
		return err
	})
	if err != nil || len(known) == 0 {
		return items, err
	}
	rest, duplicates := make([]*item, 0, len(items)), make([]*item, 0, len(known))
	for _, it := range items {
		if known[it.doc.EventID] {
			duplicates = append(duplicates, it)
		} else {
			rest = append(rest, it)
		}
	}
	r.metrics.duplicates.WithLabelValues(found).Add(float64(len(duplicates)))
	r.settleWaiting(r.ids.stored(duplicates))
	// Acked without waiting for anything: their batches are in the ledger, and
	// whoever put them there, or the sweep, publishes them.
	settleStored(duplicates)
	return rest, nil
}

func (r *run) settleWaiting(duplicates []*item) {
	r.metrics.duplicates.WithLabelValues(foundUnderWay).Add(float64(len(duplicates)))
	settleStored(duplicates)
}

// saveParts isolates the event that spoils its batch: at the place that the
// database named, else by halves.
func (r *run) saveParts(ctx context.Context, items []*item, at int, began time.Time) {
	r.metrics.bisections.Inc()
	if at < 0 || at >= len(items) {
		half := len(items) / 2
		r.save(ctx, items[:half], began)
		r.save(ctx, items[half:], began)
		return
	}
	r.save(ctx, items[:at], began)
	r.save(ctx, items[at:at+1], began) // alone, to be sure that it is the one
	r.save(ctx, items[at+1:], began)
}

// refuse dead-letters an event's message once. The same id in another message
// gets its own try.
func (r *run) refuse(ctx context.Context, it *item, why *Refused, began time.Time) {
	r.metrics.invalid.WithLabelValues(why.Class()).Inc()
	r.log.Warn("event refused by the database", zap.String(telemetry.FieldEvent, it.doc.EventID),
		zap.String("type", it.doc.Type), zap.String("source", it.doc.Source), zap.Error(why))
	it.message.settle(refused, why)
	if next := r.ids.refused(it); next != nil {
		r.save(ctx, []*item{next}, began)
	}
}

// hasCommitted: the batch is in the ledger.
func (r *run) hasCommitted(b event.Batch, items []*item, began time.Time) {
	fault.At(fault.IngesterInserted)
	r.settleWaiting(r.ids.stored(items))
	r.metrics.batchStored(items)
	r.committed <- storedBatch{batch: b, items: items, began: began}
}
