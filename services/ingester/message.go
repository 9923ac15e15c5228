package ingester

import (
	"sync"
	"time"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/event"
)

// message is one delivery with its events. A CloudEvents batch brings several,
// which may go separate ways; the delivery gets its verdict when the fate of
// the last one is known.
type message struct {
	delivery *broker.Delivery
	items    []item
	again    bool // given out before, so its events may be stored
	hand     *inHand
	taken    int64 // the second, for hand
	held     int   // bytes, for hand

	mu    sync.Mutex
	open  int // events whose fate is not known
	worst fate
	err   error
	one   [1]item // items of the usual message, without an allocation of its own
}

// item is one event on its way into a batch.
type item struct {
	doc        *event.Document
	message    *message
	maybeKnown bool    // looked up before the insert
	waiting    []*item // the same event in other messages; guarded by ids
}

// fate is what became of an event, in rising order of what the message's
// verdict must heed: a message with an event that was not stored for our own
// reasons comes again, whatever became of the others.
type fate int

const (
	stored   fate = iota // in the ledger, by this message or another
	refused              // never to be stored
	returned             // not stored now
)

func newMessage(d *broker.Delivery, docs []*event.Document, hand *inHand, now time.Time) *message {
	held := len(d.Body)
	for _, doc := range docs {
		held += len(doc.Raw)
	}
	m := &message{delivery: d, open: len(docs), hand: hand, taken: hand.take(held, now), held: held,
		again: d.Redelivered || d.DeliveryCount > 0 || d.Attempt > 1}
	if len(docs) == 1 {
		m.items = m.one[:]
	} else {
		m.items = make([]item, len(docs))
	}
	for i, doc := range docs {
		m.items[i] = item{doc: doc, message: m}
	}
	return m
}

// settle notes the fate of one of the message's events; the last one gives the
// verdict.
func (m *message) settle(f fate, err error) {
	if worst, why, last := m.note(f, err); last {
		m.verdict(worst, why)
	}
}

func (m *message) verdict(f fate, why error) {
	switch f {
	case stored:
		m.delivery.Done(nil)
	case refused:
		m.delivery.Done(broker.Permanent(why))
	case returned:
		m.delivery.Done(broker.Interrupted(why))
	}
}

// settleStored is settle(stored) for many events, with few acks.
func settleStored(items []*item) {
	acks := make([]*broker.Delivery, 0, len(items))
	for _, it := range items {
		switch worst, why, last := it.message.note(stored, nil); {
		case last && worst == stored:
			acks = append(acks, it.message.delivery)
		case last:
			it.message.verdict(worst, why)
		}
	}
	broker.AckAll(acks)
}

// note returns the gravest fate of the message's events, and whether it is final.
func (m *message) note(f fate, err error) (worst fate, why error, last bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if f > m.worst {
		m.worst, m.err = f, err
	}
	if m.open--; m.open == 0 {
		m.hand.leave(m.held, m.taken)
	}
	return m.worst, m.err, m.open == 0
}
