package dispatcher

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
)

// Record is one attempt with what it means for its notification.
type Record struct {
	ID            string
	Token         string // of the claim, "" when there was none
	Attempt       notification.Attempt
	Status        notification.Status // pending when it will be tried again
	Reason        string
	NextAttemptAt *time.Time
	// Suppress ends the notification without an attempt.
	Suppress bool
}

// Recorded says what became of a Record. When it was not accepted Current is
// what stands instead.
type Recorded struct {
	Accepted bool
	Found    bool
	Current  notification.Notification
}

const (
	// maxBulk: beyond it a bulk gets slower as fast as it gets longer.
	maxBulk = 200
	// writers: while one bulk is on its way the next is made ready.
	writers = 2
	// slowBulk: the driver needs some seconds to find out that its server is
	// gone, and a bulk takes some tens of milliseconds.
	slowBulk = time.Second
)

// recorder writes attempts in bulk. There is no timer: who comes while the
// writers are busy joins the next bulk, so bulks are as long as the load is
// high, and a lone attempt is written at once.
type recorder struct {
	ledger  Ledger
	metrics *metrics
	log     *zap.Logger

	mu      sync.Mutex
	waiting []*entry
	writing int
	begun   []time.Time // of the bulks on their way

	held atomic.Int32 // writers that an outage holds
}

type entry struct {
	record Record
	answer Recorded
	err    error
	done   chan struct{}
}

// errWriterStopped: the writer's context ended, not the waiting caller's.
var errWriterStopped = errors.New("the writer stopped")

// Record writes one attempt. While MongoDB is away it waits: the call was made,
// so its result is kept for as long as ctx and the broker allow. The error is
// then an outage, or ctx's; any other means that the database refuses the record.
func (r *recorder) Record(ctx context.Context, record Record) (Recorded, error) {
	for {
		e := &entry{record: record, done: make(chan struct{})}
		r.mu.Lock()
		r.waiting = append(r.waiting, e)
		idle := r.writing < writers
		if idle {
			r.writing++
		}
		r.mu.Unlock()
		if idle {
			go r.write(ctx)
		}
		<-e.done // a writer ends with its context
		if errors.Is(e.err, errWriterStopped) && ctx.Err() == nil {
			continue
		}
		return e.answer, e.err
	}
}

// Held says that MongoDB is away, or so slow that it may be: every call that is
// made now is one more whose result nobody else knows.
func (r *recorder) Held() bool {
	if r.held.Load() > 0 {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.begun) > 0 && time.Since(r.begun[0]) > slowBulk
}

// write writes bulks until nobody waits.
func (r *recorder) write(ctx context.Context) {
	for {
		r.mu.Lock()
		n := min(len(r.waiting), maxBulk)
		if n == 0 {
			r.writing--
			r.mu.Unlock()
			return
		}
		bulk := r.waiting[:n:n]
		r.waiting = r.waiting[n:]
		began := time.Now()
		r.begun = append(r.begun, began)
		r.mu.Unlock()
		r.metrics.bulk.Observe(float64(n))
		r.bulk(ctx, bulk)
		r.mu.Lock()
		i := slices.Index(r.begun, began)
		r.begun = slices.Delete(r.begun, i, i+1)
		r.mu.Unlock()
	}
}

// bulk writes some entries together and answers each.
func (r *recorder) bulk(ctx context.Context, entries []*entry) {
	records := make([]Record, len(entries))
	for i, e := range entries {
		records[i] = e.record
	}
	answers, err := r.attempt(ctx, records)
	switch {
	case err == nil:
		for i, e := range entries {
			e.answer = answers[i]
			close(e.done)
		}
	case len(entries) > 1 && ctx.Err() == nil && !broker.IsOutage(err):
		// The database refuses one of them; the others must not suffer for it.
		for _, e := range entries {
			r.bulk(ctx, []*entry{e})
		}
	default:
		if ctx.Err() != nil {
			err = errors.Join(errWriterStopped, err)
		}
		for _, e := range entries {
			e.err = err
			close(e.done)
		}
	}
}

// attempt repeats the write while MongoDB is away. Repeating is safe: a record
// that arrived the first time is recognised as ours.
func (r *recorder) attempt(ctx context.Context, records []Record) (answers []Recorded, err error) {
	err = patiently(ctx, func(first error) func() {
		r.held.Add(1)
		r.metrics.held.Inc()
		r.log.Warn("attempts kept in memory until MongoDB takes them", zap.Error(first), zap.Int("attempts", len(records)))
		return func() {
			r.held.Add(-1)
			r.metrics.held.Dec()
		}
	}, func() (err error) {
		answers, err = r.ledger.RecordAttempts(ctx, time.Now(), records)
		return err
	})
	return answers, err
}
