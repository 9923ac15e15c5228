package broker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Reader goes through the dead letters of a work queue in their order, one by
// one, and keeps each until it is acked or released. Two readers of one queue
// see different messages. Looking loses nothing: what is not acked goes back,
// with Release, with the end of the session, or with the end of the process.
type Reader struct {
	c *Connection
	q WorkQueue

	mu  sync.Mutex // one operation at a time
	sub *subscription
	own context.CancelFunc
	got uint64 // the last delivery's tag
}

// NewReader reads q's dead letters on c.
func NewReader(c *Connection, q WorkQueue) *Reader { return &Reader{c: c, q: q} }

// Next returns the next dead letter; false when there are no more. It waits for
// a session at first; when that is lost, all that was read and not acked is in
// the queue again, and the error (an outage) says so: begin anew with another
// Reader.
func (r *Reader) Next(ctx context.Context) (*DeadLetter, bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sub == nil {
		if err := r.open(ctx); err != nil {
			return nil, false, err
		}
	}
	type got struct {
		d  amqp.Delivery
		ok bool
	}
	result := make(chan got, 1)
	err := await(ctx, func() error {
		d, ok, err := r.sub.ch.Get(r.q.Dead(), false)
		result <- got{d, ok}
		return err
	})
	switch {
	case err != nil && ctx.Err() != nil && !r.sub.gone():
		// The answer may still come, and its message would be nobody's: with the
		// channel it goes back.
		_ = r.close()
		return nil, false, &outageError{op: "read " + r.q.Dead(), cause: errors.New("no answer yet"), ended: context.Cause(ctx)}
	case err != nil:
		return nil, false, r.failed(err)
	}
	g := <-result
	if !g.ok {
		return nil, false, nil
	}
	d := deadLetter(r.q, r.c.marker, &g.d)
	d.sub, d.tag = r.sub, g.d.DeliveryTag
	r.got = d.tag
	return d, true, nil
}

// Ack removes one dead letter for good. The broker has it done when Release has
// returned. An error means that the dead letter is in the queue again.
func (r *Reader) Ack(d *DeadLetter) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if d.sub == nil || d.sub != r.sub {
		return fmt.Errorf("ack dead letter %s: it was not read by this reader", d.ID)
	}
	if err := d.sub.ack(d.tag); err != nil {
		return &outageError{op: "ack dead letter " + d.ID, cause: err}
	}
	return nil
}

// Release puts what was not acked back to its place and ends the reader; it may
// be called more than once. It returns when the broker has it all, so that who
// reads next meets it.
func (r *Reader) Release(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sub == nil || r.sub.gone() {
		return nil
	}
	returning := int(r.got) - r.sub.settled()
	before := 0
	if returning > 0 {
		before, _, _ = r.c.Depth(ctx, r.q.Dead())
	}
	err := await(ctx, func() error { return errors.Join(r.sub.requeueAll(r.got), r.close()) })
	if err != nil {
		return &outageError{op: "release " + r.q.Dead(), cause: err}
	}
	if returning > 0 {
		r.awaitDepth(ctx, before+returning)
	}
	return nil
}

const (
	// returnTimeout bounds the wait for what was given back. Somebody else may
	// have taken some of it, so that not to see it all is no error.
	returnTimeout = 2 * time.Second
	returnPoll    = 5 * time.Millisecond
)

// awaitDepth waits until n messages are ready: closing a channel is answered
// before the queue has what the channel gave back.
func (r *Reader) awaitDepth(ctx context.Context, n int) {
	bound, cancel := context.WithTimeout(ctx, returnTimeout)
	defer cancel()
	for bound.Err() == nil {
		if ready, _, err := r.c.Depth(bound, r.q.Dead()); err != nil || ready >= n {
			return
		}
		pause(bound, returnPoll)
	}
}

func (r *Reader) open(ctx context.Context) error {
	s, err := r.c.session(ctx)
	if err != nil {
		return err
	}
	var sub *subscription
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	err = await(ctx, func() (err error) { sub, err = openSubscription(own, s); return err })
	if err != nil {
		cancel()
		return r.c.failed("read "+r.q.Dead(), s, err)
	}
	r.sub, r.own = sub, cancel
	return nil
}

func (r *Reader) close() error {
	defer r.own()
	return r.sub.close()
}

// failed makes a closed channel an outage unless the broker has answered.
func (r *Reader) failed(err error) error {
	if e, ok := serverError(err); ok && e.Code != amqp.ConnectionForced {
		return fmt.Errorf("read %s: %w", r.q.Dead(), plain(err))
	}
	return &outageError{op: "read " + r.q.Dead(), cause: plain(err)}
}
