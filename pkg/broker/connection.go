package broker

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/prometheus/client_golang/prometheus"
	amqp "github.com/rabbitmq/amqp091-go"
	"go.uber.org/zap"

	"github.com/events-aggregator/events-aggregator/pkg/telemetry"
)

// Connection is one AMQP connection that is replaced for ever when it is lost.
// The client's own recovery stays off: after it a late ack acknowledges another
// message. Here a delivery keeps the channel it came on, and a late ack finds
// that channel dead.
type Connection struct {
	name, url string
	marker    string // names the header that replaces unreadable ones
	log       *zap.Logger
	metrics   *metrics

	mu       sync.Mutex
	current  *session
	changed  chan struct{} // closed and replaced when current changes
	stopped  chan struct{} // closed when Run has ended
	lastErr  error         // why there is no session
	running  bool
	users    []sessionUser
	busy     sync.WaitGroup // users serving the current session
	declared *Topology      // the last one that was declared; made again when the broker lost it

	redeclaring sync.Mutex
}

// sessionUser does something with each session, one after the other, and
// returns when that session is done.
type sessionUser interface{ serve(s *session) }

// Waiting for the next attempt: short, since everything waits for it, and with
// jitter, since everything waits at once.
const (
	reconnectFirst = 25 * time.Millisecond
	reconnectMax   = 750 * time.Millisecond
	// longLived sessions begin the waiting anew.
	longLived = 200 * time.Millisecond
	// poisonedInARow bounds how often a session that met an unreadable frame is
	// replaced without a pause: a few more than a work queue's delivery limit,
	// which removes the message.
	poisonedInARow = 1200
	// sayAgain repeats an unchanged reason, so that the end of a long log still
	// tells why nothing works.
	sayAgain = time.Minute
)

// NewConnection describes a connection; nothing is dialled before Run. name is
// seen in RabbitMQ's list of connections and in the metrics.
func NewConnection(name, url string, log *zap.Logger, reg prometheus.Registerer) *Connection {
	if log == nil {
		log = zap.NewNop()
	}
	var nonce [6]byte
	_, _ = rand.Read(nonce[:])
	return &Connection{
		name: name, url: url,
		marker:  headerPrefix + "unreadable-" + hex.EncodeToString(nonce[:]),
		log:     log.With(zap.String("connection", name)),
		metrics: newMetrics(reg),
		changed: make(chan struct{}),
		stopped: make(chan struct{}),
		lastErr: errors.New("not started"),
	}
}

// Run opens sessions, one after the other, until ctx ends, and then closes the
// last one. It returns nil: being without a broker is no reason to give up.
func (c *Connection) Run(ctx context.Context) error {
	c.mu.Lock()
	if c.running {
		c.mu.Unlock()
		return fmt.Errorf("connection %s runs already", c.name)
	}
	c.running = true
	c.mu.Unlock()
	defer close(c.stopped)

	wait := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(reconnectFirst),
		backoff.WithMaxInterval(reconnectMax),
		backoff.WithRandomizationFactor(0.3),
		backoff.WithMaxElapsedTime(0),
	)
	said, saidAt := "", time.Time{}
	poisoned := 0
	for ctx.Err() == nil {
		s, err := openSession(ctx, c.url, c.name, c.marker)
		if err != nil {
			if ctx.Err() != nil {
				break
			}
			c.set(nil, err)
			// Once for each reason, not for each attempt.
			if reason := telemetry.Reason(err); reason != said || time.Since(saidAt) > sayAgain {
				said, saidAt = reason, time.Now()
				c.log.Warn("no RabbitMQ session", zap.String("reason", reason), zap.Error(err))
			}
			pause(ctx, wait.NextBackOff())
			continue
		}
		said = ""
		c.metrics.sessions.WithLabelValues(c.name).Inc()
		c.metrics.connected.WithLabelValues(c.name).Set(1)
		c.log.Info("RabbitMQ session opened")
		c.set(s, nil)
		select {
		case <-ctx.Done():
		case <-s.done:
		}
		unreadable := c.drop(ctx, s)
		if unreadable {
			poisoned++
		} else {
			poisoned = 0
		}
		if time.Since(s.opened) > longLived {
			wait.Reset()
		}
		if !unreadable || poisoned > poisonedInARow {
			pause(ctx, wait.NextBackOff())
		}
	}
	c.set(nil, errors.New("stopped"))
	return nil
}

