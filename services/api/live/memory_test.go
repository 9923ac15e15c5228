package live_test

import (
	"context"
	"runtime"
	"strings"
	"sync"
	"time"
	"weak"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/services/api/live"
)

const large = 16 << 10

// saveLarge stores n large events, and says how large they are in a log.
func saveLarge(ctx context.Context, s *store.Store, n int) (numbers []int, bytes int64) {
	GinkgoHelper()
	b, numbers := batch(n)
	for i, raw := range b.Events {
		var d bson.D
		Expect(bson.Unmarshal(raw, &d)).To(Succeed())
		raw, err := bson.Marshal(append(d, bson.E{Key: "trace_id", Value: strings.Repeat("x", large)}))
		Expect(err).NotTo(HaveOccurred())
		text, err := event.ToJSON(raw)
		Expect(err).NotTo(HaveOccurred())
		b.Events[i], bytes = raw, bytes+int64(len(raw)+len(text))
	}
	Expect(s.SaveBatch(ctx, b, "spec")).To(Succeed())
	return numbers, bytes
}

var _ = Describe("hubs that share a memory", func() {
	It("count the JSON of what they hold, and give it back after the last client", func(ctx SpecContext) {
		s, db, _ := open(ctx)
		memory := live.NewMemory(64 << 20)
		c := follow(ctx, hubOf(ctx, s, 1000, memory), "", everything, nil)
		Eventually(ctx, c.isReady).Should(BeTrue())
		numbers, bytes := saveLarge(ctx, db, 3)
		Eventually(ctx, c.saw).Should(Equal(numbers))
		Expect(memory.Held()).To(BeNumerically(">=", bytes))
		c.cut()
		Eventually(ctx, memory.Held).Should(BeZero())
	}, SpecTimeout(30*time.Second))

	It("hold no more than that together, and keep nothing from who reads, or catches up", func(ctx SpecContext) {
		s, db, _ := open(ctx)
		const most = 16 * large
		memory := live.NewMemory(most)
		one, other := hubOf(ctx, s, 1000, memory), hubOf(ctx, s, 1000, memory)
		clients := []*client{follow(ctx, one, "", everything, nil), follow(ctx, other, "", everything, nil)}
		for _, c := range clients {
			Eventually(ctx, c.isReady).Should(BeTrue())
		}
		beginning := clients[0].position()
		var all []int
		for range 10 {
			numbers, _ := saveLarge(ctx, db, 3)
			all = append(all, numbers...)
			for _, c := range clients {
				Eventually(ctx, c.saw).Should(Equal(all))
			}
		}
		Eventually(ctx, memory.Held).Should(BeNumerically("<=", most))
		again := follow(ctx, one, beginning, everything, nil)
		Eventually(ctx, again.saw).Should(Equal(all))
		Eventually(ctx, memory.Held).Should(BeNumerically("<=", most))
		for _, c := range append(clients, again) {
			Expect(c.ended).NotTo(Receive())
		}
	}, SpecTimeout(time.Minute))

	It("take it back from clients that stall after their stream has caught up", func(ctx SpecContext) {
		s, db, _ := open(ctx)
		const most = 16 * large
		memory := live.NewMemory(most)
		h := hubOf(ctx, s, 1000, memory)
		h.BePatient(100 * time.Millisecond)
		quick := follow(ctx, h, "", everything, nil)
		Eventually(ctx, quick.isReady).Should(BeTrue())
		beginning := quick.position()
		var all []int
		for range 10 {
			numbers, _ := saveLarge(ctx, db, 3)
			all = append(all, numbers...)
			Eventually(ctx, quick.saw).Should(Equal(all))
		}
		hold := make(chan struct{})
		var stalled []*client
		for range 4 {
			c := follow(ctx, h, beginning, everything, hold)
			stalled = append(stalled, c)
			Eventually(ctx, c.isReady).Should(BeTrue())
			Eventually(ctx, h.CatchingUp).Should(BeZero())
		}
		Eventually(ctx, memory.Held).Should(BeNumerically("<=", most))
		Expect(memory.Logs()).To(BeNumerically("<", 1+len(stalled)), "who stalls has no share for ever")
		for _, c := range append(stalled, quick) {
			Expect(c.ended).NotTo(Receive())
		}
		close(hold)
		for _, c := range stalled {
			Eventually(ctx, c.ended).Should(Receive(MatchError(live.ErrSlow)))
		}
		Eventually(ctx, memory.Logs).Should(BeEquivalentTo(1))
		seen := stalled[0].saw()
		h.BePatient(time.Minute)
		again := follow(ctx, h, stalled[0].position(), everything, nil)
		Eventually(ctx, func() []int { return append(append([]int{}, seen...), again.saw()...) }).Should(Equal(all))
	}, SpecTimeout(time.Minute))

	It("hold no more than that with the JSON that is made while the database is away", func(ctx SpecContext) {
		s, db, proxy := open(ctx)
		const most = 16 * large
		memory := live.NewMemory(most)
		h := hubOf(ctx, s, 1000, memory)
		quiet := follow(ctx, h, "", nothing, nil)
		Eventually(ctx, quiet.isReady).Should(BeTrue())
		numbers, _ := saveLarge(ctx, db, 12)
		Eventually(ctx, memory.Held).Should(BeNumerically(">=", 12*large))
		proxy.Refuse(true)
		proxy.Cut()
		Eventually(ctx, func() time.Duration { _, silent, _ := h.Health(); return silent }).ShouldNot(BeZero()) // nothing is put from here on
		held := int64(0)
		c := follow(ctx, h, quiet.position(), func(bson.Raw) bool { held = max(held, memory.Held()); return true }, nil)
		Eventually(ctx, c.saw).Should(Equal(numbers))
		Expect(memory.Held()).To(BeNumerically("<=", most))
		proxy.Refuse(false)
		numbers = append(numbers, save(ctx, db, 1)...)
		Eventually(ctx, c.saw).Should(Equal(numbers))
		c.leave(ctx)
		Expect(held).To(BeNumerically("<=", most))
	}, SpecTimeout(time.Minute))

	It("keep nothing for a client that hears nothing more", func(ctx SpecContext) {
		s, db, _ := open(ctx)
		h := hub(ctx, s, 8)
		var once sync.Once
		var heard weak.Pointer[byte]
		quiet := follow(ctx, h, "", func(doc bson.Raw) (first bool) {
			once.Do(func() { heard, first = weak.Make(&doc[0]), true })
			return first
		}, nil)
		all := follow(ctx, h, "", everything, nil)
		for _, c := range []*client{quiet, all} {
			Eventually(ctx, c.isReady).Should(BeTrue())
		}
		first, _ := saveLarge(ctx, db, 1)
		numbers := first
		for range 12 { // more than the log has room for
			Eventually(ctx, all.saw).Should(Equal(numbers))
			numbers = append(numbers, save(ctx, db, 1)...)
		}
		Eventually(ctx, all.saw).Should(Equal(numbers))
		Expect(quiet.saw()).To(Equal(first))
		Eventually(ctx, func() *byte {
			runtime.GC()
			return heard.Value()
		}).Should(BeNil())
		for _, c := range []*client{quiet, all} {
			Expect(c.ended).NotTo(Receive())
		}
	}, SpecTimeout(30*time.Second))

	It("tell a client no more at once than it may be held for it", func(ctx SpecContext) {
		s, db, _ := open(ctx)
		place := placeNow(ctx, s)
		numbers, _ := saveLarge(ctx, db, 20)
		following, stop := context.WithCancel(ctx)
		DeferCleanup(stop)
		told, most := 0, 0
		Expect(hub(ctx, s, 1000).Follow(following, &place, everything, func(frames []live.Frame) error {
			bytes := 0
			for _, f := range frames {
				if f.IsChange() {
					told, bytes = told+1, bytes+len(f.Document())
				}
			}
			if most = max(most, bytes); told == len(numbers) {
				stop()
			}
			return nil
		})).To(Succeed())
		Expect(told).To(Equal(len(numbers)))
		Expect(most).To(BeNumerically("<", 6*large))
	}, SpecTimeout(30*time.Second))
})
