package dispatcher

import (
	"context"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/events-aggregator/events-aggregator/pkg/fault"
)

// Targets is where the state of targets is kept, for all dispatchers and for
// people to see.
type Targets interface {
	// Held are all targets that messages are held back for.
	Held(ctx context.Context) ([]HeldTarget, error)
	// Open opens a breaker; wait tells by how often it was opened in a row.
	Open(ctx context.Context, target, reason, by string, now time.Time, wait func(opened int) time.Duration) (HeldTarget, error)
	// Probe takes an open breaker for one call; of several dispatchers one gets it.
	Probe(ctx context.Context, target, by string, now, until time.Time) (bool, error)
	// Close closes the breaker that by probes; false when by does not any more.
	Close(ctx context.Context, target, by string, now time.Time) (bool, error)
	// Disable ends all calls of an endpoint until somebody enables it.
	Disable(ctx context.Context, endpoint, target, reason, by string, now time.Time) error
}

// HeldTarget is a target whose breaker is not closed, or an endpoint that is
// disabled.
type HeldTarget struct {
	ID       string
	Disabled bool
	Reason   string
	RetryAt  time.Time // from when on it may be probed; of a breaker
}

// A breaker opens when at least so many calls in so long came to at least this
// share of failures.
const (
	breakerCalls  = 10
	breakerShare  = 0.7
	breakerSpan   = 5 * time.Minute
	breakerSlots  = 10
	breakerGrowth = 20 // times the first wait, at most
	// heldEvery is how old a dispatcher's view of the others' breakers may be.
	heldEvery = 2 * time.Second
	// idleBreaker forgets targets that are no longer called.
	idleBreaker = 2 * breakerSpan
)

// breakers are the circuit breakers of all targets. Each dispatcher counts its
// own calls; whoever finds a target failing opens it for all, in the store, and
// all look there. Closed is what has no entry.
type breakers struct {
	targets Targets
	by      string
	wait    time.Duration // before the first probe
	probe   time.Duration // how long one may take
	metrics *metrics
	log     *zap.Logger

	mu   sync.Mutex
	held map[string]HeldTarget
	// own are what this dispatcher has opened, closed or disabled since the view of
	// all was last asked for, which may not know it.
	own    map[string]struct{}
	counts map[string]*callCounts
}

func newBreakers(targets Targets, o Options, m *metrics, log *zap.Logger) *breakers {
	return &breakers{
		targets: targets, by: o.Instance, wait: o.BreakerWait, probe: o.Timeout + 10*time.Second, metrics: m, log: log,
		held: map[string]HeldTarget{}, own: map[string]struct{}{}, counts: map[string]*callCounts{},
	}
}

