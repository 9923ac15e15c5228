package ingester

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/app"
	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/event"
)

// WireHolding is Wire of an ingester that holds no more than so many bytes.
func WireHolding(bytes int) app.Wire {
	return func(_ context.Context, p *app.Process) error { return wire(p, bytes, conflictPatience) }
}

// WireImpatient is Wire of an ingester that waits so long for what has an event's id.
func WireImpatient(conflict time.Duration) app.Wire {
	return func(_ context.Context, p *app.Process) error { return wire(p, heldMost, conflict) }
}

// TestItem is an event for the pure parts.
type TestItem struct {
	ID       string
	Severity int
	Bytes    int
	Again    bool
}

func (t TestItem) item() *item {
	return &item{doc: &event.Document{EventID: t.ID, Severity: t.Severity, Raw: make(bson.Raw, t.Bytes)},
		message: &message{delivery: &broker.Delivery{}, again: t.Again}}
}

// TestBatcher is the batcher, with ids for events.
type TestBatcher struct{ b *batcher }

func NewTestBatcher(maxEvents, maxBytes int, maxWait time.Duration) TestBatcher {
	return TestBatcher{newBatcher(maxEvents, maxBytes, maxWait)}
}

func (t TestBatcher) Add(now time.Time, items ...TestItem) {
	for _, it := range items {
		t.b.add(it.item(), now)
	}
}

func (t TestBatcher) Alone(now time.Time, items ...TestItem) {
	var all []*item
	for _, it := range items {
		all = append(all, it.item())
	}
	t.b.alone(all, now)
}

func (t TestBatcher) Expire(now time.Time)                            { t.b.expire(now) }
func (t TestBatcher) Wait(now time.Time) (d time.Duration, more bool) { return t.b.wait(now) }

// Ready shows what would go next, of either kind.
func (t TestBatcher) Ready() (fresh, again []string) {
	f, a := t.b.ready()
	return idsOf(f), idsOf(a)
}

// Take takes the next batch that comes for the first time, with its reason.
func (t TestBatcher) Take() (eventIDs []string, reason string) {
	f, _ := t.b.ready()
	if f == nil {
		return nil, ""
	}
	t.b.taken(f)
	return idsOf(f), f.reason
}

// Rest takes everything.
func (t TestBatcher) Rest() (eventIDs []string) {
	for _, b := range t.b.rest() {
		eventIDs = append(eventIDs, idsOf(b)...)
	}
	return eventIDs
}

func idsOf(b *batch) (eventIDs []string) {
	if b == nil {
		return nil
	}
	for _, it := range b.items {
		eventIDs = append(eventIDs, it.doc.EventID)
	}
	return eventIDs
}

// TestIDs is the memory of ids; a handle is what begin was called with.
type TestIDs struct{ k *ids }

// Handle is one event under way.
type Handle struct{ it *item }

func NewTestIDs(size int) TestIDs { return TestIDs{newIDs(size)} }

func (t TestIDs) Begin(id string) (h Handle, first, maybeKnown bool) {
	it := TestItem{ID: id}.item()
	first = t.k.begin(it)
	return Handle{it}, first, it.maybeKnown
}

func (t TestIDs) Stored(h ...Handle) (duplicates int) {
	var all []*item
	for _, one := range h {
		all = append(all, one.it)
	}
	return len(t.k.stored(all))
}

func (t TestIDs) Refused(h Handle) (next Handle, more bool) {
	n := t.k.refused(h.it)
	return Handle{n}, n != nil
}

func (t TestIDs) Returned(h Handle) (waiting int) { return len(t.k.returned(h.it)) }

// UnderWay counts what is not settled.
func (t TestIDs) UnderWay() int { return len(t.k.underWay) }

// TestHand is what an ingester holds.
type TestHand struct{ h *inHand }

func NewTestHand() TestHand { return TestHand{&inHand{taken: map[int64]int{}}} }

func (t TestHand) Take(bytes int, now time.Time) (leave func()) {
	second := t.h.take(bytes, now)
	return func() { t.h.leave(bytes, second) }
}

func (t TestHand) Full(messages, bytes int) bool   { return t.h.full(messages, bytes) }
func (t TestHand) Age(now time.Time) time.Duration { return t.h.age(now) }
