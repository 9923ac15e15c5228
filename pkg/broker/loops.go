package broker

import (
	"context"
	"time"
)

// Each handles every delivery alone, up to concurrency at a time.
func Each(_ int, _ func(ctx context.Context, d *Delivery) error) Loop {
	return func(_ context.Context, _ <-chan *Delivery) error { return nil }
}

// BatchOptions bound a batch; a batch also ends when the queue runs dry.
type BatchOptions struct {
	MaxCount    int           // 500
	MaxBytes    int           // 1 MiB of bodies
	MaxWait     time.Duration // 20 ms
	Concurrency int           // handlers at a time, 1
}

// Batches handles deliveries together: one verdict for all that the handler did
// not settle itself with Done.
func Batches(_ BatchOptions, _ func(ctx context.Context, batch []*Delivery) error) Loop {
	return func(_ context.Context, _ <-chan *Delivery) error { return nil }
}
