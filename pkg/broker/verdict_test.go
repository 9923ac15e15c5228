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

// classed is an error with a class of its own.
type classed struct{ class string }

func (e classed) Error() string { return "it did not work out" }
func (e classed) Class() string { return e.class }

// away is an outage of something else than RabbitMQ.
type away struct{}

func (away) Error() string { return "the database is away" }
func (away) Outage() bool  { return true }

// seen is what a handler saw of one delivery.
type seen struct {
	at            time.Time
	attempt       int
	redelivered   bool
	count         int
	exchange, key string
	headers       map[string]any
	firstFailed   time.Time
}

// witness gives the i-th delivery the i-th verdict, and nil afterwards.
type witness struct {
	mu       sync.Mutex
	seen     []seen
	verdicts []error
}

func (w *witness) handle(_ context.Context, d *broker.Delivery) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = append(w.seen, seen{time.Now(), d.Attempt, d.Redelivered, d.DeliveryCount, d.Exchange, d.RoutingKey, d.Headers, d.FirstFailedAt})
	if n := len(w.seen); n <= len(w.verdicts) {
		return w.verdicts[n-1]
	}
	return nil
}

func (w *witness) all() []seen {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]seen(nil), w.seen...)
}

var _ = Describe("a handler's verdict", func() {
	failure := errors.New("no luck")

	DescribeTable("brings the message where it belongs",
		func(ctx SpecContext, verdicts []error, attempts []int, waits []time.Duration, reason string) {
			r := newRig()
			w := &witness{verdicts: verdicts}
			r.each(r.q, w.handle)
			Expect(r.publisher.Publish(ctx, r.message(1))).To(Succeed())

			Eventually(ctx, func() int { return len(w.all()) }).Should(Equal(len(attempts)))
			if reason != "" {
				Eventually(ctx, func() int { return r.depth(ctx, r.q.Dead()) }).Should(Equal(1))
			}
			var got []int
			for i, s := range w.all() {
				got = append(got, s.attempt)
				Expect(s.exchange).To(Equal(r.in))
				Expect(s.key).To(Equal("work.item"))
				if i > 0 {
					// What is held has jitter, and a busy machine makes it later: the first tier
					// may look like anything but the second, which is the last.
					after, most := s.at.Sub(w.all()[i-1].at), waits[i-1]+3*time.Second
					if waits[i-1] == shortTiers[0] {
						most = shortTiers[1]
					}
					Expect(after).To(And(BeNumerically(">=", waits[i-1]/2), BeNumerically("<", most)))
					Expect(s.redelivered).To(Equal(waits[i-1] == 0), "by the broker, from no tier")
				}
			}
			Expect(got).To(Equal(attempts))
			Consistently(ctx, func() int { return len(w.all()) }, "300ms").Should(Equal(len(attempts)))

			dead := r.deadLetters(ctx, r.q)
			if reason == "" {
				Expect(dead).To(BeEmpty())
				return
			}
			Expect(dead).To(HaveLen(1))
			Expect(dead[0].Reason).To(Equal(reason))
			Expect(dead[0].Attempts).To(Equal(attempts[len(attempts)-1]))
		},
		Entry("nil acks", SpecTimeout(20*time.Second), []error{nil}, []int{1}, nil, ""),
		Entry("an error retries after the schedule's delays", SpecTimeout(20*time.Second), []error{failure, failure}, []int{1, 2, 3}, []time.Duration{200 * time.Millisecond, 600 * time.Millisecond}, ""),
		Entry("errors until the schedule is exhausted are dead", SpecTimeout(20*time.Second), []error{failure, failure, failure}, []int{1, 2, 3}, []time.Duration{200 * time.Millisecond, 600 * time.Millisecond}, "exhausted"),
		Entry("Permanent is dead at once", SpecTimeout(20*time.Second), []error{broker.Permanent(failure)}, []int{1}, nil, "permanent"),
		Entry("Exhausted is dead at once", SpecTimeout(20*time.Second), []error{broker.Exhausted(failure)}, []int{1}, nil, "exhausted"),
		Entry("Permanent is found deep in a chain", SpecTimeout(20*time.Second), []error{fmt.Errorf("handle: %w", errors.Join(failure, broker.Permanent(failure)))}, []int{1}, nil, "permanent"),
		Entry("RetryAfter rounds up to a tier", SpecTimeout(20*time.Second), []error{broker.RetryAfter(failure, 250*time.Millisecond)}, []int{1, 2}, []time.Duration{600 * time.Millisecond}, ""),
		Entry("RetryAfter beyond the longest tier takes the longest", SpecTimeout(20*time.Second), []error{broker.RetryAfter(failure, time.Hour)}, []int{1, 2}, []time.Duration{600 * time.Millisecond}, ""),
		Entry("RetryAfter without a delay follows the schedule", SpecTimeout(20*time.Second), []error{broker.RetryAfter(failure, 0)}, []int{1, 2}, []time.Duration{200 * time.Millisecond}, ""),
		Entry("RetryAfter costs attempts", SpecTimeout(20*time.Second), []error{broker.RetryAfter(failure, 1), broker.RetryAfter(failure, 1), broker.RetryAfter(failure, 1)}, []int{1, 2, 3}, []time.Duration{200 * time.Millisecond, 200 * time.Millisecond}, "exhausted"),
		Entry("Uncounted costs no attempt", SpecTimeout(20*time.Second), []error{broker.Uncounted(failure, time.Millisecond), broker.Uncounted(failure, 300*time.Millisecond), failure}, []int{1, 1, 1, 2}, []time.Duration{200 * time.Millisecond, 600 * time.Millisecond, 200 * time.Millisecond}, ""),
		Entry("Interrupted goes back uncounted and at once", SpecTimeout(20*time.Second), []error{broker.Interrupted(failure), failure}, []int{1, 1, 2}, []time.Duration{0, 200 * time.Millisecond}, ""),
		Entry("an outage is held and tried again", SpecTimeout(20*time.Second), []error{away{}, fmt.Errorf("save: %w", away{})}, []int{1, 1, 1}, []time.Duration{100 * time.Millisecond, 150 * time.Millisecond}, ""),
		Entry("Permanent wins over the outage in its chain", SpecTimeout(20*time.Second), []error{broker.Permanent(away{})}, []int{1}, nil, "permanent"),
	)

	It("that holds back what was given out before leaves that known, until its next attempt", func(ctx SpecContext) {
		r := newRig()
		verdicts := []error{broker.Interrupted(failure), broker.Uncounted(failure, time.Millisecond), broker.Uncounted(failure, time.Millisecond), failure}
		again := make(chan bool, len(verdicts)+1)
		r.each(r.q, func(_ context.Context, d *broker.Delivery) error {
			again <- d.Redelivered
			if len(verdicts) == 0 {
				return nil
			}
			v := verdicts[0]
			verdicts = verdicts[1:]
			return v
		})
		Expect(r.publisher.Publish(ctx, r.message(1))).To(Succeed())
		for _, want := range []bool{false, true, true, true, false} {
			Eventually(ctx, again).Should(Receive(Equal(want)))
		}
	}, SpecTimeout(20*time.Second))

	It("is final: only the first Done counts", func(ctx SpecContext) {
		r := newRig()
		r.each(r.q, func(_ context.Context, d *broker.Delivery) error {
			d.Done(broker.Permanent(failure))
			d.Done(nil)
			return failure
		})
		Expect(r.publisher.Publish(ctx, r.message(1))).To(Succeed())
		Eventually(ctx, func() int { return r.depth(ctx, r.q.Dead()) }).Should(Equal(1))
		Consistently(ctx, func() int { return r.depth(ctx, r.q.Dead()) }, "500ms").Should(Equal(1))
	}, SpecTimeout(20*time.Second))

	It("of a handler that panics is an error", func(ctx SpecContext) {
		r := newRig()
		q := r.q
		q.Schedule = nil
		r.each(q, func(context.Context, *broker.Delivery) error { panic("ouch") })
		Expect(r.publisher.Publish(ctx, r.message(1))).To(Succeed())
		Eventually(ctx, func() int { return r.depth(ctx, r.q.Dead()) }).Should(Equal(1))
		dead := r.deadLetters(ctx, r.q)[0]
		Expect(dead.Error).To(ContainSubstring("ouch"))
		Expect(dead.ErrorClass).To(Equal("panic"))
		Expect(dead.Reason).To(Equal("exhausted"))
	}, SpecTimeout(20*time.Second))

	It("after 24 hours without a counted attempt is dead", func(ctx SpecContext) {
		r := newRig()
		w := &witness{verdicts: []error{broker.Uncounted(failure, time.Second)}}
		first := time.Now().Add(-24*time.Hour - time.Minute).UTC().Truncate(time.Millisecond)
		publishRaw(ctx, r.raw(), r.q.RetryExchange, r.q.Name, amqp.Publishing{Headers: amqp.Table{
			"x-ea-exchange": r.in, "x-ea-routing-key": "work.item", "x-ea-attempt": int64(2),
			"x-ea-first-failed-at": first.Format(time.RFC3339Nano), "x-ea-held-since": first.Format(time.RFC3339Nano),
		}})
		r.each(r.q, w.handle)
		Eventually(ctx, func() int { return r.depth(ctx, r.q.Dead()) }).Should(Equal(1))
		Expect(w.all()[0].firstFailed).To(BeTemporally("==", first))
		dead := r.deadLetters(ctx, r.q)[0]
		Expect(dead.Reason).To(Equal("expired"))
		Expect(dead.Attempts).To(Equal(2))
		Expect(dead.FirstFailedAt).To(BeTemporally("==", first))
	}, SpecTimeout(20*time.Second))

	It("is put off without limit for what failed days ago: the 24 hours are each attempt's own", func(ctx SpecContext) {
		r := newRig()
		w := &witness{verdicts: []error{broker.Uncounted(failure, shortTiers[0]), broker.Uncounted(failure, shortTiers[0])}}
		publishRaw(ctx, r.raw(), r.q.RetryExchange, r.q.Name, amqp.Publishing{Headers: amqp.Table{
			"x-ea-exchange": r.in, "x-ea-routing-key": "work.item", "x-ea-attempt": int64(2),
			"x-ea-first-failed-at": time.Now().Add(-72 * time.Hour).UTC().Format(time.RFC3339Nano),
		}})
		r.each(r.q, w.handle)
		Eventually(ctx, func() int { return len(w.all()) }).Should(Equal(3))
		Expect(w.all()[2].attempt).To(Equal(2))
		Expect(r.depth(ctx, r.q.Dead())).To(BeZero())
	}, SpecTimeout(20*time.Second))

	It("nil after the handler itself has published the next attempt is like a retry", func(ctx SpecContext) {
		r := newRig()
		w := &witness{}
		r.each(r.q, func(ctx context.Context, d *broker.Delivery) error {
			_ = w.handle(ctx, d)
			if d.Attempt == 1 {
				m, tier := d.Again(150*time.Millisecond, errors.New("later"))
				Expect(tier).To(Equal(200 * time.Millisecond))
				m.Body = []byte("another body")
				return r.publisher.Publish(ctx, m)
			}
			return broker.Permanent(failure)
		})
		Expect(r.publisher.Publish(ctx, r.message(1))).To(Succeed())
		Eventually(ctx, func() int { return r.depth(ctx, r.q.Dead()) }).Should(Equal(1))
		Expect(w.all()).To(HaveLen(2))
		Expect(w.all()[1].attempt).To(Equal(2))
		Expect(w.all()[1].exchange).To(Equal(r.in))
		Expect(string(r.deadLetters(ctx, r.q)[0].Body)).To(Equal("another body"))
	}, SpecTimeout(20*time.Second))

	It("sends a retry to its owner only, with the message as it was", func(ctx SpecContext) {
		r := newRig()
		w, stranger := &witness{verdicts: []error{failure, failure}}, &witness{}
		r.each(r.q, w.handle)
		r.each(r.other, stranger.handle)
		at := time.Now().UTC().Truncate(time.Second)
		m := broker.Message{
			Exchange: r.in, RoutingKey: "work.a.b", ContentType: "application/json", ContentEncoding: "identity",
			MessageID: "m", CorrelationID: "c", Type: "t", AppID: "a", Priority: 3, Timestamp: at, Body: []byte("{}"),
			Headers: map[string]any{"traceparent": "00-1", "n": 1 << 40, "nested": map[string]any{"list": []any{"x", int32(1)}}},
		}
		Expect(r.publisher.Publish(ctx, m)).To(Succeed())
		Eventually(ctx, func() int { return len(w.all()) }).Should(Equal(3))
		Expect(stranger.all()).To(BeEmpty())
		for _, s := range w.all() {
			Expect(s.headers).To(Equal(map[string]any{"traceparent": "00-1", "n": int64(1 << 40), "nested": map[string]any{"list": []any{"x", int32(1)}}}))
			Expect(s.key).To(Equal("work.a.b"))
		}
	}, SpecTimeout(20*time.Second))

	It("makes a dead letter that says everything", func(ctx SpecContext) {
		r := newRig()
		long := strings.Repeat("ä", 2000)
		w := &witness{verdicts: []error{failure, broker.Permanent(errors.Join(classed{"http_4xx"}, errors.New(long)))}}
		r.each(r.q, w.handle)
		before := time.Now().Add(-time.Second)
		m := r.message(7)
		m.Headers = map[string]any{"traceparent": "00-1"}
		Expect(r.publisher.Publish(ctx, m)).To(Succeed())
		Eventually(ctx, func() int { return r.depth(ctx, r.q.Dead()) }).Should(Equal(1))

		dead := r.deadLetters(ctx, r.q)[0]
		Expect(dead.ID).To(MatchRegexp(`^[0-9a-f]{8}-[0-9a-f-]{27}$`))
		Expect(dead.Queue).To(Equal(r.q.Name))
		Expect(dead.Reason).To(Equal("permanent"))
		Expect(dead.ErrorClass).To(Equal("http_4xx"))
		Expect(dead.Error).To(HavePrefix("it did not work out"))
		Expect(len(dead.Error)).To(BeNumerically("<=", 1024))
		Expect(dead.Attempts).To(Equal(2))
		Expect(dead.ByBroker).To(BeFalse())
		Expect(dead.FirstFailedAt).To(BeTemporally(">", before))
		Expect(dead.DeadAt).To(BeTemporally(">", dead.FirstFailedAt))
		Expect(dead.Exchange).To(Equal(r.in))
		Expect(dead.RoutingKey).To(Equal("work.item"))
		Expect(dead.MessageID).To(Equal(m.MessageID))
		Expect(dead.Body).To(Equal(m.Body))
		Expect(dead.Headers).To(Equal(m.Headers))
		Expect(r.deadLetters(ctx, r.q)[0].ID).To(Equal(dead.ID))
	}, SpecTimeout(20*time.Second))

	It("ignores and strips forged x-ea headers, and the broker's own", func(ctx SpecContext) {
		r := newRig()
		w := &witness{verdicts: []error{failure, failure, failure}}
		r.each(r.q, w.handle)
		publishRaw(ctx, r.raw(), r.in, "work.item", amqp.Publishing{
			MessageId: "forged", ReplyTo: "amq.rabbitmq.reply-to.nobody", UserId: "guest", Expiration: "60000", Body: []byte("x"),
			Headers: amqp.Table{
				"x-ea-attempt": int64(99), "x-ea-first-failed-at": "2001-01-01T00:00:00Z", "x-ea-exchange": "elsewhere",
				"X-EA-Routing-Key": "elsewhere", "x-ea-dead-id": "mine", "x-delivery-count": int64(500), "x-death": "nonsense",
				"CC": []any{"work.copy"}, "kept": "yes",
			},
		})
		Eventually(ctx, func() int { return r.depth(ctx, r.q.Dead()) }).Should(BeNumerically(">=", 1))
		// The CC header made two messages of one, as its producer asked; the retries
		// and dead letters of each do not multiply again.
		Eventually(ctx, func() int { return r.depth(ctx, r.q.Dead()) + len(w.all()) }).Should(BeNumerically(">=", 4))
		for _, s := range w.all() {
			Expect(s.exchange).To(Equal(r.in))
			Expect(s.headers).To(Equal(map[string]any{"kept": "yes"}))
			Expect(s.count).To(BeZero())
			Expect(s.attempt).To(BeNumerically("<=", 3))
		}
		dead := r.deadLetters(ctx, r.q)[0]
		Expect(dead.ID).NotTo(Equal("mine"))
		Expect(dead.Attempts).To(BeNumerically("<=", 3))
		Expect(dead.FirstFailedAt).To(BeTemporally("~", time.Now(), time.Minute))
		Expect(dead.ReplyTo).To(Equal("amq.rabbitmq.reply-to.nobody"))
		Expect(dead.UserID).To(Equal("guest"))
	}, SpecTimeout(20*time.Second))
})
