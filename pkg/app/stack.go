package app

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"
)

// teardownTimeout bounds each teardown, so that a server that does not answer
// cannot keep a stopped process alive.
const teardownTimeout = 5 * time.Second

// stack undoes what was set up, last in, first out.
type stack struct {
	log   *zap.Logger
	mu    sync.Mutex
	named []teardown
}

type teardown struct {
	name string
	run  func(context.Context) error
}

func (s *stack) push(name string, run func(context.Context) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.named = append(s.named, teardown{name, run})
}

// unwind runs all teardowns, also after one that fails or hangs.
func (s *stack) unwind(ctx context.Context) error {
	s.mu.Lock()
	named := s.named
	s.named = nil
	s.mu.Unlock()
	var errs []error
	for i := len(named) - 1; i >= 0; i-- {
		if err := named[i].bounded(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stop %s: %w", named[i].name, err))
		}
		s.log.Debug("stopped", zap.String("part", named[i].name))
	}
	return errors.Join(errs...)
}

func (t teardown) bounded(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, teardownTimeout)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- t.run(ctx) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("gave up after %s", teardownTimeout)
	}
}
