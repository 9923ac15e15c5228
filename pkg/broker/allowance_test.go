package broker_test

import (
	"bytes"
	"context"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
)

var _ = Describe("a prefetch", func() {
	sized := func(r *rig, n, size int) []broker.Message {
		var msgs []broker.Message
		for i := range n {
			m := r.message(i)
			m.Body = bytes.Repeat([]byte{'x'}, size)
			msgs = append(msgs, m)
		}
		return msgs
	}
	// holding keeps deliveries until let is called; from then on it settles each.
	holding := func() (loop broker.Loop, let func(), seen func() []*broker.Delivery) {
		var mu sync.Mutex
		var all []*broker.Delivery
		open := make(chan struct{})
		loop = func(_ context.Context, in <-chan *broker.Delivery) error {
			var held []*broker.Delivery
			gate := open
			for {
				select {
				case d, ok := <-in:
					if !ok {
						return nil
					}
					mu.Lock()
					all = append(all, d)
					mu.Unlock()
					if gate != nil {
						held = append(held, d)
						continue
					}
					d.Done(nil)
				case <-gate:
					gate = nil
					for _, d := range held {
						d.Done(nil)
					}
				}
			}
		}
		return loop, func() { close(open) }, func() []*broker.Delivery {
			mu.Lock()
			defer mu.Unlock()
			return append([]*broker.Delivery{}, all...)
		}
	}
	It("of large messages holds no more than their bytes allow", func(ctx SpecContext) {
		r := newRig()
		Expect(r.publisher.Publish(ctx, sized(r, 200, 64<<10)...)).To(Succeed())
		loop, let, seen := holding()
		r.run(r.q, broker.ConsumerOptions{Prefetch: 1000, PrefetchSize: 1 << 20}, loop)
		Eventually(ctx, func() int { return len(seen()) }).Should(BeNumerically(">=", 10))
		Consistently(ctx, func() int { return r.depth(ctx, r.q.Name) }, "300ms").Should(BeNumerically(">=", 200-2*16))
		let()
		Eventually(ctx, func() int { return len(seen()) }).Should(Equal(200))
	}, SpecTimeout(20*time.Second))

	It("of small messages grows to their number, and shrinks when large ones come", func(ctx SpecContext) {
		r := newRig()
		Expect(r.publisher.Publish(ctx, sized(r, 1500, 100)...)).To(Succeed())
		Expect(r.publisher.Publish(ctx, sized(r, 400, 64<<10)...)).To(Succeed())
		Expect(r.publisher.Publish(ctx, sized(r, 1500, 100)...)).To(Succeed())
		loop, let, seen := holding()
		r.run(r.q, broker.ConsumerOptions{Prefetch: 400, PrefetchSize: 1 << 20}, loop)
		Eventually(ctx, func() int { return len(seen()) }).Should(BeNumerically(">=", 400))
		Consistently(ctx, func() int { return len(seen()) }, "300ms").Should(BeNumerically("<=", 16+400))
		let()
		Eventually(ctx, func() int { return len(seen()) }).Should(Equal(3400))
		Consistently(ctx, func() int { return len(seen()) }, "300ms").Should(Equal(3400), "each once, also what was on its way when the prefetch changed")
		Eventually(ctx, func() int { return r.depth(ctx, r.q.Name) }).Should(BeZero())
	}, SpecTimeout(20*time.Second))
})
