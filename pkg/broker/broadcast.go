package broker

import (
	"context"
	"fmt"

	"github.com/cenkalti/backoff/v4"
	amqp "github.com/rabbitmq/amqp091-go"
	"go.uber.org/zap"
)

// Broadcasts returns a worker that hears every message with key (a topic
// pattern) on exchange, at most once each, through an exclusive queue of its
// own that goes with the session: hints, not work. What is sent while there is
// no session is missed, so look for yourself now and then.
func Broadcasts(c *Connection, exchange, key string, h func(Message)) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		wait := backoff.NewExponentialBackOff(
			backoff.WithInitialInterval(reconnectFirst), backoff.WithMaxInterval(reconnectMax), backoff.WithMaxElapsedTime(0))
		for ctx.Err() == nil {
			s, err := c.session(ctx)
			if err != nil {
				return nil //nolint:nilerr // ctx or the connection has ended: nothing else ends the wait
			}
			if err := c.listen(ctx, s, exchange, key, h); ctx.Err() == nil && !s.ended() {
				c.log.Warn("broadcasts were interrupted", zap.String("exchange", exchange), zap.Error(err))
			}
			pause(ctx, wait.NextBackOff())
		}
		return nil
	}
}

// listen hears on one channel until it closes or ctx ends.
func (c *Connection) listen(ctx context.Context, s *session, exchange, key string, h func(Message)) error {
	ch, err := s.conn.Channel()
	if err != nil {
		return fmt.Errorf("open channel: %w", err)
	}
	// Quorum queues cannot be exclusive.
	args := amqp.Table{"x-queue-type": "classic"}
	q, err := ch.QueueDeclare("", false, true, true, false, args)
	if err == nil {
		err = ch.QueueBind(q.Name, key, exchange, false, nil)
	}
	var deliveries <-chan amqp.Delivery
	if err == nil {
		deliveries, err = ch.Consume(q.Name, consumerTag, true, true, false, false, nil)
	}
	if err != nil {
		_ = ch.Close()
		return err
	}
	for {
		select {
		case d, ok := <-deliveries:
			if !ok {
				return errChannelClosed
			}
			m := fromDelivery(&d)
			if len(d.Headers) > 0 {
				m.Headers = producerHeaders(fromTable(d.Headers))
			}
			h(m)
		case <-ctx.Done():
			bye, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
			defer cancel()
			return await(bye, ch.Close)
		}
	}
}
