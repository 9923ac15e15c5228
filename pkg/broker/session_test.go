package broker_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/broker/brokertest"
)

var _ = Describe("a lost session", func() {
	// The ledger of a spec: how often each message was handled to its end.
	type ledger struct {
		mu   sync.Mutex
		done map[string]int
	}
	count := func(l *ledger, id string) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.done[id]++
	}

	DescribeTable("under load loses nothing and acks nothing wrongly",
		func(ctx SpecContext, loop func(func(*broker.Delivery)) broker.Loop) {
			const messages = 20_000
			r := newRig()
			l := &ledger{done: map[string]int{}}
			var failures atomic.Int64
			stop := r.run(r.q, broker.ConsumerOptions{Prefetch: 500}, loop(func(d *broker.Delivery) {
				// A few fail first, so that retries are under way when a session ends.
				if d.Attempt == 1 && d.Body[len(d.Body)-1] == '7' && rand.IntN(4) == 0 {
					failures.Add(1)
					d.Done(errors.New("first attempt"))
					return
				}
				if rand.IntN(300) == 0 { // held by the handler when a session ends
					<-time.After(rand.N(20 * time.Millisecond))
				}
				count(l, d.MessageID)
			}))
			cutting := make(chan struct{})
			var cutter sync.WaitGroup
			cutter.Go(func() {
				// Bounded: on a machine where a session takes longer to open than it lives,
				// nothing would go on.
				for range 60 {
					t := time.NewTimer(time.Duration(80+rand.IntN(200)) * time.Millisecond)
					select {
					case <-t.C:
						r.proxy.Cut()
					case <-cutting:
						t.Stop()
						return
					}
				}
			})
			var publishers sync.WaitGroup
			var unpublished atomic.Int64
			for p := range 4 {
				publishers.Go(func() {
					for i := p * messages / 4; i < (p+1)*messages/4; i += 100 {
						var batch []broker.Message
						for j := i; j < i+100; j++ {
							batch = append(batch, r.message(j))
						}
						if r.publisher.Publish(ctx, batch...) != nil {
							unpublished.Add(100)
						}
						<-time.After(rand.N(40 * time.Millisecond)) // the load lasts for some cuts
					}
				})
			}
			publishers.Wait()
			Expect(unpublished.Load()).To(BeZero())
			handled := func() int {
				l.mu.Lock()
				defer l.mu.Unlock()
				return len(l.done)
			}
			Eventually(ctx, handled).WithTimeout(50 * time.Second).Should(BeNumerically(">", messages*3/4))
			close(cutting)
			cutter.Wait()
			// Nothing lost: had an ack hit another message, that one would be missing.
			Eventually(ctx, handled).WithTimeout(60 * time.Second).Should(Equal(messages))
			// Repeats that are still in a tier come back, too.
			left := func() int {
				n := r.depth(ctx, r.q.Name)
				for _, tier := range r.q.Tiers {
					n += r.depth(ctx, r.q.Tier(tier))
				}
				return n
			}
			Eventually(ctx, left).WithTimeout(10 * time.Second).Should(BeZero())
			Consistently(ctx, left, "800ms").Should(BeZero())
			stop()
			Expect(r.depth(ctx, r.q.Name)).To(BeZero())
			Expect(r.deadLetters(ctx, r.q)).To(BeEmpty())
			sessions := testutil.ToFloat64(sessionsOpened(r.reg, "consume"))
			GinkgoWriter.Printf("%d sessions cut, %d failed first attempts\n", r.proxy.Opened(), failures.Load())
			Expect(sessions).To(BeNumerically(">", 5))
			Expect(failures.Load()).To(BeNumerically(">", 0))
		},
		Entry("one by one", SpecTimeout(2*time.Minute), func(done func(*broker.Delivery)) broker.Loop {
			return broker.Each(8, func(_ context.Context, d *broker.Delivery) error { done(d); return nil })
		}),
		Entry("in batches", SpecTimeout(2*time.Minute), func(done func(*broker.Delivery)) broker.Loop {
			return broker.Batches(broker.BatchOptions{Concurrency: 2}, func(_ context.Context, batch []*broker.Delivery) error {
				for _, d := range batch {
					done(d)
				}
				return nil
			})
		}),
	)

	It("makes a late Done a harmless no-op", func(ctx SpecContext) {
		r := newRig()
		held := make(chan *broker.Delivery, 10)
		release := make(chan struct{})
		stop := r.run(r.q, broker.ConsumerOptions{Prefetch: 1}, broker.Each(10, func(_ context.Context, d *broker.Delivery) error {
			held <- d
			if d.Redelivered {
				<-release // the next session's first delivery is out
				return broker.Interrupted(errors.New("not yet"))
			}
			<-d.Context().Done() // until the session is lost
			return nil           // the late ack of tag 1, which must not ack the next session's tag 1
		}))
		Expect(r.publisher.Publish(ctx, r.message(1), r.message(2), r.message(3))).To(Succeed())
		var first, second *broker.Delivery
		Eventually(ctx, held).Should(Receive(&first))
		r.proxy.Cut()
		Eventually(ctx, held).Should(Receive(&second))
		Expect(first.Stale()).To(BeTrue())
		Expect(second.Stale()).To(BeFalse())
		Eventually(ctx, func() string {
			return metricText(r.reg, "ea_deliveries_total", map[string]string{"verdict": "lost"})
		}).ShouldNot(BeEmpty())
		Consistently(ctx, held, "300ms").ShouldNot(Receive(), "an ack would let the next one through")
		Expect(metricText(r.reg, "ea_deliveries_total", map[string]string{"verdict": "ack"})).To(BeEmpty())
		stopped := make(chan struct{})
		go func() {
			defer GinkgoRecover()
			defer close(stopped)
			stop()
		}()
		close(release)
		Eventually(ctx, stopped).Should(BeClosed())
		Eventually(ctx, func() int { return r.depth(ctx, r.q.Name) }).Should(Equal(3))
	}, SpecTimeout(30*time.Second))

	It("is replaced within seconds of the broker's coming back, and publishing goes on", func(ctx SpecContext) {
		r := newRig()
		Expect(r.publisher.Publish(ctx, r.message(0))).To(Succeed())
		r.proxy.Refuse(true)
		r.proxy.Cut()
		Eventually(ctx, func() error { return r.publish.Check(ctx) }).Should(MatchError(ContainSubstring("publish")))

		var published sync.WaitGroup
		errs := make(chan error, 20)
		for i := range 20 {
			published.Go(func() { errs <- r.publisher.Publish(ctx, r.message(100+i), r.message(200+i)) })
		}
		short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
		defer cancel()
		err := r.publisher.Publish(short, r.message(999))
		Expect(err).To(HaveOccurred())
		Expect(broker.IsOutage(err)).To(BeTrue())
		Expect(errors.Is(err, context.DeadlineExceeded)).To(BeTrue())
		Consistently(ctx, errs, "4s").ShouldNot(Receive())

		r.proxy.Refuse(false)
		back := time.Now()
		published.Wait()
		Expect(time.Since(back)).To(BeNumerically("<", 10*time.Second))
		for range 20 {
			Expect(<-errs).NotTo(HaveOccurred())
		}
		Expect(r.publish.Check(ctx)).To(Succeed())
		Eventually(ctx, func() int { return r.depth(ctx, r.q.Name) }).Should(Equal(41), "the abandoned message was never sent")
	}, SpecTimeout(30*time.Second))

	It("is noticed when the network swallows everything", func(ctx SpecContext) {
		r := newRig()
		Expect(r.publisher.Publish(ctx, r.message(0))).To(Succeed())
		r.proxy.Stall(true)
		big := r.message(1)
		big.Body = make([]byte, 8<<20) // more than all buffers on the way: the socket's write hangs
		result := make(chan error, 1)
		go func() { result <- r.publisher.Publish(ctx, big) }()
		Eventually(ctx, func() error { return r.publish.Check(ctx) }).WithTimeout(25 * time.Second).ShouldNot(Succeed())
		r.proxy.Stall(false)
		Eventually(ctx, result).WithTimeout(20 * time.Second).Should(Receive(BeNil()))
	}, SpecTimeout(time.Minute))

	It("hides no delivery count: a first delivery has none, a second says so", func(ctx SpecContext) {
		r := newRig()
		w := &witness{}
		Expect(r.publisher.Publish(ctx, r.message(1))).To(Succeed())
		stop := r.run(r.q, broker.ConsumerOptions{}, broker.Each(1, func(_ context.Context, d *broker.Delivery) error {
			_ = w.handle(ctx, d)
			if len(w.all()) <= broker.SuspectDeliveries {
				r.proxy.Cut()
				<-d.Context().Done()
			}
			return nil
		}))
		defer stop()
		Eventually(ctx, func() int { return len(w.all()) }).WithTimeout(10 * time.Second).Should(Equal(4))
		var counts []int
		for _, s := range w.all() {
			counts = append(counts, s.count)
			Expect(s.attempt).To(Equal(1))
			Expect(s.redelivered).To(Equal(s.count > 0))
		}
		Expect(counts).To(Equal([]int{0, 1, 2, 3}))
	}, SpecTimeout(30*time.Second))
})

