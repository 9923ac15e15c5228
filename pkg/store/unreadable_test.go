package store_test

import (
	"errors"
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/decision"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/pkg/rule/interval"
	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/pkg/user"
)

var _ = Describe("documents that nobody understands", func() {
	It("take no notification's place in a sweep, a list or a rotation, and fail the record of their own attempts alone", func(ctx SpecContext) {
		s := fresh(ctx)
		now := time.Now().UTC().Truncate(time.Millisecond)
		b := testBatch(1)
		eventID := b.Events[0].Lookup("event_id").StringValue()
		for i := range 5 {
			n := pending(fmt.Sprint("n", i), eventID)
			n.CreatedAt, n.Unpublished, n.Action.Config = now.Add(-time.Hour), true, bson.Raw{5, 0, 0, 0, 0}
			n.NextAttemptAt = &n.CreatedAt
			n.Forced = &notification.Forced{Nonce: "asked before", At: now, By: "ops"}
			Expect(s.InsertNotification(ctx, n)).To(Succeed())
		}
		Expect(s.SpoilNotifications(ctx, "n0", "n1", "n3")).To(Succeed())
		well := HaveExactElements(HaveField("ID", "n2"), HaveField("ID", "n4"))
		Expect(s.UnpublishedNotifications(ctx, now, nil, 2)).To(well)
		Expect(s.OverdueNotifications(ctx, now, 2)).To(ConsistOf(HaveField("ID", "n2"), HaveField("ID", "n4")))
		Expect(s.OwedNotifications(ctx, []string{eventID})).To(well)
		Expect(s.FindNotifications(ctx, store.NotificationFilter{}, nil, 2)).To(ConsistOf(HaveField("ID", "n2"), HaveField("ID", "n4")))
		Expect(s.ExistingNotifications(ctx, []string{"n0", "n2", "none"})).To(Equal(map[string]bool{"n0": true, "n2": true}))
		renew := func(_ string, config bson.Raw) (bson.Raw, bool) { return config, true }
		Expect(s.RenewNotifications(ctx, time.Time{}, renew, true)).To(Equal(store.Renewed{Found: 2}))

		_, err := s.Notification(ctx, "n0")
		Expect(errors.As(err, new(interface{ Outage() bool }))).To(BeFalse())
		_, _, err = s.Claim(ctx, claim("n0", 1, "t", now))
		Expect(err).To(MatchError(ContainSubstring("cannot be decoded")))
		Expect(errors.As(err, new(interface{ Outage() bool }))).To(BeFalse())
		record := func(id string) store.AttemptRecord {
			return store.AttemptRecord{ID: id, Attempt: attempt(1, "a", notification.OutcomeOK), Status: notification.Delivered}
		}
		for _, change := range []func() (notification.Notification, error){
			func() (notification.Notification, error) { return s.RetryNotification(ctx, "n0", "ops", now) },
			func() (notification.Notification, error) { return s.ForceNotification(ctx, "n0", "nonce", "ops", now) },
			func() (notification.Notification, error) { return s.CancelNotification(ctx, "n0", "ops", now) },
			func() (n notification.Notification, err error) {
				n, _, err = s.ClaimForced(ctx, "n0", "asked before", "t", now, now.Add(time.Minute))
				return n, err
			},
		} {
			_, err := change()
			Expect(err).To(MatchError(And(ContainSubstring("n0"), ContainSubstring("cannot be decoded"))))
			Expect(errors.As(err, new(*store.Unreadable))).To(BeTrue())
			Expect(errors.As(err, new(interface{ Outage() bool }))).To(BeFalse(), "it would be held for as long as the document is there")
		}
		_, err = s.RecordAttempts(ctx, now, []store.AttemptRecord{record("n0"), record("none")})
		Expect(err).To(MatchError(ContainSubstring("n0")))
		Expect(errors.As(err, new(interface{ Outage() bool }))).To(BeFalse(), "it would hold all calls")
		Expect(s.RecordAttempts(ctx, now, []store.AttemptRecord{record("n2"), record("none")})).To(HaveExactElements(
			HaveField("Accepted", true), HaveField("Found", false)))
	}, SpecTimeout(time.Minute))

	It("are listed after, page by page, also when many were created at once", func(ctx SpecContext) {
		s := fresh(ctx)
		now := time.Now().UTC().Truncate(time.Millisecond)
		for i := range 7 {
			n := pending(fmt.Sprint("n", i), "e")
			n.CreatedAt, n.Unpublished = now.Add(-time.Hour+time.Duration(i/5)*time.Second), true
			if i%3 == 0 {
				n.Queue = "gone"
			}
			Expect(s.InsertNotification(ctx, n)).To(Succeed())
		}
		var seen []string
		var after *notification.Notification
		for range 7 {
			page, err := s.UnpublishedNotifications(ctx, now, after, 2, "gone")
			Expect(err).NotTo(HaveOccurred())
			for i := range page {
				seen, after = append(seen, page[i].ID), &page[i]
			}
		}
		Expect(seen).To(Equal([]string{"n1", "n2", "n4", "n5"}))
	}, SpecTimeout(time.Minute))

	It("are what a rule remembers, begin anew, and keep no batch back", func(ctx SpecContext) {
		s := fresh(ctx)
		now := time.Now().UTC().Truncate(time.Hour)
		r := testRule("noisy")
		r.Throttle, r.MaxMatchesPerHour = &rule.Throttle{For: interval.Duration(time.Hour)}, 100
		Expect(s.Decide(ctx, now, []decision.Batch{owes(r, now, 1)})).To(HaveLen(1))
		Expect(s.SpoilMemories(ctx)).To(Succeed())
		for _, status := range []notification.Status{notification.Pending, notification.Suppressed} {
			committed, err := s.Decide(ctx, now, []decision.Batch{owes(r, now, 1)})
			Expect(err).NotTo(HaveOccurred())
			Expect(committed[0].Owed[0].Status).To(Equal(status))
		}
	}, SpecTimeout(time.Minute))

	It("are left out of users, replays and the rules that an import asks for", func(ctx SpecContext) {
		s := fresh(ctx)
		now := time.Now().UTC().Truncate(time.Millisecond)
		for _, name := range []string{"a", "b"} {
			Expect(s.CreateUser(ctx, testUser(name))).To(Succeed())
			Expect(s.CreateReplay(ctx, job(name, now))).To(Succeed())
			_, err := s.CreateRule(ctx, testRule(name))
			Expect(err).NotTo(HaveOccurred())
		}
		Expect(s.SpoilUser(ctx, "u-a")).To(Succeed())
		Expect(s.SpoilReplay(ctx, "b")).To(Succeed())
		Expect(s.SpoilRule(ctx, "id-a")).To(Succeed())
		Expect(s.People(ctx, nil, []user.Role{user.Admin})).To(ConsistOf(HaveField("Email", "b")))
		Expect(s.Users(ctx, 1)).To(ConsistOf(HaveField("Email", "b")))
		Expect(s.FindReplays(ctx, "", nil, 1)).To(ConsistOf(HaveField("ID", "a")))
		Expect(s.RulesBy(ctx, []string{"id-a", "id-b"}, nil)).To(ConsistOf(HaveField("ID", "id-b")))
	}, SpecTimeout(time.Minute))
})
