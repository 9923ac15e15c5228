package ruleworker_test

import (
	"fmt"
	"math/rand/v2"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/pkg/rule/window"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
	"github.com/events-aggregator/events-aggregator/services/ruleworker"
	"github.com/events-aggregator/events-aggregator/test/support/fleet"
)

// windowKinds are a rule of every kind and direction, for windows of a minute.
func windowKinds(eventType string) map[string]rule.Rule {
	settle := every(0)
	number := func(f float64) *float64 { return &f }
	rules := map[string]rule.Rule{}
	for name, spec := range map[string]window.Spec{
		"frequency":      {Kind: "frequency", NumEvents: 4},
		"spike-up":       {Kind: "spike", SpikeHeight: 2, SpikeType: "up", ThresholdCur: 2},
		"spike-both":     {Kind: "spike", SpikeHeight: 1.5, SpikeType: "both"},
		"flatline":       {Kind: "flatline", Threshold: 2},
		"flatline-once":  {Kind: "flatline", Threshold: 2, ForgetKeys: true},
		"new_term":       {Kind: "new_term", Field: "payload.ip", TermsWindow: every(2 * time.Minute)},
		"cardinality":    {Kind: "cardinality", Field: "payload.ip", Max: number(2), Min: number(2)},
		"percentage":     {Kind: "percentage", Match: document(bson.D{{Key: "payload.ok", Value: true}}), Max: number(60), Min: number(20), MinDenominator: 2},
		"change":         {Kind: "change", Field: "payload.ok", IgnoreNull: true},
		"change-in-time": {Kind: "change", Field: "payload.ip", Timeframe: every(10 * time.Second)},
	} {
		if spec.Kind != "new_term" && spec.Kind != "change" {
			spec.Timeframe = every(time.Minute)
		}
		if spec.Kind != "frequency" {
			spec.Settle = &settle
		}
		spec.GroupBy = []string{"user_id"}
		rules[name] = windowRule(name, eventType, spec)
	}
	return rules
}

// scattered are events of three users within so many minutes, with addresses and
// truths, in random order and batches.
func scattered(random *rand.Rand, eventType string, from time.Time, minutes, n int) []event.Batch {
	var batches []event.Batch
	for n > 0 {
		var some []one
		for range min(n, 1+random.IntN(8)) {
			payload := bson.D{}
			if random.IntN(5) > 0 {
				payload = append(payload, bson.E{Key: "ip", Value: fmt.Sprintf("10.0.0.%d", random.IntN(5))}, bson.E{Key: "ok", Value: random.IntN(3) > 0})
			}
			at := from.Add(time.Duration(random.IntN(minutes*60_000)) * time.Millisecond)
			some = append(some, one{at: at, user: string(rune('a' + random.IntN(3))), more: bson.D{{Key: "payload", Value: payload}}})
		}
		n -= len(some)
		batches = append(batches, batchOf(eventType, some...))
	}
	return batches
}

var _ = Describe("rules of every window kind", func() {
	It("have the alerts that the stored events give, with two workers, disorder and repeats", func(ctx SpecContext) {
		f := fleet.New(ctx)
		rules := windowKinds("KIND_TEST")
		for name, r := range rules {
			created, err := f.Store.CreateRule(ctx, r)
			Expect(err).NotTo(HaveOccurred())
			rules[name] = created
		}
		orders := collect(ctx, f, topology.NotificationsDefault)
		for range 2 {
			f.Start(ctx, "rule-worker", ruleworker.Wire, patient)
		}
		seed := uint64(GinkgoRandomSeed())
		random := rand.New(rand.NewPCG(seed, 7))
		start := time.Now().UTC().Truncate(time.Minute).Add(-8 * time.Minute)
		batches := scattered(random, "KIND_TEST", start, 6, 150)
		stored(ctx, f, batches...)
		for i, b := range batches {
			if i%3 == 0 {
				republish(ctx, f, b)
			}
		}
		Eventually(ctx, func() int64 { return unprocessed(ctx, f) }).WithTimeout(30 * time.Second).Should(BeZero())
		Eventually(ctx, func(g Gomega) {
			total := 0
			for name, r := range rules {
				want := recounted(ctx, f, r, start.Add(-time.Minute), settledBy(r))
				g.Expect(want).NotTo(BeEmpty(), name)
				g.Expect(alertsOf(ctx, f, name)).To(Equal(want), name)
				total += len(want)
			}
			g.Expect(ids(orders())).To(HaveLen(total))
		}).WithTimeout(60 * time.Second).WithPolling(500 * time.Millisecond).Should(Succeed())
		for _, m := range orders() {
			Expect(m.Event.Lookup("event_id").StringValue()).To(Equal(m.Notification.EventID))
			Expect(m.Notification.Alert.Text).NotTo(BeEmpty())
		}
		Expect(f.DeadLetters(ctx, topology.RuleWorkerNormal)).To(BeEmpty())
	}, SpecTimeout(3*time.Minute))
})