// drop ends s and waits until nobody uses it; true when it died of a frame that
// the client could not read.
func (c *Connection) drop(ctx context.Context, s *session) (unreadable bool) {
	if ctx.Err() == nil {
		poisoned, _, cause := s.state()
		unreadable = poisoned
		c.set(nil, fmt.Errorf("session lost: %w", cause))
		c.log.Warn("RabbitMQ session lost", zap.Error(cause), zap.Bool("unreadable_frame", poisoned))
	} else {
		c.set(nil, errors.New("stopped"))
	}
	s.close()
	c.metrics.connected.WithLabelValues(c.name).Set(0)
	c.busy.Wait()
	return unreadable
}

// Check says why the connection cannot be used now, nil when it can.
func (c *Connection) Check(_ context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current == nil {
		return &outageError{op: "rabbitmq (" + c.name + ")", cause: c.lastErr}
	}
	if _, blocked, _ := c.current.state(); blocked != "" {
		return &outageError{op: "rabbitmq (" + c.name + ")", cause: fmt.Errorf("the broker takes no publishes: %s", blocked)}
	}
	return nil
}

// Depth asks the broker for a queue's ready messages and its consumers. The
// broker's count may be a moment old.
func (c *Connection) Depth(ctx context.Context, queue string) (messages, consumers int, err error) {
	s, err := c.session(ctx)
	if err != nil {
		return 0, 0, err
	}
	// Not into the results: when ctx ends first, the answer still comes.
	answer := make(chan amqp.Queue, 1)
	err = s.withChannel(ctx, func(ch *amqp.Channel) error {
		q, err := ch.QueueDeclarePassive(queue, true, false, false, false, nil)
		answer <- q
		return err
	})
	if err != nil {
		return 0, 0, c.failed("depth of "+queue, s, err)
	}
	q := <-answer
	return q.Messages, q.Consumers, nil
}

// session waits for an open session.
func (c *Connection) session(ctx context.Context) (*session, error) {
	for {
		c.mu.Lock()
		s, changed, lastErr := c.current, c.changed, c.lastErr
		c.mu.Unlock()
		if s != nil && !s.ended() {
			return s, nil
		}
		// A session that ended and is not dropped yet changes soon.
		select {
		case <-changed:
		case <-c.stopped:
			return nil, &outageError{op: "wait for RabbitMQ (" + c.name + ")", cause: errors.New("stopped")}
		case <-ctx.Done():
			return nil, &outageError{op: "wait for RabbitMQ (" + c.name + ")", cause: lastErr, ended: context.Cause(ctx)}
		}
	}
}

// failed makes err, from an operation on s, an outage unless the broker has
// answered it.
func (c *Connection) failed(op string, s *session, err error) error {
	if e, ok := serverError(err); ok && e.Code != amqp.ConnectionForced && !s.ended() {
		return fmt.Errorf("%s: %w", op, plain(err))
	}
	return &outageError{op: op, cause: plain(err)}
}

func (c *Connection) set(s *session, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.current, c.lastErr = s, err
	close(c.changed)
	c.changed = make(chan struct{})
	if s != nil {
		for _, u := range c.users {
			c.start(u, s)
		}
	}
}

// attach has u serve the current and every later session.
func (c *Connection) attach(u sessionUser) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.users = append(c.users, u)
	if c.current != nil {
		c.start(u, c.current)
	}
}

// start runs with mu held, so that no user starts after drop began to wait.
func (c *Connection) start(u sessionUser, s *session) {
	c.busy.Add(1)
	go func() {
		defer c.busy.Done()
		u.serve(s)
	}()
}

// pause waits for d or the end of ctx.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
