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
	"github.com/events-aggregator/events-aggregator/pkg/notification"
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
	// kindsRise is the timeframe of spikes that do not settle: so much older than an
	// event is what it is compared with, and is stored before it.
	kindsRise = 2 * kindsLate
)

// kindRules are a rule of each kind, and of each way in which a kind decides, for
// windows of seconds.
func kindRules(url string) []rule.Rule {
	settle, rise, second := interval.Duration(kindsSettle), interval.Duration(kindsRise), interval.Duration(time.Second)
	number := func(f float64) *float64 { return &f }
	user, address := []string{"user_id"}, []string{"payload.ip"}
	some := bson.E{Key: "user_id", Value: bson.D{{Key: "$lt", Value: "u2"}}}
	var rules []rule.Rule
	add := func(id string, spec window.Spec, more ...bson.E) {
		r := webhookRule(url)
		r.ID, r.Name, r.Window = id, id, &spec
		r.Conditions = document(append(bson.D{{Key: "type", Value: "KINDS"}}, more...))
		rules = append(rules, r)
	}
	add("frequency", window.Spec{Kind: "frequency", Timeframe: 4 * second, NumEvents: 4, GroupBy: user})
	add("spike", window.Spec{Kind: "spike", Timeframe: 2 * second, SpikeHeight: 2, SpikeType: "both", ThresholdRef: 1, GroupBy: user, Settle: &settle})
	// One that settles within its timeframe is told as its events come.
	add("spike-at-once", window.Spec{Kind: "spike", Timeframe: rise, SpikeHeight: 1.5, SpikeType: "up", ThresholdRef: 1, GroupBy: user, Settle: &rise})
	rules[len(rules)-1].Conditions = document(bson.D{{Key: "type", Value: bson.D{{Key: "$in", Value: bson.A{"KINDS", "KINDS_BEFORE"}}}}})
	add("flatline", window.Spec{Kind: "flatline", Timeframe: 2 * second, Threshold: 1, ForgetKeys: true, GroupBy: user, Settle: &settle})
	add("flatline-remembered", window.Spec{Kind: "flatline", Timeframe: 2 * second, Threshold: 1, GroupBy: user, Settle: &settle}, some)
	add("new_term", window.Spec{Kind: "new_term", Field: "payload.ip", TermsWindow: 2 * second, GroupBy: user, Settle: &settle})
	add("cardinality", window.Spec{Kind: "cardinality", Timeframe: 4 * second, Field: "payload.ip", Max: number(2), GroupBy: user})
	add("cardinality-min", window.Spec{Kind: "cardinality", Timeframe: 2 * second, Field: "user_id", Min: number(14), GroupBy: address, Settle: &settle})
	add("cardinality-both", window.Spec{Kind: "cardinality", Timeframe: second, Field: "user_id", Min: number(6), Max: number(8), GroupBy: address, Settle: &settle})
	add("percentage", window.Spec{Kind: "percentage", Timeframe: second, Match: document(bson.D{{Key: "payload.ok", Value: true}}), Min: number(75), Settle: &settle})
	add("change", window.Spec{Kind: "change", Field: "payload.ok", Timeframe: 2 * second, GroupBy: user, Settle: &settle})
	return rules
}

// kindsBefore is an event of each user so long ago that spikes have something to
// compare with from the start.
func kindsBefore(at time.Time) []broker.Message {
	messages := make([]broker.Message, kindsUsers)
	for i := range messages {
		messages[i] = broker.Message{RoutingKey: "events.kinds.before", ContentType: "application/json",
			Body: fmt.Appendf(nil, `{"type":"KINDS_BEFORE","source":"spec","user_id":"u%d","timestamp":%q}`, i, at.UTC().Format(time.RFC3339Nano))}
	}
	return messages
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

// toldBy are a rule's notifications about windows that end by a time: a flatline
// that remembers its keys goes on.
func toldBy(ctx context.Context, f *fleet.Fleet, ruleID string, until time.Time) []notification.Notification {
	GinkgoHelper()
	all, err := f.Store.FindNotifications(ctx, store.NotificationFilter{RuleID: ruleID}, nil, 1000)
	Expect(err).NotTo(HaveOccurred())
	Expect(len(all)).To(BeNumerically("<", 1000), "of %s all are compared", ruleID)
	return slices.DeleteFunc(all, func(n notification.Notification) bool { return n.Alert.To.After(until) })
}

// alertsOf are the alerts of notifications, each as key@slot, and their ids.
func alertsOf(all []notification.Notification) (alerts, ids []string) {
	for _, n := range all {
		alerts, ids = append(alerts, fmt.Sprintf("%s@%d", n.Alert.Key, n.Alert.Slot)), append(ids, n.ID)
	}
	slices.Sort(alerts)
	slices.Sort(ids)
	return alerts, ids
}

var _ = Describe("rules of every window kind and variant, with rule-workers killed under way", func() {
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
		f.Publish(ctx, kindsBefore(begun.Add(-3*kindsRise))...)
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
			received := map[string]bool{}
			for _, id := range receiver.IDs() {
				received[id] = true
			}
			for _, r := range rules {
				want := backtested(ctx, f, r, begun.Add(-kindsLate), until)
				g.Expect(want).NotTo(BeEmpty(), r.ID)
				alerts, ids := alertsOf(toldBy(ctx, f, r.ID, until))
				g.Expect(ids).To(Equal(want), r.ID)
				g.Expect(alerts).To(Equal(recounted(ctx, f, r, begun.Add(-kindsLate), until)), r.ID)
				for _, id := range ids {
					g.Expect(received).To(HaveKey(id), r.ID)
				}
				_, later := alertsOf(toldBy(ctx, f, r.ID, time.Now().Add(time.Hour)))
				for _, id := range later { // and those that are not compared
					delete(received, id)
				}
			}
			g.Expect(received).To(BeEmpty(), "calls for no alert")
		}).WithTimeout(100 * time.Second).WithPolling(time.Second).Should(Succeed())
		for _, r := range rules {
			GinkgoWriter.Println(r.ID, len(toldBy(ctx, f, r.ID, until)), "alerts")
		}
	}, SpecTimeout(4*time.Minute))
})
