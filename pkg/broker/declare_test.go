package broker_test

import (
	"context"
	"errors"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/broker/brokertest"
)

var _ = Describe("declaring a topology", func() {
	small := func() broker.Topology {
		prefix := brokertest.Prefix()
		t := broker.Topology{Exchanges: []broker.Exchange{{Name: prefix + "in", Kind: "topic"}, {Name: prefix + "dead", Kind: "topic"}}}
		for _, name := range []string{"a", "b", "c", "d"} {
			t.Queues = append(t.Queues, broker.Queue{Name: prefix + name, Args: quorum(1000, prefix+"dead", prefix+name)})
			t.Bindings = append(t.Bindings, broker.Binding{Exchange: prefix + "in", Key: name, Queue: prefix + name})
		}
		return t
	}

	It("works for forty processes at once, and again", func(ctx SpecContext) {
		t := small()
		var all sync.WaitGroup
		for range 40 {
			c, _ := brokertest.Connect("declarer", brokertest.URL(), nil)
			all.Go(func() {
				defer GinkgoRecover()
				Expect(c.Declare(ctx, t)).To(Succeed())
			})
		}
		all.Wait()
		brokertest.Declare(brokertest.URL(), t)
		Expect(broker.Check(ctx, brokertest.URL(), t)).To(BeEmpty())
	}, SpecTimeout(60*time.Second))

	It("waits for the broker", func(ctx SpecContext) {
		r := newRig()
		r.proxy.Refuse(true)
		r.proxy.Cut()
		Eventually(ctx, func() error { return r.consume.Check(ctx) }).ShouldNot(Succeed())
		result := make(chan error, 1)
		go func() { result <- r.consume.Declare(ctx, r.topology) }()
		Consistently(ctx, result, "500ms").ShouldNot(Receive())
		r.proxy.Refuse(false)
		Eventually(ctx, result).WithTimeout(5 * time.Second).Should(Receive(BeNil()))
	}, SpecTimeout(30*time.Second))

	It("names every object that was declared differently, how it differs and what to do, and declares the rest", func(ctx SpecContext) {
		t := small()
		ch, hangUp := plainChannel()
		declare := func(name string, args amqp.Table) {
			_, err := ch.QueueDeclare(name, true, false, false, false, args)
			Expect(err).NotTo(HaveOccurred())
		}
		declare(t.Queues[1].Name, amqp.Table{"x-queue-type": "quorum"})
		declare(t.Queues[2].Name, nil)
		Expect(ch.ExchangeDeclare(t.Exchanges[1].Name, "fanout", true, false, false, false, nil)).To(Succeed())
		hangUp()

		c, _ := brokertest.Connect("declarer", brokertest.URL(), nil)
		DeferCleanup(func(ctx SpecContext) {
			Expect(c.Remove(ctx, t)).To(Succeed())
		}, NodeTimeout(20*time.Second))
		err := c.Declare(ctx, t)
		var different *broker.DifferenceError
		Expect(errors.As(err, &different)).To(BeTrue())
		Expect(different.Differences).To(HaveLen(3))
		Expect(different.Differences[0].Object).To(Equal("exchange " + t.Exchanges[1].Name))
		Expect(different.Differences[0].Detail).To(ContainSubstring("type"))
		Expect(different.Differences[1].Object).To(Equal("queue " + t.Queues[1].Name))
		Expect(different.Differences[1].Detail).To(ContainSubstring("inequivalent arg"))
		Expect(different.Differences[2].Detail).To(ContainSubstring("inequivalent arg"))
		Expect(different.Differences[2].Advice).To(ContainSubstring("delete it"))
		Expect(broker.IsOutage(err)).To(BeFalse())

		found, err := broker.Check(ctx, brokertest.URL(), t)
		Expect(err).NotTo(HaveOccurred())
		Expect(found).To(Equal(different.Differences))
		n, _, err := c.Depth(ctx, t.Queues[3].Name)
		Expect(err).NotTo(HaveOccurred())
		Expect(n).To(BeZero())
	}, SpecTimeout(30*time.Second))

	It("is not what a check does: what is missing stays missing", func(ctx SpecContext) {
		t := small()
		for range 2 {
			found, err := broker.Check(ctx, brokertest.URL(), t)
			Expect(err).NotTo(HaveOccurred())
			Expect(found).To(HaveLen(6))
			Expect(found[0].Detail).To(Equal("is missing"))
		}
		_, err := broker.Check(ctx, "amqp://guest:guest@127.0.0.1:1/", t)
		Expect(broker.IsOutage(err)).To(BeTrue())
	}, SpecTimeout(20*time.Second))

	It("tells a queue's depth and consumers", func(ctx SpecContext) {
		r := newRig()
		Expect(r.publisher.Publish(ctx, r.message(1), r.message(2))).To(Succeed())
		n, consumers, err := r.consume.Depth(ctx, r.q.Name)
		Expect(err).NotTo(HaveOccurred())
		Expect([]int{n, consumers}).To(Equal([]int{2, 0}))
		r.each(r.q, func(ctx context.Context, _ *broker.Delivery) error { return nil })
		Eventually(ctx, func() int { _, consumers, _ = r.consume.Depth(ctx, r.q.Name); return consumers }).Should(Equal(1))
		_, _, err = r.consume.Depth(ctx, "no-such-queue")
		Expect(err).To(MatchError(ContainSubstring("no queue")))
		Expect(broker.IsOutage(err)).To(BeFalse())
	}, SpecTimeout(20*time.Second))
})

func plainChannel() (*amqp.Channel, func()) {
	GinkgoHelper()
	conn, err := amqp.Dial(brokertest.URL())
	Expect(err).NotTo(HaveOccurred())
	ch, err := conn.Channel()
	Expect(err).NotTo(HaveOccurred())
	return ch, func() { _ = conn.Close() }
}
