package ingester

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v4"
	"go.uber.org/zap"
)

// patiently repeats op while our own database or broker is away: the batch is
// held as it is, no attempt of its messages is counted, and the prefetch makes
// the broker keep the rest. It returns what op says about the events
// (ErrDuplicate, *Refused), or an error when the process stops first or the
// outage lasts longer than a batch may be held: then its messages go back.
func (r *run) patiently(ctx context.Context, doing string, op func() error) error {
	var wait *backoff.ExponentialBackOff
	for {
		err := op()
		var no *Refused
		if err == nil || errors.Is(err, ErrDuplicate) || errors.As(err, &no) {
			if wait != nil {
				r.metrics.holding.Dec()
				r.log.Info("outage over", zap.String("doing", doing), zap.Duration("held", wait.GetElapsedTime()))
			}
			return err
		}
		if wait == nil {
			wait = newWait(r.patience())
			r.metrics.holding.Inc()
			if ctx.Err() == nil {
				r.log.Warn("batch held until the outage is over", zap.String("doing", doing), zap.Error(err))
			}
		}
		next := wait.NextBackOff()
		if next == backoff.Stop || !r.pause(ctx, next) {
			r.metrics.holding.Dec()
			return fmt.Errorf("%w: %w", errNotNow, err)
		}
	}
}

// holdLimit is how long a batch is held: well under the 30 minutes after which
// the broker closes a channel that does not ack.
const holdLimit = 15 * time.Minute

// patience is what is left of holdLimit for the oldest message in hand, since
// batches wait for one another: what came behind a batch that was held has been
// here as long.
func (r *run) patience() time.Duration {
	return max(time.Second, holdLimit-r.hand.age(time.Now()))
}

// newWait's longest pause keeps the promise to work within seconds of the end
// of an outage.
func newWait(patience time.Duration) *backoff.ExponentialBackOff {
	return backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(50*time.Millisecond),
		backoff.WithMaxInterval(time.Second),
		backoff.WithMaxElapsedTime(patience))
}

// pause waits; false: the process stops.
func (r *run) pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.stopping:
		return false
	case <-ctx.Done():
		return false
	}
}
