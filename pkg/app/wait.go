package app

import (
	"context"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v4"
	"go.uber.org/zap"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/telemetry"
)

const (
	// firstWait and longestWait: a server that comes up is used within seconds.
	firstWait   = 100 * time.Millisecond
	longestWait = time.Second
	// sayAgain repeats an unchanged reason, so that the end of a long log still
	// tells why the process does not work.
	sayAgain = time.Minute
)

// prepare tries until it succeeds or ctx ends. Only an outage is waited for:
// any other error would come back every time. Each reason is one line, not one
// per attempt.
func prepare(ctx context.Context, log *zap.Logger, server, address string, try func(context.Context) error) error {
	wait := backoff.NewExponentialBackOff(backoff.WithInitialInterval(firstWait),
		backoff.WithMaxInterval(longestWait), backoff.WithMaxElapsedTime(0))
	var said string
	var saidAt time.Time
	err := backoff.Retry(func() error {
		err := try(ctx)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return backoff.Permanent(context.Cause(ctx))
		case !broker.IsOutage(err):
			return backoff.Permanent(fmt.Errorf("prepare %s at %s: %w", server, address, err))
		}
		if reason := telemetry.Reason(err); reason != said || time.Since(saidAt) > sayAgain {
			log.Warn("waiting for a server", zap.String("server", server), zap.String("at", address), zap.String("reason", reason), zap.Error(err))
			said, saidAt = reason, time.Now()
		}
		return err
	}, backoff.WithContext(wait, ctx))
	if err != nil {
		return err
	}
	if said != "" {
		log.Info("server reached", zap.String("server", server), zap.String("at", address))
	}
	return nil
}
