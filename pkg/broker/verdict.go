package broker

import (
	"errors"
	"time"
)

// Permanent makes err a verdict: the message goes to the dead letters at once.
func Permanent(err error) error { return &verdictError{kind: permanent, err: err} }

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

// Classed errors name their class for x-ea-error-class, from a closed set.
type Classed interface{ Class() string }

// IsOutage says whether any error in the chain is an outage of our own MongoDB
// or RabbitMQ (method Outage() bool). An outage costs no attempt.
func IsOutage(err error) bool {
	var o interface{ Outage() bool }
	return errors.As(err, &o) && o.Outage()
}

type kind int

const (
	retry kind = iota // any other error
	permanent
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
		return [...]string{"retry", "permanent", "retry later", "retry later, uncounted", "interrupted"}[e.kind]
	}
	return e.err.Error()
}

func (e *verdictError) Unwrap() error { return e.err }
