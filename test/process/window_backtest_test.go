package process_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/backtest"
	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/pkg/rule/interval"
	"github.com/events-aggregator/events-aggregator/pkg/rule/window"
	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/test/support/fleet"
	"github.com/events-aggregator/events-aggregator/test/support/recount"
	"github.com/events-aggregator/events-aggregator/test/support/sink"
)

const (
	kindsTicks  = 50 // a tenth of a second each, with kindsEach events
	kindsEach   = 4
	kindsUsers  = 60              // so few events of each that alerts depend on single ones
	kindsLate   = 2 * time.Second // events are so late at most when they are published,
	kindsSettle = 8 * time.Second // and windows settle so much later, for slow machines
)

// kindRules are a rule of each kind, for windows of seconds.
func kindRules(url string) []rule.Rule {
	settle, second := interval.Duration(kindsSettle), interval.Duration(time.Second)
	number := func(f float64) *float64 { return &f }
	user := []string{"user_id"}
	var rules []rule.Rule
	for _, spec := range []window.Spec{
		{Kind: "frequency", Timeframe: 4 * second, NumEvents: 4, GroupBy: user},
		{Kind: "spike", Timeframe: 2 * second, SpikeHeight: 2, SpikeType: "both", ThresholdRef: 1, GroupBy: user, Settle: &settle},
		{Kind: "flatline", Timeframe: 2 * second, Threshold: 1, ForgetKeys: true, GroupBy: user, Settle: &settle},
		{Kind: "new_term", Field: "payload.ip", TermsWindow: interval.Duration(2 * time.Second), GroupBy: user, Settle: &settle},
		{Kind: "cardinality", Timeframe: 4 * second, Field: "payload.ip", Max: number(2), GroupBy: user},
		{Kind: "percentage", Timeframe: second, Match: document(bson.D{{Key: "payload.ok", Value: true}}), Min: number(66), Settle: &settle},
		{Kind: "change", Field: "payload.ok", Timeframe: 2 * second, GroupBy: user, Settle: &settle},
	} {
		r := webhookRule(url)
		r.ID, r.Name, r.Window = spec.Kind, spec.Kind, &spec
		r.Conditions = document(bson.D{{Key: "type", Value: "KINDS"}})
		rules = append(rules, r)
	}
	return rules
}

// kindMessages are some events in any order of time, one in eight twice.
func kindMessages(random *rand.Rand) (messages []broker.Message) {
	for range kindsEach {
		body, err := json.Marshal(map[string]any{
			"event_id": fmt.Sprintf("%08x-0000-4000-8000-%012x", random.Uint32(), random.Uint64N(1<<48)),
			"type":     "KINDS", "source": "spec", "user_id": fmt.Sprint("u", random.IntN(kindsUsers)),
			"timestamp": time.Now().UTC().Add(-time.Duration(random.Int64N(int64(kindsLate)))),
			"payload":   map[string]any{"ip": random.IntN(5), "ok": random.IntN(3) > 0},
		})
		Expect(err).NotTo(HaveOccurred())
		m := broker.Message{RoutingKey: "events.kinds", ContentType: "application/json", Body: body}
		messages = append(messages, m)
		if random.IntN(8) == 0 {
			messages = append(messages, m)
		}
	}
	return messages
}

// backtested are the ids of the notifications that a back-test of a stored rule
// names.
func backtested(ctx context.Context, f *fleet.Fleet, r rule.Rule, from, to time.Time) []string {
	GinkgoHelper()
	report, err := backtest.Run(ctx, store.Stored{Store: f.Store}, backtest.Request{Rule: r, From: from, To: to, Now: time.Now()}, nil)
	Expect(err).NotTo(HaveOccurred())
	Expect(report.Cut).To(BeEmpty())
	ids := make([]string, len(report.Alerts.Shown))
	for i, a := range report.Alerts.Shown {
		ids[i] = a.NotificationID
	}
	Expect(report.Alerts.Total).To(BeEquivalentTo(len(ids)))
	slices.Sort(ids)
	return ids
}

