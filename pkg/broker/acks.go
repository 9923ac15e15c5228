package broker

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// subscription is one channel that consumes one queue, and the account of its
// deliveries. Deliveries keep theirs for ever; when its channel is closed the
// broker has them back, and a verdict does nothing.
type subscription struct {
	ch  *amqp.Channel
	ctx context.Context //nolint:containedctx // the channel's life, which its deliveries share; ends with it
	end context.CancelCauseFunc

	tag     string // of the consumer on it, of the goroutine that consumes
	started int    // consumers until now

	mu    sync.Mutex
	low   uint64              // all tags up to it are settled
	above map[uint64]struct{} // settled tags above low
	total int                 // settled in all

	unsent   []uint64 // settled tags whose ack waits, see ackSoon
	timed    bool     // flush will be called
	prefetch int
}

var errChannelClosed = errors.New("the channel is closed")

func newSubscription(ctx context.Context, ch *amqp.Channel) *subscription {
	s := &subscription{ch: ch, above: map[uint64]struct{}{}}
	s.ctx, s.end = context.WithCancelCause(ctx)
	return s
}

// gone says whether the broker has the deliveries back.
func (s *subscription) gone() bool { return s.ch.IsClosed() }

// Acks of a batch that cannot go together yet wait for so long, or until half
// of the prefetch waits: what came between belongs to a batch that is nearly
// always done by then. An ack of its own costs the broker as much as a message.
const ackDelay = 30 * time.Millisecond

// ack acknowledges one delivery. The frames are written under the lock: a tag
// that is noted and whose own frame is not yet written must not be covered by
// another's multiple ack.
func (s *subscription) ack(tag uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.note([]uint64{tag})
	if tag > s.low {
		return s.ch.Ack(tag, false)
	}
	s.unsent = append(s.unsent, tag)
	return s.ackTogether()
}

// ackSoon acknowledges many deliveries, with as few frames as may be. An error
// that comes later means what it always means: the broker has them back.
func (s *subscription) ackSoon(tags ...uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.note(tags)
	s.unsent = append(s.unsent, tags...)
	err := s.ackTogether()
	switch {
	case len(s.unsent) > s.prefetch/2:
		return errors.Join(err, s.ackSingly())
	case len(s.unsent) > 0 && !s.timed:
		s.timed = true
		time.AfterFunc(ackDelay, func() { _ = s.flush() })
	}
	return err
}

// flush sends the acks that wait.
func (s *subscription) flush() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timed = false
	return s.ackSingly()
}

// ackTogether sends those unsent acks that have only settled deliveries before
// them, in one frame. The tag of a multiple ack must itself be outstanding, so
// it is the last of them and not low.
func (s *subscription) ackTogether() error {
	slices.Sort(s.unsent)
	n, _ := slices.BinarySearch(s.unsent, s.low+1)
	if n == 0 {
		return nil
	}
	last := s.unsent[n-1]
	s.unsent = slices.Delete(s.unsent, 0, n)
	return s.ch.Ack(last, n > 1)
}

// ackSingly sends the unsent acks one by one.
func (s *subscription) ackSingly() error {
	var err error
	for _, tag := range s.unsent {
		err = errors.Join(err, s.ch.Ack(tag, false))
	}
	s.unsent = s.unsent[:0]
	return err
}

// acksDone returns when the queue has every ack. While some thirty commands to a
// quorum queue are under way RabbitMQ's channel keeps further ones back, and it
// forgets them when it is closed: of 300 acked in one go 267 came again. A
// basic.get is answered by the queue itself, after what is under way; a second
// one after what was kept back for that. What they take is returned, too, and is
// in the queue again when the channel is closed.
func (s *subscription) acksDone(queue string) (taken []amqp.Delivery, err error) {
	if err := s.flush(); err != nil {
		return nil, err
	}
	for range 2 {
		in, ok, err := s.ch.Get(queue, false)
		if err != nil {
			return taken, err
		}
		if ok {
			taken = append(taken, in)
		}
	}
	return taken, nil
}

// requeue gives one delivery back.
func (s *subscription) requeue(tag uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.note([]uint64{tag})
	return s.ch.Nack(tag, false, true)
}

// fewReturned keep their order when they are given back one by one: so many
// commands to a quorum queue are under way at once, see Reader.
const fewReturned = 30

// requeueAll gives back all of the first n deliveries that are not settled, few
// in their order. Closing the channel would do it, too, but in the broker's order:
// that of its consumers' names, and each basic.get is one. Many go in one frame,
// which is one command for the queue instead of one each.
func (s *subscription) requeueAll(n uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var open []uint64
	for tag := s.low + 1; tag <= n; tag++ {
		if _, settled := s.above[tag]; !settled {
			open = append(open, tag)
		}
	}
	s.note(open)
	if len(open) > fewReturned { // all before them are settled, and the broker knows
		return s.ch.Nack(open[len(open)-1], true, true)
	}
	for _, tag := range open {
		if err := s.ch.Nack(tag, false, true); err != nil {
			return err
		}
	}
	return nil
}

// reject gives one delivery to the queue's dead-letter exchange as it is.
func (s *subscription) reject(tag uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.note([]uint64{tag})
	return s.ch.Nack(tag, false, false)
}

// settled counts the deliveries with a verdict.
func (s *subscription) settled() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total
}

// note settles tags and moves low; the broker numbers deliveries from 1 without
// gaps.
func (s *subscription) note(tags []uint64) {
	s.total += len(tags)
	for _, tag := range tags {
		if tag == s.low+1 {
			s.low++
		} else {
			s.above[tag] = struct{}{}
		}
	}
	for len(s.above) > 0 {
		if _, ok := s.above[s.low+1]; !ok {
			return
		}
		delete(s.above, s.low+1)
		s.low++
	}
}
