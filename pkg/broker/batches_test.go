package broker_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
)

var _ = Describe("batches", func() {
	// diary keeps the ids of each batch that a handler saw.
	type diary struct {
		mu      sync.Mutex
		batches [][]string
	}
	note := func(d *diary, batch []*broker.Delivery) int {
		d.mu.Lock()
		defer d.mu.Unlock()
		var ids []string
		for _, m := range batch {
			ids = append(ids, m.MessageID)
		}
		d.batches = append(d.batches, ids)
		return len(d.batches)
	}
	total := func(d *diary) func() int {
		return func() int {
			d.mu.Lock()
			defer d.mu.Unlock()
			n := 0
			for _, b := range d.batches {
				n += len(b)
			}
			return n
		}
	}
	publish := func(ctx context.Context, r *rig, n int, size int) {
		GinkgoHelper()
		var msgs []broker.Message
		for i := range n {
			m := r.message(i)
			m.Body = make([]byte, size)
			msgs = append(msgs, m)
		}
		Expect(r.publisher.Publish(ctx, msgs...)).To(Succeed())
	}

	It("keep to their bounds and their order", func(ctx SpecContext) {
		r := newRig()
		publish(ctx, r, 1000, 100)
		d := &diary{}
		r.run(r.q, broker.ConsumerOptions{}, broker.Batches(broker.BatchOptions{MaxCount: 70, MaxBytes: 5000}, func(_ context.Context, batch []*broker.Delivery) error {
			note(d, batch)
			return nil
		}))
		Eventually(ctx, total(d)).Should(Equal(1000))
		var all []string
		for _, b := range d.batches {
			Expect(len(b)).To(BeNumerically("<=", 50))
			all = append(all, b...)
		}
		Expect(slices.IsSorted(all)).To(BeTrue())
		Expect(len(d.batches)).To(BeNumerically("<", 500), "a queue that seems dry for a moment closes one")
		Eventually(ctx, func() string { return metricText(r.reg, "ea_deliveries_unsettled", nil) }).Should(ContainSubstring("value:0"))
	}, SpecTimeout(20*time.Second))

	It("are handed over at once when the queue runs dry, and grow while handlers are busy", func(ctx SpecContext) {
		r := newRig()
		d := &diary{}
		busy := make(chan struct{})
		r.run(r.q, broker.ConsumerOptions{}, broker.Batches(broker.BatchOptions{MaxWait: time.Minute}, func(_ context.Context, batch []*broker.Delivery) error {
			if note(d, batch) == 1 {
				<-busy
			}
			return nil
		}))
		publish(ctx, r, 1, 10)
		Eventually(ctx, total(d)).WithTimeout(10 * time.Second).Should(Equal(1))
		for range 10 {
			publish(ctx, r, 5, 10)
		}
		Eventually(ctx, func() string { return metricText(r.reg, "ea_deliveries_unsettled", nil) }).Should(ContainSubstring("value:51"))
		close(busy)
		Eventually(ctx, total(d)).WithTimeout(10 * time.Second).Should(Equal(51))
		Expect(d.batches).To(HaveLen(2))
	}, SpecTimeout(20*time.Second))

	It("that fail are tried one by one, and each message gets its own verdict", func(ctx SpecContext) {
		r := newRig()
		publish(ctx, r, 100, 10)
		d := &diary{}
		bad := []string{"m-000017", "m-000050"}
		r.run(r.q, broker.ConsumerOptions{}, broker.Batches(broker.BatchOptions{}, func(_ context.Context, batch []*broker.Delivery) error {
			note(d, batch)
			for _, m := range batch {
				if slices.Contains(bad, m.MessageID) {
					return broker.Permanent(errors.New("bad"))
				}
			}
			return nil
		}))
		Eventually(ctx, func() int { return r.depth(ctx, r.q.Dead()) }).Should(Equal(2))
		Eventually(ctx, func() int { return r.depth(ctx, r.q.Name) }).Should(BeZero())
		var dead []string
		for _, l := range r.deadLetters(ctx, r.q) {
			dead = append(dead, l.MessageID)
		}
		Expect(dead).To(ConsistOf(bad))
	}, SpecTimeout(20*time.Second))

	It("let the handler settle some by itself", func(ctx SpecContext) {
		r := newRig()
		publish(ctx, r, 100, 10)
		d := &diary{}
		r.run(r.q, broker.ConsumerOptions{}, broker.Batches(broker.BatchOptions{}, func(_ context.Context, batch []*broker.Delivery) error {
			n := note(d, batch)
			for _, m := range batch {
				if m.MessageID == "m-000042" {
					m.Done(broker.Permanent(errors.New("bad")))
				}
			}
			if n == 1 {
				return away{} // what is settled is not handed over again
			}
			return nil
		}))
		Eventually(ctx, func() int { return r.depth(ctx, r.q.Dead()) }).Should(Equal(1))
		Eventually(ctx, func() string { return metricText(r.reg, "ea_deliveries_total", map[string]string{"verdict": "ack"}) }).Should(ContainSubstring("value:99"))
		seen := 0
		for _, b := range d.batches {
			if slices.Contains(b, "m-000042") {
				seen++
			}
		}
		Expect(seen).To(Equal(1))
	}, SpecTimeout(20*time.Second))

	It("of one's own making are acked together, in any order and over gaps", func(ctx SpecContext) {
		r := newRig()
		const n = 400
		publish(ctx, r, n, 10)
		var slow *broker.Delivery
		stop := r.run(r.q, broker.ConsumerOptions{}, func(_ context.Context, in <-chan *broker.Delivery) error {
			var all []*broker.Delivery
			for d := range in {
				if all = append(all, d); len(all) == n {
					break
				}
			}
			slow = all[100]
			rest := slices.Delete(all, 100, 101)
			for i, part := range [][]*broker.Delivery{rest[300:], rest[:50], rest[50:300]} {
				if i == 2 {
					part[3].Done(broker.Interrupted(nil)) // its own verdict counts
				}
				slices.Reverse(part)
				broker.AckAll(part)
			}
			for d := range in { // the one that went back
				d.Done(nil)
			}
			return nil
		})
		Eventually(ctx, func() string {
			return metricText(r.reg, "ea_deliveries_total", map[string]string{"verdict": "ack"})
		}).Should(ContainSubstring("value:399"))
		stop() // the slow one has no verdict and goes back
		Eventually(ctx, func() int { return r.depth(ctx, r.q.Name) }).Should(Equal(1))
		w := &witness{}
		r.each(r.q, w.handle)
		Eventually(ctx, func() int { return len(w.all()) }).Should(Equal(1))
		Expect(slow.MessageID).To(Equal("m-000100"))
	}, SpecTimeout(20*time.Second))

	DescribeTable("are acked although one before them has no verdict, so that others can come", func(ctx SpecContext, together int) {
		r := newRig()
		publish(ctx, r, 30, 10)
		received := make(chan *broker.Delivery, 30)
		stop := r.run(r.q, broker.ConsumerOptions{Prefetch: 10}, func(_ context.Context, in <-chan *broker.Delivery) error {
			for d := range in {
				received <- d
			}
			return nil
		})
		var rest []*broker.Delivery
		var first *broker.Delivery
		Eventually(ctx, received).Should(Receive(&first))
		for range 9 {
			var d *broker.Delivery
			Eventually(ctx, received).Should(Receive(&d))
			rest = append(rest, d)
		}
		Consistently(ctx, received, "100ms").ShouldNot(Receive())
		broker.AckAll(rest[:together])
		for range together {
			Eventually(ctx, received).Should(Receive())
		}
		first.Done(nil)
		Eventually(ctx, received).Should(Receive())
		stop()
		Eventually(ctx, func() int { return r.depth(ctx, r.q.Name) }).Should(Equal(30 - 1 - together))
	},
		Entry("soon, when they are few", SpecTimeout(20*time.Second), 4),
		Entry("at once, when they are many", SpecTimeout(20*time.Second), 9),
	)

	It("leave a suspect message alone", func(ctx SpecContext) {
		r := newRig()
		publish(ctx, r, 20, 10)
		d := &diary{}
		for i := range broker.SuspectDeliveries { // three lost sessions
			got := make(chan struct{}, 100)
			stop := r.run(r.q, broker.ConsumerOptions{}, broker.Each(20, func(_ context.Context, m *broker.Delivery) error {
				Expect(m.DeliveryCount).To(Equal(i))
				got <- struct{}{}
				<-m.Context().Done()
				return nil
			}))
			for range 20 {
				Eventually(ctx, got).Should(Receive())
			}
			go r.proxy.Cut()
			stop()
		}
		fresh := r.message(900)
		Expect(r.publisher.Publish(ctx, fresh, r.message(901), r.message(902))).To(Succeed())
		r.run(r.q, broker.ConsumerOptions{}, broker.Batches(broker.BatchOptions{}, func(_ context.Context, batch []*broker.Delivery) error {
			note(d, batch)
			if len(batch) > 1 {
				for _, m := range batch {
					if m.Suspect() {
						return broker.Permanent(errors.New("not alone"))
					}
				}
			}
			return nil
		}))
		Eventually(ctx, total(d)).Should(Equal(23))
		Expect(len(d.batches)).To(BeNumerically(">=", 21))
		Expect(r.deadLetters(ctx, r.q)).To(BeEmpty())
	}, SpecTimeout(30*time.Second))
})
