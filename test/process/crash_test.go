package process_test

import (
	"context"
	"net/http"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"

	"github.com/events-aggregator/events-aggregator/pkg/fault"
	"github.com/events-aggregator/events-aggregator/test/support/sink"
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

// What the receiver answers, so that an attempt means each of what it can mean.
var (
	unavailableOnce = sink.Faults{Statuses: []int{http.StatusServiceUnavailable}} // each is tried again
	refusing        = sink.Faults{Status: http.StatusNotFound}                    // each is dead
)

// crash is a process that dies at a point.
type crash struct {
	point fault.Point
	// before is what happens to another one first, so that there is something
	// to claim or to sweep.
	before string
	faults sink.Faults
}

func (c crash) String() string { return caseName(c.point, c.before, c.faults) }

// caseName is a case in words.
func caseName(p fault.Point, before string, faults sink.Faults) string {
	text := string(p)
	if before != "" {
		text = before + ", then " + text
	}
	switch {
	case faults.Status != 0:
		text += ", receiver refuses"
	case len(faults.Statuses) > 0:
		text += ", receiver unavailable at first"
	}
	return text
}

var crashes = []crash{
	// Those in a transaction take longest: its documents are locked until the
	// server ends it.
	{point: fault.IngesterInserting}, {point: fault.RuleWorkerDeciding}, {point: fault.AggregatorCounting},
	{point: fault.RuleWorkerSweeping, before: "rule-worker.decided:stop"}, {point: fault.DispatcherClaimed, before: "dispatcher.called:kill"},
	{point: fault.IngesterSweeping, before: "ingester.inserted:kill"},
	{point: fault.IngesterInserted}, {point: fault.IngesterPublished}, {point: fault.IngesterMarked},
	{point: fault.RuleWorkerDecided}, {point: fault.RuleWorkerPublished}, {point: fault.RuleWorkerMarked},
	{point: fault.DispatcherCalled}, {point: fault.DispatcherRecorded}, {point: fault.DispatcherSettled},
	{point: fault.DispatcherRecorded, faults: unavailableOnce}, {point: fault.DispatcherSettled, faults: unavailableOnce},
	{point: fault.DispatcherRecorded, faults: refusing}, {point: fault.DispatcherSettled, faults: refusing},
	{point: fault.AggregatorCounted}, {point: fault.AggregatorMaterialising},
}

var _ = Describe("a process that is killed between two steps, or inside one", func() {
	It("loses nothing, counts nothing twice, and repeats only under the same id", func(ctx SpecContext) {
		inParallel(ctx, crashes, crewed(func(ctx context.Context, c *crew, of crash) {
			c.answer(of.faults)
			c.launchOthers(ctx, owner(of.point))
			ids, asleep := c.prepare(ctx, of.point, of.before)
			victim := c.launch(owner(of.point), "EA_FAULT="+string(of.point)+":kill")
			if of.before == "" {
				victim.waitReady(ctx)
				ids = publish(ctx, c.Fleet, eventsEach/2)
			}
			victim.waitEnded(ctx, killed)
			c.launch(owner(of.point)).waitReady(ctx)
			ids = append(ids, publish(ctx, c.Fleet, eventsEach/2)...)
			wake(asleep)
			balanced(ctx, c, ids)
		}))
	}, SpecTimeout(5*time.Minute))
})
