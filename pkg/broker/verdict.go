package broker

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Permanent makes err a verdict: the message goes to the dead letters at once.
func Permanent(err error) error { return &verdictError{kind: permanent, err: err} }

// Exhausted makes err a verdict: the message goes to the dead letters because
// its handler, which counts attempts itself, has no more for it.
func Exhausted(err error) error { return &verdictError{kind: exhausted, err: err} }

// RetryAfter makes err a verdict: the message comes back after d, rounded up to
// the queue's next tier (its longest when d is longer), and costs an attempt.
// With d ≤ 0 the queue's schedule decides.
func RetryAfter(err error, d time.Duration) error {
	return &verdictError{kind: retryAfter, err: err, delay: d}
}

// Uncounted makes err a verdict: the message comes back after d, rounded up to
// the next tier, and costs no attempt; 24 h after its first failure it is dead
// with the reason "expired".
func Uncounted(err error, d time.Duration) error {
	return &verdictError{kind: uncounted, err: err, delay: d}
}

// Interrupted makes err a verdict: the message goes back to its queue as it
// came, for another consumer or the next start.
func Interrupted(err error) error { return &verdictError{kind: interrupted, err: err} }

// IsPermanent says whether err is the verdict Permanent.
func IsPermanent(err error) bool {
	var v *verdictError
	return errors.As(err, &v) && v.kind == permanent
}

// Classed errors name their class for x-ea-error-class, from a closed set.
type Classed interface{ Class() string }

// IsOutage says whether any error in the chain is an outage of our own MongoDB
// or RabbitMQ (method Outage() bool). An outage costs no attempt.
func IsOutage(err error) bool {
	if err == nil {
		return false
	}
	if o, ok := err.(interface{ Outage() bool }); ok && o.Outage() {
		return true
	}
	switch u := err.(type) { //nolint:errorlint // this walks the chain itself: every link is asked, not the first of a kind
	case interface{ Unwrap() error }:
		return IsOutage(u.Unwrap())
	case interface{ Unwrap() []error }:
		for _, err := range u.Unwrap() {
			if IsOutage(err) {
				return true
			}
		}
	}
	return false
}

// Reasons of dead letters. Those that the broker makes itself keep its words
// with dashes: delivery-limit, rejected, expired, maxlen.
const (
	ReasonPermanent = "permanent"
	ReasonExhausted = "exhausted"
	ReasonExpired   = "expired"
)

const (
	// uncountedFor bounds how long a message may come back without an attempt: the
	// next one, since a schedule may be longer than that.
	uncountedFor = 24 * time.Hour
	// outageDelay is the tier for an outage that a loop did not hold.
	outageDelay = time.Second
)

type kind int

const (
	retry kind = iota // any other error
	permanent
	exhausted
	retryAfter
	uncounted
	interrupted
)

type verdictError struct {
	kind  kind
	err   error
	delay time.Duration
}

func (e *verdictError) Error() string {
	if e.err == nil {
		return [...]string{"retry", "permanent", "exhausted", "retry later", "retry later, uncounted", "interrupted"}[e.kind]
	}
	return e.err.Error()
}

func (e *verdictError) Unwrap() error { return e.err }

// consequence is what a verdict does to a message.
type consequence struct {
	verdict string        // for the metric
	tier    time.Duration // retry, uncounted
	attempt int           // that the next delivery is
	reason  string        // dead
}

// decide turns a handler's error into the message's consequence. attempt is the
// one that just ended, 1 the first; heldSince is zero unless it was put off.
func (q WorkQueue) decide(err error, attempt int, heldSince, now time.Time) consequence {
	if err == nil {
		return consequence{verdict: verdictAck}
	}
	var v *verdictError
	if !errors.As(err, &v) {
		v = &verdictError{kind: retry}
		if IsOutage(err) {
			v = &verdictError{kind: uncounted, delay: outageDelay}
		}
	}
	switch v.kind {
	case interrupted:
		return consequence{verdict: verdictRequeue}
	case permanent:
		return consequence{verdict: verdictDead, reason: ReasonPermanent}
	case exhausted:
		return consequence{verdict: verdictDead, reason: ReasonExhausted}
	case uncounted:
		if !heldSince.IsZero() && now.Sub(heldSince) >= uncountedFor {
			return consequence{verdict: verdictDead, reason: ReasonExpired}
		}
		if tier, ok := q.tierFor(v.delay); ok {
			return consequence{verdict: verdictUncounted, tier: tier, attempt: attempt}
		}
		return consequence{verdict: verdictRequeue} // a queue without tiers
	}
	if attempt > len(q.Schedule) {
		return consequence{verdict: verdictDead, reason: ReasonExhausted}
	}
	delay := q.Schedule[attempt-1]
	if v.kind == retryAfter && v.delay > 0 {
		delay = v.delay
	}
	tier, ok := q.tierFor(delay)
	if !ok {
		return consequence{verdict: verdictDead, reason: ReasonExhausted}
	}
	return consequence{verdict: verdictRetry, tier: tier, attempt: attempt + 1}
}

// tierFor rounds a delay up to a tier, or takes the longest.
func (q WorkQueue) tierFor(delay time.Duration) (time.Duration, bool) {
	for _, tier := range q.Tiers {
		if tier >= delay {
			return tier, true
		}
	}
	if len(q.Tiers) == 0 {
		return 0, false
	}
	return q.Tiers[len(q.Tiers)-1], true
}

// errorClass names err for a dead letter.
func errorClass(err error) string {
	var c Classed
	if errors.As(err, &c) {
		return cut(c.Class(), maxShortString)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return "timeout"
	}
	return "error"
}

// PanicError is a handler that panicked; it counts as any other error.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// Class names the error for dead letters.
func (*PanicError) Class() string { return "panic" }
