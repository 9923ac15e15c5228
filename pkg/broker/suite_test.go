package broker_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gleak"
	"github.com/prometheus/client_golang/prometheus"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/broker/brokertest"
	"github.com/events-aggregator/events-aggregator/test/support/faultproxy"
)

func TestBroker(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "broker")
}

var _ = BeforeEach(func() {
	before := gleak.Goroutines()
	DeferCleanup(func() {
		Eventually(gleak.Goroutines).WithTimeout(10 * time.Second).ShouldNot(gleak.HaveLeaked(before))
	})
})

// rig is one work queue with short tiers, another queue that must never get
// what is not its own, and two connections, as a process has them.
type rig struct {
	in        string // the exchange that leads to the queue
	q, other  broker.WorkQueue
	topology  broker.Topology
	reg       *prometheus.Registry
	consume   *broker.Connection
	publish   *broker.Connection
	publisher *broker.Publisher
	proxy     *faultproxy.Proxy // before both connections
	direct    string            // the URL past the proxy

	stopConnections func()
}

type rigOption func(*rigOptions)

type rigOptions struct {
	deliveryLimit int64
	window        int
}

func withDeliveryLimit(n int64) rigOption { return func(o *rigOptions) { o.deliveryLimit = n } }

func withWindow(n int) rigOption { return func(o *rigOptions) { o.window = n } }

var shortTiers = []time.Duration{200 * time.Millisecond, 600 * time.Millisecond}

func newRig(opts ...rigOption) *rig {
	GinkgoHelper()
	o := rigOptions{deliveryLimit: 1000}
	for _, opt := range opts {
		opt(&o)
	}
	prefix := brokertest.Prefix()
	r := &rig{in: prefix + "in", direct: brokertest.URL(), reg: prometheus.NewRegistry()}
	queue := func(name string) broker.WorkQueue {
		return broker.WorkQueue{
			Name: prefix + name, RetryExchange: prefix + "retry", DeadExchange: prefix + "dead",
			Tiers: shortTiers, Schedule: shortTiers,
		}
	}
	r.q, r.other = queue("work"), queue("other")
	for _, name := range []string{r.in, r.q.RetryExchange, r.q.DeadExchange} {
		r.topology.Exchanges = append(r.topology.Exchanges, broker.Exchange{Name: name, Kind: "topic"})
	}
	for _, q := range []broker.WorkQueue{r.q, r.other} {
		r.topology.Queues = append(r.topology.Queues,
			broker.Queue{Name: q.Name, Args: quorum(o.deliveryLimit, q.DeadExchange, q.Name)},
			broker.Queue{Name: q.Dead(), Args: quorum(1_000_000_000, "", "")})
		r.topology.Bindings = append(r.topology.Bindings,
			broker.Binding{Exchange: q.RetryExchange, Key: q.Name, Queue: q.Name},
			broker.Binding{Exchange: q.DeadExchange, Key: q.Name, Queue: q.Dead()})
		for _, delay := range q.Tiers {
			args := quorum(1_000_000_000, q.RetryExchange, q.Name)
			args["x-message-ttl"] = delay.Milliseconds()
			r.topology.Queues = append(r.topology.Queues, broker.Queue{Name: q.Tier(delay), Args: args})
			r.topology.Bindings = append(r.topology.Bindings, broker.Binding{Exchange: q.RetryExchange, Key: q.Tier(delay), Queue: q.Tier(delay)})
		}
	}
	r.topology.Bindings = append(r.topology.Bindings,
		broker.Binding{Exchange: r.in, Key: "work.#", Queue: r.q.Name},
		broker.Binding{Exchange: r.in, Key: "other.#", Queue: r.other.Name})
	brokertest.Declare(r.direct, r.topology)

	var err error
	r.proxy, err = faultproxy.Start(brokertest.Addr(r.direct))
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(r.proxy.Close)
	url := brokertest.Through(r.direct, r.proxy.Addr())
	var stopConsume, stopPublish func()
	r.consume, stopConsume = brokertest.Connect("consume", url, r.reg)
	r.publish, stopPublish = brokertest.Connect("publish", url, r.reg)
	r.stopConnections = func() { stopConsume(); stopPublish() }
	r.publisher = broker.NewPublisher(r.publish, broker.PublisherOptions{Window: o.window})
	return r
}

