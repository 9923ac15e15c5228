// Package ingester turns raw messages into stored, de-duplicated batches and
// tells the other stages of them: decode → batch → one transaction → ea.stored
// → ack. A message leaves its queue last, when its events are in the ledger and
// their batch is published, so that a death at any instant loses nothing; what
// a repeat meets again is recognised by its event_id.
package ingester

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
)

// Decoder makes documents of a message; its error is an *event.Invalid.
type Decoder interface {
	Decode(in event.Input) ([]*event.Document, error)
}

// EventSaver stores batches and knows the stored ids.
type EventSaver interface {
	// SaveBatch stores the ledger row and the events together or not at all.
	// It may be called again for the same batch after an outage. Errors:
	// ErrDuplicate, *Refused; any other is an outage.
	SaveBatch(ctx context.Context, b event.Batch) error
	// KnownEvents returns which of the ids are stored.
	KnownEvents(ctx context.Context, eventIDs []string) (map[string]bool, error)
	// MarkPublished notes in the ledger that the batches need no sweep.
	MarkPublished(ctx context.Context, at time.Time, batchIDs ...string) error
}

// Publisher publishes with confirms; see broker.Publisher.
type Publisher interface {
	Publish(ctx context.Context, messages ...broker.Message) error
}

// ErrDuplicate: an event_id of the batch is stored already, so nothing of the
// batch was stored.
var ErrDuplicate = errors.New("an event_id of the batch is stored already")

// Refused: the database refuses a document, so nothing of its batch was stored.
type Refused struct {
	Index int // the document's place in the batch, -1 when the database did not say
	Err   error
}

func (e *Refused) Error() string { return e.Err.Error() }
func (e *Refused) Unwrap() error { return e.Err }

// Class is the error class of the dead letter.
func (e *Refused) Class() string { return "database_rejected" }

// Options of an Ingester.
type Options struct {
	BatchEvents  int
	BatchBytes   int           // of documents
	BatchWait    time.Duration // longest wait of an event for company
	Writers      int           // transactions at a time
	Prefetch     int           // as the consumer has it
	HeldBytes    int           // most of what a loop holds, see heldMost
	ConflictWait time.Duration // for an id that is taken though nobody stored it, see conflictPatience
	RecentIDs    int           // stored ids remembered
}

// Ingester is the service without its consumer: Loop is that.
type Ingester struct {
	o         Options
	decoder   Decoder
	events    EventSaver
	publisher Publisher
	route     topology.Route[event.Batch]
	ids       *ids
	hand      *inHand
	metrics   *metrics
	log       *zap.Logger
}

// New builds an ingester of its parts.
func New(o Options, d Decoder, s EventSaver, p Publisher, route topology.Route[event.Batch], reg prometheus.Registerer, log *zap.Logger) *Ingester {
	return &Ingester{o: o, decoder: d, events: s, publisher: p, route: route,
		ids: newIDs(o.RecentIDs), hand: &inHand{taken: map[int64]int{}}, metrics: newMetrics(reg), log: log}
}

// Loop is the consumer's loop (broker.Loop). One goroutine decodes and batches,
// some write, one publishes and acks: a batch is decoded while others are on
// their way to the database and the one before waits for its confirm. At the
// stop, batches in a writer's hands are finished; what no writer has begun goes
// back to the queue, uncounted.
func (g *Ingester) Loop(ctx context.Context, in <-chan *broker.Delivery) error {
	r := &run{
		Ingester:  g,
		batcher:   newBatcher(g.o.BatchEvents, g.o.BatchBytes, g.o.BatchWait),
		fresh:     make(chan *batch),
		again:     make(chan *batch),
		committed: make(chan storedBatch, g.o.Writers),
		stopping:  make(chan struct{}),
	}
	var writers, publisher sync.WaitGroup
	for i := range g.o.Writers {
		// One writer never takes what came again: after a process died inside a
		// transaction its events stay locked for up to a minute, and new ones
		// shall not wait behind them.
		again := r.again
		if i > 0 && i == g.o.Writers-1 {
			again = nil
		}
		writers.Go(func() { r.write(ctx, r.fresh, again) })
	}
	publisher.Go(func() { r.publish(ctx) })

	r.collect(ctx, in)

	close(r.stopping)
	for _, b := range r.batcher.rest() {
		r.giveBack(b.items, errNotNow)
	}
	close(r.fresh)
	close(r.again)
	writers.Wait()
	close(r.committed)
	publisher.Wait()
	return nil
}

