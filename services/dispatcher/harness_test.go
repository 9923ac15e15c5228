package dispatcher_test

import (
	"context"
	"encoding/json"
	"fmt"
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
	"github.com/events-aggregator/events-aggregator/pkg/topology"
	"github.com/events-aggregator/events-aggregator/services/dispatcher"
	"github.com/events-aggregator/events-aggregator/test/support/fleet"
	"github.com/events-aggregator/events-aggregator/test/support/sink"
)

const (
	queue  = topology.WebhooksDefault
	secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	trace  = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
)

// receive starts a webhook receiver for the spec, which verifies signatures.
func receive() *sink.Running {
	GinkgoHelper()
	r, err := sink.Start(secret)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(r.Close)
	r.Keep()
	return r
}

// start runs an action-dispatcher of the fleet.
func start(ctx context.Context, f *fleet.Fleet, change ...func(*config.Config)) {
	GinkgoHelper()
	f.Start(ctx, "action-dispatcher", dispatcher.Wire, change...)
}

func raw(d bson.D) bson.Raw {
	GinkgoHelper()
	b, err := bson.Marshal(d)
	Expect(err).NotTo(HaveOccurred())
	return b
}

// webhookTo is the configuration of a signed webhook.
func webhookTo(url string, more ...bson.E) bson.D {
	return append(bson.D{{Key: "url", Value: url}, {Key: "secret", Value: secret}}, more...)
}

// owe stores an event and one notification for each configuration, as the
// ingester and the rule-worker do, and returns the delivery orders.
func owe(ctx context.Context, f *fleet.Fleet, kind string, configs ...bson.D) []notification.Message {
	GinkgoHelper()
	now := time.Now().UTC().Truncate(time.Millisecond)
	first, at := event.NewIDBlock(len(configs))
	batch := event.Batch{ID: first.Hex(), FirstID: first, LastID: at(len(configs) - 1), MaxSeverity: 5, StoredAt: now}
	messages := make([]notification.Message, len(configs))
	owed := make([]decision.Owed, len(configs))
	for i, c := range configs {
		eventID := fmt.Sprintf("e-%s-%d", batch.ID, i)
		doc := raw(bson.D{
			{Key: "_id", Value: at(i)}, {Key: "event_id", Value: eventID},
			{Key: "type", Value: "PAYMENT_FAILED"}, {Key: "source", Value: "spec"}, {Key: "severity", Value: int32(5)},
			{Key: "timestamp", Value: now}, {Key: "trace_id", Value: trace[3:35]},
			{Key: "payload", Value: bson.D{{Key: "n", Value: int32(i)}}},
			{Key: "metadata", Value: bson.D{{Key: "hops", Value: int32(2)}, {Key: "traceparent", Value: trace}}},
			{Key: "processed", Value: true}, {Key: "batch_id", Value: batch.ID},
			{Key: "created_at", Value: now}, {Key: "expires_at", Value: now.Add(time.Hour)},
		})
		batch.Events = append(batch.Events, doc)
		owed[i].Notification = notification.Notification{
			ID: notification.ID(eventID, "r1", 1, 0), EventID: eventID, RuleID: "r1", RuleVersion: 1, RuleName: "failed payments",
			Action: notification.Action{Type: kind, Config: raw(c)}, Queue: queue, Status: notification.Pending,
			Attempts: []notification.Attempt{}, CreatedAt: now, UpdatedAt: now, ExpiresAt: now.Add(time.Hour),
		}
		messages[i] = notification.Message{Notification: owed[i].Notification, Event: doc, Attempt: 1}
	}
	Expect(f.Store.SaveBatch(ctx, batch, "spec")).To(Succeed())
	_, err := f.Store.Decide(ctx, now, []decision.Batch{{Batch: batch, Owed: owed}})
	Expect(err).NotTo(HaveOccurred())
	return messages
}

