package ingester

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"
)

// inHand counts the messages that were taken and have no verdict, by the second
// in which they were taken: few numbers, however many messages.
type inHand struct {
	mu       sync.Mutex
	messages int
	bytes    int // of their bodies and documents
	taken    map[int64]int
}

// take counts a message, and returns the second that leave wants to know.
func (h *inHand) take(bytes int, now time.Time) (second int64) {
	second = now.Unix()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.messages++
	h.bytes += bytes
	h.taken[second]++
	return second
}

func (h *inHand) leave(bytes int, second int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.messages--
	h.bytes -= bytes
	if h.taken[second]--; h.taken[second] == 0 {
		delete(h.taken, second)
	}
}

func (h *inHand) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.messages
}

// full says whether it holds so many messages, or so many bytes.
func (h *inHand) full(messages, bytes int) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.messages >= messages || h.bytes >= bytes
}

// age of the oldest, to the second; 0 for none.
func (h *inHand) age(now time.Time) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	oldest := now.Unix()
	for second := range h.taken {
		oldest = min(oldest, second)
	}
	return time.Duration(now.Unix()-oldest) * time.Second
}

// Progress is where ingesters say how far they are.
type Progress interface {
	// ReportIngest says for how long this ingester has held its oldest message.
	ReportIngest(ctx context.Context, ingester string, behind time.Duration, now time.Time) error
	// LeaveIngest says that it holds none any more.
	LeaveIngest(ctx context.Context, ingester string) error
}

const (
	reportEvery = time.Second
	leaveWithin = 10 * time.Second
)

// Report returns a worker that tells how long the oldest message waits here. What
// an ingester has taken the broker does not count, and windows that settle must
// not be decided while their events are among it.
func (g *Ingester) Report(to Progress, ingester string) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		ticker := time.NewTicker(reportEvery)
		defer ticker.Stop()
		for {
			now := time.Now()
			if err := to.ReportIngest(ctx, ingester, g.hand.age(now), now); err != nil && ctx.Err() == nil {
				g.log.Debug("progress not told; rule-workers wait for it", zap.Error(err))
			}
			select {
			case <-ctx.Done():
				g.leave(context.WithoutCancel(ctx), to, ingester)
				return nil
			case <-ticker.C:
			}
		}
	}
}

// leave ends the reports when nothing is in hand any more. What still is when the
// process ends, others are given: until they tell of it, the last report stands.
func (g *Ingester) leave(ctx context.Context, to Progress, ingester string) {
	ctx, cancel := context.WithTimeout(ctx, leaveWithin)
	defer cancel()
	ticker := time.NewTicker(heldPause)
	defer ticker.Stop()
	for g.hand.count() > 0 {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
	_ = to.LeaveIngest(ctx, ingester)
}
