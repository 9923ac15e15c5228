package process_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"

	"github.com/events-aggregator/events-aggregator/pkg/fault"
	"github.com/events-aggregator/events-aggregator/test/support/fleet"
	"github.com/events-aggregator/events-aggregator/test/support/sink"
)

// A pause is longer than the leases of these specs, and than the age at which
// the sweeps take a batch for abandoned; the dispatcher's is longer than its
// claims, too.
const (
	pauseFor           = 5 * time.Second
	pauseForDispatcher = 7 * time.Second
	pauseBeyond        = 2 * time.Second // the life of a transaction, which servers look at every second
)

// pause is a process that stands still at a point.
type pause struct {
	point fault.Point
	// before is what happens to another one first, so that there is something
	// to claim or to sweep.
	before string
	// lease is the one that the paused process holds, if it does so there.
	lease  string
	faults sink.Faults // of the receiver
	// inside a transaction, which is over on the server when the process wakes.
	inside bool
	// givenUp: its connections to the broker are lost meanwhile, and the broker
	// gives what it holds to its successor. Else it acks late.
	givenUp bool
}

func (p pause) String() string {
	text := caseName(p.point, p.before, p.faults)
	if p.givenUp {
		text += ", given up by the broker"
	}
	return text
}

var pauses = []pause{
	{point: fault.IngesterInserting, inside: true}, {point: fault.IngesterInserting, inside: true, givenUp: true},
	{point: fault.RuleWorkerDeciding, inside: true}, {point: fault.RuleWorkerDeciding, inside: true, givenUp: true},
	{point: fault.AggregatorCounting, inside: true}, {point: fault.AggregatorCounting, inside: true, givenUp: true},
	{point: fault.IngesterInserted}, {point: fault.IngesterInserted, givenUp: true},
	{point: fault.IngesterPublished, givenUp: true}, {point: fault.IngesterMarked, givenUp: true},
	{point: fault.IngesterSweeping, before: "ingester.inserted:kill", lease: "ingester-sweep"},
	{point: fault.RuleWorkerDecided}, {point: fault.RuleWorkerDecided, givenUp: true},
	{point: fault.RuleWorkerPublished, givenUp: true}, {point: fault.RuleWorkerMarked, givenUp: true},
	{point: fault.RuleWorkerSweeping, before: "rule-worker.decided:stop", lease: "rule-worker-sweep"},
	{point: fault.DispatcherClaimed, before: "dispatcher.called:kill", givenUp: true},
	{point: fault.DispatcherCalled}, {point: fault.DispatcherCalled, givenUp: true},
	{point: fault.DispatcherRecorded, givenUp: true}, {point: fault.DispatcherSettled, givenUp: true},
	{point: fault.DispatcherRecorded, faults: unavailableOnce, givenUp: true}, {point: fault.DispatcherSettled, faults: refusing, givenUp: true},
	{point: fault.AggregatorCounted}, {point: fault.AggregatorCounted, givenUp: true},
	{point: fault.AggregatorMaterialising, lease: "materialiser"},
}

var _ = Describe("a process that is paused for longer than every lease and claim", func() {
	It("wakes up beside its successor and does no harm", func(ctx SpecContext) {
		inParallel(ctx, pauses, crewed(func(ctx context.Context, c *crew, p pause) {
			c.answer(p.faults)
			c.launchOthers(ctx, owner(p.point))
			ids, asleep := c.prepare(ctx, p.point, p.before)
			address := c.AMQPURL
			broker := fleet.Through(&address)
			victim := c.launch(owner(p.point), "EA_AMQP_URL="+address, "EA_FAULT="+string(p.point)+":stop")
			asleep = append(asleep, victim)
			if p.before == "" {
				victim.waitReady(ctx)
				ids = publish(ctx, c.Fleet, eventsEach/2)
			}
			victim.waitPaused(ctx)
			if p.givenUp {
				broker.Cut()
			}
			successor := c.launch(owner(p.point))
			successor.waitReady(ctx)
			ids = append(ids, publish(ctx, c.Fleet, eventsEach/2)...)
			passes(ctx, p.lasts(ctx, c.Fleet))
			if p.lease != "" {
				Expect(holder(ctx, c.Fleet, p.lease)).To(Equal(successor.Command.Process.Pid), "taken over")
			}
			wake(asleep)
			balanced(ctx, c, ids)
			if p.lease != "" {
				Eventually(ctx, victim.log).Should(ContainSubstring(`"lease lost"`))
			}
			stopAll(ctx, append(asleep, successor)...)
		}))
	}, SpecTimeout(5*time.Minute))
})

