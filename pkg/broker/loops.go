package broker

import (
	"context"
	"errors"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// Each handles every delivery alone, up to concurrency at a time; the handler's
// error is the verdict. During an outage it holds what it has and tries again,
// which costs no attempt; a panic is an error like any other.
func Each(concurrency int, h func(ctx context.Context, d *Delivery) error) Loop {
	return func(ctx context.Context, in <-chan *Delivery) error {
		var workers sync.WaitGroup
		for range max(1, concurrency) {
			workers.Go(func() {
				for d := range in {
					d.Done(hold(ctx, []*Delivery{d}, func([]*Delivery) error { return h(ctx, d) }))
				}
			})
		}
		workers.Wait()
		return nil
	}
}

// hold calls h until it has another result than an outage, nothing of the batch
// is left (its session was lost), the process stops, or the consumer's bound has
// passed; in the last two cases the batch goes back.
func hold(ctx context.Context, batch []*Delivery, h func([]*Delivery) error) error {
	c := batch[0].consumer
	var wait *backoff.ExponentialBackOff
	for {
		if batch = unsettled(batch); len(batch) == 0 {
			return nil
		}
		err := guarded(func() error { return h(batch) })
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil && (errors.Is(err, context.Canceled) || IsOutage(err)):
			return Interrupted(err) // the drain's bound has passed
		case !IsOutage(err), errors.As(err, new(*verdictError)):
			return err
		}
		if wait == nil {
			wait = backoff.NewExponentialBackOff(backoff.WithInitialInterval(holdFirst),
				backoff.WithMaxInterval(holdMax), backoff.WithMaxElapsedTime(0))
		}
		next := wait.NextBackOff()
		// Counted from the receipt: the broker's patience began then, too.
		if time.Since(batch[0].received)+next > c.o.Hold {
			return Interrupted(err)
		}
		t := time.NewTimer(next)
		select {
		case <-t.C:
		case <-batch[0].sub.ctx.Done():
			t.Stop()
		case <-c.stopping:
			t.Stop()
			return Interrupted(err)
		}
	}
}

// unsettled leaves out what has a verdict, and gives back what is stale: the
// broker gives that out again.
func unsettled(batch []*Delivery) []*Delivery {
	live := func(d *Delivery) bool { return !d.done.Load() && !d.Stale() }
	first := slices.IndexFunc(batch, func(d *Delivery) bool { return !live(d) })
	if first < 0 {
		return batch
	}
	left := slices.Clone(batch[:first])
	for _, d := range batch[first:] {
		if live(d) {
			left = append(left, d)
		} else {
			d.Done(Interrupted(errChannelClosed))
		}
	}
	return left
}

func isInterrupted(err error) bool {
	var v *verdictError
	return errors.As(err, &v) && v.kind == interrupted
}

// guarded makes a panic an error.
func guarded(h func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	return h()
}
