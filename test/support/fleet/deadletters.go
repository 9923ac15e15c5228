package fleet

import (
	"context"
	"time"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/gomega"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
)

// Dead publishes messages that lead to a work queue and has a consumer of its
// own dead-letter them, each with its verdict's error. Nobody else may consume
// the queue meanwhile.
func (f *Fleet) Dead(ctx context.Context, queue string, verdict func(*broker.Delivery) error, messages ...broker.Message) {
	ginkgo.GinkgoHelper()
	f.deadAtOnce(ctx, 1, queue, verdict, messages...)
}

// DeadInAnyOrder is Dead for many messages.
func (f *Fleet) DeadInAnyOrder(ctx context.Context, queue string, verdict func(*broker.Delivery) error, messages ...broker.Message) {
	ginkgo.GinkgoHelper()
	f.deadAtOnce(ctx, 64, queue, verdict, messages...)
}

func (f *Fleet) deadAtOnce(ctx context.Context, atOnce int, queue string, verdict func(*broker.Delivery) error, messages ...broker.Message) {
	ginkgo.GinkgoHelper()
	before := f.Depth(ctx, queue+".dead")
	consumer := broker.NewConsumer(f.Connection, f.Publisher, f.Topology.Work(queue), broker.ConsumerOptions{Log: f.Log})
	run, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		ended <- consumer.Run(run, broker.Each(atOnce, func(_ context.Context, d *broker.Delivery) error { return broker.Permanent(verdict(d)) }))
	}()
	gomega.Expect(f.Publisher.Publish(ctx, messages...)).To(gomega.Succeed())
	gomega.Eventually(ctx, func() int { return f.Depth(ctx, queue+".dead") }).
		WithTimeout(time.Minute).Should(gomega.Equal(before + len(messages)))
	stop()
	var err error
	gomega.Eventually(ctx, ended).WithTimeout(20 * time.Second).Should(gomega.Receive(&err))
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
}

// DeadByBroker publishes messages that RabbitMQ itself dead-letters, since they
// expire in a queue that nobody may consume meanwhile.
func (f *Fleet) DeadByBroker(ctx context.Context, queue string, messages ...broker.Message) {
	ginkgo.GinkgoHelper()
	before := f.Depth(ctx, queue+".dead")
	conn, err := amqp.Dial(f.AMQPURL)
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	defer func() { _ = conn.Close() }()
	ch, err := conn.Channel()
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	gomega.Expect(ch.Confirm(false)).To(gomega.Succeed())
	for _, m := range messages {
		confirm, err := ch.PublishWithDeferredConfirmWithContext(ctx, m.Exchange, m.RoutingKey, true, false, amqp.Publishing{
			ContentType: m.ContentType, MessageId: m.MessageID, Headers: table(m.Headers), Body: m.Body,
			DeliveryMode: amqp.Persistent, Expiration: "1",
		})
		gomega.Expect(err).NotTo(gomega.HaveOccurred())
		gomega.Expect(confirm.WaitContext(ctx)).To(gomega.BeTrue())
	}
	gomega.Eventually(ctx, func() int { return f.Depth(ctx, queue+".dead") }).
		WithTimeout(20 * time.Second).Should(gomega.Equal(before + len(messages)))
}

// table is headers as the client takes them.
func table(headers map[string]any) amqp.Table {
	t := amqp.Table{}
	for name, v := range headers {
		if nested, ok := v.(map[string]any); ok {
			v = table(nested)
		}
		t[name] = v
	}
	return t
}
