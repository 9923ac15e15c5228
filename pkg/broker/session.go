package broker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// session is one AMQP connection from its opening to its end. It is never
// repaired: whoever finds it done asks the Connection for the next.
type session struct {
	conn   *amqp.Connection
	wire   *wire
	opened time.Time
	done   chan struct{}

	mu       sync.Mutex
	cause    error         // why it ended, set before done is closed
	poisoned bool          // it ended by a frame that the client could not read
	blocked  string        // the broker's reason for taking no publishes, or ""
	resumed  chan struct{} // closed when blocked ends; nil when not blocked
}

func openSession(ctx context.Context, url, name, marker string) (*session, error) {
	conn, w, err := dial(ctx, url, name, marker)
	if err != nil {
		return nil, err
	}
	s := &session{conn: conn, wire: w, opened: time.Now(), done: make(chan struct{})}
	// Buffered and always drained: the client waits for its listeners.
	closes := conn.NotifyClose(make(chan *amqp.Error, 1))
	blocks := conn.NotifyBlocked(make(chan amqp.Blocking, 8))
	go s.watch(closes, blocks)
	return s, nil
}

// watch ends when the client has closed both channels.
func (s *session) watch(closes <-chan *amqp.Error, blocks <-chan amqp.Blocking) {
	for closes != nil || blocks != nil {
		select {
		case err, ok := <-closes:
			if !ok {
				s.end(errors.New("closed"))
				closes = nil
				continue
			}
			s.end(err)
		case b, ok := <-blocks:
			if !ok {
				blocks = nil
				continue
			}
			s.block(b)
		}
	}
}

func (s *session) end(cause error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cause == nil {
		s.cause = plain(cause)
		s.poisoned = protocolError(cause, s.wire)
		close(s.done)
	}
}

func (s *session) block(b amqp.Blocking) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case b.Active && s.resumed == nil:
		s.blocked, s.resumed = b.Reason, make(chan struct{})
	case !b.Active && s.resumed != nil:
		close(s.resumed)
		s.blocked, s.resumed = "", nil
	}
}

// gate is closed when the broker takes publishes again; nil when it does now.
func (s *session) gate() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.resumed
}

func (s *session) state() (poisoned bool, blocked string, cause error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.poisoned, s.blocked, s.cause
}

func (s *session) ended() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

// close says goodbye, bounded, and makes sure that the socket is gone.
func (s *session) close() {
	_ = s.conn.CloseDeadline(time.Now().Add(closeTimeout))
	_ = s.wire.Close()
	<-s.done
}

// await runs fn, which talks to the broker and heeds no context, and returns
// when ctx ends all the same; fn itself ends with its session at the latest.
func await(ctx context.Context, fn func() error) error {
	result := make(chan error, 1)
	go func() { result <- fn() }()
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// withChannel runs fn with a channel of its own.
func (s *session) withChannel(ctx context.Context, fn func(*amqp.Channel) error) error {
	return await(ctx, func() error {
		ch, err := s.conn.Channel()
		if err != nil {
			return fmt.Errorf("open channel: %w", err)
		}
		defer func() { _ = ch.Close() }()
		return fn(ch)
	})
}
