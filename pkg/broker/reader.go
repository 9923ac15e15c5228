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
// see different messages; of a long queue it reads some ahead. Looking loses
// nothing: what is not acked goes back, with Release, with the end of the
// session, or with the end of the process. It keeps its order as long as it is
// few: under load a channel hands a quorum queue some thirty returns at once, and
// those come back in any order.
type Reader struct {
	c *Connection
	q WorkQueue

	mu  sync.Mutex // one operation at a time
	sub *subscription
	own context.CancelFunc
	got uint64 // the last delivery's tag

	acked bool      // something is
	ended sync.Once // a context that it was called with
	until time.Time // so long it waits since

	ahead   []amqp.Delivery // read and not handed out yet
	ready   int             // so many are left in the queue, as far as is known
	size    int             // of the last bodies, their mean
	fetches int
	given   int // the prefetch of the channel, 0: none yet
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
	if len(r.ahead) == 0 {
		if err := r.more(ctx); err != nil {
			return nil, false, err
		}
	}
	if len(r.ahead) == 0 {
		return nil, false, nil
	}
	if r.sub.gone() { // what was read ahead is in the queue again
		return nil, false, r.failed(errChannelClosed)
	}
	in := r.ahead[0]
	r.ahead = r.ahead[1:]
	d := deadLetter(r.q, r.c.marker, &in)
	d.sub, d.tag = r.sub, in.DeliveryTag
	return d, true, nil
}

const (
	// fetchFrom: with so many in the queue it is worth a consumer, which gives
	// out many times as many a second as asking for each. With fewer, other
	// readers get their share.
	fetchFrom = 50
	// maxFetch and maxFetchBytes bound what is read ahead; the size of the last
	// messages stands for that of the next ones.
	maxFetch      = 200
	maxFetchBytes = 8 << 20
	// maxWalk and maxWalkBytes do for Walk. Each fetch is of twice as many as the one
	// before, so that large messages are noticed in time; when the last ones turn out
	// large, what was asked for is under way: of 800 legal events at most 200 MiB.
	maxWalk      = 800
	maxWalkBytes = 32 << 20
	// fetchIdle: when no more come for so long, somebody else took them.
	fetchIdle = 200 * time.Millisecond
)

// Walk hands all that lies in the queue to do, as it comes, and keeps it until
// Release: for who goes through the whole queue at once, where others would see
// little of it anyway. It ends when do has enough.
func (r *Reader) Walk(ctx context.Context, do func(d *DeadLetter) (more bool)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sub == nil {
		if err := r.open(ctx); err != nil {
			return err
		}
	}
	more := true
	take := func(in amqp.Delivery) {
		if more {
			more = do(deadLetter(r.q, r.c.marker, &in))
		}
	}
	for most := maxFetch; more; {
		if r.ready >= fetchFrom {
			if _, err := r.fetch(ctx, r.fitting(most, maxWalkBytes), maxWalkBytes, take); err != nil {
				return err
			}
			most = min(2*most, maxWalk)
			continue
		}
		if err := r.one(ctx); err != nil || len(r.ahead) == 0 {
			return err
		}
		take(r.ahead[0])
		r.ahead = nil
	}
	return nil
}

// more reads ahead: several by a consumer when there are many, else one.
func (r *Reader) more(ctx context.Context) error {
	over := func() error { return &outageError{op: "read " + r.q.Dead(), ended: context.Cause(ctx)} }
	if ctx.Err() != nil {
		return over()
	}
	if r.ready >= fetchFrom {
		got, err := r.fetch(ctx, r.fitting(maxFetch, maxFetchBytes), maxFetchBytes, func(in amqp.Delivery) { r.ahead = append(r.ahead, in) })
		if err != nil || got > 0 {
			return err
		}
		if ctx.Err() != nil { // not: there are no more
			return over()
		}
	}
	return r.one(ctx)
}

// fitting is how many to fetch.
func (r *Reader) fitting(most, bytes int) int {
	return max(1, min(r.ready, most, bytes/max(1, r.size)))
}

// one reads one ahead, if there is one.
func (r *Reader) one(ctx context.Context) error {
	got, err := r.answer(ctx, func() ([]amqp.Delivery, error) {
		in, ok, err := r.sub.ch.Get(r.q.Dead(), false)
		if err != nil || !ok {
			return nil, err
		}
		return []amqp.Delivery{in}, nil
	})
	for _, in := range got {
		r.ahead = append(r.ahead, in)
		r.got, r.size, r.ready = in.DeliveryTag, len(in.Body), int(in.MessageCount)
	}
	return err
}

