package ruleworker

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v4"
	"go.uber.org/zap"
)

// follower keeps what is loaded from the database current: it loads again when
// told that something changed, and every poll as the safety net for a word that
// was lost.
type follower struct {
	what string // "silences"
	load func(ctx context.Context) error
	log  *zap.Logger
	hint chan struct{}
}

func newFollower(what string, log *zap.Logger, load func(ctx context.Context) error) follower {
	return follower{what: what, load: load, log: log, hint: make(chan struct{}, 1)}
}

// Changed asks for a load soon; it never blocks.
func (f *follower) Changed() {
	select {
	case f.hint <- struct{}{}:
	default: // one is asked for already
	}
}

// LoadFirst loads until it succeeds: without what it follows a worker must not
// take a single batch.
func (f *follower) LoadFirst(ctx context.Context) error {
	wait := backoff.NewExponentialBackOff(backoff.WithInitialInterval(100*time.Millisecond),
		backoff.WithMaxInterval(time.Second), backoff.WithMaxElapsedTime(0))
	return backoff.RetryNotify(func() error { return f.load(ctx) }, backoff.WithContext(wait, ctx), func(err error, _ time.Duration) {
		f.log.Warn("not loaded yet", zap.String("what", f.what), zap.Error(err))
	})
}

// follow keeps current until ctx ends, and calls each (may be nil) at the
// beginning and after every look. An error keeps what is there.
func (f *follower) follow(ctx context.Context, poll time.Duration, each func()) error {
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	for {
		if each != nil {
			each()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-f.hint:
		case <-ticker.C:
		}
		if err := f.load(ctx); err != nil && ctx.Err() == nil {
			f.log.Warn("not loaded again, the old stays", zap.String("what", f.what), zap.Error(err))
		}
	}
}
