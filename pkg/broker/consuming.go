package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v4"
	amqp "github.com/rabbitmq/amqp091-go"
	"go.uber.org/zap"
)

// consume feeds the loop, session after session, until ctx ends or the loop
// does. It returns the last subscription, which takes no more and is still
// open, or nil.
func (c *Consumer) consume(ctx, work context.Context, f *feed) *subscription {
	wait := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(reconnectFirst), backoff.WithMaxInterval(reconnectMax), backoff.WithMaxElapsedTime(0))
	for ctx.Err() == nil {
		s, err := c.conn.session(ctx)
		if err != nil {
			return nil
		}
		began := time.Now()
		sub, err := c.subscribe(ctx, work, s, f)
		if err == nil {
			return sub
		}
		c.report(err)
		if time.Since(began) > time.Second {
			wait.Reset()
		}
		if s.conn.IsClosed() { // the connection says so, and does the waiting
			<-s.done
			if poisoned, _, _ := s.state(); poisoned {
				c.caution(c.o.Prefetch)
			}
			continue
		}
		c.log.Warn("consuming was interrupted", zap.Error(err))
		if e, ok := serverError(err); ok && e.Code == amqp.NotFound {
			redeclare(ctx, c.conn, c.pub.c)
		}
		pause(ctx, wait.NextBackOff())
	}
	return nil
}

// subscribe consumes on one channel until ctx or the loop ends (the error is
// nil, the channel open) or the channel closes. After a session died of a frame
// that the client could not read, it takes one delivery at a time until all
// that was prefetched then has passed: so only the poison's delivery count
// rises, and the broker's limit removes it.
func (c *Consumer) subscribe(ctx, work context.Context, s *session, f *feed) (*subscription, error) {
	sub, err := openSubscription(work, s)
	if err != nil {
		return nil, err
	}
	for prefetch := c.allowed.begin(); ; {
		careful := c.caution(0)
		if careful > 0 {
			prefetch = 1
		}
		deliveries, err := sub.start(c.q.Name, prefetch)
		if err != nil {
			_ = sub.close()
			return nil, fmt.Errorf("consume %s: %w", c.q.Name, plain(err))
		}
		c.report(nil)
		before := sub.settled()
		suits := func(seen int) bool {
			if careful > 0 {
				return sub.settled()-before < careful
			}
			return c.allowed.next(prefetch, seen) == prefetch
		}
		first := c.allowed.look(ctx, deliveries, f)
		if f.ended {
			sub.stop(deliveries)
			return sub, nil // what was looked at goes back when it is closed
		}
		end, seen := c.pump(ctx, sub, first, deliveries, f, suits)
		if careful > 0 {
			c.caution(before - sub.settled())
		}
		switch end {
		case endPassed:
			if careful > 0 {
				prefetch = c.allowed.begin()
			} else {
				prefetch = c.allowed.next(prefetch, seen)
			}
		case endStopped:
			sub.stop(deliveries)
			return sub, nil
		default:
			_ = sub.close()
			return nil, sub.reason()
		}
	}
}

type pumpEnd int

const (
	endClosed  pumpEnd = iota // the channel
	endStopped                // ctx or the loop
	endPassed                 // the prefetch suits no more, and what came with it was handed on
)

