package process_test

import (
	"context"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"

	"github.com/events-aggregator/events-aggregator/pkg/fault"
)

// eventsEach is how many events a spec publishes, in two halves around the
// death: small, since each spec runs five processes.
const eventsEach = 40

// owner is the process that passes a fault point: its name's first part.
func owner(p fault.Point) string {
	name, _, _ := strings.Cut(string(p), ".")
	if name == "dispatcher" {
		return "action-dispatcher"
	}
	return name
}

var _ = Describe("a process that is killed between two steps", func() {
	It("loses nothing, counts nothing twice, and repeats only under the same id", func(ctx SpecContext) {
		inParallel(ctx, []fault.Point{
			fault.IngesterInserted, fault.IngesterPublished, fault.IngesterMarked,
			fault.RuleWorkerDecided, fault.RuleWorkerPublished, fault.RuleWorkerMarked,
			fault.DispatcherCalled, fault.DispatcherRecorded, fault.DispatcherSettled,
			fault.AggregatorCounted,
		}, crewed(func(ctx context.Context, c *crew, p fault.Point) {
			c.launchOthers(ctx, owner(p))
			victim := c.launch(owner(p), "EA_FAULT="+string(p)+":kill")
			victim.waitReady(ctx)
			ids := publish(ctx, c.Fleet, eventsEach/2)
			victim.waitEnded(ctx, killed)
			c.launch(owner(p)).waitReady(ctx)
			ids = append(ids, publish(ctx, c.Fleet, eventsEach/2)...)
			balanced(ctx, c, ids)
		}))
	}, SpecTimeout(4*time.Minute))
})
