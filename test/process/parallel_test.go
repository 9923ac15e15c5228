package process_test

import (
	"context"
	"fmt"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"

	"github.com/events-aggregator/events-aggregator/test/support/fleet"
)

// atOnce crews run beside each other: most of a crew's life is waiting.
const atOnce = 4

// crewed gives a spec a crew of its own.
func crewed[T any](spec func(ctx context.Context, c *crew, of T)) func(ctx context.Context, of T) {
	return func(ctx context.Context, of T) {
		c := newCrew(ctx, fleet.New(ctx))
		defer c.end(ctx)
		spec(ctx, c, of)
	}
}

// inParallel runs a spec for each case, some at a time. What fails is said with
// its case; the others go on.
func inParallel[T any](ctx context.Context, cases []T, spec func(ctx context.Context, of T)) {
	GinkgoHelper()
	var running sync.WaitGroup
	room := make(chan struct{}, atOnce)
	for _, of := range cases {
		room <- struct{}{}
		if ctx.Err() != nil {
			break
		}
		running.Go(func() {
			defer func() { <-room }()
			defer GinkgoRecover()
			began, passed := time.Now(), false
			defer func() {
				took := time.Since(began).Round(time.Millisecond)
				if passed {
					GinkgoWriter.Printf("passed after %s: %v\n", took, of)
				} else {
					AddReportEntry(fmt.Sprintf("FAILED after %s: %v", took, of))
				}
			}()
			spec(ctx, of)
			passed = true
		})
	}
	running.Wait()
}
