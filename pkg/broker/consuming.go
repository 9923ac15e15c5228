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
	for {
		prefetch, careful := c.o.Prefetch, c.caution(0)
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
		end := c.pump(ctx, sub, deliveries, f, func() bool {
			return careful > 0 && sub.settled()-before >= careful
		})
		if careful > 0 {
			c.caution(before - sub.settled())
		}
		switch end {
		case endPassed:
			sub.stop(deliveries)
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
	endPassed                 // passed is true
)

// pump hands deliveries to the loop.
func (c *Consumer) pump(ctx context.Context, sub *subscription, deliveries <-chan amqp.Delivery, f *feed, passed func() bool) pumpEnd {
	unsettled := c.metrics.unsettled.WithLabelValues(c.q.Name)
	for {
		if passed() {
			return endPassed
		}
		var d *Delivery
		select {
		case raw, ok := <-deliveries:
			if !ok {
				return endClosed
			}
			d = c.delivery(sub, &raw)
		case <-ctx.Done():
			return endStopped
		case f.err = <-f.looped:
			f.ended = true
			return endStopped
		}
		unsettled.Inc()
		if d.unreadable != "" && d.dead == nil { // the copy of a dead letter is dead already
			d.Done(Permanent(&unreadableError{reason: d.unreadable}))
			continue
		}
		select {
		case f.in <- d:
		case <-sub.ctx.Done():
			d.Done(Interrupted(errChannelClosed)) // only counts it
			return endClosed
		case <-ctx.Done():
			d.Done(Interrupted(errStopping))
			return endStopped
		case f.err = <-f.looped:
			d.Done(Interrupted(errStopping))
			f.ended = true
			return endStopped
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
	return s.ch.Consume(queue, consumerTag, false, false, false, false, nil)
}

// consumerTag: there is one consumer on a channel.
const consumerTag = "ea"

// stop cancels the consumer and gives back what the client still has of it. If
// the broker does not answer, it closes the channel's account by itself.
func (s *subscription) stop(deliveries <-chan amqp.Delivery) {
	bound, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), closeTimeout)
	defer cancel()
	if err := await(bound, func() error { return s.ch.Cancel(consumerTag, false) }); err != nil {
		return
	}
	for d := range deliveries {
		_ = s.requeue(d.DeliveryTag)
	}
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
