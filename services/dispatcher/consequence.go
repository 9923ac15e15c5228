package dispatcher

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/action"
	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/fault"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
)

// decision is what an attempt means for its notification.
type decision struct {
	attempt  notification.Attempt
	status   notification.Status // pending: it is tried again after delay
	reason   string
	delay    time.Duration
	repeated bool // the record stood already when this message came
}

// Reasons of dead notifications.
const (
	reasonPermanent = "permanent" // trying again cannot help
	reasonExhausted = "exhausted" // the schedule is at its end
)

// decide judges an attempt by its outcome and the schedule. A receiver may ask
// for more time than the schedule gives, not for less.
func (d *Dispatcher) decide(o *order, a notification.Attempt) decision {
	switch a.Outcome {
	case notification.OutcomeOK:
		return decision{attempt: a, status: notification.Delivered}
	case notification.OutcomePermanent:
		return decision{attempt: a, status: notification.Dead, reason: reasonPermanent}
	}
	schedule, made := d.schedule(o), max(1, a.Number-o.msg.Notification.Base)
	if made > len(schedule) {
		return decision{attempt: a, status: notification.Dead, reason: reasonExhausted}
	}
	asked := time.Duration(a.RetryAfterMS) * time.Millisecond
	delay := roundUp(d.topology.Work(o.queue).Tiers, max(schedule[made-1], asked))
	return decision{attempt: a, status: notification.Pending, delay: delay}
}

// schedule is what the action asks for, else the queue, else the default.
func (d *Dispatcher) schedule(o *order) []time.Duration {
	if own := action.ScheduleOf(o.msg.Notification.Action.Config); own != nil {
		return own
	}
	if own, there := d.o.QueueSchedules[o.queue]; there {
		return own
	}
	return d.o.Schedule
}

// roundUp is the shortest declared tier that is long enough, else the longest.
func roundUp(tiers []time.Duration, delay time.Duration) time.Duration {
	for _, tier := range tiers {
		if tier >= delay {
			return tier
		}
	}
	if len(tiers) == 0 {
		return delay
	}
	return tiers[len(tiers)-1]
}

// settle carries out the consequence of a recorded attempt and gives the
// message's verdict. Whatever it publishes is confirmed before: the next
// attempt's message, or the outcome event. The dead letter follows by verdict.
func (d *Dispatcher) settle(ctx context.Context, o *order, decided decision) error {
	switch decided.status {
	case notification.Pending:
		return d.again(ctx, o, decided)
	case notification.Delivered, notification.Dead:
		if err := d.announce(ctx, o, decided); err != nil {
			return err
		}
		fault.At(fault.DispatcherSettled)
	}
	if decided.status != notification.Dead {
		return nil
	}
	// The dead letter tells the whole story, also of what a sweep or a replay began anew.
	o.delivery.Attempt = decided.attempt.Number
	if first := cmp.Or(o.failed, decided.attempt.At); o.delivery.FirstFailedAt.IsZero() || first.Before(o.delivery.FirstFailedAt) {
		o.delivery.FirstFailedAt = first
	}
	dead := &undeliverable{decided: decided}
	if decided.reason == reasonExhausted {
		return broker.Exhausted(dead)
	}
	return broker.Permanent(dead)
}

// again publishes the message of the next attempt. A repeated one says so,
// since the first may be under way: whoever gets it asks the record first.
func (d *Dispatcher) again(ctx context.Context, o *order, decided decision) error {
	next := o.msg
	next.Attempt = decided.attempt.Number + 1
	next.Republished = decided.repeated
	next.Receipts = append(slices.Clone(next.Receipts), decided.attempt.Receipts...)
	body, err := bson.Marshal(next)
	if err != nil {
		return broker.Permanent(fmt.Errorf("encode attempt %d of notification %s: %w", next.Attempt, next.Notification.ID, err))
	}
	m, _ := o.delivery.Again(decided.delay, &undeliverable{decided: decided})
	m.Body = body
	err = d.publish(ctx, m)
	var unroutable *broker.UnroutableError
	if errors.As(err, &unroutable) {
		// The tier is gone. The broker package knows how to make it again, so the
		// same message goes by verdict.
		o.delivery.Body = body
		return broker.RetryAfter(err, decided.delay)
	}
	if err != nil {
		return verdictOf(ctx, err)
	}
	fault.At(fault.DispatcherSettled)
	return nil
}

// announce publishes the outcome event.
func (d *Dispatcher) announce(ctx context.Context, o *order, decided decision) error {
	m, err := d.outcomeEvent(o, decided)
	if err != nil {
		return broker.Permanent(err)
	}
	err = d.publish(ctx, m)
	var unroutable *broker.UnroutableError
	if errors.As(err, &unroutable) {
		// The ingesters' queue is gone, as when somebody deleted it; they declare it
		// again, and the notification is not to blame. The message comes back as one
		// that was handled before, so that this consequence is repeated.
		o.delivery.Redelivered = true
		return broker.Uncounted(err, d.o.BreakerWait)
	}
	if err != nil {
		return verdictOf(ctx, err)
	}
	d.metrics.outcomes.WithLabelValues(string(decided.status)).Inc()
	return nil
}

// publish waits for the confirm; the publisher itself sees lost sessions
// through, until ctx ends.
func (d *Dispatcher) publish(ctx context.Context, m broker.Message) error {
	return d.publisher.Publish(ctx, m)
}

// undeliverable is why a notification is dead, or has to wait for its next attempt.
type undeliverable struct{ decided decision }

func (e *undeliverable) Error() string {
	a := e.decided.attempt
	text := a.Error
	if text == "" {
		text = string(a.Outcome)
	}
	return fmt.Sprintf("attempt %d: %s", a.Number, text)
}

// Class names the error for dead letters.
func (e *undeliverable) Class() string { return e.decided.attempt.ErrorClass }
