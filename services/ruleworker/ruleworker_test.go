package ruleworker_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/config"
	"github.com/events-aggregator/events-aggregator/pkg/decision"
	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/replay"
	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
	"github.com/events-aggregator/events-aggregator/services/ruleworker"
	"github.com/events-aggregator/events-aggregator/test/support/faultproxy"
	"github.com/events-aggregator/events-aggregator/test/support/fleet"
)

func document(d bson.D) bson.Raw {
	GinkgoHelper()
	raw, err := bson.Marshal(d)
	Expect(err).NotTo(HaveOccurred())
	return raw
}

// logRule writes a log line for every event of the type.
func logRule(name, eventType string) rule.Rule {
	now := time.Now().UTC().Truncate(time.Millisecond)
	return rule.Rule{ID: name, Name: name, Conditions: document(bson.D{{Key: "type", Value: eventType}}),
		Actions:  []rule.ActionSpec{{Type: "LOG", Config: document(bson.D{{Key: "level", Value: "info"}, {Key: "message", Value: "seen"}})}},
		Priority: 5, Enabled: true, Mode: rule.Live, CreatedAt: now, UpdatedAt: now, CreatedBy: "spec"}
}

// batch makes n stored documents of one type and severity.
func batch(n int, eventType string, severity int) event.Batch {
	now := time.Now().UTC().Truncate(time.Millisecond)
	first, at := event.NewIDBlock(n)
	b := event.Batch{ID: first.Hex(), FirstID: first, LastID: at(n - 1), MaxSeverity: severity, StoredAt: now}
	for i := range n {
		b.Events = append(b.Events, document(bson.D{
			{Key: "_id", Value: at(i)}, {Key: "event_id", Value: fmt.Sprintf("e-%s-%d", b.ID, i)},
			{Key: "type", Value: eventType}, {Key: "source", Value: "spec"}, {Key: "severity", Value: int32(severity)},
			{Key: "timestamp", Value: now}, {Key: "processed", Value: false}, {Key: "batch_id", Value: b.ID},
			{Key: "created_at", Value: now}, {Key: "expires_at", Value: now.Add(time.Hour)},
		}))
	}
	return b
}

// offer stores a batch as the ingester does and publishes it.
func offer(ctx context.Context, f *fleet.Fleet, b event.Batch) {
	GinkgoHelper()
	Expect(f.Store.SaveBatch(ctx, b, "spec")).To(Succeed())
	republish(ctx, f, b)
}

func republish(ctx context.Context, f *fleet.Fleet, b event.Batch) {
	GinkgoHelper()
	m, err := f.Topology.Stored().Encode(b)
	Expect(err).NotTo(HaveOccurred())
	Expect(f.Publisher.Publish(ctx, m)).To(Succeed())
}

// collect takes the delivery orders out of a dispatcher queue until the spec ends.
func collect(ctx context.Context, f *fleet.Fleet, queue string) func() []notification.Message {
	var mu sync.Mutex
	var got []notification.Message
	c := broker.NewConsumer(f.Connection, f.Publisher, f.Topology.Work(queue), broker.ConsumerOptions{Prefetch: 100, Log: f.Log})
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = c.Run(run, broker.Each(4, func(_ context.Context, d *broker.Delivery) error {
			m, err := f.Topology.Actions().Decode(d.Message)
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			got = append(got, m)
			return nil
		}))
	}()
	DeferCleanup(func() { stop(); <-ended })
	return func() []notification.Message {
		mu.Lock()
		defer mu.Unlock()
		return append([]notification.Message(nil), got...)
	}
}

func ids(messages []notification.Message) map[string]int {
	seen := map[string]int{}
	for _, m := range messages {
		seen[m.Notification.ID]++
	}
	return seen
}

func unprocessed(ctx context.Context, f *fleet.Fleet) int64 {
	GinkgoHelper()
	no := false
	n, err := f.Store.CountEvents(ctx, store.EventFilter{Processed: &no}, 0)
	Expect(err).NotTo(HaveOccurred())
	return n
}

