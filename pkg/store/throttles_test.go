package store_test

import (
	"fmt"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/decision"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/pkg/rule/interval"
	"github.com/events-aggregator/events-aggregator/pkg/store"
)

// owes makes a batch of n events that each owe one notification of the rule.
func owes(r rule.Rule, at time.Time, n int) decision.Batch {
	b := testBatch(n)
	d := decision.Batch{Batch: b}
	for _, raw := range b.Events {
		id := raw.Lookup("event_id").StringValue()
		one := pending(notification.ID(id, r.ID, r.Version, 0), id)
		one.RuleID, one.RuleVersion, one.CreatedAt = r.ID, r.Version, at
		d.Owed = append(d.Owed, decision.Owed{Notification: one, Event: raw, Rule: &r})
	}
	return d
}

// together runs f at the same time, several times for each store.
func together(stores []*store.Store, times int, f func(s *store.Store) error) {
	GinkgoHelper()
	var all sync.WaitGroup
	errs := make(chan error, len(stores)*times)
	for i := range len(stores) * times {
		all.Go(func() { errs <- f(stores[i%len(stores)]) })
	}
	all.Wait()
	close(errs)
	for err := range errs {
		Expect(err).NotTo(HaveOccurred())
	}
}

var _ = Describe("what rules remember", func() {
	const workers = 3
	var stores []*store.Store
	var s *store.Store
	now := time.Now().UTC().Truncate(time.Hour)

	BeforeEach(func(ctx SpecContext) {
		database := emptyDatabase(ctx)
		stores = nil
		for range workers {
			stores = append(stores, open(ctx, database))
		}
		s = stores[0]
		Expect(s.EnsureIndexes(ctx)).To(Succeed())
	}, NodeTimeout(30*time.Second))

	// decideEach has every worker decide batches of its own, at the same moment.
	decideEach := func(ctx SpecContext, r rule.Rule, batches, size int) {
		GinkgoHelper()
		together(stores, batches, func(s *store.Store) error {
			d := owes(r, now, size)
			if err := s.SaveBatch(ctx, d.Batch, "spec"); err != nil {
				return err
			}
			committed, err := s.Decide(ctx, now, []decision.Batch{d})
			if err == nil && len(committed) != 1 {
				err = fmt.Errorf("%d batches committed", len(committed))
			}
			return err
		})
	}
	counts := func(ctx SpecContext) map[notification.Status]int64 {
		GinkgoHelper()
		c, err := s.CountNotifications(ctx, store.NotificationFilter{})
		Expect(err).NotTo(HaveOccurred())
		return c
	}

	It("lets exactly one of a throttle's key through, however many workers decide at once", func(ctx SpecContext) {
		r := testRule("throttled")
		r.Throttle = &rule.Throttle{Per: []string{"payload.n"}, For: interval.Duration(time.Hour)}
		decideEach(ctx, r, 10, 10)
		Expect(counts(ctx)).To(And(HaveKeyWithValue(notification.Pending, BeEquivalentTo(10)), HaveKeyWithValue(notification.Suppressed, BeEquivalentTo(290))))

		later := owes(r, now.Add(time.Hour), 10)
		Expect(s.SaveBatch(ctx, later.Batch, "spec")).To(Succeed())
		committed, err := s.Decide(ctx, now, []decision.Batch{later})
		Expect(err).NotTo(HaveOccurred())
		Expect(committed[0].Owed).To(HaveEach(And(HaveField("Status", notification.Pending), HaveField("HeldBack", 29))))
	}, SpecTimeout(2*time.Minute))

	It("counts an hour's matches exactly, and announces the pause once", func(ctx SpecContext) {
		r := testRule("bounded")
		r.MaxMatchesPerHour = 25
		decideEach(ctx, r, 5, 10)
		Expect(counts(ctx)).To(And(HaveKeyWithValue(notification.Pending, BeEquivalentTo(25)), HaveKeyWithValue(notification.Suppressed, BeEquivalentTo(125))))
		waiting, err := s.Announcements(ctx, 10)
		Expect(err).NotTo(HaveOccurred())
		Expect(waiting).To(ConsistOf(HaveField("Type", decision.RulePaused)))
		Expect(s.MarkAnnounced(ctx, waiting[0].EventID)).To(Succeed())
		Expect(s.Announcements(ctx, 10)).To(BeEmpty())
	}, SpecTimeout(2*time.Minute))

	It("is not asked again for a batch that comes again", func(ctx SpecContext) {
		r := testRule("throttled")
		r.Throttle = &rule.Throttle{For: interval.Duration(time.Minute)}
		r.MaxMatchesPerHour = 2
		d := owes(r, now, 1)
		Expect(s.SaveBatch(ctx, d.Batch, "spec")).To(Succeed())
		for i := range 3 {
			for j := range d.Owed { // each time the throttle would let it through
				d.Owed[j].CreatedAt = now.Add(time.Duration(i) * 2 * time.Minute)
			}
			_, err := s.Decide(ctx, now, []decision.Batch{d})
			Expect(err).NotTo(HaveOccurred())
		}
		Expect(counts(ctx)).To(And(HaveKeyWithValue(notification.Pending, BeEquivalentTo(1)), HaveKeyWithValue(notification.Suppressed, BeEquivalentTo(0))))
		next := owes(r, now.Add(90*time.Second), 1)
		Expect(s.SaveBatch(ctx, next.Batch, "spec")).To(Succeed())
		committed, err := s.Decide(ctx, now, []decision.Batch{next})
		Expect(err).NotTo(HaveOccurred())
		Expect(committed[0].Owed[0].Status).To(Equal(notification.Pending), "the second match of the hour, a minute and a half after the first")
	}, SpecTimeout(time.Minute))
})
