package ruleworker_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/app"
	"github.com/events-aggregator/events-aggregator/pkg/config"
	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/pkg/rule/window"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
	"github.com/events-aggregator/events-aggregator/services/ruleworker"
	"github.com/events-aggregator/events-aggregator/test/support/fleet"
)

const (
	manyKeys    = 200
	manyBatches = 80 // of ten events, ten in a second: 100 events a second
	manySize    = 10
	manyLate    = time.Second     // events are so late at most when they are stored,
	manySettle  = 8 * time.Second // and windows settle so much later, for slow machines
)

// manyRules are rules for short windows of many keys.
func manyRules() map[string]rule.Rule {
	settle := every(manySettle)
	number := func(f float64) *float64 { return &f }
	user := []string{"user_id"}
	rules := map[string]rule.Rule{}
	for name, spec := range map[string]window.Spec{
		"frequency":   {Kind: "frequency", Timeframe: every(4 * time.Second), NumEvents: 3, GroupBy: user},
		"cardinality": {Kind: "cardinality", Timeframe: every(4 * time.Second), Field: "payload.ip", Max: number(2), GroupBy: user},
		"flatline":    {Kind: "flatline", Timeframe: every(2 * time.Second), Threshold: 1, ForgetKeys: true, GroupBy: user, Settle: &settle},
		"percentage":  {Kind: "percentage", Timeframe: every(time.Second), Match: document(bson.D{{Key: "payload.ok", Value: true}}), Min: number(75), Settle: &settle},
		"new_term":    {Kind: "new_term", Field: "user_id", TermsWindow: every(5 * time.Second), Settle: &settle},
		"change":      {Kind: "change", Field: "payload.ok", GroupBy: user, Timeframe: every(2 * time.Second), Settle: &settle},
	} {
		rules[name] = windowRule(name, "MANY", spec)
	}
	return rules
}

// flow stores and publishes events at their rate, some messages twice; half is
// called in the middle.
func flow(ctx context.Context, f *fleet.Fleet, random *rand.Rand, half func()) {
	GinkgoHelper()
	ticker := time.NewTicker(time.Second / 10)
	defer ticker.Stop()
	for i := range manyBatches {
		var some []one
		for range manySize {
			some = append(some, one{at: time.Now().UTC().Add(-time.Duration(random.Int64N(int64(manyLate)))), user: fmt.Sprint("u", random.IntN(manyKeys)),
				more: bson.D{{Key: "payload", Value: bson.D{{Key: "ip", Value: random.IntN(6)}, {Key: "ok", Value: random.IntN(3) > 0}}}}})
		}
		b := batchOf("MANY", some...)
		offer(ctx, f, b)
		if i%7 == 0 {
			republish(ctx, f, b)
		}
		if i == manyBatches/2 {
			half()
		}
		Eventually(ctx, ticker.C).Should(Receive())
	}
}

// patient leases are not lost on a busy machine.
func patient(c *config.Config) { c.Lease.Beat, c.Lease.Takeover = time.Second, 10*time.Second }

// differences are what is in one sorted list only; more than once counts.
func differences(got, want []string) (missing, extra []string) {
	for len(got) > 0 || len(want) > 0 {
		switch {
		case len(got) == 0 || len(want) > 0 && want[0] < got[0]:
			missing, want = append(missing, want[0]), want[1:]
		case len(want) == 0 || got[0] < want[0]:
			extra, got = append(extra, got[0]), got[1:]
		default:
			got, want = got[1:], want[1:]
		}
	}
	return missing, extra
}

var _ = Describe("three workers with window rules", func() {
	It("tell no alert twice and miss none, at 100 events a second of 200 keys, while workers come and go", func(ctx SpecContext) {
		f := fleet.New(ctx)
		rules := manyRules()
		for _, r := range rules {
			created, err := f.Store.CreateRule(ctx, r)
			Expect(err).NotTo(HaveOccurred())
			rules[r.Name] = created
		}
		orders := collect(ctx, f, topology.NotificationsDefault)
		var workers []*app.Running
		for range 3 {
			workers = append(workers, f.Start(ctx, "rule-worker", ruleworker.Wire, patient))
		}
		start := time.Now().Add(-time.Minute)
		flow(ctx, f, rand.New(rand.NewPCG(uint64(GinkgoRandomSeed()), 8)), func() {
			f.Launch(ctx, "rule-worker", ruleworker.Wire, patient)
			Expect(workers[0].Stop(ctx)).To(Succeed()) // it holds the lease of the timer
		})
		end := time.Now()
		Eventually(ctx, func() int64 { return unprocessed(ctx, f) }).WithTimeout(time.Minute).Should(BeZero())
		Eventually(ctx, func() bool { return settledBy(rules["flatline"]).After(end.Add(4 * time.Second)) }).WithTimeout(time.Minute).Should(BeTrue())
		Eventually(ctx, func(g Gomega) {
			total := 0
			for name, r := range rules {
				want := recounted(ctx, f, r, start, end.Add(4*time.Second))
				g.Expect(want).NotTo(BeEmpty(), name)
				missing, extra := differences(alertsOf(ctx, f, name), want)
				g.Expect(missing).To(BeEmpty(), "%s: missing", name)
				g.Expect(extra).To(BeEmpty(), "%s: told, and not there", name)
				total += len(want)
			}
			g.Expect(ids(orders())).To(HaveLen(total))
		}).WithTimeout(90 * time.Second).WithPolling(time.Second).Should(Succeed())
		first := map[string]int{}
		for _, m := range orders() {
			if !m.Republished {
				first[m.Notification.ID]++
			}
		}
		for id, n := range first {
			Expect(n).To(Equal(1), "%s", id)
		}
	}, SpecTimeout(5*time.Minute))
})
