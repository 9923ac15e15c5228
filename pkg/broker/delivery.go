package broker

import (
	"context"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// SuspectDeliveries is the x-delivery-count from which a message is handled
// alone, so that a poison message does not take its neighbours with it.
const SuspectDeliveries = 3

// Delivery is one message on its way through a handler. Exchange, RoutingKey
// and Headers are the producer's own also after a retry tier; x-ea-* headers
// never show.
type Delivery struct {
	Message
	Queue         string
	Redelivered   bool      // it was given out before, in this attempt: somebody may have got far with it
	DeliveryCount int       // how often it was given out before without a verdict
	Attempt       int       // 1 is the first; counted by retry tiers alone
	FirstFailedAt time.Time // zero before the first failure
	HeldSince     time.Time // when this attempt was put off for the first time, zero when it was not
	Replayed      bool      // it was dead, and somebody gave it to its owner again
	Replay        string    // tells that time from any other, however often the message comes

	consumer *Consumer
	sub      *subscription
	tag      uint64
	received time.Time
	receipt  string // where somebody waits for the ack
	done     atomic.Bool

	cc         any         // the producer's CC header
	raw        []byte      // headers that could not be read
	unreadable string      // why
	dead       *DeadLetter // that it is a copy of, or nil
}

// Suspect says whether the message must be handled alone.
func (d *Delivery) Suspect() bool { return d.DeliveryCount >= SuspectDeliveries }

// DeadLetter is the dead letter that the delivery is a copy of, nil when it is
// none: a queue that is bound to the dead-letter exchange gets one of each. Its
// id is the one that a Reader of the dead letters gives it.
func (d *Delivery) DeadLetter() *DeadLetter { return d.dead }

// Stale says that the delivery's session was lost: the broker gives the message
// out again, and working on it is in vain.
func (d *Delivery) Stale() bool { return d.sub.gone() }

// Context ends when the delivery's session is lost, or when a drain's bound has
// passed.
func (d *Delivery) Context() context.Context { return d.sub.ctx }

// Done gives the verdict: nil acks; Permanent, RetryAfter, Uncounted and
// Interrupted do as they say; an outage comes back uncounted; any other error
// retries, dead when the schedule is exhausted. Only the first call counts.
// It does not block: a tier or dead letter is published (and confirmed before
// the ack) in the background. What is published is d.Message as it is now, so a
// handler may replace Body before. After the session was lost it does nothing:
// the broker has already given the message to another.
func (d *Delivery) Done(err error) {
	if d.done.Swap(true) {
		return
	}
	d.consumer.settle(d, err)
}

// delivery reads what the broker gave out.
func (c *Consumer) delivery(sub *subscription, in *amqp.Delivery) *Delivery {
	d := &Delivery{
		Message: fromDelivery(in), Queue: c.q.Name, Redelivered: in.Redelivered, Attempt: 1,
		consumer: c, sub: sub, tag: in.DeliveryTag, received: time.Now(),
	}
	if in.Exchange == c.q.DeadExchange {
		// Its key is the owner's name, as it is that of the owner's dead letters.
		d.dead = deadLetter(WorkQueue{Name: in.RoutingKey, RetryExchange: c.q.RetryExchange}, c.conn.marker, in)
	}
	if len(in.Headers) == 0 {
		return d
	}
	headers := fromTable(in.Headers)
	if in.Redelivered { // on a first delivery the header is the producer's
		d.DeliveryCount = headerInt(headers, "x-delivery-count")
	}
	d.unreadable, d.raw = takeUnreadable(headers, c.conn.marker)
	d.cc = headers["CC"]
	if in.Exchange == c.q.RetryExchange {
		o := takeOrigin(headers)
		d.Exchange, d.RoutingKey = o.exchange, o.routingKey
		d.ReplyTo, d.UserID, d.cc = o.replyTo, o.userID, o.cc
		d.Attempt = max(1, o.attempt)
		d.FirstFailedAt, d.HeldSince = o.firstFailedAt, o.heldSince
		d.Replay = headerString(headers, headerReplayed)
		d.Replayed = d.Replay != ""
		d.receipt = headerString(headers, headerReceipt)
		if again, _ := headers[headerRedelivered].(bool); again {
			d.Redelivered = true
		}
		if d.raw == nil {
			d.raw = o.raw
		}
	}
	d.Headers = producerHeaders(headers)
	return d
}

// Stopping is closed when its consumer begins to stop: for a loop that takes
// nothing at the moment, and would not see its channel close.
func (d *Delivery) Stopping() <-chan struct{} { return d.consumer.stopping }

// Prefetch is how many deliveries the broker gives its consumer at a time now,
// which large messages make fewer.
func (d *Delivery) Prefetch() int {
	d.sub.mu.Lock()
	defer d.sub.mu.Unlock()
	return d.sub.prefetch
}

// origin is what a message that was published again carries about itself.
type origin struct {
	exchange, routingKey string
	replyTo, userID      string
	cc                   any
	raw                  []byte
	attempt              int
	firstFailedAt        time.Time
	heldSince            time.Time
}

func takeOrigin(headers map[string]any) origin {
	raw, _ := headers[headerRawHeaders].([]byte)
	return origin{
		exchange: headerString(headers, headerExchange), routingKey: headerString(headers, headerRoutingKey),
		replyTo: headerString(headers, headerReplyTo), userID: headerString(headers, headerUserID),
		cc: headers[headerCC], raw: raw,
		attempt:       headerInt(headers, headerAttempt),
		firstFailedAt: headerTime(headers, headerFirstFailedAt),
		heldSince:     headerTime(headers, headerHeldSince),
	}
}

// takeUnreadable says why the guard replaced the headers, "" when it did not.
func takeUnreadable(headers map[string]any, marker string) (reason string, raw []byte) {
	reason = headerString(headers, marker)
	if reason != "" {
		raw, _ = headers[marker+rawSuffix].([]byte)
	}
	return reason, raw
}

// producerHeaders leaves the producer's headers; nil when there are none.
func producerHeaders(headers map[string]any) map[string]any {
	for name := range headers {
		if ownHeader(name) || brokerHeader(name) {
			delete(headers, name)
		}
	}
	if len(headers) == 0 {
		return nil
	}
	return headers
}

// unreadableError is the verdict on a message whose headers cannot be parsed.
type unreadableError struct{ reason string }

func (e *unreadableError) Error() string { return "the message's headers cannot be read: " + e.reason }

// Class names the error for dead letters.
func (*unreadableError) Class() string { return "unreadable_headers" }
