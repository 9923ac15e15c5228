package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"
)

// workers are the goroutines that a process consists of.
type workers struct {
	fail func(error) // a worker ended unasked

	mu      sync.Mutex
	waiting []worker
	running []string
	errs    []error
	started bool
	ctx     context.Context //nolint:containedctx // the workers' common lifetime, for those that are added later
	group   sync.WaitGroup
}

type worker struct {
	name string
	run  func(context.Context) error
}

// add registers a worker; one that is added while the others run starts at once.
func (w *workers) add(name string, run func(context.Context) error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.started {
		w.waiting = append(w.waiting, worker{name, run})
		return
	}
	w.launch(worker{name, run})
}

// start launches all workers; ctx is cancelled at the stop.
func (w *workers) start(ctx context.Context) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ctx, w.started = ctx, true
	for _, one := range w.waiting {
		w.launch(one)
	}
	w.waiting = nil
}

func (w *workers) launch(one worker) {
	w.running = append(w.running, one.name)
	w.group.Add(1)
	ctx := w.ctx
	go func() {
		defer w.group.Done()
		err := guarded(ctx, one.run)
		asked := ctx.Err() != nil
		w.mu.Lock()
		w.running = slices.DeleteFunc(w.running, func(n string) bool { return n == one.name })
		if asked && err != nil && !errors.Is(err, context.Canceled) {
			w.errs = append(w.errs, fmt.Errorf("worker %s: %w", one.name, err))
		}
		w.mu.Unlock()
		if !asked {
			w.fail(fmt.Errorf("worker %s: %w", one.name, cmp.Or(err, errUnasked)))
		}
	}()
}

// guarded turns a panic into an error: a crash of the runtime would exit with
// the code of a bad configuration and skip the drain of all other workers.
func guarded(ctx context.Context, run func(context.Context) error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		}
	}()
	return run(ctx)
}

// wait returns when all workers have returned, with what went wrong in their
// stop, or when the bound has passed, naming those that still run.
func (w *workers) wait(bound time.Duration) error {
	idle := make(chan struct{})
	go func() { w.group.Wait(); close(idle) }()
	timer := time.NewTimer(bound)
	defer timer.Stop()
	select {
	case <-idle:
	case <-timer.C:
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	errs := slices.Clone(w.errs)
	for _, name := range w.running {
		errs = append(errs, fmt.Errorf("worker %s: still running %s after the stop", name, bound))
	}
	return errors.Join(errs...)
}

// names lists the workers that run.
func (w *workers) names() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.running)
}
