package dispatcher

import (
	"context"
	"math"
	"sync"
	"time"
)

// fellows is how many dispatchers work on each queue: the limits of a target are
// for all together, and each keeps to its part. The broker knows.
type fellows struct {
	mu sync.Mutex
	of map[string]int // by queue, this one included
}

// fellowsEvery is how long a dispatcher that came or went may be overlooked.
const fellowsEvery = 10 * time.Second

// WatchFellows keeps the numbers until ctx ends; consumers asks the broker for a
// queue's. What cannot be asked stays as it was.
func (d *Dispatcher) WatchFellows(ctx context.Context, consumers func(ctx context.Context, queue string) (int, error), queues []string) error {
	ticker := time.NewTicker(fellowsEvery)
	defer ticker.Stop()
	for {
		for _, queue := range queues {
			if n, err := consumers(ctx, queue); err == nil {
				d.fellows.set(queue, n)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func (f *fellows) set(queue string, n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.of == nil {
		f.of = map[string]int{}
	}
	f.of[queue] = n
}

func (f *fellows) count(queue string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return max(1, f.of[queue])
}

// most is how many dispatchers work on the queue that most do.
func (f *fellows) most() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	most := 1
	for _, n := range f.of {
		most = max(most, n)
	}
	return most
}

// perTarget is this dispatcher's part of the calls of one target at a time.
func (d *Dispatcher) perTarget(queue string) int {
	return int(math.Ceil(float64(d.o.TargetConcurrency) / float64(d.fellows.count(queue))))
}

// rate is this dispatcher's part of the calls of one target a second, for all
// queues together; 0: no limit.
func (d *Dispatcher) rate() float64 {
	return float64(d.o.TargetRate) / float64(d.fellows.most())
}