// lasts is how long the pause is.
func (p pause) lasts(ctx context.Context, f *fleet.Fleet) time.Duration {
	GinkgoHelper()
	switch {
	case p.inside:
		return transactionLifetime(ctx, f.MongoURI) + pauseBeyond
	case owner(p.point) == "action-dispatcher":
		return pauseForDispatcher
	}
	return pauseFor
}

// transactionLifetime is after how long the server ends a transaction by itself.
// SecantusDB's wheel does not say; scripts/infra starts it with ten seconds.
func transactionLifetime(ctx context.Context, uri string) time.Duration {
	GinkgoHelper()
	client, err := mongo.Connect(ctx, options.Client().ApplyURI(uri))
	Expect(err).NotTo(HaveOccurred())
	defer func() { _ = client.Disconnect(ctx) }()
	answer := struct {
		Seconds int `bson:"transactionLifetimeLimitSeconds"`
	}{10}
	Expect(client.Database("admin").RunCommand(ctx, bson.D{{Key: "getParameter", Value: 1},
		{Key: "transactionLifetimeLimitSeconds", Value: 1}}).Decode(&answer)).To(Succeed())
	return time.Duration(answer.Seconds) * time.Second
}

// prepare lets another process die or fall asleep, so that there is something to
// claim or to sweep at the point.
func (c *crew) prepare(ctx context.Context, p fault.Point, before string) (ids []string, asleep []*running) {
	GinkgoHelper()
	if before == "" {
		return nil, nil
	}
	first := c.launch(owner(p), "EA_FAULT="+before)
	first.waitReady(ctx)
	ids = publish(ctx, c.Fleet, eventsEach/2)
	if strings.HasSuffix(before, ":kill") {
		first.waitEnded(ctx, killed)
		return ids, nil
	}
	first.waitPaused(ctx)
	return ids, []*running{first}
}

func wake(asleep []*running) {
	for _, r := range asleep {
		r.Signal(syscall.SIGCONT)
	}
}

// holder is the pid in the name of a lease's holder (host-pid-random).
func holder(ctx context.Context, f *fleet.Fleet, lease string) int {
	GinkgoHelper()
	leases, err := f.Store.Leases(ctx)
	Expect(err).NotTo(HaveOccurred())
	for _, l := range leases {
		if parts := strings.Split(l.Holder, "-"); l.Name == lease && len(parts) > 2 {
			pid, err := strconv.Atoi(parts[len(parts)-2])
			Expect(err).NotTo(HaveOccurred(), l.Holder)
			return pid
		}
	}
	return 0
}

func (r *running) waitPaused(ctx context.Context) {
	GinkgoHelper()
	sleeps(ctx, r.Command)
}

// state is the kernel's letter for a process: T is stopped.
func state(pid int) string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	_, after, _ := bytes.Cut(stat, []byte(") "))
	return string(after[:1])
}

// passes lets time pass where time is what the spec is about.
func passes(ctx context.Context, d time.Duration) {
	GinkgoHelper()
	Eventually(ctx, time.After(d)).WithTimeout(d + 10*time.Second).WithPolling(10 * time.Millisecond).Should(Receive())
}
