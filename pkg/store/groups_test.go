package store_test

import (
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/decision"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/pkg/rule/interval"
	"github.com/events-aggregator/events-aggregator/pkg/store"
)

// grouping is a rule whose groups are told at once and again at once.
func grouping() rule.Rule {
	r := testRule("grouped")
	r.Version = 1
	r.Group = &rule.Group{Interval: interval.Duration(time.Second), Repeat: interval.Duration(time.Second)}
	return r
}

// telling makes one notification of a group.
func telling(r rule.Rule, at time.Time) func(g decision.Group) (decision.Group, []decision.Owed) {
	return func(g decision.Group) (decision.Group, []decision.Owed) {
		told := g.Told()
		n := pending(notification.GroupID(told, 0), told.Samples[0])
		n.RuleID, n.Group, n.Unpublished = r.ID, &told, true
		owed := []decision.Owed{{Notification: n, Rule: &r}}
		return g.Flushed(r.Group, at, owed), owed
	}
}

var _ = Describe("groups", func() {
	now := time.Now().UTC().Truncate(time.Second)

	It("are told once by two who tell at the same moment", func(ctx SpecContext) {
		database := emptyDatabase(ctx)
		stores := []*store.Store{open(ctx, database), open(ctx, database)}
		s := stores[0]
		Expect(s.EnsureIndexes(ctx)).To(Succeed())
		r := grouping()
		d := owes(r, now, 5)
		Expect(s.SaveBatch(ctx, d.Batch, "spec")).To(Succeed())
		committed, err := s.Decide(ctx, now, []decision.Batch{d})
		Expect(err).NotTo(HaveOccurred())
		Expect(committed[0].Owed).To(HaveEach(HaveField("Reason", notification.Grouped)))
		due, err := s.DueGroups(ctx, now, 10)
		Expect(err).NotTo(HaveOccurred())
		Expect(due).To(HaveLen(1))
		Expect(s.DueGroups(ctx, now.Add(-time.Millisecond), 10)).To(BeEmpty())
		var told atomic.Int64
		together(stores, 3, func(s *store.Store) error {
			owed, err := s.FlushGroups(ctx, now, []string{due[0].ID}, telling(r, now))
			told.Add(int64(len(owed)))
			return err
		})
		Expect(told.Load()).To(BeEquivalentTo(1))
		waiting, err := s.UnpublishedNotifications(ctx, time.Now().Add(time.Minute), nil, 10)
		Expect(err).NotTo(HaveOccurred())
		Expect(waiting).To(HaveLen(1))
		Expect(waiting[0].Group.Matches).To(Equal(5))
		Expect(s.DueGroups(ctx, now.Add(time.Hour), 10)).To(BeEmpty())
	}, SpecTimeout(time.Minute))

	It("that nobody understands keep no other back, and are set aside", func(ctx SpecContext) {
		s := fresh(ctx)
		spoilt, r := grouping(), grouping()
		spoilt.ID = "spoilt"
		for _, some := range []rule.Rule{spoilt, r} {
			d := owes(some, now, 5)
			Expect(s.SaveBatch(ctx, d.Batch, "spec")).To(Succeed())
			_, err := s.Decide(ctx, now, []decision.Batch{d})
			Expect(err).NotTo(HaveOccurred())
		}
		Expect(s.SpoilGroups(ctx, spoilt.ID)).To(Succeed())
		due, err := s.DueGroups(ctx, now, 10)
		Expect(err).NotTo(HaveOccurred())
		Expect(due).To(ConsistOf(HaveField("RuleID", r.ID)))
		due, err = s.DueGroups(ctx, now, 1)
		Expect(err).NotTo(HaveOccurred())
		Expect(due).To(HaveLen(1), "they take no place any more")
	}, SpecTimeout(time.Minute))

	It("lose no match and tell none twice while three workers decide and another tells", func(ctx SpecContext) {
		database := emptyDatabase(ctx)
		stores := []*store.Store{open(ctx, database), open(ctx, database), open(ctx, database)}
		s := stores[0]
		Expect(s.EnsureIndexes(ctx)).To(Succeed())
		r := grouping()
		const each, size = 6, 5
		var at atomic.Int64 // each telling is a second later, when the group may be told again
		clock := func() time.Time { return now.Add(time.Duration(at.Add(1)) * time.Second) }
		total := 0
		tell := func() int {
			moment := clock()
			due, err := s.DueGroups(ctx, moment, 10)
			Expect(err).NotTo(HaveOccurred())
			ids := make([]string, len(due))
			for i, g := range due {
				ids[i] = g.ID
			}
			owed, err := s.FlushGroups(ctx, moment, ids, telling(r, moment))
			Expect(err).NotTo(HaveOccurred())
			for _, o := range owed {
				total += o.Group.Matches
			}
			return len(owed)
		}
		deciding := make(chan struct{})
		go func() {
			defer GinkgoRecover()
			defer close(deciding)
			together(stores, each, func(s *store.Store) error {
				moment := clock()
				d := owes(r, moment, size)
				if err := s.SaveBatch(ctx, d.Batch, "spec"); err != nil {
					return err
				}
				_, err := s.Decide(ctx, moment, []decision.Batch{d})
				return err
			})
		}()
		times := 0
		for done := false; !done; {
			select {
			case <-deciding:
				done = true
			case <-ctx.Done():
				Fail("not decided in time")
			default:
			}
			times += tell()
		}
		at.Add(1000)
		times += tell()
		Expect(total).To(Equal(3 * each * size))
		found, err := s.FindNotifications(ctx, store.NotificationFilter{Status: notification.Pending}, nil, 1000)
		Expect(err).NotTo(HaveOccurred())
		Expect(found).To(HaveLen(times))
	}, SpecTimeout(2*time.Minute))
})
