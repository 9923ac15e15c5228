package store_test

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/store"
)

func pending(id, eventID string) notification.Notification {
	now := time.Now().UTC().Truncate(time.Millisecond)
	return notification.Notification{ID: id, EventID: eventID, RuleID: "r1", RuleVersion: 1, RuleName: "rule",
		Action: notification.Action{Type: "LOG"}, Queue: "notifications.default", Status: notification.Pending,
		Attempts: []notification.Attempt{}, CreatedAt: now, UpdatedAt: now, ExpiresAt: now.Add(time.Hour)}
}

func attempt(number int, worker string, outcome notification.Outcome) notification.Attempt {
	return notification.Attempt{Number: number, At: time.Now().UTC(), Outcome: outcome, Worker: worker}
}

var _ = Describe("the record of attempts", func() {
	var s *store.Store
	var now time.Time

	BeforeEach(func(ctx SpecContext) {
		s = fresh(ctx)
		now = time.Now().UTC().Truncate(time.Millisecond)
		b := testBatch(1)
		Expect(s.SaveBatch(ctx, b, "spec")).To(Succeed())
		_, err := s.Decide(ctx, b, nil, []notification.Notification{pending("n1", "e1"), pending("n2", "e2")}, now)
		Expect(err).NotTo(HaveOccurred())
	}, NodeTimeout(30*time.Second))

	It("accepts each attempt number once, and recognises its own repeat", func(ctx SpecContext) {
		mine := store.AttemptRecord{ID: "n1", Attempt: attempt(1, "a", notification.OutcomeRetry), Status: notification.Pending}
		theirs := store.AttemptRecord{ID: "n1", Attempt: attempt(1, "b", notification.OutcomeOK), Status: notification.Delivered}
		Expect(s.RecordAttempts(ctx, now, []store.AttemptRecord{mine})).To(ConsistOf(HaveField("Accepted", BeTrue())))
		Expect(s.RecordAttempts(ctx, now, []store.AttemptRecord{mine})).To(ConsistOf(HaveField("Accepted", BeTrue())), "the answer to the first call was lost")
		late, err := s.RecordAttempts(ctx, now, []store.AttemptRecord{theirs})
		Expect(err).NotTo(HaveOccurred())
		Expect(late[0].Accepted).To(BeFalse())
		Expect(late[0].Current.AttemptCount).To(Equal(1))
		Expect(late[0].Current.Status).To(Equal(notification.Pending))
	}, SpecTimeout(30*time.Second))

	It("never leaves delivered", func(ctx SpecContext) {
		ok := store.AttemptRecord{ID: "n1", Attempt: attempt(1, "a", notification.OutcomeOK), Status: notification.Delivered}
		Expect(s.RecordAttempts(ctx, now, []store.AttemptRecord{ok})).To(ConsistOf(HaveField("Accepted", BeTrue())))
		worse := store.AttemptRecord{ID: "n1", Attempt: attempt(2, "b", notification.OutcomePermanent), Status: notification.Dead}
		answers, err := s.RecordAttempts(ctx, now, []store.AttemptRecord{worse})
		Expect(err).NotTo(HaveOccurred())
		Expect(answers[0].Accepted).To(BeFalse())
		Expect(answers[0].Current.Status).To(Equal(notification.Delivered))
		_, claimed, err := s.Claim(ctx, "n1", "t", now, now.Add(time.Minute))
		Expect(err).NotTo(HaveOccurred())
		Expect(claimed).To(BeFalse())
	}, SpecTimeout(30*time.Second))

	It("refuses who has no claim while another has one, and lets a claim run out", func(ctx SpecContext) {
		_, claimed, err := s.Claim(ctx, "n1", "mine", now, now.Add(time.Minute))
		Expect(err).NotTo(HaveOccurred())
		Expect(claimed).To(BeTrue())
		_, claimed, err = s.Claim(ctx, "n1", "theirs", now, now.Add(time.Minute))
		Expect(err).NotTo(HaveOccurred())
		Expect(claimed).To(BeFalse())

		unclaimed := store.AttemptRecord{ID: "n1", Attempt: attempt(1, "b", notification.OutcomeOK), Status: notification.Delivered}
		Expect(s.RecordAttempts(ctx, now, []store.AttemptRecord{unclaimed})).To(ConsistOf(HaveField("Accepted", BeFalse())))
		_, claimed, err = s.Claim(ctx, "n1", "theirs", now.Add(2*time.Minute), now.Add(3*time.Minute))
		Expect(err).NotTo(HaveOccurred())
		Expect(claimed).To(BeTrue(), "the first claim ran out")
		late := store.AttemptRecord{ID: "n1", Token: "mine", Attempt: attempt(1, "a", notification.OutcomeOK), Status: notification.Delivered}
		Expect(s.RecordAttempts(ctx, now.Add(2*time.Minute), []store.AttemptRecord{late})).To(ConsistOf(HaveField("Accepted", BeFalse())))
		holder := store.AttemptRecord{ID: "n1", Token: "theirs", Attempt: attempt(1, "b", notification.OutcomeOK), Status: notification.Delivered}
		Expect(s.RecordAttempts(ctx, now.Add(2*time.Minute), []store.AttemptRecord{holder})).To(ConsistOf(HaveField("Accepted", BeTrue())))
	}, SpecTimeout(30*time.Second))

	It("answers each record of a bulk for itself", func(ctx SpecContext) {
		answers, err := s.RecordAttempts(ctx, now, []store.AttemptRecord{
			{ID: "n1", Attempt: attempt(1, "a", notification.OutcomeOK), Status: notification.Delivered},
			{ID: "n2", Attempt: attempt(2, "a", notification.OutcomeOK), Status: notification.Delivered},
			{ID: "n3", Attempt: attempt(1, "a", notification.OutcomeOK), Status: notification.Delivered},
		})
		Expect(err).NotTo(HaveOccurred())
		Expect([]bool{answers[0].Accepted, answers[1].Accepted, answers[2].Accepted}).To(Equal([]bool{true, false, false}))
		Expect(answers[2].Found).To(BeFalse())
	}, SpecTimeout(30*time.Second))
})