// oweHooks owes n signed webhooks to a URL.
func oweHooks(ctx context.Context, f *fleet.Fleet, n int, url string, more ...bson.E) []notification.Message {
	GinkgoHelper()
	configs := make([]bson.D, n)
	for i := range configs {
		configs[i] = webhookTo(url, more...)
	}
	return owe(ctx, f, "WEBHOOK", configs...)
}

// send publishes delivery orders.
func send(ctx context.Context, f *fleet.Fleet, messages ...notification.Message) {
	GinkgoHelper()
	Expect(f.Publisher.Publish(ctx, ordersOf(f, messages...)...)).To(Succeed())
}

// ordersOf are delivery orders as they are published.
func ordersOf(f *fleet.Fleet, messages ...notification.Message) []broker.Message {
	GinkgoHelper()
	encoded := make([]broker.Message, len(messages))
	for i, m := range messages {
		var err error
		encoded[i], err = f.Topology.Actions().Encode(m)
		Expect(err).NotTo(HaveOccurred())
	}
	return encoded
}

// sendRedelivered leaves the messages in the queue as a process does that had
// them in its hands and died.
func sendRedelivered(ctx context.Context, f *fleet.Fleet, messages ...notification.Message) {
	GinkgoHelper()
	leaveRedelivered(ctx, f, ordersOf(f, messages...)...)
}

// leaveRedelivered is sendRedelivered for messages as they are published.
func leaveRedelivered(ctx context.Context, f *fleet.Fleet, messages ...broker.Message) {
	GinkgoHelper()
	Expect(f.Publisher.Publish(ctx, messages...)).To(Succeed())
	c := broker.NewConsumer(f.Connection, f.Publisher, f.Topology.Work(queue), broker.ConsumerOptions{Prefetch: len(messages)})
	run, stop := context.WithCancel(ctx)
	defer stop()
	Expect(c.Run(run, func(_ context.Context, in <-chan *broker.Delivery) error {
		var held []*broker.Delivery
		for d := range in {
			if held = append(held, d); len(held) == len(messages) {
				stop()
			}
		}
		for _, d := range held {
			d.Done(broker.Interrupted(nil))
		}
		return nil
	})).To(Succeed())
	Eventually(ctx, func() int { return f.Depth(ctx, queue) }).Should(Equal(len(messages)))
}

// record puts an attempt of a process that has died into the ledger.
func record(ctx context.Context, f *fleet.Fleet, m notification.Message, status notification.Status, outcome notification.Outcome, reason string) {
	GinkgoHelper()
	now := time.Now().UTC().Truncate(time.Millisecond)
	a := notification.Attempt{Number: m.Attempt, At: now, Outcome: outcome, Worker: "died"}
	if outcome != notification.OutcomeOK {
		a.ErrorClass, a.Error = "http_5xx", "the receiver answered 500"
	}
	r := dispatcher.Record{ID: m.Notification.ID, Attempt: a, Status: status, Reason: reason}
	if status == notification.Pending {
		next := now.Add(time.Second)
		r.NextAttemptAt = &next
	}
	answers, err := dispatcher.LedgerOf(f.Store).RecordAttempts(ctx, now, []dispatcher.Record{r})
	Expect(err).NotTo(HaveOccurred())
	Expect(answers).To(ConsistOf(HaveField("Accepted", BeTrue())))
}

// recordPart records a first attempt that reached only some receivers.
func recordPart(ctx context.Context, f *fleet.Fleet, m notification.Message, at, next time.Time, receipts ...string) {
	GinkgoHelper()
	a := notification.Attempt{Number: 1, At: at, Outcome: notification.OutcomeRetry, ErrorClass: "sending", Receipts: receipts, Worker: "died"}
	answers, err := dispatcher.LedgerOf(f.Store).RecordAttempts(ctx, at, []dispatcher.Record{{ID: m.Notification.ID, Attempt: a, Status: notification.Pending, NextAttemptAt: &next}})
	Expect(err).NotTo(HaveOccurred())
	Expect(answers).To(ConsistOf(HaveField("Accepted", BeTrue())))
}