// errNotNow is why a message goes back to its queue.
var errNotNow = errors.New("not stored now")

// run is one life of the loop.
type run struct {
	*Ingester
	batcher   *batcher
	fresh     chan *batch
	again     chan *batch // of redelivered messages
	committed chan storedBatch
	stopping  chan struct{} // closed when no more is taken: outages are no longer waited for
}

// heldMost bounds the bytes of what a loop holds, beside what its consumer has on
// its way: bodies and their documents, which are about as large.
const heldMost = 2 * broker.PrefetchSizeDefault

// heldPause is how often a loop that holds too much looks whether it still does.
const heldPause = 50 * time.Millisecond

// collect decodes and batches until in closes.
func (r *run) collect(ctx context.Context, in <-chan *broker.Delivery) {
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	armed := false
	var stopping <-chan struct{} // of the consumer
	for {
		fresh, again := r.batcher.ready()
		freshTo, againTo := r.fresh, r.again
		if fresh == nil {
			freshTo = nil
		}
		if again == nil {
			againTo = nil
		}
		// Each lost session makes the broker give out anew what is held here, so
		// in a long outage of the database the prefetch alone bounds nothing.
		from := in
		full := r.hand.full(2*r.o.Prefetch, r.o.HeldBytes)
		var stop <-chan struct{}
		if full {
			from, stop = nil, stopping
		}
		if !armed {
			if wait, open := r.batcher.wait(time.Now()); open {
				timer.Reset(wait)
				armed = true
			} else if full {
				timer.Reset(heldPause)
				armed = true
			}
		}
		select {
		case d, ok := <-from:
			if !ok {
				return
			}
			stopping = d.Stopping()
			r.take(d, time.Now())
		case <-stop:
			for d := range in { // closes soon
				d.Done(broker.Interrupted(errNotNow))
			}
			return
		case freshTo <- fresh:
			r.batcher.taken(fresh)
		case againTo <- again:
			r.batcher.taken(again)
		case <-timer.C:
			armed = false
			r.batcher.expire(time.Now())
		case <-ctx.Done():
			return
		}
	}
}

// take makes a message's events wait for their batch, or refuses the message.
func (r *run) take(d *broker.Delivery, now time.Time) {
	docs, err := r.decode(d, now)
	if err != nil {
		r.refuseMessage(d, err)
		return
	}
	if len(docs) == 0 { // an empty CloudEvents batch
		d.Done(nil)
		return
	}
	m := newMessage(d, docs, r.hand, now)
	var alone []*item
	for i := range m.items {
		it := &m.items[i]
		it.maybeKnown = m.again
		switch {
		case !r.ids.begin(it): // it waits for what becomes of the same event in another message
		case d.Suspect():
			alone = append(alone, it)
		default:
			r.batcher.add(it, now)
		}
	}
	r.batcher.alone(alone, now)
}

func (r *run) refuseMessage(d *broker.Delivery, err error) {
	var invalid *event.Invalid
	if !errors.As(err, &invalid) {
		r.log.Error("message not decoded", zap.String("message_id", d.MessageID), zap.Error(err))
		d.Done(err)
		return
	}
	r.metrics.invalid.WithLabelValues(invalid.Class()).Inc()
	r.log.Debug("message refused", zap.String("message_id", d.MessageID), zap.String("routing_key", d.RoutingKey),
		zap.String("class", invalid.Class()), zap.Error(invalid))
	d.Done(broker.Permanent(invalid))
}

// decode turns a panic into an error: one message must not take the process
// with it again and again.
func (r *run) decode(d *broker.Delivery, now time.Time) (docs []*event.Document, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return r.decoder.Decode(event.Input{
		Body: d.Body, ContentType: d.ContentType, Exchange: d.Exchange, RoutingKey: d.RoutingKey,
		MessageID: d.MessageID, AppID: d.AppID, Timestamp: d.Timestamp, Headers: d.Headers, Now: now,
	})
}

// giveBack returns events that were not stored, and those that waited for them.
func (r *run) giveBack(items []*item, cause error) {
	for _, it := range items {
		for _, w := range r.ids.returned(it) {
			w.message.settle(returned, cause)
		}
		it.message.settle(returned, cause)
	}
}
