package broker_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
)

var _ = Describe("a reader of dead letters", func() {
	// dead makes n dead letters, in order.
	dead := func(ctx context.Context, r *rig, n int) {
		GinkgoHelper()
		stop := r.run(r.q, broker.ConsumerOptions{}, broker.Each(1, func(_ context.Context, d *broker.Delivery) error {
			d.Done(broker.Permanent(errors.New("bad")))
			Eventually(ctx, func() int { return r.depth(ctx, r.q.Dead()) }).WithPolling(time.Millisecond).Should(BeNumerically(">", number(d.MessageID)))
			return nil
		}))
		for i := range n {
			Expect(r.publisher.Publish(ctx, r.message(i))).To(Succeed())
		}
		Eventually(ctx, func() int { return r.depth(ctx, r.q.Dead()) }).Should(Equal(n))
		stop()
	}
	ids := func(n int) []string {
		var want []string
		for i := range n {
			want = append(want, fmt.Sprintf("m-%06d", i))
		}
		return want
	}
	messageIDs := func(dead []*broker.DeadLetter) []string {
		var got []string
		for _, d := range dead {
			got = append(got, d.MessageID)
		}
		return got
	}

	It("loses nothing and keeps the order in a hundred looks", func(ctx SpecContext) {
		r := newRig()
		dead(ctx, r, 30)
		first := r.deadLetters(ctx, r.q)
		Expect(messageIDs(first)).To(Equal(ids(30)))
		for range 100 {
			again := r.deadLetters(ctx, r.q)
			Expect(messageIDs(again)).To(Equal(ids(30)))
			Expect(again[7].ID).To(Equal(first[7].ID))
		}
		Eventually(ctx, func() int { return r.depth(ctx, r.q.Dead()) }).Should(Equal(30))
	}, SpecTimeout(60*time.Second))

	It("removes what is acked, and puts the rest back in its place", func(ctx SpecContext) {
		r := newRig()
		dead(ctx, r, 10)
		reader := broker.NewReader(r.consume, r.q)
		for range 8 {
			d, ok, err := reader.Next(ctx)
			Expect(err).NotTo(HaveOccurred())
			Expect(ok).To(BeTrue())
			if n := number(d.MessageID); n == 2 || n == 5 || n == 6 {
				Expect(reader.Ack(d)).To(Succeed())
			}
		}
		Expect(reader.Release(ctx)).To(Succeed())
		Expect(reader.Release(ctx)).To(Succeed())
		_, _, err := reader.Next(ctx)
		Expect(err).To(HaveOccurred())
		Expect(messageIDs(r.deadLetters(ctx, r.q))).To(Equal([]string{"m-000000", "m-000001", "m-000003", "m-000004", "m-000007", "m-000008", "m-000009"}))
	}, SpecTimeout(30*time.Second))

	// A channel of RabbitMQ keeps back the acks of a quorum queue while some thirty
	// are under way, and forgets those when it is closed.
	DescribeTable("has removed all that was acked when Release has returned", func(ctx SpecContext, n int) {
		r := newRig()
		ch := r.raw()
		for range 10 {
			r.bury(ctx, ch, n)
			reader := broker.NewReader(r.consume, r.q)
			var all []*broker.DeadLetter
			for {
				d, ok, err := reader.Next(ctx)
				Expect(err).NotTo(HaveOccurred())
				if !ok {
					break
				}
				all = append(all, d)
			}
			Expect(all).To(HaveLen(n))
			for _, d := range all {
				Expect(reader.Ack(d)).To(Succeed())
			}
			Expect(reader.Release(ctx)).To(Succeed())
			Consistently(ctx, func() int { return r.depth(ctx, r.q.Dead()) }).WithTimeout(100 * time.Millisecond).Should(BeZero())
		}
	},
		Entry("of few, each asked for", SpecTimeout(30*time.Second), 49),
		Entry("of many, given out by a consumer", SpecTimeout(30*time.Second), 300))

	DescribeTable("has removed all that was acked also when it is interrupted while it reads on", func(ctx SpecContext, n, read int) {
		r := newRig()
		ch := r.raw()
		for range 10 {
			r.bury(ctx, ch, n)
			reader := broker.NewReader(r.consume, r.q)
			var all []*broker.DeadLetter
			for range read {
				d, ok, err := reader.Next(ctx)
				Expect(err).NotTo(HaveOccurred())
				Expect(ok).To(BeTrue())
				all = append(all, d)
			}
			for _, d := range all {
				Expect(reader.Ack(d)).To(Succeed())
			}
			ending, end := context.WithCancel(ctx)
			time.AfterFunc(100*time.Microsecond, end) // the broker needs longer to answer
			for {
				if _, more, err := reader.Next(ending); err != nil || !more {
					break
				}
			}
			_, more, err := reader.Next(ending)
			Expect(err).To(MatchError(context.Canceled))
			Expect(more).To(BeFalse())
			Expect(reader.Release(ctx)).To(Succeed())
			Eventually(ctx, func() int { return r.depth(ctx, r.q.Dead()) }).Should(Equal(n - read))
			Consistently(ctx, func() int { return r.depth(ctx, r.q.Dead()) }).WithTimeout(100 * time.Millisecond).Should(Equal(n - read))
			_, err = r.raw().QueuePurge(r.q.Dead(), false)
			Expect(err).NotTo(HaveOccurred())
		}
	},
		Entry("of few, each asked for", SpecTimeout(60*time.Second), 49, 40),
		Entry("of many, given out by a consumer", SpecTimeout(60*time.Second), 400, 200))

	It("reads a long queue ahead, and neither number nor hands are less safe for it", func(ctx SpecContext) {
		r := newRig()
		const n = 700
		ch := r.raw()
		r.bury(ctx, ch, n)
		walked := func() (seen []string) {
			reader := broker.NewReader(r.consume, r.q)
			Expect(reader.Walk(ctx, func(d *broker.DeadLetter) bool { seen = append(seen, d.MessageID); return true })).To(Succeed())
			Expect(reader.Release(ctx)).To(Succeed())
			return seen
		}
		read := func() []string { return messageIDs(r.deadLetters(ctx, r.q)) }
		for _, look := range []func() []string{read, walked, walked, read} {
			seen := look()
			slices.Sort(seen) // so many come back in any order
			Expect(seen).To(Equal(ids(n)))
			Expect(r.depth(ctx, r.q.Dead())).To(Equal(n), "at once")
		}

		By("two readers at once, who ack every third")
		var mu sync.Mutex
		held, left := map[string]int{}, map[string]bool{}
		var both sync.WaitGroup
		var readers [2]*broker.Reader
		for i := range readers {
			readers[i] = broker.NewReader(r.consume, r.q)
			both.Go(func() {
				defer GinkgoRecover()
				for {
					d, ok, err := readers[i].Next(ctx)
					Expect(err).NotTo(HaveOccurred())
					if !ok {
						return
					}
					mu.Lock()
					if held[d.MessageID]++; number(d.MessageID)%3 == 0 {
						Expect(readers[i].Ack(d)).To(Succeed())
					} else {
						left[d.MessageID] = true
					}
					mu.Unlock()
				}
			})
		}
		both.Wait()
		for _, reader := range readers {
			Expect(reader.Release(ctx)).To(Succeed())
		}
		Expect(held).To(HaveLen(n))
		Expect(held).To(HaveEach(1))
		Expect(messageIDs(r.deadLetters(ctx, r.q))).To(HaveLen(len(left)))

		By("one that has enough, and one whose time is up")
		for _, most := range []int{0, 300} {
			bound, cancel := context.WithCancel(ctx)
			reader, met := broker.NewReader(r.consume, r.q), 0
			err := reader.Walk(bound, func(*broker.DeadLetter) bool {
				if met++; met == 300 && most == 0 {
					cancel()
				}
				return met != most
			})
			if most == 0 {
				Expect(err).To(MatchError(context.Canceled))
			} else {
				Expect(err).NotTo(HaveOccurred())
				Expect(met).To(Equal(most))
			}
			cancel()
			Expect(reader.Release(ctx)).To(Succeed())
			Eventually(ctx, func() int { return r.depth(ctx, r.q.Dead()) }).Should(Equal(len(left)))
		}

		By("one that is left in the middle")
		reader := broker.NewReader(r.consume, r.q)
		for range 60 {
			_, ok, err := reader.Next(ctx)
			Expect(err).NotTo(HaveOccurred())
			Expect(ok).To(BeTrue())
		}
		Expect(reader.Release(ctx)).To(Succeed())
		Expect(r.depth(ctx, r.q.Dead())).To(Equal(len(left)), "at once")
	}, SpecTimeout(60*time.Second))

	It("shares a queue with other readers, each message in one hand", func(ctx SpecContext) {
		r := newRig()
		dead(ctx, r, 40)
		var mu sync.Mutex
		held := map[string]int{}
		var all, taken sync.WaitGroup
		taken.Add(4)
		for range 4 {
			all.Go(func() {
				defer GinkgoRecover()
				reader := broker.NewReader(r.consume, r.q)
				defer func() { Expect(reader.Release(ctx)).To(Succeed()) }()
				for range 10 {
					d, ok, err := reader.Next(ctx)
					Expect(err).NotTo(HaveOccurred())
					Expect(ok).To(BeTrue())
					mu.Lock()
					held[d.MessageID]++
					mu.Unlock()
				}
				taken.Done()
				taken.Wait()
			})
		}
		all.Wait()
		Expect(held).To(HaveLen(40))
		Eventually(ctx, func() int { return r.depth(ctx, r.q.Dead()) }).Should(Equal(40))
	}, SpecTimeout(30*time.Second))

	It("gives a replayed message to its owner alone, as a first attempt and as it was", func(ctx SpecContext) {
		r := newRig()
		m := r.message(0)
		m.Headers = map[string]any{"traceparent": "00-1"}
		m.CorrelationID = "c"
		stop := r.each(r.q, func(context.Context, *broker.Delivery) error { return errors.New("until exhausted") })
		Expect(r.publisher.Publish(ctx, m)).To(Succeed())
		Eventually(ctx, func() int { return r.depth(ctx, r.q.Dead()) }).WithTimeout(5 * time.Second).Should(Equal(1))
		stop()

		reader := broker.NewReader(r.consume, r.q)
		d, _, err := reader.Next(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(d.Attempts).To(Equal(3))
		Expect(d.Reason).To(Equal("exhausted"))
		Expect(r.publisher.Publish(ctx, d.Replay(r.q))).To(Succeed())
		Expect(reader.Ack(d)).To(Succeed())
		Expect(reader.Release(ctx)).To(Succeed())

		w, stranger := &witness{verdicts: []error{broker.Uncounted(nil, 1), errors.New("again")}}, &witness{}
		var mu sync.Mutex
		var replayed []bool
		r.each(r.q, func(ctx context.Context, d *broker.Delivery) error {
			mu.Lock()
			replayed = append(replayed, d.Replayed)
			mu.Unlock()
			return w.handle(ctx, d)
		})
		r.each(r.other, stranger.handle)
		Eventually(ctx, func() int { return len(w.all()) }).Should(Equal(3))
		Expect(replayed).To(Equal([]bool{true, true, false}), "it stays so until the next attempt")
		Expect(w.all()[0].attempt).To(Equal(1))
		Expect(w.all()[0].firstFailed).To(BeZero())
		Expect(w.all()[0].exchange).To(Equal(r.in))
		Expect(w.all()[0].headers).To(Equal(m.Headers))
		Expect(w.all()[2].attempt).To(Equal(2))
		Expect(stranger.all()).To(BeEmpty())
		Expect(r.depth(ctx, r.q.Dead())).To(BeZero())
	}, SpecTimeout(30*time.Second))

	It("says when its session was lost, and everything is in the queue again", func(ctx SpecContext) {
		r := newRig()
		dead(ctx, r, 5)
		reader := broker.NewReader(r.consume, r.q)
		d, _, err := reader.Next(ctx)
		Expect(err).NotTo(HaveOccurred())
		r.proxy.Cut()
		Eventually(ctx, func() error { return reader.Ack(d) }).Should(HaveOccurred())
		Expect(broker.IsOutage(reader.Ack(d))).To(BeTrue())
		_, _, err = reader.Next(ctx)
		Expect(broker.IsOutage(err)).To(BeTrue())
		Expect(reader.Release(ctx)).To(Succeed())
		// Until the loss is noticed, another reader may meet the dead session.
		Eventually(ctx, func() error {
			again := broker.NewReader(r.consume, r.q)
			if _, _, err := again.Next(ctx); err != nil {
				return err
			}
			return again.Release(ctx)
		}).Should(Succeed())
		Eventually(ctx, func() int { return len(r.deadLetters(ctx, r.q)) }).Should(Equal(5))

		unknown := broker.NewReader(r.consume, broker.WorkQueue{Name: "no-such-queue"})
		_, _, err = unknown.Next(ctx)
		Expect(err).To(MatchError(ContainSubstring("no queue")))
		Expect(broker.IsOutage(err)).To(BeFalse())
	}, SpecTimeout(30*time.Second))
})

func number(messageID string) int {
	var n int
	_, _ = fmt.Sscanf(messageID, "m-%d", &n)
	return n
}
