package broker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// ConsumerOptions of a Consumer; zero values are the defaults.
type ConsumerOptions struct {
	Prefetch     int           // unsettled deliveries per session, PrefetchDefault
	PrefetchSize int           // about the most bytes of their bodies, PrefetchSizeDefault
	DrainTimeout time.Duration // how long a stop waits for the loop, DrainTimeoutDefault
	Hold         time.Duration // how long after its receipt a loop holds what an outage keeps it from handling, HoldDefault
	Log          *zap.Logger
	Registerer   prometheus.Registerer
}

const (
	// PrefetchDefault is where a higher one no longer gives more.
	PrefetchDefault = 500
	// PrefetchSizeDefault lets a process with several consumers live in 256 MiB.
	PrefetchSizeDefault = 32 << 20
	// DrainTimeoutDefault is less than what supervisors give (30 s).
	DrainTimeoutDefault = 20 * time.Second
	// HoldDefault is well under the 30 minutes after which the broker takes a
	// delivery back and closes the channel.
	HoldDefault = 15 * time.Minute
	// drainGrace is for the loop's last steps after its context was cancelled.
	drainGrace = 2 * time.Second
	// maxBuffered deliveries wait between the session and the loop.
	maxBuffered = 64
)

// Loop takes deliveries until in closes (at a stop, after basic.cancel),
// finishes what it holds and returns. ctx is cancelled only when the drain's
// bound has passed. in lives longer than one session.
type Loop func(ctx context.Context, in <-chan *Delivery) error

// Consumer consumes one work queue, session after session.
type Consumer struct {
	conn    *Connection
	pub     *Publisher
	q       WorkQueue
	o       ConsumerOptions
	log     *zap.Logger
	metrics *metrics

	allowed allowance // of the goroutine that consumes

	stopping chan struct{} // closed when Run begins to stop
	settling sync.WaitGroup

	mu       sync.Mutex
	problem  error // why nothing is consumed, nil when it is
	cautious int   // so many deliveries go one at a time, see subscribe
}

// NewConsumer describes a consumer of q on conn, which publishes retries and
// dead letters through pub.
func NewConsumer(conn *Connection, pub *Publisher, q WorkQueue, o ConsumerOptions) *Consumer {
	if o.Prefetch <= 0 {
		o.Prefetch = PrefetchDefault
	}
	if o.PrefetchSize <= 0 {
		o.PrefetchSize = PrefetchSizeDefault
	}
	if o.DrainTimeout <= 0 {
		o.DrainTimeout = DrainTimeoutDefault
	}
	if o.Hold <= 0 {
		o.Hold = HoldDefault
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	m := conn.metrics
	if o.Registerer != nil {
		m = newMetrics(o.Registerer)
	}
	return &Consumer{
		conn: conn, pub: pub, q: q, o: o, metrics: m,
		log:      o.Log.With(zap.String("queue", q.Name)),
		allowed:  allowance{most: o.Prefetch, bytes: o.PrefetchSize},
		stopping: make(chan struct{}),
		problem:  errors.New("not started"),
	}
}

// Check says why nothing is consumed now, nil when it is.
func (c *Consumer) Check(_ context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.problem != nil {
		return &outageError{op: "consume " + c.q.Name, cause: c.problem}
	}
	return nil
}

// Run consumes until ctx ends, once. Then it drains: it takes no more, gives the
// loop DrainTimeout for what it holds, and returns the rest to the queue
// uncounted. A loop that returns by itself ends Run with an error.
func (c *Consumer) Run(ctx context.Context, loop Loop) error {
	if c.q.Name == "" {
		return errors.New("consume: the queue has no name (is it in the topology?)")
	}
	// What belongs to the deliveries outlives ctx by the drain.
	work, cancelWork := context.WithCancel(context.WithoutCancel(ctx))
	defer cancelWork()
	f := feed{in: make(chan *Delivery, min(c.o.Prefetch, maxBuffered)), looped: make(chan error, 1)}
	go func() { f.looped <- loop(work, f.in) }()

	sub := c.consume(ctx, work, &f)
	c.report(errors.New("stopped"))
	close(c.stopping)
	drain := time.AfterFunc(c.o.DrainTimeout, cancelWork)
	defer drain.Stop()
	f.empty()
	err := c.awaitLoop(work, &f)
	c.settling.Wait() // until published, or the drain's bound
	if sub != nil {
		bye, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		_ = await(bye, func() error { return sub.leave(c.q.Name) })
	}
	return err
}

// awaitLoop waits for the loop within the drain's bound and a little more.
func (c *Consumer) awaitLoop(work context.Context, f *feed) error {
	if f.ended {
		return fmt.Errorf("the loop of %s ended by itself: %w", c.q.Name, cmp.Or(f.err, errors.New("no error")))
	}
	select {
	case err := <-f.looped:
		return err
	case <-work.Done():
	}
	select {
	case err := <-f.looped:
		return err
	case <-time.After(drainGrace):
		return fmt.Errorf("the loop of %s did not end within %s of its stop", c.q.Name, c.o.DrainTimeout+drainGrace)
	}
}

// feed leads from the sessions to the loop.
type feed struct {
	in     chan *Delivery
	looped chan error
	ended  bool // the loop returned before the stop, with err
	err    error
}

// empty gives back what the loop has not taken yet, and closes in.
func (f *feed) empty() {
	for {
		select {
		case d := <-f.in:
			d.Done(Interrupted(errStopping))
		default:
			close(f.in)
			return
		}
	}
}

var errStopping = errors.New("stopping")