// notificationOf reads a message's notification.
func notificationOf(ctx context.Context, g Gomega, f *fleet.Fleet, m notification.Message) notification.Notification {
	n, err := f.Store.Notification(ctx, m.Notification.ID)
	g.Expect(err).NotTo(HaveOccurred())
	return n
}

// becomes waits until a message's notification has the status.
func becomes(ctx context.Context, f *fleet.Fleet, m notification.Message, s notification.Status) notification.Notification {
	GinkgoHelper()
	var n notification.Notification
	Eventually(ctx, func(g Gomega) {
		n = notificationOf(ctx, g, f, m)
		g.Expect(n.Status).To(Equal(s), "%+v", n.Attempts)
	}).WithPolling(20 * time.Millisecond).Should(Succeed())
	Expect(n.AttemptCount).To(Equal(len(n.Attempts)))
	for i, a := range n.Attempts {
		Expect(a.Number).To(Equal(i+1), "attempts are numbered without gaps")
	}
	return n
}

// outcomes collects the outcome events that arrive in the ingester's queue.
func outcomes(ctx context.Context, f *fleet.Fleet) func() []outcomeEvent {
	GinkgoHelper()
	var mu sync.Mutex
	var got []outcomeEvent
	c := broker.NewConsumer(f.Connection, f.Publisher, f.Topology.Work(topology.Ingest), broker.ConsumerOptions{Log: f.Log})
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = c.Run(run, broker.Each(1, func(_ context.Context, d *broker.Delivery) error {
			var e outcomeEvent
			if err := json.Unmarshal(d.Body, &e); err != nil {
				return broker.Permanent(err)
			}
			e.key, e.headers, e.body = d.RoutingKey, d.Headers, string(d.Body)
			mu.Lock()
			defer mu.Unlock()
			got = append(got, e)
			return nil
		}))
	}()
	DeferCleanup(func() { stop(); <-ended })
	return func() []outcomeEvent {
		mu.Lock()
		defer mu.Unlock()
		return append([]outcomeEvent(nil), got...)
	}
}

type outcomeEvent struct {
	EventID  string         `json:"event_id"`
	Type     string         `json:"type"`
	Source   string         `json:"source"`
	Severity int            `json:"severity"`
	TraceID  string         `json:"trace_id"`
	Payload  map[string]any `json:"payload"`
	Metadata map[string]any `json:"metadata"`

	key     string
	headers map[string]any
	body    string
}

// distinct are the ids of the events.
func distinct(events []outcomeEvent) map[string]bool {
	ids := map[string]bool{}
	for _, e := range events {
		ids[e.EventID] = true
	}
	return ids
}

// empty says that no message of the queue is left anywhere but among the dead.
func empty(ctx context.Context, f *fleet.Fleet) {
	GinkgoHelper()
	w := f.Topology.Work(queue)
	Eventually(ctx, func() int {
		n := f.Depth(ctx, queue)
		for _, tier := range w.Tiers {
			n += f.Depth(ctx, queue+".retry."+broker.DelayLabel(tier))
		}
		return n
	}).Should(BeZero())
}

// schedule sets the retry schedule.
func schedule(delays ...time.Duration) func(*config.Config) {
	return func(c *config.Config) { c.Dispatcher.Schedule = delays }
}

// lettersOf are the queue's dead letters, which stay there.
func lettersOf(ctx context.Context, f *fleet.Fleet) (found []*broker.DeadLetter) {
	GinkgoHelper()
	r := broker.NewReader(f.Connection, f.Topology.Work(queue))
	for {
		d, more, err := r.Next(ctx)
		Expect(err).NotTo(HaveOccurred())
		if !more {
			Expect(r.Release(ctx)).To(Succeed())
			return found
		}
		found = append(found, d)
	}
}