// addQueue declares a dispatcher's queue that this fleet's configuration has not.
func addQueue(ctx context.Context, f *fleet.Fleet, name string) {
	GinkgoHelper()
	var added broker.Topology
	for _, q := range topology.New(f.Prefix, name).Broker().Queues {
		if strings.HasPrefix(q.Name, f.Prefix+name) {
			added.Queues = append(added.Queues, q)
		}
	}
	added.Bindings = []broker.Binding{{Exchange: f.Topology.Exchange(topology.ExchangeActions), Key: name, Queue: f.Prefix + name}}
	Expect(f.Connection.Declare(ctx, added)).To(Succeed())
	DeferCleanup(func(ctx SpecContext) { Expect(f.Connection.Remove(ctx, added)).To(Succeed()) }, NodeTimeout(30*time.Second))
}

func quickPoll(c *config.Config) { c.RuleWorker.Poll = 200 * time.Millisecond }

var _ = Describe("the rule-worker", func() {
	It("decides a batch: processed, matched rules, notifications, delivery orders, ledger", func(ctx SpecContext) {
		f := fleet.New(ctx)
		_, err := f.Store.CreateRule(ctx, logRule("failed", "PAYMENT_FAILED"))
		Expect(err).NotTo(HaveOccurred())
		orders := collect(ctx, f, topology.NotificationsDefault)
		f.Start(ctx, "rule-worker", ruleworker.Wire)
		match, other := batch(3, "PAYMENT_FAILED", 5), batch(4, "USER_LOGIN", 2)
		offer(ctx, f, match)
		offer(ctx, f, other)

		Eventually(ctx, orders).Should(HaveLen(3))
		Eventually(ctx, func() int64 { return unprocessed(ctx, f) }).Should(BeZero())
		for _, m := range orders() {
			Expect(m.Attempt).To(Equal(1))
			Expect(m.Republished).To(BeFalse())
			Expect(m.Event.Lookup("type").StringValue()).To(Equal("PAYMENT_FAILED"))
			Expect(m.Notification.ID).To(Equal(notification.ID(m.Notification.EventID, "failed", 1, 0)))
		}
		matched, err := f.Store.CountEvents(ctx, store.EventFilter{Rule: "failed"}, 0)
		Expect(err).NotTo(HaveOccurred())
		Expect(matched).To(BeEquivalentTo(3))
		for _, b := range []event.Batch{match, other} {
			Eventually(ctx, func(g Gomega) {
				row, err := f.Store.Batch(ctx, b.ID)
				g.Expect(err).NotTo(HaveOccurred())
				g.Expect(row.MatchedAt).NotTo(BeNil())
				g.Expect(row.ActionsPublishedAt).NotTo(BeNil())
			}).Should(Succeed())
		}
	}, SpecTimeout(time.Minute))

	It("publishes only what was never attempted when a batch comes again, and says that it is a repeat", func(ctx SpecContext) {
		f := fleet.New(ctx)
		_, err := f.Store.CreateRule(ctx, logRule("failed", "PAYMENT_FAILED"))
		Expect(err).NotTo(HaveOccurred())
		f.Start(ctx, "rule-worker", ruleworker.Wire)
		b := batch(2, "PAYMENT_FAILED", 5)
		offer(ctx, f, b)
		Eventually(ctx, func() int { return f.Depth(ctx, topology.NotificationsDefault) }).Should(Equal(2))
		attempted := notification.ID(b.Events[0].Lookup("event_id").StringValue(), "failed", 1, 0)
		_, err = f.Store.RecordAttempts(ctx, time.Now(), []store.AttemptRecord{{ID: attempted, Status: notification.Pending,
			Attempt: notification.Attempt{Number: 1, At: time.Now(), Outcome: notification.OutcomeRetry}}})
		Expect(err).NotTo(HaveOccurred())
		orders := collect(ctx, f, topology.NotificationsDefault)
		Eventually(ctx, orders).Should(HaveLen(2))
		republish(ctx, f, b)
		Eventually(ctx, orders).Should(HaveLen(3))
		Consistently(ctx, orders, time.Second).Should(HaveLen(3))
		again := orders()[2]
		Expect(again.Republished).To(BeTrue())
		Expect(again.Notification.EventID).To(Equal(b.Events[1].Lookup("event_id").StringValue()))
		all, err := f.Store.CountNotifications(ctx, store.NotificationFilter{})
		Expect(err).NotTo(HaveOccurred())
		Expect(all[notification.Pending]).To(BeEquivalentTo(2))
	}, SpecTimeout(time.Minute))

	It("follows a change of the rules within two seconds when told, and by its poll when the word is lost", func(ctx SpecContext) {
		f := fleet.New(ctx)
		f.Start(ctx, "rule-worker", ruleworker.Wire, func(c *config.Config) { c.RuleWorker.Poll = time.Hour })
		orders := collect(ctx, f, topology.NotificationsDefault)
		_, err := f.Store.CreateRule(ctx, logRule("a", "TYPE_A"))
		Expect(err).NotTo(HaveOccurred())
		hint, err := f.Topology.Control().Encode(topology.Control{Kind: topology.KeyRulesChanged})
		Expect(err).NotTo(HaveOccurred())
		// A broadcast is a hint that a worker which is just starting may miss.
		Eventually(ctx, func() int {
			Expect(f.Publisher.Publish(ctx, hint)).To(Succeed())
			offer(ctx, f, batch(1, "TYPE_A", 5))
			return len(orders())
		}).WithPolling(500 * time.Millisecond).WithTimeout(10 * time.Second).ShouldNot(BeZero())

		f.Start(ctx, "rule-worker", ruleworker.Wire, quickPoll)
		before := len(orders())
		_, err = f.Store.CreateRule(ctx, logRule("b", "TYPE_B"))
		Expect(err).NotTo(HaveOccurred())
		Eventually(ctx, func() int {
			offer(ctx, f, batch(1, "TYPE_B", 5))
			return len(orders())
		}).WithPolling(300 * time.Millisecond).WithTimeout(10 * time.Second).Should(BeNumerically(">", before))
	}, SpecTimeout(time.Minute))

	It("records what a shadow rule would have done, and publishes nothing", func(ctx SpecContext) {
		f := fleet.New(ctx)
		shadow := logRule("shadow", "PAYMENT_FAILED")
		shadow.Mode = rule.Shadow
		_, err := f.Store.CreateRule(ctx, shadow)
		Expect(err).NotTo(HaveOccurred())
		f.Start(ctx, "rule-worker", ruleworker.Wire)
		offer(ctx, f, batch(2, "PAYMENT_FAILED", 5))
		Eventually(ctx, func(g Gomega) {
			counts, err := f.Store.CountNotifications(ctx, store.NotificationFilter{})
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(counts[notification.Suppressed]).To(BeEquivalentTo(2))
		}).Should(Succeed())
		Consistently(ctx, func() int { return f.Depth(ctx, topology.NotificationsDefault) }, time.Second).Should(BeZero())
	}, SpecTimeout(time.Minute))

	It("sweeps what a worker that died left decided and unpublished", func(ctx SpecContext) {
		f := fleet.New(ctx)
		b := batch(2, "PAYMENT_FAILED", 5)
		Expect(f.Store.SaveBatch(ctx, b, "spec")).To(Succeed())
		now := time.Now().UTC()
		owed := []decision.Owed{{Notification: notification.Notification{ID: "n1", EventID: b.Events[1].Lookup("event_id").StringValue(), RuleID: "r", RuleVersion: 1,
			Queue: topology.NotificationsDefault, Status: notification.Pending, Attempts: []notification.Attempt{},
			Action: notification.Action{Type: "LOG", Config: document(bson.D{})}, CreatedAt: now, UpdatedAt: now, ExpiresAt: now.Add(time.Hour)}}}
		_, err := f.Store.Decide(ctx, now, []decision.Batch{{Batch: b, Owed: owed}})
		Expect(err).NotTo(HaveOccurred())
		undecided := batch(1, "PAYMENT_FAILED", 5)
		Expect(f.Store.SaveBatch(ctx, undecided, "spec")).To(Succeed())

		orders := collect(ctx, f, topology.NotificationsDefault)
		f.Start(ctx, "rule-worker", ruleworker.Wire)
		Eventually(ctx, orders).WithTimeout(20 * time.Second).Should(HaveLen(1))
		Expect(orders()[0].Republished).To(BeTrue())
		Expect(orders()[0].Event.Lookup("event_id")).To(Equal(b.Events[1].Lookup("event_id")))
		Consistently(ctx, orders, 2*time.Second).Should(HaveLen(1))
		row, err := f.Store.Batch(ctx, undecided.ID)
		Expect(err).NotTo(HaveOccurred())
		Expect(row.MatchedAt).To(BeNil(), "the sweep publishes, it never decides")
	}, SpecTimeout(time.Minute))

	It("sweeps past what cannot be published", func(ctx SpecContext) {
		f := fleet.New(ctx)
		now := time.Now().UTC()
		owe := func(name, queue string) event.Batch {
			b := batch(1, "PAYMENT_FAILED", 5)
			Expect(f.Store.SaveBatch(ctx, b, "spec")).To(Succeed())
			one := notification.Notification{ID: name, EventID: b.Events[0].Lookup("event_id").StringValue(), RuleID: "r", RuleVersion: 1,
				Queue: queue, Status: notification.Pending, Attempts: []notification.Attempt{},
				Action: notification.Action{Type: "LOG", Config: document(bson.D{})}, CreatedAt: now, UpdatedAt: now, ExpiresAt: now.Add(time.Hour)}
			timers := one
			timers.ID, timers.EventID, timers.Unpublished = name+" of a timer", "", true
			timers.Alert = &notification.Alert{Kind: "flatline", Key: document(bson.D{}), From: now.Add(-time.Minute), To: now, Text: "silence"}
			_, err := f.Store.Decide(ctx, now, []decision.Batch{{Batch: b, Owed: []decision.Owed{{Notification: one}, {Notification: timers}}}})
			Expect(err).NotTo(HaveOccurred())
			return b
		}
		const many = 5 // more than are swept at a time
		var gone event.Batch
		left := map[string]int{}
		for i := range many {
			gone = owe(fmt.Sprint("first ", i), "a.queue.that.is.gone")
			left[fmt.Sprint("first ", i)], left[fmt.Sprintf("first %d of a timer", i)] = 1, 1
		}
		owe("second", topology.NotificationsDefault)
		orders := collect(ctx, f, topology.NotificationsDefault)
		f.Start(ctx, "rule-worker", ruleworker.Wire, func(c *config.Config) { c.Sweep.Limit = 2 })
		Eventually(ctx, func() map[string]int { return ids(orders()) }).WithTimeout(30 * time.Second).
			Should(And(HaveLen(2), HaveKey("second"), HaveKey("second of a timer")))
		Eventually(ctx, func() (store.LedgerRow, error) { return f.Store.Batch(ctx, gone.ID) }).
			Should(HaveField("ActionsPublishedAt", Not(BeNil())), "its notification waits for the queue, and the batch is done")
		Eventually(ctx, func(g Gomega) {
			waiting, err := f.Store.UnpublishedNotifications(ctx, time.Now().Add(time.Minute), nil, 20)
			g.Expect(err).NotTo(HaveOccurred())
			seen := map[string]int{}
			for _, n := range waiting {
				seen[n.ID]++
			}
			g.Expect(seen).To(Equal(left))
		}).Should(Succeed())
	}, SpecTimeout(time.Minute))

	It("publishes the rest of a batch, or of a replay, when the queue of one action is gone, and that one when there is a queue again", func(ctx SpecContext) {
		f := fleet.New(ctx)
		gone := logRule("gone", "PAYMENT_FAILED")
		gone.Actions[0].Config = document(bson.D{{Key: "level", Value: "info"}, {Key: "queue", Value: "a.queue.that.is.gone"}})
		for _, r := range []rule.Rule{gone, logRule("there", "PAYMENT_FAILED")} {
			_, err := f.Store.CreateRule(ctx, r)
			Expect(err).NotTo(HaveOccurred())
		}
		orders := collect(ctx, f, topology.NotificationsDefault)
		f.Start(ctx, "rule-worker", ruleworker.Wire, often)
		b := batch(3, "PAYMENT_FAILED", 5)
		offer(ctx, f, b)
		offer(ctx, f, batch(2, "PAYMENT_FAILED", 5))
		Eventually(ctx, func() map[string]int { return ids(orders()) }).WithTimeout(20 * time.Second).Should(HaveLen(5))
		Expect(orders()).To(HaveEach(HaveField("Notification.RuleID", "there")))
		Eventually(ctx, func() (store.LedgerRow, error) { return f.Store.Batch(ctx, b.ID) }).
			Should(HaveField("ActionsPublishedAt", Not(BeNil())))
		for _, w := range []string{topology.RuleWorkerNormal, topology.RuleWorkerNormal + ".dead", topology.RuleWorkerNormal + ".retry.1s"} {
			Expect(f.Depth(ctx, w)).To(BeZero(), "no batch comes again for it")
		}
		keep(ctx, f, batch(4, "PAYMENT_FAILED", 5))
		again(ctx, f, "j1")
		Expect(replayed(ctx, f, "j1").Progress.Counts).To(Equal(replay.Counts{Made: 8, UnderWay: 10}))
		Eventually(ctx, func() map[string]int { return ids(orders()) }).WithTimeout(20 * time.Second).Should(HaveLen(9))
		waiting := func() ([]notification.Notification, error) {
			return f.Store.UnpublishedNotifications(ctx, time.Now().Add(time.Minute), nil, 20)
		}
		Eventually(ctx, waiting).Should(And(HaveLen(9), HaveEach(HaveField("RuleID", "gone"))))
		addQueue(ctx, f, "a.queue.that.is.gone")
		Eventually(ctx, waiting).WithTimeout(20 * time.Second).Should(BeEmpty())
	}, SpecTimeout(time.Minute))

	It("decides each batch once and owes each notification once, with two workers, repeats, cuts and an outage", func(ctx SpecContext) {
		f := fleet.New(ctx)
		_, err := f.Store.CreateRule(ctx, logRule("failed", "PAYMENT_FAILED"))
		Expect(err).NotTo(HaveOccurred())
		proxies := map[string]*faultproxy.Proxy{}
		for name, target := range map[string]*string{"broker": &f.AMQPURL, "database": &f.MongoURI} {
			proxies[name] = fleet.Through(target)
		}
		orders := collect(ctx, f, topology.NotificationsDefault)
		for range 2 {
			f.Start(ctx, "rule-worker", ruleworker.Wire)
		}
		const batches, size = 30, 5
		want := map[string]bool{}
		for i := range batches {
			b := batch(size, "PAYMENT_FAILED", 5)
			for _, e := range b.Events {
				want[notification.ID(e.Lookup("event_id").StringValue(), "failed", 1, 0)] = true
			}
			offer(ctx, f, b)
			if i%3 == 0 {
				republish(ctx, f, b)
			}
			switch i {
			case 5, 15, 25:
				proxies["broker"].Cut()
			case 10:
				proxies["database"].Refuse(true)
				proxies["database"].Cut()
			case 20:
				proxies["database"].Refuse(false)
			}
		}
		Eventually(ctx, func() int64 { return unprocessed(ctx, f) }).WithTimeout(time.Minute).Should(BeZero())
		Eventually(ctx, func() int { return len(ids(orders())) }).WithTimeout(time.Minute).Should(Equal(len(want)))
		counts, err := f.Store.CountNotifications(ctx, store.NotificationFilter{})
		Expect(err).NotTo(HaveOccurred())
		Expect(counts[notification.Pending]).To(BeEquivalentTo(len(want)))
		for _, m := range orders() {
			Expect(want).To(HaveKey(m.Notification.ID))
		}
		Expect(f.DeadLetters(ctx, topology.RuleWorkerNormal)).To(BeEmpty())
	}, SpecTimeout(3*time.Minute))

	It("dead-letters what is no batch, and its neighbours go on", func(ctx SpecContext) {
		f := fleet.New(ctx)
		f.Start(ctx, "rule-worker", ruleworker.Wire)
		m, err := f.Topology.Stored().Encode(batch(1, "USER_LOGIN", 1))
		Expect(err).NotTo(HaveOccurred())
		m.Body = []byte("not BSON")
		Expect(f.Publisher.Publish(ctx, m)).To(Succeed())
		good := batch(1, "USER_LOGIN", 1)
		offer(ctx, f, good)
		Eventually(ctx, func() int64 { return unprocessed(ctx, f) }).Should(BeZero())
		var dead []*broker.DeadLetter
		Eventually(ctx, func() []*broker.DeadLetter {
			dead = append(dead, f.DeadLetters(ctx, topology.RuleWorkerNormal)...)
			return dead
		}).Should(HaveLen(1))
		Expect(dead[0].Reason).To(Equal("permanent"))
	}, SpecTimeout(time.Minute))
})
