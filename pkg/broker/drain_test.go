package broker_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/broker/brokertest"
)

var _ = Describe("a stop", func() {
	fill := func(ctx context.Context, r *rig, n int) {
		GinkgoHelper()
		var msgs []broker.Message
		for i := range n {
			msgs = append(msgs, r.message(i))
		}
		Expect(r.publisher.Publish(ctx, msgs...)).To(Succeed())
	}

	It("lets handlers finish, and returns what was not begun, uncounted", func(ctx SpecContext) {
		r := newRig()
		fill(ctx, r, 300)
		begun := make(chan struct{}, 300)
		finish := make(chan struct{})
		var finished atomic.Int64
		stop := r.run(r.q, broker.ConsumerOptions{Prefetch: 200}, broker.Each(5, func(ctx context.Context, _ *broker.Delivery) error {
			begun <- struct{}{}
			select {
			case <-finish:
				finished.Add(1)
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}))
		for range 5 {
			Eventually(ctx, begun).Should(Receive())
		}
		stopped := make(chan struct{})
		go func() {
			defer GinkgoRecover()
			defer close(stopped)
			stop()
		}()
		Consistently(ctx, stopped, "200ms").ShouldNot(BeClosed())
		close(finish)
		Eventually(ctx, stopped).Should(BeClosed())
		Expect(finished.Load()).To(BeNumerically("<=", 10), "what lay between session and loop is not begun any more")
		left := 300 - int(finished.Load())
		Eventually(ctx, func() int { return r.depth(ctx, r.q.Name) }).Should(Equal(left))

		w := &witness{}
		r.each(r.q, w.handle)
		Eventually(ctx, func() int { return len(w.all()) }).Should(Equal(left))
		for _, s := range w.all() {
			Expect(s.attempt).To(Equal(1))
		}
		Expect(r.deadLetters(ctx, r.q)).To(BeEmpty())
	}, SpecTimeout(20*time.Second))

	// A channel of RabbitMQ keeps back the acks of a quorum queue while some thirty
	// are under way, and forgets those when it is closed.
	It("has taken out of the queue all that was handled when it is over", func(ctx SpecContext) {
		r := newRig()
		const n = 200
		for range 10 {
			fill(ctx, r, n)
			var begun atomic.Int64
			finish := make(chan struct{})
			stop := r.run(r.q, broker.ConsumerOptions{Prefetch: 2 * n}, broker.Each(n, func(context.Context, *broker.Delivery) error {
				begun.Add(1)
				<-finish
				return nil
			}))
			Eventually(ctx, begun.Load).Should(BeEquivalentTo(n))
			close(finish)
			stop()
			Consistently(ctx, func() int { return r.depth(ctx, r.q.Name) }).WithTimeout(100 * time.Millisecond).Should(BeZero())
		}
	}, SpecTimeout(30*time.Second))

	It("cancels handlers after the drain's bound and returns their messages uncounted", func(ctx SpecContext) {
		r := newRig()
		fill(ctx, r, 20)
		begun := make(chan struct{}, 20)
		stop := r.run(r.q, broker.ConsumerOptions{DrainTimeout: 300 * time.Millisecond}, broker.Each(3, func(ctx context.Context, _ *broker.Delivery) error {
			begun <- struct{}{}
			<-ctx.Done()
			return fmt.Errorf("call: %w", ctx.Err())
		}))
		Eventually(ctx, begun).Should(Receive())
		at := time.Now()
		stop()
		Expect(time.Since(at)).To(And(BeNumerically(">=", 300*time.Millisecond), BeNumerically("<", broker.DrainTimeoutDefault/2)))
		Eventually(ctx, func() int { return r.depth(ctx, r.q.Name) }).Should(Equal(20))
		w := &witness{}
		r.each(r.q, w.handle)
		Eventually(ctx, func() int { return len(w.all()) }).Should(Equal(20))
		for _, s := range w.all() {
			Expect(s.attempt).To(Equal(1))
		}
	}, SpecTimeout(20*time.Second))

	It("does not wait for an outage to end", func(ctx SpecContext) {
		r := newRig()
		fill(ctx, r, 50)
		var calls atomic.Int64
		stop := r.run(r.q, broker.ConsumerOptions{}, broker.Batches(broker.BatchOptions{Concurrency: 2}, func(context.Context, []*broker.Delivery) error {
			calls.Add(1)
			return away{}
		}))
		Eventually(ctx, calls.Load).Should(BeNumerically(">", 4))
		at := time.Now()
		stop()
		Expect(time.Since(at)).To(BeNumerically("<", broker.DrainTimeoutDefault/2))
		Eventually(ctx, func() int { return r.depth(ctx, r.q.Name) }).Should(Equal(50))
	}, SpecTimeout(20*time.Second))

	It("ends within its bound when RabbitMQ is away, with verdicts that cannot be published", func(ctx SpecContext) {
		r := newRig()
		fill(ctx, r, 50)
		var handled atomic.Int64
		gate := make(chan struct{})
		stop := r.run(r.q, broker.ConsumerOptions{DrainTimeout: 500 * time.Millisecond}, broker.Each(50, func(context.Context, *broker.Delivery) error {
			handled.Add(1)
			<-gate
			return errors.New("to a tier")
		}))
		Eventually(ctx, handled.Load).Should(BeNumerically("==", 50))
		r.proxy.Stall(true) // both connections: neither tiers nor acks get through
		close(gate)
		at := time.Now()
		stop()
		Expect(time.Since(at)).To(BeNumerically("<", 6*time.Second))
		r.proxy.Stall(false)
		r.proxy.Cut()
	}, SpecTimeout(30*time.Second))

	It("is told from a loop that ends by itself", func(ctx SpecContext) {
		r := newRig()
		c := broker.NewConsumer(r.consume, r.publisher, r.q, broker.ConsumerOptions{Log: brokertest.Log()})
		err := c.Run(ctx, func(context.Context, <-chan *broker.Delivery) error { return errors.New("tired") })
		Expect(err).To(MatchError(ContainSubstring("tired")))
		err = broker.NewConsumer(r.consume, r.publisher, broker.WorkQueue{}, broker.ConsumerOptions{}).Run(ctx, nil)
		Expect(err).To(MatchError(ContainSubstring("no name")))
	}, SpecTimeout(20*time.Second))
})

var _ = Describe("a consumer", func() {
	It("holds what an outage keeps it from, takes no more, and returns it after its bound", func(ctx SpecContext) {
		r := newRig()
		var calls atomic.Int64
		var once sync.Map
		r.run(r.q, broker.ConsumerOptions{Hold: 5 * time.Second, Prefetch: 4}, broker.Each(2, func(_ context.Context, d *broker.Delivery) error {
			calls.Add(1)
			once.Store(d.MessageID, true)
			if d.Attempt != 1 {
				return broker.Permanent(errors.New("counted"))
			}
			return away{}
		}))
		for i := range 20 {
			Expect(r.publisher.Publish(ctx, r.message(i))).To(Succeed())
		}
		held := func() int {
			n := 0
			once.Range(func(any, any) bool { n++; return true })
			return n
		}
		Eventually(ctx, held).Should(Equal(2))
		Consistently(ctx, func() int { return r.depth(ctx, r.q.Name) }, "500ms").Should(BeNumerically(">=", 16))
		Expect(held()).To(Equal(2))
		Eventually(ctx, func() string {
			return metricText(r.reg, "ea_deliveries_total", map[string]string{"verdict": "requeue"})
		}).ShouldNot(BeEmpty())
		Expect(r.deadLetters(ctx, r.q)).To(BeEmpty())
	}, SpecTimeout(20*time.Second))

	It("holds a verdict that cannot be published, and carries it out when RabbitMQ is back", func(ctx SpecContext) {
		r := newRig()
		// The publishing connection alone is cut off: the delivery stays with us.
		url := brokertest.Through(r.direct, r.proxy.Addr())
		direct, _ := brokertest.Connect("direct", r.direct, nil)
		lame, _ := brokertest.Connect("lame", url, nil)
		Eventually(ctx, func() error { return lame.Check(ctx) }).Should(Succeed())
		Expect(r.publisher.Publish(ctx, r.message(1))).To(Succeed())
		r.proxy.Refuse(true)
		r.proxy.Cut()
		w := &witness{verdicts: []error{errors.New("first"), errors.New("second")}}
		c := broker.NewConsumer(direct, broker.NewPublisher(lame, broker.PublisherOptions{}), r.q, broker.ConsumerOptions{Log: brokertest.Log()})
		brokertest.Go(func(ctx context.Context) error { return c.Run(ctx, broker.Each(1, w.handle)) })
		Eventually(ctx, func() int { return len(w.all()) }).Should(Equal(1))
		Consistently(ctx, func() int { return len(w.all()) }, "1s").Should(Equal(1))
		Expect(c.Check(ctx)).To(Succeed())
		r.proxy.Refuse(false)
		Eventually(ctx, func() int { return len(w.all()) }).WithTimeout(5 * time.Second).Should(Equal(3))
		Expect(w.all()[2].attempt).To(Equal(3))
	}, SpecTimeout(20*time.Second))

	It("declares again what somebody deleted, and goes on", func(ctx SpecContext) {
		r := newRig()
		Expect(r.publish.Declare(ctx, r.topology)).To(Succeed())
		w := &witness{verdicts: []error{nil, errors.New("to a tier that is gone")}}
		r.each(r.q, w.handle)
		Expect(r.publisher.Publish(ctx, r.message(1))).To(Succeed())
		Eventually(ctx, func() int { return len(w.all()) }).Should(Equal(1))
		ch := r.raw()
		for _, q := range []string{r.q.Name, r.q.Tier(shortTiers[0])} {
			_, err := ch.QueueDelete(q, false, false, false)
			Expect(err).NotTo(HaveOccurred())
		}
		Eventually(ctx, func() error { return r.publisher.Publish(ctx, r.message(2)) }).WithTimeout(10 * time.Second).Should(Succeed())
		Eventually(ctx, func() int { return len(w.all()) }).WithTimeout(10 * time.Second).Should(Equal(3))
		Expect(w.all()[2].attempt).To(Equal(2))
	}, SpecTimeout(30*time.Second))
})
