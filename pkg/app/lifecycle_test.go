package app_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/app"
	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/config"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
	"github.com/events-aggregator/events-aggregator/test/support/fleet"
)

// diary notes what happened in which order.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (d *diary) note(s string) { d.mu.Lock(); d.lines = append(d.lines, s); d.mu.Unlock() }

func (d *diary) all() []string { d.mu.Lock(); defer d.mu.Unlock(); return slices.Clone(d.lines) }

var _ = Describe("the life of a process", func() {
	var f *fleet.Fleet
	BeforeEach(func(ctx SpecContext) {
		leakless()
		f = fleet.New(ctx)
	}, NodeTimeout(time.Minute))

	It("stops in order: unready, workers, drain, then teardowns last in first out", func(ctx SpecContext) {
		var d diary
		var r *app.Running
		r = f.Start(ctx, "ingester", func(_ context.Context, p *app.Process) error {
			p.OnStop("first", func(context.Context) error { d.note("first torn down"); return nil })
			p.OnStop("second", func(ctx context.Context) error {
				d.note("second torn down")
				// What was set up earlier still works here.
				return p.Publisher.Publish(ctx, broker.Message{Exchange: p.Topology.Exchange(topology.ExchangeControl), RoutingKey: "spec", Optional: true})
			})
			p.Go("slow", func(ctx context.Context) error {
				d.note("slow began")
				<-ctx.Done()
				code, answer, err := fetch(context.WithoutCancel(ctx), r.AdminAddr(), "/readyz")
				if err == nil && code == 503 {
					d.note("unready before anything stopped")
				} else {
					d.note(answer)
				}
				d.note("slow drained")
				return p.Store.Check(context.WithoutCancel(ctx))
			})
			return nil
		})
		Eventually(ctx, d.all).Should(ContainElement("slow began"))
		Expect(r.Stop(ctx)).To(Succeed())
		Expect(d.all()).To(Equal([]string{
			"slow began", "unready before anything stopped", "slow drained", "second torn down", "first torn down",
		}))
		_, _, err := fetch(ctx, r.AdminAddr(), "/livez")
		Expect(err).To(HaveOccurred(), "the admin server is the last to go")
		Expect(r.Stop(ctx)).To(Succeed(), "stopping twice")
	}, SpecTimeout(30*time.Second))

	DescribeTable("ends with an error when a worker ends unasked, and stops the others",
		func(ctx SpecContext, run func(context.Context) error, message string) {
			var others atomic.Bool
			r := f.Launch(ctx, "ingester", func(_ context.Context, p *app.Process) error {
				p.Go("steady", func(ctx context.Context) error { <-ctx.Done(); others.Store(true); return ctx.Err() })
				p.Go("frail", run)
				return nil
			})
			Eventually(ctx, r.Done()).WithTimeout(20 * time.Second).Should(BeClosed())
			Expect(r.Wait()).To(MatchError(ContainSubstring("worker frail: " + message)))
			Expect(others.Load()).To(BeTrue())
		},
		Entry("by returning", func(context.Context) error { return nil }, "returned although nobody asked it to stop", SpecTimeout(30*time.Second)),
		Entry("by an error", func(context.Context) error { return errors.New("disk full") }, "disk full", SpecTimeout(30*time.Second)),
		Entry("by a panic", func(context.Context) error { panic("out of range") }, "panic: out of range", SpecTimeout(30*time.Second)),
	)

	It("ends with the error of its wiring, torn down", func(ctx SpecContext) {
		var d diary
		r := f.Launch(ctx, "ingester", func(_ context.Context, p *app.Process) error {
			p.OnStop("part", func(context.Context) error { d.note("torn down"); return nil })
			p.Go("never", func(context.Context) error { d.note("started"); return nil })
			return errors.New("no such directory")
		})
		Expect(r.Booted(ctx)).To(MatchError("ingester ended before it worked: wire ingester: no such directory"))
		Expect(r.Wait()).To(MatchError("wire ingester: no such directory"))
		Expect(d.all()).To(Equal([]string{"torn down"}))
	}, SpecTimeout(30*time.Second))

	It("does not wait for ever for a worker that does not stop, and names it", func(ctx SpecContext) {
		release := make(chan struct{})
		DeferCleanup(func() { close(release) })
		r := f.Start(ctx, "ingester", func(_ context.Context, p *app.Process) error {
			p.Go("stubborn", func(context.Context) error { <-release; return nil })
			return nil
		}, func(c *config.Config) { c.Shutdown.DrainTimeout = 100 * time.Millisecond })
		Expect(r.Stop(ctx)).To(MatchError(ContainSubstring("worker stubborn: still running")))
	}, SpecTimeout(30*time.Second))

	It("reports what a worker could not finish", func(ctx SpecContext) {
		r := f.Start(ctx, "ingester", func(_ context.Context, p *app.Process) error {
			p.Go("flusher", func(ctx context.Context) error { <-ctx.Done(); return errors.New("3 lines not written") })
			return nil
		})
		Expect(r.Stop(ctx)).To(MatchError("worker flusher: 3 lines not written"))
	}, SpecTimeout(30*time.Second))

	It("runs workers that are registered later", func(ctx SpecContext) {
		ran := make(chan struct{})
		f.Start(ctx, "ingester", func(_ context.Context, p *app.Process) error {
			p.Go("first", func(ctx context.Context) error {
				p.Go("second", func(ctx context.Context) error { close(ran); <-ctx.Done(); return nil })
				<-ctx.Done()
				return nil
			})
			return nil
		})
		Eventually(ctx, ran).Should(BeClosed())
	}, SpecTimeout(30*time.Second))

	It("fails to start where its admin address is taken, and leaves nothing behind", func(ctx SpecContext) {
		first := f.Start(ctx, "ingester", nothing)
		c := f.Config("ingester")
		c.Admin.Addr = first.AdminAddr()
		_, err := app.Start(ctx, "ingester", c, nothing, app.WithLogger(f.Log))
		Expect(err).To(MatchError(And(HavePrefix("admin.addr: listen tcp "+first.AdminAddr()), ContainSubstring("address already in use"))))
	}, SpecTimeout(30*time.Second))

	It("outlives the context that it was started with", func(ctx SpecContext) {
		short, cancel := context.WithCancel(ctx)
		r := f.Start(short, "ingester", nothing)
		cancel()
		Consistently(ctx, r.Done()).WithTimeout(300 * time.Millisecond).ShouldNot(BeClosed())
	}, SpecTimeout(30*time.Second))

	It("is an instance of its own beside others in one program", func(ctx SpecContext) {
		count := func(_ context.Context, p *app.Process) error {
			_, err := p.Listen(ctx, "127.0.0.1:0")
			return err
		}
		a, b := f.Start(ctx, "ingester", count), f.Start(ctx, "ingester", count)
		Expect(a.Process().Instance).NotTo(Equal(b.Process().Instance))
		Expect(a.Process().Metrics).NotTo(BeIdenticalTo(b.Process().Metrics))
		Expect(a.AdminAddr()).NotTo(Equal(b.AdminAddr()))
		Expect(a.Addr()).NotTo(Or(BeEmpty(), Equal(b.Addr())))
	}, SpecTimeout(30*time.Second))

	It("consumes a work queue and gives a lease to one process at a time", func(ctx SpecContext) {
		got := make(chan string, 10)
		holders := make(chan string, 10)
		wire := func(_ context.Context, p *app.Process) error {
			p.Consume(topology.Ingest, 10, broker.Each(1, func(_ context.Context, d *broker.Delivery) error {
				got <- string(d.Body)
				return nil
			}))
			p.Lease("spec", func(ctx context.Context, _ int64) error {
				holders <- p.Instance
				<-ctx.Done()
				return nil
			})
			return nil
		}
		a := f.Start(ctx, "ingester", wire)
		Eventually(ctx, holders).Should(Receive(Equal(a.Process().Instance)))
		b := f.Start(ctx, "ingester", wire)
		f.Publish(ctx, broker.Message{Exchange: f.Topology.Exchange(topology.ExchangeEvents), RoutingKey: "events.spec", Body: []byte("hello")})
		Eventually(ctx, got).Should(Receive(Equal("hello")))
		Consistently(ctx, holders).WithTimeout(time.Second).ShouldNot(Receive())
		Eventually(ctx, func() int { code, _ := get(ctx, b.AdminAddr(), "/readyz"); return code }).Should(Equal(200))
		Expect(a.Stop(ctx)).To(Succeed())
		Eventually(ctx, holders).WithTimeout(10 * time.Second).Should(Receive(Equal(b.Process().Instance)))
	}, SpecTimeout(30*time.Second))
})
