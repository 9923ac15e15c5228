package broker

import (
	"context"
	"errors"
	"slices"
	"sync"

	amqp "github.com/rabbitmq/amqp091-go"
)

// subscription is one channel that consumes one queue, and the account of its
// deliveries. Deliveries keep theirs for ever; when its channel is closed the
// broker has them back, and a verdict does nothing.
type subscription struct {
	ch  *amqp.Channel
	ctx context.Context //nolint:containedctx // the channel's life, which its deliveries share; ends with it
	end context.CancelCauseFunc

	mu    sync.Mutex
	low   uint64              // all tags up to it are settled
	above map[uint64]struct{} // settled tags above low
	total int                 // settled in all
}

var errChannelClosed = errors.New("the channel is closed")

func newSubscription(ctx context.Context, ch *amqp.Channel) *subscription {
	s := &subscription{ch: ch, above: map[uint64]struct{}{}}
	s.ctx, s.end = context.WithCancelCause(ctx)
	return s
}

// gone says whether the broker has the deliveries back.
func (s *subscription) gone() bool { return s.ch.IsClosed() }

// ack acknowledges the tags, which must be in ascending order: those that now
// have only settled ones before them with one multiple ack. The frames are
// written under the lock: a tag that is noted and whose own frame is not yet
// written must not be covered by another's multiple ack.
func (s *subscription) ack(tags ...uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.note(tags)
	// The tag of a multiple ack must itself be outstanding, so it is the last of
	// these tags and not low.
	together, _ := slices.BinarySearch(tags, s.low+1)
	var err error
	if together > 0 {
		err = s.ch.Ack(tags[together-1], together > 1)
	}
	for _, tag := range tags[together:] {
		err = errors.Join(err, s.ch.Ack(tag, false))
	}
	return err
}

// requeue gives one delivery back.
func (s *subscription) requeue(tag uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.note([]uint64{tag})
	return s.ch.Nack(tag, false, true)
}

// requeueAll gives back all of the first n deliveries that are not settled, in
// their order. Closing the channel would do it, too, but in the broker's order:
// that of its consumers' names, and each basic.get is one.
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
