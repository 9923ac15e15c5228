package broker_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
)

var _ = Describe("a publisher", func() {
	It("confirms what many callers publish, and keeps each call's order", func(ctx SpecContext) {
		r := newRig()
		const callers, each = 20, 700
		var all sync.WaitGroup
		for c := range callers {
			all.Go(func() {
				defer GinkgoRecover()
				var msgs []broker.Message
				for i := range each {
					m := r.message(i)
					m.AppID = fmt.Sprint(c)
					msgs = append(msgs, m)
				}
				Expect(r.publisher.Publish(ctx, msgs...)).To(Succeed())
			})
		}
		all.Wait()
		Expect(r.depth(ctx, r.q.Name)).To(Equal(callers * each))

		next := map[string]int{}
		var mu sync.Mutex
		r.run(r.q, broker.ConsumerOptions{}, broker.Each(1, func(_ context.Context, d *broker.Delivery) error {
			mu.Lock()
			defer mu.Unlock()
			if d.MessageID != r.message(next[d.AppID]).MessageID {
				return broker.Permanent(errors.New("out of order"))
			}
			next[d.AppID]++
			return nil
		}))
		Eventually(ctx, func() int {
			mu.Lock()
			defer mu.Unlock()
			sum := 0
			for _, n := range next {
				sum += n
			}
			return sum
		}).WithTimeout(20 * time.Second).Should(Equal(callers * each))
	}, SpecTimeout(40*time.Second))

	It("persists messages", func(ctx SpecContext) {
		r := newRig()
		Expect(r.publisher.Publish(ctx, r.message(1))).To(Succeed())
		d, ok, err := r.raw().Get(r.q.Name, true)
		Expect(err).NotTo(HaveOccurred())
		Expect(ok).To(BeTrue())
		Expect(d.DeliveryMode).To(Equal(amqp.Persistent))
	}, SpecTimeout(20*time.Second))

	It("says which message no queue takes, and publishes the call's others", func(ctx SpecContext) {
		r := newRig()
		var msgs []broker.Message
		for i := range 300 {
			m := r.message(i)
			if i%10 == 3 {
				m.RoutingKey = "nobody.there"
			}
			msgs = append(msgs, m)
		}
		err := r.publisher.Publish(ctx, msgs...)
		var unroutable *broker.UnroutableError
		Expect(errors.As(err, &unroutable)).To(BeTrue())
		Expect(unroutable.Exchange).To(Equal(r.in))
		Expect(unroutable.RoutingKey).To(Equal("nobody.there"))
		Expect(err).To(MatchError(ContainSubstring("NO_ROUTE")))
		Expect(err).To(MatchError(ContainSubstring("29 messages more")))
		Expect(broker.IsOutage(err)).To(BeFalse())
		Expect(r.depth(ctx, r.q.Name)).To(Equal(270))

		optional := r.message(1)
		optional.RoutingKey, optional.Optional = "nobody.there", true
		Expect(r.publisher.Publish(ctx, optional)).To(Succeed())
	}, SpecTimeout(20*time.Second))

	It("gives each of many concurrent callers its own returns", func(ctx SpecContext) {
		r := newRig()
		var all sync.WaitGroup
		for c := range 40 {
			all.Go(func() {
				defer GinkgoRecover()
				for i := range 25 {
					m := r.message(c*100 + i)
					if c%2 == 0 {
						m.RoutingKey = "nobody.there"
					}
					err := r.publisher.Publish(ctx, m)
					Expect(err != nil).To(Equal(c%2 == 0))
				}
			})
		}
		all.Wait()
		Expect(r.depth(ctx, r.q.Name)).To(Equal(500))
	}, SpecTimeout(20*time.Second))

	It("finds the message for which the broker closes the channel, and spares its neighbours", func(ctx SpecContext) {
		r := newRig()
		var all sync.WaitGroup
		lost := make(chan error, 1)
		all.Go(func() {
			m := r.message(5000)
			m.Exchange = "there-is-no-such-exchange"
			lost <- r.publisher.Publish(ctx, m)
		})
		for c := range 4 {
			all.Go(func() {
				defer GinkgoRecover()
				for i := range 200 {
					Expect(r.publisher.Publish(ctx, r.message(c*200+i))).To(Succeed())
				}
			})
		}
		all.Wait()
		var unroutable *broker.UnroutableError
		Expect(errors.As(<-lost, &unroutable)).To(BeTrue())
		Expect(unroutable.Reason).To(ContainSubstring("no exchange"))
		Expect(r.depth(ctx, r.q.Name)).To(BeNumerically(">=", 800))
		Expect(r.publisher.Publish(ctx, r.message(1))).To(Succeed())
	}, SpecTimeout(30*time.Second))

	DescribeTable("refuses what AMQP cannot carry, without harm to the session",
		func(ctx SpecContext, change func(*broker.Message), what string) {
			r := newRig()
			m := r.message(1)
			change(&m)
			err := r.publisher.Publish(ctx, m)
			var refused *broker.RefusedError
			Expect(errors.As(err, &refused)).To(BeTrue())
			Expect(err).To(MatchError(ContainSubstring(what)))
			Expect(r.publisher.Publish(ctx, r.message(2))).To(Succeed())
			Expect(r.proxy.Opened()).To(Equal(2))
		},
		Entry("a long routing key", SpecTimeout(20*time.Second), func(m *broker.Message) { m.RoutingKey = strings.Repeat("k", 256) }, "routing key"),
		Entry("a long message id", SpecTimeout(20*time.Second), func(m *broker.Message) { m.MessageID = strings.Repeat("k", 256) }, "message id"),
		Entry("a long header name", SpecTimeout(20*time.Second), func(m *broker.Message) { m.Headers = map[string]any{strings.Repeat("k", 256): 1} }, "header name"),
		Entry("a header without AMQP form", SpecTimeout(20*time.Second), func(m *broker.Message) { m.Headers = map[string]any{"a": map[string]any{"b": struct{}{}}} }, "no AMQP form"),
		Entry("headers larger than a frame", SpecTimeout(20*time.Second), func(m *broker.Message) { m.Headers = map[string]any{"a": strings.Repeat("x", 130_000)} }, "headers have"),
	)

	It("tries a nack again until the queue takes the message", func(ctx SpecContext) {
		r := newRig()
		ch := r.raw()
		full := r.q.Name + ".small"
		_, err := ch.QueueDeclare(full, false, false, false, false, amqp.Table{"x-max-length": 1, "x-overflow": "reject-publish"})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func() { _, _ = ch.QueueDelete(full, false, false, false) })
		msg := func(i int) broker.Message {
			return broker.Message{RoutingKey: full, Body: fmt.Append(nil, i)} // the default exchange
		}
		Expect(r.publisher.Publish(ctx, msg(0))).To(Succeed())
		result := make(chan error, 1)
		go func() { result <- r.publisher.Publish(ctx, msg(1)) }()
		Consistently(ctx, result, "400ms").ShouldNot(Receive())
		Expect(metricText(r.reg, "ea_publish_nacked_total", nil)).NotTo(ContainSubstring("value:0"))
		_, ok, err := ch.Get(full, true)
		Expect(err).NotTo(HaveOccurred())
		Expect(ok).To(BeTrue())
		Eventually(ctx, result).WithTimeout(10 * time.Second).Should(Receive(BeNil()))
	}, SpecTimeout(30*time.Second))

	It("holds callers back while the window is full, and lets them go with their context", func(ctx SpecContext) {
		r := newRig(withWindow(10))
		Expect(r.publisher.Publish(ctx, r.message(0))).To(Succeed())
		r.proxy.Refuse(true)
		r.proxy.Cut()
		var all sync.WaitGroup
		for i := range 10 {
			all.Go(func() { _ = r.publisher.Publish(ctx, r.message(100+i)) })
		}
		short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
		defer cancel()
		var msgs []broker.Message
		for i := range 50 {
			msgs = append(msgs, r.message(i))
		}
		Expect(broker.IsOutage(r.publisher.Publish(short, msgs...))).To(BeTrue())
		r.proxy.Refuse(false)
		all.Wait()
		Expect(r.publisher.Publish(ctx, msgs...)).To(Succeed())
	}, SpecTimeout(20*time.Second))

	It("ends its callers' waiting when the connection is stopped", func(ctx SpecContext) {
		r := newRig()
		r.proxy.Refuse(true)
		r.proxy.Cut()
		result := make(chan error, 1)
		go func() { result <- r.publisher.Publish(ctx, r.message(1)) }()
		Consistently(ctx, result, "200ms").ShouldNot(Receive())
		r.stopConnections()
		var err error
		Eventually(ctx, result).Should(Receive(&err))
		Expect(broker.IsOutage(err)).To(BeTrue())
	}, SpecTimeout(20*time.Second))
})
