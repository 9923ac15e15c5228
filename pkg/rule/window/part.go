package window

import (
	"context"
	"math"
	"strconv"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"

	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/rule/interval"
)

// Part is one thing that a rule looks for: most kinds have one, a spike in both
// directions and a cardinality between two bounds have two.
type Part struct {
	evaluator
	Place int // among the rule's parts

	kind   string
	parts  int
	settle time.Duration
}

// evaluator is what a kind looks for.
//
// Time is cut into slots of one length. A part that is not settled is evaluated
// when an event comes, since more events can only make its alerts true; its
// windows slide, and each ends at an event. A settled part is decided slot by
// slot, some time after a slot's end.
type evaluator interface {
	// length is that of a slot, in milliseconds.
	length() int64
	settled() bool
	// perKey: what has to be decided is remembered for each key, since windows
	// without any event count too.
	perKey() bool
	// due are the slots that must be decided (again) because of an event at that
	// time.
	due(at int64) []int64
	// evaluate finds the alerts of the windows whose last instant is asked for.
	evaluate(ctx context.Context, r *reader, ask Ask, tell tell) (Found, error)
}

// Ask says which windows are evaluated.
type Ask struct {
	Keys     []string // of these keys; nil: of all that have events
	From, To int64    // windows whose last instant is from From on and before To
	Limit    int      // of the events that are read; 0: MaxObservations
	// Known says that an alert is known already; nil: none is. What is known need
	// not be found again.
	Known func(key string, slot int64) bool
	// Decided says that windows before this time were decided before; 0: none was.
	// An event that came since may be what the next one of its key is compared
	// with, whose window is then looked at again.
	Decided int64
	// Terms are the values that are known to be stored; nil: none is.
	Terms *RuleTerms
	// Past goes from one piece of a back-test to the next, in the order of time;
	// nil: there is one piece.
	Past *Past
}

// Found is what an evaluation found.
type Found struct {
	Alerts []Alert
	// Next are the keys, of those asked for, whose next slot has to be decided as
	// well (perKey).
	Next []string
}

// Alert is what a window rule found. Its identity is its key and slot.
type Alert struct {
	notification.Alert
	Event primitive.ObjectID // the event that completed the window, the last one otherwise; zero: there is none
}

// tell makes an alert of the part.
type tell func(slot int64, a Alert) Alert

// Parts are what a checked rule looks for.
func (s *Spec) Parts() []Part {
	kind := KindOf(s.Kind)
	if kind == nil { // saved by a newer version
		return nil
	}
	evaluators := kind.parts(s)
	parts := make([]Part, len(evaluators))
	for i, e := range evaluators {
		parts[i] = Part{evaluator: e, Place: i, kind: s.Kind, parts: len(evaluators), settle: s.settle()}
	}
	return parts
}

// Settled says that the part's slots are decided after their end; otherwise
// events are evaluated as they come.
func (p Part) Settled() bool { return p.settled() }

// PerKey says that slots are decided for each key by itself.
func (p Part) PerKey() bool { return p.perKey() }

// EachEvent says that an alert is about one event, and not about a window that
// other events share.
func (p Part) EachEvent() bool {
	_, ok := p.evaluator.(eachEvent)
	return ok
}

// eachEvent marks the evaluators whose alerts are about one event each.
type eachEvent interface{ eachEvent() }

// Settle is how long after its end a slot is decided.
func (p Part) Settle() time.Duration { return p.settle }

// Due are the slots to decide because of an event at that time; stored is when it
// came.
func (p Part) Due(at, stored time.Time) []int64 {
	slots := p.due(at.UnixMilli())
	if w, ok := p.evaluator.(watcher); ok {
		slots[0] = w.watchedFrom(slots[0], p.SlotOf(stored.Add(-p.settle))-1)
	}
	return slots
}

// watcher marks the evaluators that watch a key from an event on, slot after
// slot.
type watcher interface {
	// watchedFrom is the first slot of a key whose event makes one due; complete is
	// the last slot that was settled when the event came.
	watchedFrom(slot, complete int64) int64
}

// Reach is how long after an event the windows end that it can give alerts, in
// milliseconds.
func (p Part) Reach() int64 {
	if further, ok := p.evaluator.(interface{ reach() int64 }); ok {
		return further.reach()
	}
	return p.length()
}

// SlotOf is the slot in which a time lies.
func (p Part) SlotOf(at time.Time) int64 { return floor(at.UnixMilli(), p.length()) }

// Length is that of a slot, in milliseconds.
func (p Part) Length() int64 { return p.length() }

// AlertSlot is the slot of an alert that a slot's windows give, among those of
// all parts.
func (p Part) AlertSlot(slot int64) int64 { return slot*int64(p.parts) + int64(p.Place) }

// Slot is the range of a slot.
func (p Part) Slot(slot int64) (from, to int64) {
	return slot * p.length(), (slot + 1) * p.length()
}

// DueAt is when a slot may be decided.
func (p Part) DueAt(slot int64) time.Time {
	return time.UnixMilli((slot + 1) * p.length()).UTC().Add(p.settle)
}

// Evaluate finds the alerts of the windows asked for. It is the same for events
// as they come, for slots that are due and for a back-test.
func (p Part) Evaluate(ctx context.Context, source Source, ask Ask) (Found, error) {
	limit := MaxObservations
	if ask.Limit > 0 {
		limit = ask.Limit
	}
	return p.evaluate(ctx, &reader{source: source, left: limit}, ask, func(slot int64, a Alert) Alert {
		a.Kind = p.kind
		a.Slot = p.AlertSlot(slot)
		return a
	})
}

// Evaluate finds all alerts of a checked rule whose windows end at from or later
// and before to.
func (s *Spec) Evaluate(ctx context.Context, source Source, from, to time.Time) ([]Alert, error) {
	var all []Alert
	for _, p := range s.Parts() {
		found, err := p.Evaluate(ctx, source, Ask{From: from.UnixMilli(), To: to.UnixMilli()})
		if err != nil {
			return nil, err
		}
		all = append(all, found.Alerts...)
	}
	return all, nil
}

// floor divides towards minus infinity: times before 1970 have slots too.
func floor(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

func timeOf(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

func keyOf(key string) bson.Raw {
	if key == "" {
		return nil
	}
	return bson.Raw(key)
}

// known is ask.Known for a part that numbers its slots.
func (a Ask) known(tell tell, key string, slot int64) bool {
	return a.Known != nil && a.Known(key, tell(slot, Alert{}).Slot)
}

// never is no slot that a time lies in.
const never int64 = math.MinInt64

// lengthOf writes milliseconds as rules do.
func lengthOf(ms int64) interval.Duration { return interval.Duration(ms * int64(time.Millisecond)) }

func millis(d interval.Duration) int64 { return d.Std().Milliseconds() }

// count writes a number of events.
func count(n int) string {
	if n == 1 {
		return "1 event"
	}
	return strconv.Itoa(n) + " events"
}

// number writes a bound without needless digits.
func number(f float64) string { return strconv.FormatFloat(math.Round(f*100)/100, 'f', -1, 64) }
