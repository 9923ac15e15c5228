package dispatcher

import (
	"context"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v4"
	"go.uber.org/zap"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
)

const (
	outageFirst = 50 * time.Millisecond
	outageMax   = 2 * time.Second
	// outageHold is how long an outage may hold a message: with a call and the
	// wait before it well under the 30 minutes after which the broker takes
	// deliveries back.
	outageHold = 14 * time.Minute
)

// patiently repeats op while its error is an outage of our own servers, until
// ctx ends or outageHold has passed; then the last error is returned. held is
// called when the first outage is met, and what it returns when it is over.
func patiently(ctx context.Context, held func(first error) (over func()), op func() error) error {
	var wait *backoff.ExponentialBackOff
	for {
		err := op()
		if err == nil || !broker.IsOutage(err) {
			return err
		}
		if wait == nil {
			wait = backoff.NewExponentialBackOff(backoff.WithInitialInterval(outageFirst),
				backoff.WithMaxInterval(outageMax), backoff.WithMaxElapsedTime(outageHold))
			defer held(err)()
		}
		next := wait.NextBackOff()
		if next == backoff.Stop {
			return fmt.Errorf("%w: %w", errOutage, err)
		}
		timer := time.NewTimer(next)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return err
		}
	}
}

// patiently is the same for one message: the error is its verdict, to go back
// as it came when the outage outlasts us, and to the dead letters when the
// servers refuse it for good.
func (d *Dispatcher) patiently(ctx context.Context, doing string, op func() error) error {
	err := patiently(ctx, func(first error) func() {
		if ctx.Err() == nil {
			d.log.Warn("message held until the outage is over", zap.String("doing", doing), zap.Error(first))
		}
		d.metrics.held.Inc()
		return d.metrics.held.Dec
	}, op)
	return verdictOf(ctx, err)
}

func verdictOf(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil, broker.IsOutage(err):
		return broker.Interrupted(err)
	default:
		return broker.Permanent(err)
	}
}
