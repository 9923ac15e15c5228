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

var _ = Describe("the copy of a dead letter", func() {
	// copies is a work queue that gets a copy of each of r.q's dead letters.
	copies := func(r *rig) broker.WorkQueue {
		GinkgoHelper()
		q := broker.WorkQueue{Name: r.q.Name + ".copies", RetryExchange: r.q.RetryExchange, DeadExchange: r.q.DeadExchange}
		brokertest.Declare(r.direct, broker.Topology{
			Queues: []broker.Queue{
				{Name: q.Name, Args: quorum(1000, q.DeadExchange, q.Name)}, {Name: q.Dead(), Args: quorum(1_000_000_000, "", "")},
			},
			Bindings: []broker.Binding{
				{Exchange: q.DeadExchange, Key: r.q.Name, Queue: q.Name}, {Exchange: q.DeadExchange, Key: q.Name, Queue: q.Dead()},
				{Exchange: q.RetryExchange, Key: q.Name, Queue: q.Name},
			},
		})
		return q
	}

	DescribeTable("says the same as the dead letter, whoever made it",
		func(ctx SpecContext, message amqp.Publishing, verdict error, reason string, byBroker bool) {
			r := newRig()
			q := copies(r)
			publishRaw(ctx, r.raw(), r.in, "work.item", message)
			if verdict != nil {
				r.each(r.q, func(context.Context, *broker.Delivery) error { return verdict })
			}
			var mu sync.Mutex
			var copied []*broker.DeadLetter
			first := true
			r.each(q, func(_ context.Context, d *broker.Delivery) error {
				mu.Lock()
				defer mu.Unlock()
				if first {
					first = false
					return broker.Interrupted(errors.New("looked at before"))
				}
				copied = append(copied, d.DeadLetter())
				return nil
			})
			Eventually(ctx, func() int { mu.Lock(); defer mu.Unlock(); return len(copied) }).WithTimeout(10 * time.Second).Should(Equal(1))
			Eventually(ctx, func() int { return r.depth(ctx, r.q.Dead()) }).Should(Equal(1))
			for range 2 {
				dead := r.deadLetters(ctx, r.q)[0]
				Expect(copied[0]).NotTo(BeNil())
				Expect(dead.Reason).To(Equal(reason))
				Expect(dead.ByBroker).To(Equal(byBroker))
				// What only the one who holds a message knows is its own.
				type said struct {
					broker.Message
					ID, Queue, Reason, Class, Error string
					Attempts                        int
					First, At                       time.Time
					ByBroker                        bool
				}
				of := func(d *broker.DeadLetter) said {
					return said{d.Message, d.ID, d.Queue, d.Reason, d.ErrorClass, d.Error, d.Attempts, d.FirstFailedAt, d.DeadAt, d.ByBroker}
				}
				Expect(of(copied[0])).To(Equal(of(dead)))
			}
			Expect(r.depth(ctx, q.Dead())).To(BeZero())
		},
		Entry("a handler's verdict", SpecTimeout(30*time.Second),
			amqp.Publishing{MessageId: "m", Body: []byte("b"), Headers: amqp.Table{"traceparent": "00-1", "x-ea-dead-id": "forged"}},
			broker.Permanent(classed{"c"}), "permanent", false),
		Entry("the schedule's end", SpecTimeout(30*time.Second),
			amqp.Publishing{MessageId: "m", Body: []byte("b")}, errors.New("again"), "exhausted", false),
		Entry("the broker", SpecTimeout(30*time.Second),
			amqp.Publishing{MessageId: "m", Body: []byte("b"), Expiration: "1", Headers: amqp.Table{"kept": "yes", "x-ea-reason": "forged"}},
			nil, "expired", true),
		Entry("the broker, with headers that the client cannot parse", SpecTimeout(30*time.Second),
			amqp.Publishing{MessageId: "m", Body: []byte("b"), Expiration: "1", Headers: nested(40)}, nil, "unknown", true),
	)

	It("is none for a message that comes another way", func(ctx SpecContext) {
		r := newRig()
		q := copies(r)
		seen := make(chan *broker.DeadLetter, 1)
		r.each(q, func(_ context.Context, d *broker.Delivery) error { seen <- d.DeadLetter(); return nil })
		Expect(r.publisher.Publish(ctx, broker.Message{Exchange: q.RetryExchange, RoutingKey: q.Name, Body: []byte("b")})).To(Succeed())
		Eventually(ctx, seen).Should(Receive(BeNil()))
	}, SpecTimeout(30*time.Second))

	It("that cannot be handled is dead once, and does not come back", func(ctx SpecContext) {
		r := newRig()
		q := copies(r)
		w := &witness{verdicts: []error{errors.New("no luck"), errors.New("no luck"), errors.New("no luck")}}
		r.each(q, w.handle)
		publishRaw(ctx, r.raw(), r.in, "work.item", amqp.Publishing{MessageId: "m", Expiration: "1"})
		Eventually(ctx, func() int { return r.depth(ctx, q.Dead()) }).WithTimeout(10 * time.Second).Should(Equal(1))
		Consistently(ctx, func() int { return len(w.all()) }, "500ms").Should(Equal(1))
		Expect(r.depth(ctx, r.q.Dead())).To(Equal(1))
	}, SpecTimeout(30*time.Second))
})