func quorum(limit int64, deadExchange, deadKey string) map[string]any {
	args := map[string]any{"x-queue-type": "quorum", "x-overflow": "reject-publish", "x-delivery-limit": limit}
	if deadExchange != "" {
		args["x-dead-letter-strategy"] = "at-least-once"
		args["x-dead-letter-exchange"] = deadExchange
		args["x-dead-letter-routing-key"] = deadKey
	}
	return args
}

// message is the i-th of a spec.
func (r *rig) message(i int) broker.Message {
	return broker.Message{
		Exchange: r.in, RoutingKey: "work.item", ContentType: "text/plain",
		MessageID: fmt.Sprintf("m-%06d", i), Body: fmt.Appendf(nil, "body %06d", i),
	}
}

// run consumes q until the spec ends or stop is called.
func (r *rig) run(q broker.WorkQueue, o broker.ConsumerOptions, loop broker.Loop) (stop func()) {
	GinkgoHelper()
	if o.Log == nil {
		o.Log = brokertest.Log()
	}
	c := broker.NewConsumer(r.consume, r.publisher, q, o)
	return brokertest.Go(func(ctx context.Context) error { return c.Run(ctx, loop) })
}

// each consumes q one by one.
func (r *rig) each(q broker.WorkQueue, h func(context.Context, *broker.Delivery) error) (stop func()) {
	GinkgoHelper()
	return r.run(q, broker.ConsumerOptions{}, broker.Each(4, h))
}

// depth is the number of ready messages, past the proxy.
func (r *rig) depth(ctx context.Context, queue string) int {
	GinkgoHelper()
	n, _, err := r.consume.Depth(ctx, queue)
	Expect(err).NotTo(HaveOccurred())
	return n
}

// deadLetters reads all of a queue's dead letters and puts them back.
func (r *rig) deadLetters(ctx context.Context, q broker.WorkQueue) []*broker.DeadLetter {
	GinkgoHelper()
	reader := broker.NewReader(r.consume, q)
	var all []*broker.DeadLetter
	for {
		d, ok, err := reader.Next(ctx)
		Expect(err).NotTo(HaveOccurred())
		if !ok {
			break
		}
		all = append(all, d)
	}
	Expect(reader.Release(ctx)).To(Succeed())
	return all
}

// raw is a plain client, for what the package would not do.
func (r *rig) raw() *amqp.Channel {
	GinkgoHelper()
	conn, err := amqp.Dial(r.direct)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { _ = conn.Close() })
	ch, err := conn.Channel()
	Expect(err).NotTo(HaveOccurred())
	Expect(ch.Confirm(false)).To(Succeed())
	return ch
}

// publishRaw publishes and waits for the confirm.
func publishRaw(ctx context.Context, ch *amqp.Channel, exchange, key string, p amqp.Publishing) {
	GinkgoHelper()
	p.DeliveryMode = amqp.Persistent
	confirm, err := ch.PublishWithDeferredConfirmWithContext(ctx, exchange, key, true, false, p)
	Expect(err).NotTo(HaveOccurred())
	ok, err := confirm.WaitContext(ctx)
	Expect(err).NotTo(HaveOccurred())
	Expect(ok).To(BeTrue())
}

// bury publishes dead letters 0 to n-1.
func (r *rig) bury(ctx context.Context, ch *amqp.Channel, n int) {
	GinkgoHelper()
	for i := range n {
		publishRaw(ctx, ch, r.q.DeadExchange, r.q.Name, amqp.Publishing{MessageId: fmt.Sprintf("m-%06d", i), Body: []byte("b"),
			Headers: amqp.Table{"x-ea-dead-id": fmt.Sprint(i)}})
	}
}
