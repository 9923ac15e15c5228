package broker

import (
	"context"
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Heard is what Listen hears: a key (a topic pattern) on an exchange.
type Heard struct{ Exchange, Key string }

// Listen hears every message that the bindings lead to, with the headers that
// came with it, through an exclusive queue of its own, from when it returns until
// stop is called or the session is lost: then lost is closed. h is called by one
// goroutine.
func Listen(ctx context.Context, c *Connection, bindings []Heard, h func(Message)) (lost <-chan struct{}, stop func(), err error) {
	s, err := c.session(ctx)
	if err != nil {
		return nil, nil, err
	}
	lost, stop, err = s.listen(ctx, bindings, h)
	if err != nil {
		return nil, nil, c.failed("listen", s, err)
	}
	return lost, stop, nil
}

// listen is Listen in one session.
func (s *session) listen(ctx context.Context, bindings []Heard, h func(Message)) (lost <-chan struct{}, stop func(), err error) {
	var deliveries <-chan amqp.Delivery
	var ch *amqp.Channel
	err = await(ctx, func() (err error) {
		if ch, err = s.conn.Channel(); err != nil {
			return fmt.Errorf("open channel: %w", err)
		}
		// Quorum queues cannot be exclusive.
		q, err := ch.QueueDeclare("", false, true, true, false, amqp.Table{"x-queue-type": "classic"})
		for _, b := range bindings {
			if err == nil {
				err = ch.QueueBind(q.Name, b.Key, b.Exchange, false, nil)
			}
		}
		if err == nil {
			deliveries, err = ch.Consume(q.Name, "", true, true, false, false, nil)
		}
		if err != nil {
			_ = ch.Close()
		}
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for d := range deliveries {
			m := fromDelivery(&d)
			m.Headers = fromTable(d.Headers)
			h(m)
		}
	}()
	return ended, func() {
		bye, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		_ = await(bye, ch.Close)
		<-ended
	}, nil
}
