package store_test

import (
	"context"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/test/support/fleet"
)

// quick is a lease for specs: an owner that dies is replaced within a second.
var quick = store.LeaseTiming{Beat: 100 * time.Millisecond, TakeOver: 800 * time.Millisecond}

// calm is one that a busy machine does not lose.
var calm = store.LeaseTiming{Beat: 100 * time.Millisecond, TakeOver: 3 * time.Second}

var _ = Describe("a lease", func() {
	It("has one owner at a time, is given back at a stop, and its term rises", func(ctx SpecContext) {
		s := fresh(ctx)
		var owners, most atomic.Int32
		terms := make(chan int64, 10)
		work := func(ctx context.Context, term int64) error {
			if n := owners.Add(1); n > most.Load() {
				most.Store(n)
			}
			terms <- term
			<-ctx.Done()
			owners.Add(-1)
			return nil
		}
		firstCtx, stopFirst := context.WithCancel(ctx)
		defer stopFirst()
		secondCtx, stopSecond := context.WithCancel(ctx)
		ended := make(chan struct{})
		go func() { defer GinkgoRecover(); _ = s.Lease("work", "a", calm).Run(firstCtx, work) }()
		Eventually(ctx, terms).Should(Receive(BeEquivalentTo(1)))
		go func() {
			defer GinkgoRecover()
			defer close(ended)
			_ = s.Lease("work", "b", calm).Run(secondCtx, work)
		}()
		Consistently(ctx, terms, 4*time.Second).ShouldNot(Receive(), "beats keep others out")
		stopFirst()
		Eventually(ctx, terms).WithTimeout(3 * time.Second).Should(Receive(BeEquivalentTo(2)))
		Expect(most.Load()).To(BeEquivalentTo(1))
		stopSecond()
		Eventually(ctx, ended).Should(BeClosed())
	}, SpecTimeout(30*time.Second))

	It("is taken over when its owner's beat stands still, and the owner's work ends", func(ctx SpecContext) {
		name := emptyDatabase(ctx)
		dying, heir := open(ctx, name), open(ctx, name)
		Expect(heir.EnsureIndexes(ctx)).To(Succeed())
		lost := make(chan struct{})
		held := make(chan struct{})
		run, stop := context.WithCancel(ctx)
		defer stop()
		ended := make(chan struct{})
		go func() {
			defer GinkgoRecover()
			defer close(ended)
			_ = dying.Lease("work", "a", quick).Run(run, func(ctx context.Context, _ int64) error {
				close(held)
				<-ctx.Done()
				close(lost)
				stop()
				return nil
			})
		}()
		Eventually(ctx, held).Should(BeClosed())
		Expect(dying.Close(ctx)).To(Succeed()) // the owner cannot reach the database any more
		Eventually(ctx, lost).WithTimeout(3 * time.Second).Should(BeClosed())
		taken := make(chan int64, 1)
		next, end := context.WithCancel(ctx)
		defer end()
		heirEnded := make(chan struct{})
		go func() {
			defer GinkgoRecover()
			defer close(heirEnded)
			_ = heir.Lease("work", "b", quick).Run(next, func(_ context.Context, term int64) error {
				taken <- term
				end()
				return nil
			})
		}()
		Eventually(ctx, taken).WithTimeout(5 * time.Second).Should(Receive(BeEquivalentTo(2)))
		Eventually(ctx, ended).Should(BeClosed())
		Eventually(ctx, heirEnded).Should(BeClosed())
	}, SpecTimeout(30*time.Second))

	It("is kept while the database answers more slowly than the owner beats", func(ctx SpecContext) {
		address := mongoURI()
		proxy := fleet.Through(&address)
		s, err := store.Open(ctx, store.Options{URI: address, Database: emptyDatabase(ctx), AppName: "store specs"})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func(ctx SpecContext) { Expect(s.Close(ctx)).To(Succeed()) }, NodeTimeout(10*time.Second))
		held, lost, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
		run, stop := context.WithCancel(ctx)
		go func() {
			defer GinkgoRecover()
			defer close(ended)
			timing := store.LeaseTiming{Beat: 100 * time.Millisecond, TakeOver: 3 * time.Second}
			_ = s.Lease("work", "a", timing).Run(run, func(ctx context.Context, _ int64) error {
				close(held)
				<-ctx.Done()
				close(lost)
				stop()
				return nil
			})
		}()
		Eventually(ctx, held).WithTimeout(5 * time.Second).Should(BeClosed())
		proxy.Delay(300 * time.Millisecond)
		Consistently(ctx, lost).WithTimeout(2500 * time.Millisecond).ShouldNot(BeClosed())
		proxy.Delay(0)
		stop()
		Eventually(ctx, ended).WithTimeout(5 * time.Second).Should(BeClosed())
	}, SpecTimeout(30*time.Second))
})
