package broker

import (
	"context"
	"sync"
	"time"
)

// BatchOptions bound a batch; zero values are the defaults.
type BatchOptions struct {
	MaxCount    int           // 500
	MaxBytes    int           // 1 MiB of bodies
	MaxWait     time.Duration // 20 ms from the batch's first message
	Concurrency int           // handlers at a time, 1
}

// dryAfter is how long a queue gives nothing until it counts as dry: longer than
// the gaps between deliveries under load, short beside any handler.
const dryAfter = time.Millisecond

// Batches handles deliveries together: one verdict for all that the handler did
// not settle itself with Done. A batch that fails is tried again one by one, so
// that the verdict meets the right message; during an outage the whole batch is
// held and tried again. Suspect deliveries come alone. A batch is handed over
// when it is full, when MaxWait has passed, or at once when the queue runs dry;
// while all handlers are busy it goes on growing.
func Batches(o BatchOptions, h func(ctx context.Context, batch []*Delivery) error) Loop {
	if o.MaxCount <= 0 {
		o.MaxCount = 500
	}
	if o.MaxBytes <= 0 {
		o.MaxBytes = 1 << 20
	}
	if o.MaxWait <= 0 {
		o.MaxWait = 20 * time.Millisecond
	}
	return func(ctx context.Context, in <-chan *Delivery) error {
		b := batcher{o: o, h: h, free: make(chan struct{}, max(1, o.Concurrency))}
		b.run(ctx, in)
		return nil
	}
}

// batcher gathers one batch after the other.
type batcher struct {
	o    BatchOptions
	h    func(ctx context.Context, batch []*Delivery) error
	free chan struct{} // has a token for each handler at work

	batch []*Delivery
	bytes int
	next  *Delivery // the first one after batch that does not belong to it
	open  bool      // more may come
}

func (b *batcher) run(ctx context.Context, in <-chan *Delivery) {
	var handlers sync.WaitGroup
	defer handlers.Wait()
	handOver := func() { // holds a token of free
		batch := b.batch
		b.batch, b.bytes = nil, 0
		handlers.Go(func() {
			defer func() { <-b.free }()
			handle(ctx, batch, b.h)
		})
	}
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var began time.Time
	var due bool // handed over as soon as a handler is free
	b.open = true
	for {
		if len(b.batch) == 0 {
			if !b.first(in) {
				return
			}
			began, due = time.Now(), false
		}
		if b.full() {
			b.free <- struct{}{}
			handOver()
			continue
		}
		select { // what is there comes first
		case d, ok := <-in:
			b.take(d, ok)
			continue
		default:
		}
		if due = due || time.Since(began) >= b.o.MaxWait; due {
			select {
			case b.free <- struct{}{}:
				handOver()
			case d, ok := <-in:
				b.take(d, ok)
			}
			continue
		}
		timer.Reset(dryAfter)
		select {
		case d, ok := <-in:
			b.take(d, ok)
		case <-timer.C:
			due = true
		}
	}
}

// first begins a batch; false when there is nothing more to come.
func (b *batcher) first(in <-chan *Delivery) bool {
	d := b.next
	b.next = nil
	if d == nil {
		if !b.open {
			return false
		}
		var ok bool
		if d, ok = <-in; !ok {
			return false
		}
	}
	b.batch, b.bytes = append(make([]*Delivery, 0, 16), d), len(d.Body)
	return true
}

func (b *batcher) take(d *Delivery, ok bool) {
	switch {
	case !ok:
		b.open = false
	case d.Suspect() || b.bytes+len(d.Body) > b.o.MaxBytes:
		b.next = d
	default:
		b.batch, b.bytes = append(b.batch, d), b.bytes+len(d.Body)
	}
}

func (b *batcher) full() bool {
	return !b.open || b.next != nil || len(b.batch) >= b.o.MaxCount || b.bytes >= b.o.MaxBytes || b.batch[0].Suspect()
}

// handle gives every delivery of a batch its verdict.
func handle(ctx context.Context, batch []*Delivery, h func(ctx context.Context, batch []*Delivery) error) {
	call := func(batch []*Delivery) error { return h(ctx, batch) }
	err := hold(ctx, batch, call)
	if err == nil {
		settleAll(batch)
		return
	}
	left := unsettled(batch)
	if len(left) == 1 || isInterrupted(err) {
		for _, d := range left {
			d.Done(err)
		}
		return
	}
	for i, d := range left {
		d.Done(hold(ctx, left[i:i+1], call))
	}
}
