package broker

import (
	"context"

	"github.com/cenkalti/backoff/v4"
	"go.uber.org/zap"
)

// Broadcasts returns a worker that hears every message with key (a topic
// pattern) on exchange, at most once each, through an exclusive queue of its
// own that goes with the session: hints, not work. What is sent while there is
// no session is missed, so look for yourself now and then.
func Broadcasts(c *Connection, exchange, key string, h func(Message)) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		wait := backoff.NewExponentialBackOff(
			backoff.WithInitialInterval(reconnectFirst), backoff.WithMaxInterval(reconnectMax), backoff.WithMaxElapsedTime(0))
		for ctx.Err() == nil {
			s, err := c.session(ctx)
			if err != nil {
				return nil //nolint:nilerr // ctx or the connection has ended: nothing else ends the wait
			}
			if err := hearUntilLost(ctx, s, Heard{exchange, key}, h); ctx.Err() == nil && !s.ended() {
				c.log.Warn("broadcasts were interrupted", zap.String("exchange", exchange), zap.Error(err))
			}
			pause(ctx, wait.NextBackOff())
		}
		return nil
	}
}

// hearUntilLost hears in one session until it is lost or ctx ends.
func hearUntilLost(ctx context.Context, s *session, what Heard, h func(Message)) error {
	lost, stop, err := s.listen(ctx, []Heard{what}, func(m Message) {
		m.Headers = producerHeaders(m.Headers)
		h(m)
	})
	if err != nil {
		return err
	}
	select {
	case <-lost:
		return errChannelClosed
	case <-ctx.Done():
		stop()
		return nil
	}
}