var _ = Describe("a connection", func() {
	It("waits for its broker and says why, without the password", func(ctx SpecContext) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		Expect(err).NotTo(HaveOccurred())
		addr := l.Addr().String()
		Expect(l.Close()).To(Succeed())
		c, _ := brokertest.Connect("lonely", "amqp://me:s3cr3t%2Fpw@"+addr+"/", nil)
		Eventually(ctx, func() error { return c.Check(ctx) }).Should(MatchError(ContainSubstring("connection refused")))
		Expect(c.Check(ctx).Error()).NotTo(ContainSubstring("s3cr3t"))
		Expect(broker.IsOutage(c.Check(ctx))).To(BeTrue())

		short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		defer cancel()
		err = c.Declare(short, broker.Topology{})
		Expect(broker.IsOutage(err)).To(BeTrue())
		_, _, err = c.Depth(short, "any")
		Expect(broker.IsOutage(err)).To(BeTrue())
	}, SpecTimeout(20*time.Second))

	DescribeTable("names what is wrong with its URL or login in one line",
		func(ctx SpecContext, url func() string, what string) {
			c, _ := brokertest.Connect("wrong", url(), nil)
			Eventually(ctx, func() error { return c.Check(ctx) }).WithTimeout(10 * time.Second).Should(MatchError(ContainSubstring(what)))
			text := c.Check(ctx).Error()
			Expect(text).NotTo(ContainSubstring("s3cr3t"))
			Expect(text).NotTo(ContainSubstring("\n"))
		},
		Entry("wrong password", SpecTimeout(20*time.Second), func() string {
			return "amqp://guest:s3cr3t@" + brokertest.Addr(brokertest.URL()) + "/"
		}, "403"),
		Entry("unknown virtual host", SpecTimeout(20*time.Second), func() string {
			return brokertest.URL() + "s3-not-there"
		}, "not"),
		Entry("unparsable", SpecTimeout(20*time.Second), func() string { return "amqp://guest:s3cr3t pw@h/" }, "cannot be parsed"),
		Entry("wrong scheme", SpecTimeout(20*time.Second), func() string { return "http://guest:s3cr3t@h/" }, "cannot be parsed"),
	)

	It("shares its metrics' registry with others", func(ctx SpecContext) {
		reg := prometheus.NewRegistry()
		for i := range 3 {
			c, _ := brokertest.Connect(fmt.Sprintf("c%d", i), brokertest.URL(), reg)
			p := broker.NewPublisher(c, broker.PublisherOptions{})
			broker.NewConsumer(c, p, broker.WorkQueue{Name: "q"}, broker.ConsumerOptions{Registerer: reg})
			Eventually(ctx, func() error { return c.Check(ctx) }).Should(Succeed())
		}
		Expect(testutil.ToFloat64(sessionsOpened(reg, "c2"))).To(Equal(1.0))
	}, SpecTimeout(20*time.Second))

	It("hears broadcasts on every listener, and again after a loss", func(ctx SpecContext) {
		r := newRig()
		var heard [2]atomic.Int64
		for i := range heard {
			brokertest.Go(broker.Broadcasts(r.consume, r.in, "hint.*", func(m broker.Message) {
				if string(m.Body) == "changed" && m.Headers == nil {
					heard[i].Add(1)
				}
			}))
		}
		hint := broker.Message{Exchange: r.in, RoutingKey: "hint.rules", Body: []byte("changed"), Optional: true}
		both := func() bool {
			Expect(r.publisher.Publish(ctx, hint)).To(Succeed())
			return heard[0].Load() > 0 && heard[1].Load() > 0
		}
		Eventually(ctx, both).Should(BeTrue())
		r.proxy.Cut()
		heard[0].Store(0)
		heard[1].Store(0)
		Eventually(ctx, both).WithTimeout(5 * time.Second).Should(BeTrue())
	}, SpecTimeout(30*time.Second))
})

func sessionsOpened(reg *prometheus.Registry, connection string) prometheus.Collector {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ea_broker_sessions_total", Help: "AMQP sessions opened."}, []string{"connection"})
	var registered prometheus.AlreadyRegisteredError
	Expect(errors.As(reg.Register(c), &registered)).To(BeTrue())
	return registered.ExistingCollector.(*prometheus.CounterVec).WithLabelValues(connection)
}

// metricText lists a metric's series with the labels, "" when there are none.
func metricText(reg *prometheus.Registry, name string, labels map[string]string) string {
	families, err := reg.Gather()
	Expect(err).NotTo(HaveOccurred())
	var b strings.Builder
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
	series:
		for _, m := range f.GetMetric() {
			for k, v := range labels {
				found := false
				for _, l := range m.GetLabel() {
					found = found || l.GetName() == k && l.GetValue() == v
				}
				if !found {
					continue series
				}
			}
			fmt.Fprintln(&b, m.String())
		}
	}
	return b.String()
}
