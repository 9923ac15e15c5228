package app

import (
	"context"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/events-aggregator/events-aggregator/pkg/telemetry"
)

// checkTimeout bounds one check, so that an answer of /readyz never takes longer.
const checkTimeout = 2 * time.Second

// checks are the named questions behind /readyz and /health. Answers are used
// again for a moment: a probe per second from several sides must not become
// load on the servers that it asks about.
type checks struct {
	fresh time.Duration

	mu    sync.Mutex // guards named and gen
	named map[string]func(context.Context) error
	gen   int // raised by forget

	asking   sync.Mutex // one question at a time; the others share its answer
	at       time.Time
	failed   map[string]string
	answered int // gen of the answer

}

func newChecks(fresh time.Duration) *checks {
	return &checks{fresh: fresh, named: map[string]func(context.Context) error{}}
}

func (c *checks) add(name string, check func(context.Context) error) {
	c.mu.Lock()
	c.named[name] = check
	c.mu.Unlock()
	c.forget()
}

// forget makes the next question ask anew.
func (c *checks) forget() {
	c.mu.Lock()
	c.gen++
	c.mu.Unlock()
}

// names lists the checks, sorted.
func (c *checks) names() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make([]string, 0, len(c.named))
	for name := range c.named {
		out = append(out, name)
	}
	sort.Strings(out)
	return out
}

// failing returns the checks that fail now, with the reason of each. The answer
// does not depend on the caller's patience, since others share it.
func (c *checks) failing(ctx context.Context) map[string]string {
	c.asking.Lock()
	defer c.asking.Unlock()
	c.mu.Lock()
	gen := c.gen
	todo := make(map[string]func(context.Context) error, len(c.named))
	for name, check := range c.named {
		todo[name] = check
	}
	c.mu.Unlock()
	if c.failed != nil && gen == c.answered && time.Since(c.at) < c.fresh {
		return c.failed
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), checkTimeout)
	defer cancel()
	var wg sync.WaitGroup
	var mu sync.Mutex
	failed := map[string]string{}
	for name, check := range todo {
		wg.Go(func() {
			if err := guarded(ctx, check); err != nil {
				mu.Lock()
				failed[name] = telemetry.Reason(err)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	c.failed, c.at, c.answered = failed, time.Now(), gen
	return failed
}

// summary is what fails, in one line.
func (c *checks) summary(ctx context.Context) string {
	failed := c.failing(ctx)
	var out []string
	for _, name := range c.names() {
		if reason, ok := failed[name]; ok {
			out = append(out, name+": "+reason)
		}
	}
	if len(out) == 0 {
		return "ready"
	}
	return strings.Join(out, "; ")
}
