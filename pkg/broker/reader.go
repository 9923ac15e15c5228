package broker

import (
	"context"
	"time"
)

// DeadLetter is one message of a Q.dead. Its Message is the original.
type DeadLetter struct {
	Message
	ID            string // x-ea-dead-id, or derived and stable when the broker made it
	Queue         string // the owner: Q, with prefix
	Reason        string // permanent, exhausted, expired, delivery-limit, …
	ErrorClass    string
	Error         string
	Attempts      int
	FirstFailedAt time.Time
	DeadAt        time.Time
	ByBroker      bool // the broker dead-lettered it itself

	tag uint64
}

// Replay is the message that gives the dead letter to its owner again, through
// the retry exchange, as a first attempt.
func (d *DeadLetter) Replay(q WorkQueue) Message { return d.Message }

// Reader goes through the dead letters of a work queue in their order. What is
// not acked goes back to its place with Release.
type Reader struct{ q WorkQueue }

// NewReader reads q's dead letters on c.
func NewReader(_ *Connection, q WorkQueue) *Reader { return &Reader{q: q} }

// Next returns the next dead letter; false when there are no more.
func (r *Reader) Next(_ context.Context) (*DeadLetter, bool, error) { return nil, false, nil }

// Ack removes one dead letter for good.
func (r *Reader) Ack(_ *DeadLetter) error { return nil }

// Release puts all others back and ends the reader.
func (r *Reader) Release(_ context.Context) error { return nil }