// Watch keeps the view of the others' breakers until ctx ends. While the store
// is away the last view stays.
func (b *breakers) Watch(ctx context.Context) error {
	ticker := time.NewTicker(heldEvery)
	defer ticker.Stop()
	for {
		b.mu.Lock()
		clear(b.own)
		b.mu.Unlock()
		held, err := b.targets.Held(ctx)
		if err == nil {
			b.see(held)
		} else if ctx.Err() == nil {
			b.log.Warn("targets not read, their last state stays", zap.Error(err))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func (b *breakers) see(held []HeldTarget) {
	view := make(map[string]HeldTarget, len(held))
	for _, h := range held {
		view[h.ID] = h
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for id := range b.own {
		delete(view, id)
		if h, held := b.held[id]; held {
			view[id] = h
		}
	}
	for id := range b.held {
		if _, still := view[id]; !still {
			delete(b.counts, id) // closed by somebody: what failed before counts no more
		}
	}
	b.held = view
	b.gauge()
	for target, c := range b.counts {
		if time.Since(c.last) > idleBreaker {
			delete(b.counts, target)
		}
	}
}

func (b *breakers) of(id string) (HeldTarget, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	h, held := b.held[id]
	return h, held
}

// open says whether calls of the target are held back now.
func (b *breakers) open(target string, now time.Time) bool {
	h, held := b.of(target)
	return held && !h.Disabled && now.Before(h.RetryAt)
}

// disabled is the reason why an endpoint gets nothing any more; "" when it does.
func (b *breakers) disabled(endpoint string) string {
	h, held := b.of(endpoint)
	switch {
	case !held || !h.Disabled:
		return ""
	case h.Reason == "":
		return "disabled"
	default:
		return h.Reason
	}
}

// pass says whether a call may be made: of a closed target always, of an open one
// whose time has come by the one dispatcher that gets to probe it. probing says
// that this call is it.
func (b *breakers) pass(ctx context.Context, target string) (ok, probing bool, err error) {
	h, held := b.of(target)
	if target == "" || !held || h.Disabled {
		return true, false, nil
	}
	now := time.Now()
	if now.Before(h.RetryAt) {
		return false, false, nil
	}
	got, err := b.targets.Probe(ctx, target, b.by, now, now.Add(b.probe))
	if err != nil || got {
		if got {
			fault.At(fault.DispatcherProbing)
		}
		return got, got, err
	}
	// Another dispatcher probes, or has closed it; the next look tells.
	b.mu.Lock()
	defer b.mu.Unlock()
	if current, held := b.held[target]; held && current == h { // not closed here meanwhile
		h.RetryAt = now.Add(heldEvery)
		b.held[target] = h
	}
	return false, false, nil
}

// report takes in what a call came to; failed says that the target is to blame.
func (b *breakers) report(ctx context.Context, target string, failed, probing bool) {
	if target == "" {
		return
	}
	now := time.Now()
	if probing && !failed {
		fault.At(fault.DispatcherProbed)
		b.close(ctx, target, now)
		return
	}
	b.mu.Lock()
	c := b.counts[target]
	if c == nil {
		c = &callCounts{}
		b.counts[target] = c
	}
	c.add(now, failed)
	calls, failures := c.sum(now)
	_, held := b.held[target]
	b.mu.Unlock()
	if probing || !held && calls >= breakerCalls && float64(failures) >= breakerShare*float64(calls) {
		reason := fmt.Sprintf("%d of %d calls failed within %s", failures, calls, breakerSpan)
		if probing {
			reason = "the probe failed"
		}
		b.trip(ctx, target, reason, now)
	}
}

func (b *breakers) trip(ctx context.Context, target, reason string, now time.Time) {
	h, err := b.targets.Open(ctx, target, reason, b.by, now, b.waitOf)
	if err != nil {
		b.log.Warn("breaker not opened, its target is called on", zap.String("target", target), zap.Error(err))
		return
	}
	fault.At(fault.DispatcherOpened)
	b.log.Warn("breaker opened", zap.String("target", target), zap.String("reason", reason), zap.Time("retry_at", h.RetryAt))
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held[target], b.own[target] = h, struct{}{}
	b.gauge()
	delete(b.counts, target) // it begins anew when it is closed
}

// waitOf doubles the wait each time in a row.
func (b *breakers) waitOf(opened int) time.Duration {
	return min(b.wait<<min(opened-1, 10), breakerGrowth*b.wait)
}

func (b *breakers) close(ctx context.Context, target string, now time.Time) {
	closed, err := b.targets.Close(ctx, target, b.by, now)
	if err != nil || !closed { // not closed: the next look tells what became of it
		b.log.Warn("breaker not closed, it is probed again", zap.String("target", target), zap.Error(err))
		return
	}
	fault.At(fault.DispatcherClosed)
	b.log.Info("breaker closed", zap.String("target", target))
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.held, target)
	b.own[target] = struct{}{}
	b.gauge()
	delete(b.counts, target)
}

// gauge shows how many are held; b.mu is locked.
func (b *breakers) gauge() {
	disabled := 0
	for _, h := range b.held {
		if h.Disabled {
			disabled++
		}
	}
	b.metrics.targets.WithLabelValues(stateDisabled).Set(float64(disabled))
	b.metrics.targets.WithLabelValues(stateOpen).Set(float64(len(b.held) - disabled))
}

// disable ends the calls of an endpoint.
func (b *breakers) disable(ctx context.Context, endpoint, target, reason string) error {
	if err := b.targets.Disable(ctx, endpoint, target, reason, b.by, time.Now().UTC().Truncate(time.Millisecond)); err != nil {
		return err
	}
	b.log.Warn("endpoint disabled", zap.String("endpoint", endpoint), zap.String("target", target), zap.String("reason", reason))
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held[endpoint], b.own[endpoint] = HeldTarget{ID: endpoint, Disabled: true, Reason: reason}, struct{}{}
	b.gauge()
	return nil
}

// callCounts are calls and failures of the last breakerSpan, in slots.
type callCounts struct {
	slots [breakerSlots]struct {
		begun           time.Time
		calls, failures int
	}
	last time.Time
}

const breakerSlot = breakerSpan / breakerSlots

func (c *callCounts) add(now time.Time, failed bool) {
	c.last = now
	begun := now.Truncate(breakerSlot)
	slot := &c.slots[begun.Unix()/int64(breakerSlot/time.Second)%breakerSlots]
	if !slot.begun.Equal(begun) {
		slot.begun, slot.calls, slot.failures = begun, 0, 0
	}
	slot.calls++
	if failed {
		slot.failures++
	}
}

func (c *callCounts) sum(now time.Time) (calls, failures int) {
	for _, s := range c.slots {
		if now.Sub(s.begun) < breakerSpan {
			calls += s.calls
			failures += s.failures
		}
	}
	return calls, failures
}

// targetHeld: the target's breaker is open.
type targetHeld struct{ target string }

func (e *targetHeld) Error() string {
	return fmt.Sprintf("the circuit breaker of %s is open (GET /api/v1/targets)", e.target)
}

// Class names the error for dead letters.
func (*targetHeld) Class() string { return classBreakerOpen }

const classBreakerOpen = "breaker_open"