// pump hands deliveries to the loop, as long as the prefetch suits. It returns
// how many there were, too.
func (c *Consumer) pump(ctx context.Context, sub *subscription, first []amqp.Delivery, deliveries <-chan amqp.Delivery, f *feed, suits func(seen int) bool) (end pumpEnd, seen int) {
	unsettled := c.metrics.unsettled.WithLabelValues(c.q.Name)
	cancelled := false
	seen = len(first)
	for {
		if !cancelled && !suits(seen) {
			if !sub.cancel() {
				return endClosed, seen
			}
			cancelled = true // what the client has of it still comes
		}
		var raw amqp.Delivery
		if len(first) > 0 {
			raw, first = first[0], first[1:]
		} else {
			var ok bool
			select {
			case raw, ok = <-deliveries:
				switch {
				case !ok && cancelled && !sub.gone():
					return endPassed, seen
				case !ok:
					return endClosed, seen
				}
				seen++
				c.allowed.add(len(raw.Body))
			case <-ctx.Done():
				return endStopped, seen
			case f.err = <-f.looped:
				f.ended = true
				return endStopped, seen
			}
		}
		d := c.delivery(sub, &raw)
		unsettled.Inc()
		if d.unreadable != "" && d.dead == nil { // the copy of a dead letter is dead already
			d.Done(Permanent(&unreadableError{reason: d.unreadable}))
			continue
		}
		select {
		case f.in <- d:
		case <-sub.ctx.Done():
			d.Done(Interrupted(errChannelClosed)) // only counts it
			return endClosed, seen
		case <-ctx.Done():
			d.Done(Interrupted(errStopping))
			return endStopped, seen
		case f.err = <-f.looped:
			d.Done(Interrupted(errStopping))
			f.ended = true
			return endStopped, seen
		}
	}
}

// caution changes, by change, for how many deliveries the consumer goes one at
// a time, and returns it; from one poisoned session to the next it does not add
// up.
func (c *Consumer) caution(change int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cautious = min(max(0, c.cautious+change), c.o.Prefetch)
	return c.cautious
}

func (c *Consumer) report(problem error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.problem = problem
}

// openSubscription opens a channel that ends with its session or with work.
func openSubscription(work context.Context, s *session) (*subscription, error) {
	ch, err := s.conn.Channel()
	if err != nil {
		return nil, fmt.Errorf("open channel: %w", err)
	}
	sub := newSubscription(work, ch)
	closes := ch.NotifyClose(make(chan *amqp.Error, 1))
	go func() {
		if cause := <-closes; cause != nil {
			sub.end(fmt.Errorf("channel closed: %w", plain(cause)))
		}
		sub.end(errChannelClosed)
	}()
	return sub, nil
}

// start consumes with a prefetch; it may be called again after stop.
func (s *subscription) start(queue string, prefetch int) (<-chan amqp.Delivery, error) {
	if err := s.ch.Qos(prefetch, 0, false); err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.prefetch = prefetch
	s.mu.Unlock()
	// Each has a tag of its own: a quorum queue counts what a consumer has from 0,
	// by its tag and channel, and under a tag that comes again it takes the acks of
	// the one before for the new one's.
	s.started++
	s.tag = fmt.Sprintf("ea-%d", s.started)
	return s.ch.Consume(queue, s.tag, false, false, false, false, nil)
}

// cancel has the broker send no more; it says whether the broker answered.
func (s *subscription) cancel() bool {
	bound, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), closeTimeout)
	defer cancel()
	return await(bound, func() error { return s.ch.Cancel(s.tag, false) }) == nil
}

// stop cancels the consumer and gives back what the client still has of it. If
// the broker does not answer, it closes the channel's account by itself.
func (s *subscription) stop(deliveries <-chan amqp.Delivery) {
	if !s.cancel() {
		return
	}
	for d := range deliveries {
		_ = s.requeue(d.DeliveryTag)
	}
}

// leave is close after the queue has every ack. If the broker does not answer,
// some of what was acked comes again, as after any lost session.
func (s *subscription) leave(queue string) error {
	var err error
	if s.settled() > 0 {
		_, err = s.acksDone(queue)
	}
	return errors.Join(err, s.close())
}

// close closes the channel, if it is not yet: the broker requeues what has no
// verdict.
func (s *subscription) close() error {
	_ = s.flush() // a closed channel has nothing to ack any more
	err := s.ch.Close()
	<-s.ctx.Done()
	return err
}

// reason says why the channel closed.
func (s *subscription) reason() error {
	<-s.ctx.Done()
	cause := context.Cause(s.ctx)
	if errors.Is(cause, errChannelClosed) {
		return errors.New("the broker cancelled the consumer (was its queue deleted?)")
	}
	return cause
}
