package store_test

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/decision"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/store"
)

var _ = Describe("the outbox", func() {
	var s *store.Store
	var now time.Time
	unpublished := func(ctx SpecContext) []notification.Notification {
		GinkgoHelper()
		waiting, err := s.UnpublishedNotifications(ctx, now.Add(time.Hour), nil, 10)
		Expect(err).NotTo(HaveOccurred())
		return waiting
	}
	BeforeEach(func(ctx SpecContext) {
		s = fresh(ctx)
		now = time.Now().UTC().Truncate(time.Millisecond)
	}, NodeTimeout(30*time.Second))

	It("keeps what somebody asked for after a sweep had read it, and before the sweep marked it", func(ctx SpecContext) {
		n := pending("n1", "e1")
		n.Unpublished = true
		Expect(s.InsertNotification(ctx, n)).To(Succeed())
		read := unpublished(ctx)
		Expect(read).To(HaveLen(1))
		// Nothing but the order tells the retry's message from the first: there was no
		// attempt between them.
		Expect(s.RecordAttempts(ctx, now, []store.AttemptRecord{{ID: "n1", Suppress: true, Status: notification.Suppressed, Reason: notification.TargetDisabled}})).
			To(ConsistOf(HaveField("Accepted", BeTrue())))
		retried, err := s.RetryNotification(ctx, "n1", "ops", now)
		Expect(err).NotTo(HaveOccurred())
		Expect(s.MarkPublished(ctx, read...)).To(Succeed())
		Expect(unpublished(ctx)).To(HaveLen(1), "its message is not published")
		Expect(s.MarkPublished(ctx, retried)).To(Succeed())
		Expect(unpublished(ctx)).To(BeEmpty())
	}, SpecTimeout(30*time.Second))

	It("keeps a forced attempt that replaced another", func(ctx SpecContext) {
		Expect(s.InsertNotification(ctx, pending("n1", "e1"))).To(Succeed())
		Expect(s.RecordAttempts(ctx, now, []store.AttemptRecord{{ID: "n1", Attempt: attempt(1, "a", notification.OutcomeOK), Status: notification.Delivered}})).
			To(ConsistOf(HaveField("Accepted", BeTrue())))
		first, err := s.ForceNotification(ctx, "n1", "one", "ops", now)
		Expect(err).NotTo(HaveOccurred())
		second, err := s.ForceNotification(ctx, "n1", "two", "ops", now)
		Expect(err).NotTo(HaveOccurred())
		Expect(s.MarkPublished(ctx, first)).To(Succeed())
		Expect(unpublished(ctx)).To(ConsistOf(HaveField("Forced.Nonce", "two")))
		Expect(s.MarkPublished(ctx, first, second)).To(Succeed())
		Expect(unpublished(ctx)).To(BeEmpty())
	}, SpecTimeout(30*time.Second))

	It("takes what a batch owes and cannot publish, but nothing that was attempted", func(ctx SpecContext) {
		b := testBatch(1)
		Expect(s.SaveBatch(ctx, b, "spec")).To(Succeed())
		_, err := s.Decide(ctx, now, []decision.Batch{{Batch: b, Owed: owing(pending("n1", "e1"), pending("n2", "e2"))}})
		Expect(err).NotTo(HaveOccurred())
		Expect(s.RecordAttempts(ctx, now, []store.AttemptRecord{{ID: "n2", Attempt: attempt(1, "a", notification.OutcomeRetry), Status: notification.Pending}})).
			To(ConsistOf(HaveField("Accepted", BeTrue())))
		Expect(s.LeaveUnpublished(ctx, "n1", "n2")).To(Succeed())
		Expect(unpublished(ctx)).To(ConsistOf(HaveField("ID", "n1")))
	}, SpecTimeout(30*time.Second))
})