// recounted are the alerts that plain loops find in the stored events.
func recounted(ctx context.Context, f *fleet.Fleet, r rule.Rule, from, to time.Time) []string {
	GinkgoHelper()
	var events []bson.Raw
	err := f.Store.RuleSearch(r.Conditions).Events(ctx, from.Add(-time.Hour), to.Add(time.Hour), false, 0, nil, func(doc bson.Raw) bool {
		events = append(events, slices.Clone(doc))
		return true
	})
	Expect(err).NotTo(HaveOccurred())
	return recount.Alerts(*r.Window, events, from, to)
}

// alertsTold are the alerts of a rule's notifications, each as key@slot.
func alertsTold(ctx context.Context, f *fleet.Fleet, ruleID string) []string {
	GinkgoHelper()
	all, err := f.Store.FindNotifications(ctx, store.NotificationFilter{RuleID: ruleID}, nil, 1000)
	Expect(err).NotTo(HaveOccurred())
	told := make([]string, len(all))
	for i, n := range all {
		told[i] = fmt.Sprintf("%s@%d", n.Alert.Key, n.Alert.Slot)
	}
	slices.Sort(told)
	return told
}

// alertIDs are the ids of a rule's notifications.
func alertIDs(ctx context.Context, f *fleet.Fleet, ruleID string) []string {
	GinkgoHelper()
	all, err := f.Store.FindNotifications(ctx, store.NotificationFilter{RuleID: ruleID}, nil, 1000)
	Expect(err).NotTo(HaveOccurred())
	ids := make([]string, len(all))
	for i, n := range all {
		ids[i] = n.ID
	}
	slices.Sort(ids)
	return ids
}

var _ = Describe("rules of every window kind, with rule-workers killed under way", func() {
	It("tell the alerts that a back-test over the same events names, and plain loops find, each once", func(ctx SpecContext) {
		f := fleet.New(ctx)
		receiver, err := sink.Start("")
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(receiver.Close)
		rules := kindRules(receiver.URL + "/hook")
		for i := range rules {
			rules[i], err = f.Store.CreateRule(ctx, rules[i])
			Expect(err).NotTo(HaveOccurred())
		}
		// The first holds the timer's lease when it is killed.
		workers := []*running{launch(f, "rule-worker", "")}
		workers[0].waitReady(ctx)
		workers = append(workers, launch(f, "rule-worker", ""))
		for _, r := range []*running{workers[1], launch(f, "ingester", ""), launch(f, "action-dispatcher", "")} {
			r.waitReady(ctx)
		}
		begun := time.Now()
		random := rand.New(rand.NewPCG(uint64(GinkgoRandomSeed()), 12))
		ticker := time.NewTicker(time.Second / 10)
		defer ticker.Stop()
		for tick := range kindsTicks {
			f.Publish(ctx, kindMessages(random)...)
			if tick == kindsTicks/3 || tick == 2*kindsTicks/3 {
				workers[0].kill(ctx)
				workers = append(workers[1:], launch(f, "rule-worker", ""))
			}
			Eventually(ctx, ticker.C).Should(Receive())
		}
		// Silent users have had their alerts by then.
		until := time.Now().Add(4 * time.Second)
		Eventually(ctx, time.Now).WithTimeout(time.Minute).Should(BeTemporally(">", until.Add(kindsSettle)))
		// A killed process's transaction holds its documents for a minute.
		Eventually(ctx, func(g Gomega) {
			no := false
			open, err := f.Store.CountEvents(ctx, store.EventFilter{Processed: &no}, 0)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(open).To(BeZero())
			var all []string
			for _, r := range rules {
				want := backtested(ctx, f, r, begun.Add(-kindsLate), until)
				g.Expect(want).NotTo(BeEmpty(), r.ID)
				g.Expect(alertIDs(ctx, f, r.ID)).To(Equal(want), r.ID)
				g.Expect(alertsTold(ctx, f, r.ID)).To(Equal(recounted(ctx, f, r, begun.Add(-kindsLate), until)), r.ID)
				all = append(all, want...)
			}
			g.Expect(receiver.IDs()).To(ConsistOf(all))
		}).WithTimeout(100 * time.Second).WithPolling(time.Second).Should(Succeed())
		GinkgoWriter.Println(len(receiver.IDs()), "alerts")
	}, SpecTimeout(4*time.Minute))
})
