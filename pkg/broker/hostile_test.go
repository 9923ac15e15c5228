package broker_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
)

// nested is a table of so many levels.
func nested(levels int) amqp.Table {
	t := amqp.Table{"leaf": "x"}
	for range levels {
		t = amqp.Table{"t": t}
	}
	return t
}

func nestedArrays(levels int) amqp.Table {
	var v any = []any{"leaf"}
	for range levels {
		v = []any{v}
	}
	return amqp.Table{"a": v}
}

func wide(entries int) amqp.Table {
	t := amqp.Table{}
	for i := range entries {
		t[fmt.Sprintf("%04x", i)] = true
	}
	return t
}

var _ = Describe("a hostile message", func() {
	DescribeTable("with headers that the client cannot parse is dead at once, and its neighbours are not disturbed",
		func(ctx SpecContext, headers amqp.Table, what string) {
			r := newRig()
			ch := r.raw()
			const good = 400
			for i := range good {
				if i == good/2 {
					publishRaw(ctx, ch, r.in, "work.poison", amqp.Publishing{
						Headers: headers, MessageId: "poison", CorrelationId: "kept", ContentType: "text/plain", Body: []byte("the body"),
					})
				}
				m := r.message(i)
				publishRaw(ctx, ch, r.in, m.RoutingKey, amqp.Publishing{MessageId: m.MessageID, Body: m.Body})
			}
			var seen sync.Map
			var handled atomic.Int64
			r.each(r.q, func(_ context.Context, d *broker.Delivery) error {
				if _, twice := seen.LoadOrStore(d.MessageID, true); !twice {
					handled.Add(1)
				}
				return nil
			})
			Eventually(ctx, handled.Load).WithTimeout(20 * time.Second).Should(BeNumerically("==", good))
			Eventually(ctx, func() int { return r.depth(ctx, r.q.Dead()) }).Should(Equal(1))
			dead := r.deadLetters(ctx, r.q)
			Expect(dead).To(HaveLen(1))
			Expect(dead[0].MessageID).To(Equal("poison"))
			Expect(dead[0].CorrelationID).To(Equal("kept"))
			Expect(dead[0].ContentType).To(Equal("text/plain"))
			Expect(string(dead[0].Body)).To(Equal("the body"))
			Expect(dead[0].Exchange).To(Equal(r.in))
			Expect(dead[0].RoutingKey).To(Equal("work.poison"))
			Expect(dead[0].Reason).To(Equal("permanent"))
			Expect(dead[0].ErrorClass).To(Equal("unreadable_headers"))
			Expect(dead[0].Error).To(ContainSubstring(what))
			Expect(r.proxy.Opened()).To(Equal(2), "no session was lost")

			By("replaying it, now without those headers")
			reader := broker.NewReader(r.consume, r.q)
			d, ok, err := reader.Next(ctx)
			Expect(err).NotTo(HaveOccurred())
			Expect(ok).To(BeTrue())
			Expect(r.publisher.Publish(ctx, d.Replay(r.q))).To(Succeed())
			Expect(reader.Ack(d)).To(Succeed())
			Expect(reader.Release(ctx)).To(Succeed())
			Eventually(ctx, handled.Load).Should(BeNumerically("==", good+1))
			Expect(r.depth(ctx, r.q.Dead())).To(BeZero())
		},
		Entry("33 tables deep", SpecTimeout(30*time.Second), nested(33), "deeper than 32"),
		Entry("1,000 tables deep", SpecTimeout(30*time.Second), nested(1000), "deeper than 32"),
		Entry("33 arrays deep", SpecTimeout(30*time.Second), nestedArrays(33), "deeper than 32"),
		Entry("8,193 entries", SpecTimeout(30*time.Second), wide(8193), "more than 8192"),
	)

	DescribeTable("with headers at the client's limits is an ordinary one, also through a tier",
		func(ctx SpecContext, headers amqp.Table) {
			r := newRig()
			publishRaw(ctx, r.raw(), r.in, "work.item", amqp.Publishing{Headers: headers, MessageId: "edge"})
			w := &witness{verdicts: []error{broker.RetryAfter(nil, 1)}}
			r.each(r.q, w.handle)
			Eventually(ctx, func() int { return len(w.all()) }).Should(Equal(2))
			Expect(w.all()[1].attempt).To(Equal(2))
			Expect(w.all()[1].headers).To(Equal(w.all()[0].headers))
			Expect(r.proxy.Opened()).To(Equal(2))
		},
		Entry("32 tables deep", SpecTimeout(30*time.Second), nested(32)),
		Entry("31 arrays deep", SpecTimeout(30*time.Second), nestedArrays(31)),
		Entry("8,150 entries", SpecTimeout(30*time.Second), wide(8150)),
	)

	It("whose headers fill a frame travels on, without the largest of them", func(ctx SpecContext) {
		r := newRig()
		publishRaw(ctx, r.raw(), r.in, "work.item", amqp.Publishing{MessageId: "huge", Headers: amqp.Table{
			"huge": strings.Repeat("x", 100_000), "large": strings.Repeat("y", 30_000), "small": "kept",
		}})
		w := &witness{verdicts: []error{broker.RetryAfter(nil, 1), broker.Permanent(classed{"c"})}}
		r.each(r.q, w.handle)
		Eventually(ctx, func() int { return r.depth(ctx, r.q.Dead()) }).Should(Equal(1))
		Expect(w.all()[0].headers).To(HaveKey("huge"))
		Expect(w.all()[1].headers).NotTo(HaveKey("huge"))
		Expect(w.all()[1].headers).To(HaveKeyWithValue("small", "kept"))
		Expect(r.deadLetters(ctx, r.q)[0].Headers).To(HaveKeyWithValue("small", "kept"))
		Expect(r.proxy.Opened()).To(Equal(2))
	}, SpecTimeout(30*time.Second))

	It("whose headers outgrow a frame by what the broker adds is dead, not a dead connection", func(ctx SpecContext) {
		r := newRig()
		// The frame's limit is 131,072 bytes with 8 of framing; x-delivery-count
		// and x-death come on top.
		publishRaw(ctx, r.raw(), r.in, "work.item", amqp.Publishing{MessageId: "brim", Headers: amqp.Table{"h": strings.Repeat("x", 131_072-8-14-4-1-1-4-2)}})
		Expect(r.publisher.Publish(ctx, r.message(1))).To(Succeed())
		w := &witness{verdicts: []error{broker.Interrupted(nil)}}
		r.run(r.q, broker.ConsumerOptions{}, broker.Each(1, w.handle))
		Eventually(ctx, func() int { return r.depth(ctx, r.q.Dead()) }).Should(Equal(1))
		Expect(r.deadLetters(ctx, r.q)[0].Error).To(ContainSubstring("larger than a frame"))
		Eventually(ctx, func() int { return len(w.all()) }).Should(Equal(2))
		Expect(r.proxy.Opened()).To(Equal(2))
	}, SpecTimeout(30*time.Second))

	It("that breaks the frame itself takes only itself to the dead letters", func(ctx SpecContext) {
		const limit = 12
		r := newRig(withDeliveryLimit(limit))
		// The proxy destroys the end of the frame that holds this body: something
		// that the guard cannot repair.
		r.proxy.Corrupt([]byte("BREAKS-THE-FRAME"))
		const good = 300
		for i := range good {
			if i == good/2 {
				poison := r.message(9000)
				poison.MessageID, poison.Body = "poison", []byte("BREAKS-THE-FRAME")
				Expect(r.publisher.Publish(ctx, poison)).To(Succeed())
			}
			Expect(r.publisher.Publish(ctx, r.message(i))).To(Succeed())
		}
		var seen sync.Map
		var handled atomic.Int64
		at := time.Now()
		r.run(r.q, broker.ConsumerOptions{Prefetch: 200}, broker.Each(4, func(_ context.Context, d *broker.Delivery) error {
			if _, twice := seen.LoadOrStore(d.MessageID, true); !twice {
				handled.Add(1)
			}
			return nil
		}))
		Eventually(ctx, handled.Load).WithTimeout(10 * time.Second).Should(BeNumerically("==", good))
		Expect(time.Since(at)).To(BeNumerically("<", 5*time.Second))
		// The question's own session may be the one that breaks.
		Eventually(ctx, func() (int, error) {
			n, _, err := r.consume.Depth(ctx, r.q.Dead())
			return n, err
		}).Should(Equal(1))
		Expect(r.proxy.Opened()).To(BeNumerically("~", limit+3, 3))
		r.proxy.Corrupt(nil)
		dead := r.deadLetters(ctx, r.q)
		Expect(dead).To(HaveLen(1))
		Expect(dead[0].MessageID).To(Equal("poison"))
		Expect(dead[0].Reason).To(Equal("delivery-limit"))
	}, SpecTimeout(30*time.Second))

	It("that kills its handler's process is dead by the delivery limit, with a stable id and its origin", func(ctx SpecContext) {
		r := newRig(withDeliveryLimit(3))
		w := &witness{verdicts: []error{broker.RetryAfter(nil, 1)}}
		r.run(r.q, broker.ConsumerOptions{}, broker.Each(1, func(ctx context.Context, d *broker.Delivery) error {
			if err := w.handle(ctx, d); err != nil {
				return err
			}
			r.proxy.Cut()
			<-d.Context().Done()
			return nil
		}))
		forged := r.message(1)
		forged.Headers = map[string]any{"x-ea-dead-id": "forged", "x-ea-reason": "forged", "kept": "yes"}
		Expect(r.publisher.Publish(ctx, forged)).To(Succeed())
		Eventually(ctx, func() (n int) { n, _, _ = r.consume.Depth(ctx, r.q.Dead()); return n }).WithTimeout(10 * time.Second).Should(Equal(1))
		Expect(w.all()).To(HaveLen(5), "one counted attempt, and four deliveries of the second")

		dead := r.deadLetters(ctx, r.q)[0]
		Expect(dead.ByBroker).To(BeTrue())
		Expect(dead.Reason).To(Equal("delivery-limit"))
		Expect(dead.ErrorClass).To(Equal("broker"))
		Expect(dead.Attempts).To(Equal(2))
		Expect(dead.Exchange).To(Equal(r.in))
		Expect(dead.RoutingKey).To(Equal("work.item"))
		Expect(dead.DeadAt).To(BeTemporally("~", time.Now(), 10*time.Second))
		Expect(dead.FirstFailedAt).To(BeTemporally("~", time.Now(), 10*time.Second))
		Expect(dead.Headers).To(Equal(map[string]any{"kept": "yes"}))
		Expect(dead.ID).To(HavePrefix("broker-"))
		for range 3 {
			Expect(r.deadLetters(ctx, r.q)[0].ID).To(Equal(dead.ID))
		}
	}, SpecTimeout(30*time.Second))

	It("that the broker dead-letters on its own is not believed when it forges headers", func(ctx SpecContext) {
		r := newRig()
		publishRaw(ctx, r.raw(), r.in, "work.item", amqp.Publishing{Expiration: "1", MessageId: "m", Headers: amqp.Table{
			"x-ea-dead-id": "forged", "x-ea-exchange": "forged", "x-ea-attempt": int64(9), "kept": "yes",
		}})
		Eventually(ctx, func() int { return r.depth(ctx, r.q.Dead()) }).Should(Equal(1))
		dead := r.deadLetters(ctx, r.q)[0]
		Expect(dead.ID).To(HavePrefix("broker-"))
		Expect(dead.Reason).To(Equal("expired"))
		Expect(dead.Exchange).To(Equal(r.in))
		Expect(dead.RoutingKey).To(Equal("work.item"))
		Expect(dead.Attempts).To(Equal(1))
		Expect(dead.Headers).To(Equal(map[string]any{"kept": "yes"}))
	}, SpecTimeout(30*time.Second))
})
