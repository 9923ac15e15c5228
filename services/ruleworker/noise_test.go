package ruleworker_test

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/pkg/rule/interval"
	"github.com/events-aggregator/events-aggregator/pkg/silence"
	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
	"github.com/events-aggregator/events-aggregator/services/ruleworker"
	"github.com/events-aggregator/events-aggregator/test/support/fleet"
)

// totals counts notifications by status.
func totals(ctx SpecContext, f *fleet.Fleet) map[notification.Status]int64 {
	GinkgoHelper()
	counts, err := f.Store.CountNotifications(ctx, store.NotificationFilter{})
	Expect(err).NotTo(HaveOccurred())
	return counts
}

// published collects what the worker publishes as events until the spec ends.
func published(ctx context.Context, f *fleet.Fleet) func() []*broker.Message {
	var mu sync.Mutex
	var got []*broker.Message
	c := broker.NewConsumer(f.Connection, f.Publisher, f.Topology.Work(topology.Ingest), broker.ConsumerOptions{Prefetch: 10, Log: f.Log})
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = c.Run(run, broker.Each(1, func(_ context.Context, d *broker.Delivery) error {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, &d.Message)
			return nil
		}))
	}()
	DeferCleanup(func() { stop(); <-ended })
	return func() []*broker.Message {
		mu.Lock()
		defer mu.Unlock()
		return append([]*broker.Message(nil), got...)
	}
}

var _ = Describe("a rule-worker that makes less noise", func() {
	It("lets exactly one of a throttle's key through with three workers and repeated batches", func(ctx SpecContext) {
		f := fleet.New(ctx)
		r := logRule("failed", "PAYMENT_FAILED")
		r.Throttle = &rule.Throttle{Per: []string{"source"}, For: interval.Duration(time.Hour)}
		_, err := f.Store.CreateRule(ctx, r)
		Expect(err).NotTo(HaveOccurred())
		orders := collect(ctx, f, topology.NotificationsDefault)
		for range 3 {
			f.Start(ctx, "rule-worker", ruleworker.Wire)
		}
		const batches, size = 30, 5
		for i := range batches {
			b := batch(size, "PAYMENT_FAILED", 5)
			offer(ctx, f, b)
			if i%3 == 0 {
				republish(ctx, f, b)
			}
		}
		Eventually(ctx, func() int64 { return unprocessed(ctx, f) }).WithTimeout(time.Minute).Should(BeZero())
		distinct := func() int { return len(ids(orders())) } // a repeated batch publishes what it owes again, under the same id
		Eventually(ctx, distinct).Should(Equal(1))
		Expect(totals(ctx, f)).To(And(HaveKeyWithValue(notification.Pending, BeEquivalentTo(1)),
			HaveKeyWithValue(notification.Suppressed, BeEquivalentTo(batches*size-1))))
		held, err := f.Store.FindNotifications(ctx, store.NotificationFilter{Status: notification.Suppressed}, nil, 1)
		Expect(err).NotTo(HaveOccurred())
		Expect(held[0].Reason).To(Equal(notification.Throttled))
		Expect(*held[0].Held.Until).To(BeTemporally("~", time.Now().Add(time.Hour), 2*time.Minute))
		Consistently(ctx, distinct, time.Second).Should(Equal(1))
	}, SpecTimeout(2*time.Minute))

	It("pauses a rule that matches too often, and says so by an event", func(ctx SpecContext) {
		f := fleet.New(ctx)
		r := logRule("chatty", "PAYMENT_FAILED")
		r.MaxMatchesPerHour = 4
		_, err := f.Store.CreateRule(ctx, r)
		Expect(err).NotTo(HaveOccurred())
		f.Start(ctx, "rule-worker", ruleworker.Wire)
		events := published(ctx, f)
		offer(ctx, f, batch(3, "PAYMENT_FAILED", 5))
		offer(ctx, f, batch(3, "PAYMENT_FAILED", 5))
		Eventually(ctx, events).WithTimeout(20 * time.Second).Should(HaveLen(1))
		var event struct {
			Type    string         `json:"type"`
			Payload map[string]any `json:"payload"`
		}
		Expect(json.Unmarshal(events()[0].Body, &event)).To(Succeed())
		Expect(events()[0].RoutingKey).To(Equal("events.rule.paused"))
		Expect(event.Type).To(Equal("RULE_PAUSED"))
		Expect(event.Payload).To(HaveKeyWithValue("rule_name", "chatty"))
		Expect(totals(ctx, f)).To(And(HaveKeyWithValue(notification.Pending, BeEquivalentTo(4)),
			HaveKeyWithValue(notification.Suppressed, BeEquivalentTo(2))))
		Eventually(ctx, func() (int, error) {
			left, err := f.Store.Announcements(ctx, 10)
			return len(left), err
		}).Should(BeZero())
		Consistently(ctx, events, time.Second).Should(HaveLen(1))
	}, SpecTimeout(time.Minute))
})

var _ = Describe("what holds back without a memory", func() {
	It("is a silence before a mute before a throttle, and a silence whose word was lost is found by the poll", func(ctx SpecContext) {
		f := fleet.New(ctx)
		r := logRule("failed", "PAYMENT_FAILED")
		r.Throttle = &rule.Throttle{For: interval.Duration(time.Hour)}
		r.Mute = []rule.Mute{{From: "00:00", To: "24:00"}}
		_, err := f.Store.CreateRule(ctx, r)
		Expect(err).NotTo(HaveOccurred())
		f.Start(ctx, "rule-worker", ruleworker.Wire, quickPoll)
		reasons := func() map[string]int {
			all, err := f.Store.FindNotifications(ctx, store.NotificationFilter{}, nil, 100)
			Expect(err).NotTo(HaveOccurred())
			counts := map[string]int{}
			for _, n := range all {
				counts[n.Reason]++
				Expect(n.Status).To(Equal(notification.Suppressed))
				Expect(*n.Held.Until).To(BeTemporally(">", time.Now()))
			}
			return counts
		}
		offer(ctx, f, batch(2, "PAYMENT_FAILED", 5))
		Eventually(ctx, reasons).Should(Equal(map[string]int{notification.Muted: 2}))

		now := time.Now().UTC().Truncate(time.Millisecond)
		Expect(f.Store.CreateSilence(ctx, silence.Silence{ID: "s1", Condition: document(bson.D{{Key: "source", Value: "spec"}}),
			From: now, Until: now.Add(time.Hour), Author: "spec", Comment: "spec", CreatedAt: now, ExpiresAt: now.Add(time.Hour)})).To(Succeed())
		Eventually(ctx, func() int {
			offer(ctx, f, batch(1, "PAYMENT_FAILED", 5))
			return reasons()[notification.Silenced]
		}).WithPolling(300 * time.Millisecond).WithTimeout(10 * time.Second).Should(BeNumerically(">", 0))
		Expect(reasons()).NotTo(HaveKey(notification.Throttled))
	}, SpecTimeout(time.Minute))
})
