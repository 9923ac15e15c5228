package broker

import "time"

// SuspectDeliveries is the x-delivery-count from which a message is handled
// alone, so that a poison message does not take its neighbours with it.
const SuspectDeliveries = 3

// Delivery is one message on its way through a handler. Exchange, RoutingKey
// and Headers are the producer's own also after a retry tier; x-ea-* headers
// never show.
type Delivery struct {
	Message
	Queue         string
	Redelivered   bool
	DeliveryCount int       // how often it was given out before without a verdict
	Attempt       int       // 1 is the first; counted by retry tiers alone
	FirstFailedAt time.Time // zero on a first attempt

	settle func(error)
}

// Suspect says whether the message must be handled alone.
func (d *Delivery) Suspect() bool { return d.DeliveryCount >= SuspectDeliveries }

// Done gives the verdict: nil acks; Permanent, RetryAfter, Uncounted and
// Interrupted do as they say; an outage returns uncounted; any other error
// retries, dead when the schedule is exhausted. Only the first call counts.
// It does not block: a tier or dead letter is published (and confirmed before
// the ack) in the background. What is published is d.Message as it is now, so a
// handler may replace Body before. After the session was lost it does nothing:
// the broker has already given the message to another.
func (d *Delivery) Done(err error) { d.settle(err) }
