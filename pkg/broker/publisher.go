package broker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// PublisherOptions of a Publisher; zero values are the defaults.
type PublisherOptions struct {
	// Window is how many messages may wait for their confirm, WindowDefault.
	Window int
}

// WindowDefault: one confirm at a time gives 2,900 messages a second, from 500
// on the rate no longer rises.
const WindowDefault = 1000

// Publisher publishes with pipelined confirms. It works while its connection
// runs; between sessions it keeps what is not confirmed and sends it again on
// the next, so a message may arrive twice and never not at all. Any number of
// goroutines may publish.
type Publisher struct {
	c       *Connection
	metrics publisherMetrics
	slots   chan struct{}  // one for each message between Publish and its end
	queue   chan *outgoing // as large as slots, so that sending to it never waits

	// Only serve uses these, for one session at a time.
	again   []*outgoing // unconfirmed when a session was lost; sent before queue
	delayed []*outgoing // nacked, each waiting for its time
	careful int         // so many messages go one at a time
}

// outgoing is one message on its way.
type outgoing struct {
	call                 *call
	exchange, routingKey string
	mandatory            bool
	publishing           amqp.Publishing
	strikes              int // channels that the broker closed while it was alone in flight
	refusals             int // nacks

	sentAt    time.Time
	confirm   *amqp.DeferredConfirmation
	notBefore time.Time
}

// call is one Publish.
type call struct {
	left      atomic.Int32
	done      chan struct{}
	abandoned atomic.Bool

	mu     sync.Mutex
	err    error
	failed int
}

func (c *call) finish(err error) {
	if err != nil {
		c.mu.Lock()
		if c.err == nil {
			c.err = err
		}
		c.failed++
		c.mu.Unlock()
	}
	if c.left.Add(-1) == 0 {
		close(c.done)
	}
}

func (c *call) result() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed > 1 {
		return fmt.Errorf("%w (and %d messages more)", c.err, c.failed-1)
	}
	return c.err
}

// NewPublisher attaches a publisher to c.
func NewPublisher(c *Connection, o PublisherOptions) *Publisher {
	if o.Window <= 0 {
		o.Window = WindowDefault
	}
	p := &Publisher{
		c: c, metrics: c.metrics.publisher(c.name),
		slots: make(chan struct{}, o.Window),
		queue: make(chan *outgoing, o.Window),
	}
	c.attach(p)
	return p
}

// publishMost bounds every wait for a confirm, since a broker whose alarm is on
// stops publishers alone: who publishes before an ack must be done before the
// 30 minutes after which the broker takes its deliveries back.
const publishMost = 14 * time.Minute

// Publish sends the messages in order and returns when each is confirmed, that
// is, safe on the broker. A lost session does not end it: what is unconfirmed
// goes out again on the next one, until ctx ends or publishMost has passed; the
// error is then an outage, and any of the messages may have arrived. A nack is tried again. Other errors
// are the message's own: *UnroutableError when no queue takes a mandatory
// message, *RefusedError when it cannot be published as it is; the call's other
// messages are published all the same.
func (p *Publisher) Publish(ctx context.Context, msgs ...Message) error {
	if len(msgs) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, publishMost)
	defer cancel()
	items := make([]outgoing, len(msgs))
	call := &call{done: make(chan struct{})}
	call.left.Store(int32(len(msgs)))
	for i := range msgs {
		publishing, err := msgs[i].publishing()
		if err != nil {
			return err
		}
		items[i] = outgoing{
			call: call, exchange: msgs[i].Exchange, routingKey: msgs[i].RoutingKey,
			mandatory: !msgs[i].Optional, publishing: publishing,
		}
	}
	for i := range items {
		select {
		case p.slots <- struct{}{}:
			p.queue <- &items[i]
		case <-ctx.Done():
			return p.abandon(ctx, call, len(items))
		case <-p.c.stopped:
			return p.abandon(ctx, call, len(items))
		}
	}
	select {
	case <-call.done:
		return call.result()
	case <-ctx.Done():
	case <-p.c.stopped:
	}
	return p.abandon(ctx, call, len(items))
}

// abandon leaves the call's messages that are not sent yet out.
func (p *Publisher) abandon(ctx context.Context, call *call, n int) error {
	call.abandoned.Store(true)
	cause := p.c.Check(ctx)
	if cause == nil {
		cause = errors.New("no confirm yet")
	}
	return &outageError{op: fmt.Sprintf("publish %d messages", n), cause: cause, ended: context.Cause(ctx)}
}

// end gives a message's slot back and counts it off its call.
func (p *Publisher) end(o *outgoing, err error) {
	<-p.slots
	o.call.finish(err)
}