// answer is ask, with some more time when ctx ends where something is acked: with
// the channel the broker would forget acks that it keeps back, see acksDone.
// Release follows.
func (r *Reader) answer(ctx context.Context, op func() ([]amqp.Delivery, error)) ([]amqp.Delivery, error) {
	if !r.acked {
		return r.ask(ctx, op)
	}
	patient, impatient := r.patience(ctx)
	defer impatient()
	return r.ask(patient, op)
}

// ask runs what talks to the broker and heeds no context. When ctx ends first
// the answer may still come, and its messages would be nobody's: with the
// channel they go back.
func (r *Reader) ask(ctx context.Context, op func() ([]amqp.Delivery, error)) ([]amqp.Delivery, error) {
	result := make(chan []amqp.Delivery, 1)
	err := await(ctx, func() error {
		got, err := op()
		result <- got
		return err
	})
	switch {
	case err != nil && ctx.Err() != nil && !r.sub.gone():
		return nil, r.interrupted(ctx)
	case err != nil:
		return nil, r.failed(err)
	}
	return <-result, nil
}

// ackPatience is how long a broker that is slow, not away, may take for all its
// answers after the end.
const ackPatience = 5 * time.Second

// patience is a context that ends ackPatience after the reader saw one end.
func (r *Reader) patience(ctx context.Context) (context.Context, context.CancelFunc) {
	patient, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		r.ended.Do(func() { r.until = time.Now().Add(ackPatience) })
		select {
		case <-time.After(time.Until(r.until)):
			cancel(context.Cause(ctx))
		case <-patient.Done():
		}
	})
	return patient, func() { stop(); cancel(nil) }
}

// interrupted is that ctx has ended before the broker's answer came.
func (r *Reader) interrupted(ctx context.Context) error {
	_ = r.close()
	return &outageError{op: "read " + r.q.Dead(), cause: errors.New("no answer yet"), ended: context.Cause(ctx)}
}

// fetch has a consumer give out up to n messages, or a few more, to take; fewer
// when they have more bytes than most, by what is not on its way yet. Its tag
// must be new: what a consumer of the same tag still holds would count against n.
func (r *Reader) fetch(ctx context.Context, n, most int, take func(amqp.Delivery)) (got int, err error) {
	r.fetches++
	tag := fmt.Sprintf("ea-%d", r.fetches)
	given := make(chan (<-chan amqp.Delivery), 1)
	_, err = r.answer(ctx, func() ([]amqp.Delivery, error) {
		if r.given != n {
			if err := r.sub.ch.Qos(n, 0, false); err != nil {
				return nil, err
			}
			r.given = n
		}
		deliveries, err := r.sub.ch.Consume(r.q.Dead(), tag, false, false, false, false, nil)
		given <- deliveries
		return nil, err
	})
	if err != nil {
		return 0, err
	}
	deliveries, bytes := <-given, 0
	note := func(in amqp.Delivery) {
		r.got = in.DeliveryTag
		got, bytes = got+1, bytes+len(in.Body)
		take(in)
	}
	idle := time.NewTimer(fetchIdle)
	defer idle.Stop()
	for waiting := true; waiting && got < n && bytes <= most; {
		select {
		case in, ok := <-deliveries:
			if !ok {
				return got, r.failed(errChannelClosed)
			}
			note(in)
			idle.Reset(fetchIdle)
		case <-idle.C:
			waiting = false
		case <-ctx.Done():
			if !r.acked {
				return got, r.interrupted(ctx)
			}
			waiting = false
		}
	}
	if _, err := r.answer(ctx, func() ([]amqp.Delivery, error) { return nil, r.sub.ch.Cancel(tag, false) }); err != nil {
		return got, err
	}
	for in := range deliveries { // arrived meanwhile; closed by the cancel
		note(in)
	}
	if r.ready -= got; got < n && bytes <= most {
		r.ready = 0
	}
	if got > 0 {
		r.size = bytes / got
	}
	return got, nil
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
	r.acked = true
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
	if r.acked {
		got, err := r.ask(ctx, func() ([]amqp.Delivery, error) { return r.sub.acksDone(r.q.Dead()) })
		if err != nil {
			return err
		}
		for _, in := range got {
			r.got = in.DeliveryTag
		}
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
	r.ahead = nil
	return r.sub.close()
}

// failed makes a closed channel an outage unless the broker has answered.
func (r *Reader) failed(err error) error {
	if e, ok := serverError(err); ok && e.Code != amqp.ConnectionForced {
		return fmt.Errorf("read %s: %w", r.q.Dead(), plain(err))
	}
	return &outageError{op: "read " + r.q.Dead(), cause: plain(err)}
}
