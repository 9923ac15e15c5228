package ingester

import (
	"time"

	"github.com/events-aggregator/events-aggregator/pkg/event"
)

// dryAfter is the silence after which the queue counts as dry. A busy broker's
// deliveries are microseconds apart, so anything longer means that waiting
// would buy latency and no company.
const dryAfter = time.Millisecond

// batch is what one transaction will store.
type batch struct {
	items  []*item
	bytes  int
	lane   lane
	began  time.Time // when its first event came
	due    bool
	reason string // why it goes now; a label of the metric
}

// Why a batch goes.
const (
	flushFull  = "full"  // as many events as a batch holds
	flushBytes = "bytes" // as many bytes
	flushWait  = "wait"  // its first event waited long enough
	flushDry   = "dry"   // nothing more came
	flushAlone = "alone" // a suspect message
	flushAhead = "ahead" // critical events before a normal batch
)

var flushReasons = []string{flushFull, flushBytes, flushWait, flushDry, flushAlone, flushAhead}

// lane keeps apart what must not share a batch: critical events, because they
// overtake, and redelivered messages, because their transactions can block on
// what a dead process left behind. In rising order of patience.
type lane int

const (
	critical lane = iota
	normal
	criticalAgain
	normalAgain
	lanes
)

func laneOf(it *item) lane {
	l := normal
	if it.doc.Severity >= event.CriticalSeverity {
		l = critical
	}
	if it.message.again {
		l += criticalAgain
	}
	return l
}

// batcher collects events into batches. A batch that is due grows on until a
// writer is free, so batches become as large as the load needs. It is pure:
// the caller tells the time, one goroutine uses it.
type batcher struct {
	maxEvents, maxBytes int
	maxWait             time.Duration

	open   [lanes]*batch
	sealed [lanes][]*batch
	last   time.Time // of the last event
}

func newBatcher(maxEvents, maxBytes int, maxWait time.Duration) *batcher {
	return &batcher{maxEvents: maxEvents, maxBytes: maxBytes, maxWait: maxWait}
}

// add puts an event into its lane's open batch.
func (b *batcher) add(it *item, now time.Time) {
	l, size := laneOf(it), len(it.doc.Raw)
	if o := b.open[l]; o != nil && o.bytes+size > b.maxBytes {
		b.seal(l, flushBytes)
	}
	if b.open[l] == nil {
		b.open[l] = &batch{lane: l, began: now, items: make([]*item, 0, b.capacity(l))}
	}
	o := b.open[l]
	o.items = append(o.items, it)
	o.bytes += size
	b.last = now
	if len(o.items) >= b.maxEvents {
		b.seal(l, flushFull)
	}
}

// capacity is that of a full batch only where full ones are common.
func (b *batcher) capacity(l lane) int {
	if l == normal {
		return min(b.maxEvents, 512)
	}
	return 8
}

// alone makes batches of just these events, which are one message's: a poison
// message must not take others with it.
func (b *batcher) alone(items []*item, now time.Time) {
	var own [lanes]*batch
	for _, it := range items {
		l := laneOf(it)
		if own[l] == nil || len(own[l].items) >= b.maxEvents {
			own[l] = &batch{lane: l, began: now, due: true, reason: flushAlone}
			b.sealed[l] = append(b.sealed[l], own[l])
		}
		own[l].items = append(own[l].items, it)
		own[l].bytes += len(it.doc.Raw)
	}
	b.last = now
}

func (b *batcher) seal(l lane, reason string) {
	o := b.open[l]
	o.due, o.reason = true, reason
	b.sealed[l] = append(b.sealed[l], o)
	b.open[l] = nil
}

// ready returns the batches to be written next, nil where there is none: of
// messages that come for the first time, and of others.
func (b *batcher) ready() (fresh, again *batch) {
	return b.first(critical, normal), b.first(criticalAgain, normalAgain)
}

// first is the batch of two lanes that goes next. Critical events never wait
// for company while a normal batch goes: they overtake it, and its messages can
// be acked together with theirs, which came between them.
func (b *batcher) first(critical, normal lane) *batch {
	if next := b.due(critical); next != nil {
		return next
	}
	next := b.due(normal)
	if o := b.open[critical]; o != nil && next != nil {
		o.due, o.reason = true, flushAhead
		return o
	}
	return next
}

// due is the first batch of a lane that need not wait any longer.
func (b *batcher) due(l lane) *batch {
	if len(b.sealed[l]) > 0 {
		return b.sealed[l][0]
	}
	if o := b.open[l]; o != nil && o.due {
		return o
	}
	return nil
}

// taken removes a batch that ready returned.
func (b *batcher) taken(t *batch) {
	if b.open[t.lane] == t {
		b.open[t.lane] = nil
		return
	}
	s := b.sealed[t.lane]
	s[0] = nil
	b.sealed[t.lane] = s[1:]
}

// wait is how long until expire has something to do; false: nothing waits.
func (b *batcher) wait(now time.Time) (d time.Duration, waiting bool) {
	for _, o := range b.open {
		if o == nil || o.due {
			continue
		}
		until := b.last.Add(dryAfter)
		if full := o.began.Add(b.maxWait); full.Before(until) {
			until = full
		}
		if left := max(0, until.Sub(now)); !waiting || left < d {
			d, waiting = left, true
		}
	}
	return d, waiting
}

// expire makes due what has waited long enough.
func (b *batcher) expire(now time.Time) {
	dry := now.Sub(b.last) >= dryAfter
	for _, o := range b.open {
		switch {
		case o == nil || o.due:
		case dry:
			o.due, o.reason = true, flushDry
		case now.Sub(o.began) >= b.maxWait:
			o.due, o.reason = true, flushWait
		}
	}
}

// rest empties the batcher.
func (b *batcher) rest() []*batch {
	var all []*batch
	for l := range lanes {
		all = append(all, b.sealed[l]...)
		if b.open[l] != nil {
			all = append(all, b.open[l])
		}
		b.sealed[l], b.open[l] = nil, nil
	}
	return all
}
