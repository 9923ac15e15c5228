package store_test

import (
	"errors"
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/decision"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/store"
)

func owing(all ...notification.Notification) []decision.Owed {
	owed := make([]decision.Owed, len(all))
	for i, n := range all {
		owed[i].Notification = n
	}
	return owed
}

func pending(id, eventID string) notification.Notification {
	now := time.Now().UTC().Truncate(time.Millisecond)
	return notification.Notification{ID: id, EventID: eventID, RuleID: "r1", RuleVersion: 1, RuleName: "rule",
		Action: notification.Action{Type: "LOG"}, Queue: "notifications.default", Status: notification.Pending,
		Attempts: []notification.Attempt{}, CreatedAt: now, UpdatedAt: now, ExpiresAt: now.Add(time.Hour)}
}

func attempt(number int, worker string, outcome notification.Outcome) notification.Attempt {
	return notification.Attempt{Number: number, At: time.Now().UTC(), Outcome: outcome, Worker: worker}
}

func claim(id string, number int, token string, now time.Time) store.Claim {
	return store.Claim{ID: id, Attempt: number, Token: token, Now: now, Until: now.Add(time.Minute)}
}

var _ = Describe("the record of attempts", func() {
	var s *store.Store
	var now time.Time

	BeforeEach(func(ctx SpecContext) {
		s = fresh(ctx)
		now = time.Now().UTC().Truncate(time.Millisecond)
		b := testBatch(1)
		Expect(s.SaveBatch(ctx, b, "spec")).To(Succeed())
		_, err := s.Decide(ctx, now, []decision.Batch{{Batch: b, Owed: owing(pending("n1", "e1"), pending("n2", "e2"))}})
		Expect(err).NotTo(HaveOccurred())
	}, NodeTimeout(30*time.Second))

	It("is counted by status, each up to a number, and beyond it as what is left or as so many at least", func(ctx SpecContext) {
		b := testBatch(1)
		Expect(s.SaveBatch(ctx, b, "spec")).To(Succeed())
		var more []notification.Notification
		for i := range 5 {
			n := pending(fmt.Sprintf("m%d", i), "e1")
			n.Status, n.Reason = notification.Suppressed, notification.Muted
			more = append(more, n)
		}
		_, err := s.Decide(ctx, now, []decision.Batch{{Batch: b, Owed: owing(more...)}})
		Expect(err).NotTo(HaveOccurred())
		count := func(most int64) (counts []int64, atLeast []notification.Status) {
			GinkgoHelper()
			found, atLeast, err := s.NotificationCounts(ctx, most)
			Expect(err).NotTo(HaveOccurred())
			Expect(found).To(HaveLen(4))
			return []int64{found[notification.Pending], found[notification.Suppressed]}, atLeast
		}
		for most, want := range map[int64][]int64{100: {2, 5}, 5: {2, 5}, 3: {2, 5}, 2: {2, 2}} {
			counts, atLeast := count(most)
			Expect(counts).To(Equal(want), "up to %d", most)
			if most == 2 {
				Expect(atLeast).To(ConsistOf(notification.Pending, notification.Suppressed))
			} else {
				Expect(atLeast).To(BeEmpty())
			}
		}
	}, SpecTimeout(30*time.Second))

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
		_, claimed, err := s.Claim(ctx, claim("n1", 2, "t", now))
		Expect(err).NotTo(HaveOccurred())
		Expect(claimed).To(BeFalse())
	}, SpecTimeout(30*time.Second))

	It("refuses who has no claim while another has one, and lets a claim run out", func(ctx SpecContext) {
		_, claimed, err := s.Claim(ctx, claim("n1", 1, "mine", now))
		Expect(err).NotTo(HaveOccurred())
		Expect(claimed).To(BeTrue())
		_, claimed, err = s.Claim(ctx, claim("n1", 1, "theirs", now))
		Expect(err).NotTo(HaveOccurred())
		Expect(claimed).To(BeFalse())

		unclaimed := store.AttemptRecord{ID: "n1", Attempt: attempt(1, "b", notification.OutcomeOK), Status: notification.Delivered}
		Expect(s.RecordAttempts(ctx, now, []store.AttemptRecord{unclaimed})).To(ConsistOf(HaveField("Accepted", BeFalse())))
		_, claimed, err = s.Claim(ctx, claim("n1", 1, "theirs", now.Add(2*time.Minute)))
		Expect(err).NotTo(HaveOccurred())
		Expect(claimed).To(BeTrue(), "the first claim ran out")
		late := store.AttemptRecord{ID: "n1", Token: "mine", Attempt: attempt(1, "a", notification.OutcomeOK), Status: notification.Delivered}
		Expect(s.RecordAttempts(ctx, now.Add(2*time.Minute), []store.AttemptRecord{late})).To(ConsistOf(HaveField("Accepted", BeFalse())))
		holder := store.AttemptRecord{ID: "n1", Token: "theirs", Attempt: attempt(1, "b", notification.OutcomeOK), Status: notification.Delivered}
		Expect(s.RecordAttempts(ctx, now.Add(2*time.Minute), []store.AttemptRecord{holder})).To(ConsistOf(HaveField("Accepted", BeTrue())))
	}, SpecTimeout(30*time.Second))

	It("gives no claim on an attempt that is recorded already", func(ctx SpecContext) {
		again := store.AttemptRecord{ID: "n1", Attempt: attempt(1, "a", notification.OutcomeRetry), Status: notification.Pending}
		Expect(s.RecordAttempts(ctx, now, []store.AttemptRecord{again})).To(ConsistOf(HaveField("Accepted", BeTrue())))
		n, claimed, err := s.Claim(ctx, claim("n1", 1, "late", now))
		Expect(err).NotTo(HaveOccurred())
		Expect(claimed).To(BeFalse())
		Expect(n.AttemptCount).To(Equal(1))
		next := store.AttemptRecord{ID: "n1", Attempt: attempt(2, "a", notification.OutcomeOK), Status: notification.Delivered}
		Expect(s.RecordAttempts(ctx, now, []store.AttemptRecord{next})).To(ConsistOf(HaveField("Accepted", BeTrue())),
			"the late claim does not keep the next attempt out")
	}, SpecTimeout(30*time.Second))

	It("opens a dead notification again only when asked to, once for each replay, and never a delivered one", func(ctx SpecContext) {
		dead := store.AttemptRecord{ID: "n1", Attempt: attempt(1, "a", notification.OutcomePermanent), Status: notification.Dead, Reason: "permanent"}
		delivered := store.AttemptRecord{ID: "n2", Attempt: attempt(1, "a", notification.OutcomeOK), Status: notification.Delivered}
		_, err := s.RecordAttempts(ctx, now, []store.AttemptRecord{dead, delivered})
		Expect(err).NotTo(HaveOccurred())
		_, claimed, err := s.Claim(ctx, claim("n1", 2, "t", now))
		Expect(err).NotTo(HaveOccurred())
		Expect(claimed).To(BeFalse())

		reopened := And(HaveField("Status", notification.Pending), HaveField("Base", 1), HaveField("AttemptCount", 1), HaveField("Reason", ""))
		Expect(s.Reopen(ctx, "n1", "one", now)).To(reopened)
		dead.Attempt = attempt(2, "a", notification.OutcomePermanent)
		Expect(s.RecordAttempts(ctx, now, []store.AttemptRecord{dead})).To(ConsistOf(HaveField("Accepted", BeTrue())))
		Expect(s.Reopen(ctx, "n1", "one", now)).To(And(HaveField("Status", notification.Dead), HaveField("Base", 1)), "its message came again")
		Expect(s.Reopen(ctx, "n1", "two", now)).To(And(HaveField("Status", notification.Pending), HaveField("Base", 2)))
		Expect(s.Reopen(ctx, "n1", "three", now)).To(And(HaveField("Base", 2), HaveField("ReopenedBy", "two")), "it is under way")
		Expect(s.Reopen(ctx, "n2", "one", now)).To(HaveField("Status", notification.Delivered))
		_, err = s.Reopen(ctx, "none", "one", now)
		Expect(err).To(MatchError(store.ErrNotFound))
	}, SpecTimeout(30*time.Second))

	It("does not open a dead notification under a call that somebody forced", func(ctx SpecContext) {
		dead := store.AttemptRecord{ID: "n1", Attempt: attempt(1, "a", notification.OutcomePermanent), Status: notification.Dead, Reason: "permanent"}
		Expect(s.RecordAttempts(ctx, now, []store.AttemptRecord{dead})).To(ConsistOf(HaveField("Accepted", BeTrue())))
		_, err := s.ForceNotification(ctx, "n1", "nonce", "ops", now)
		Expect(err).NotTo(HaveOccurred())
		_, claimed, err := s.ClaimForced(ctx, "n1", "nonce", "t", now, now.Add(time.Minute))
		Expect(err).NotTo(HaveOccurred())
		Expect(claimed).To(BeTrue())
		Expect(s.Reopen(ctx, "n1", "one", now)).To(HaveField("Status", notification.Dead))
		Expect(s.Reopen(ctx, "n1", "one", now.Add(2*time.Minute))).To(And(HaveField("Status", notification.Pending), HaveField("Forced", BeNil())), "who called died over it")
	}, SpecTimeout(30*time.Second))

	It("writes attempts that are alike together, each into its own notification", func(ctx SpecContext) {
		texts := []string{"$status", "$$ROOT", "{{", "", "$$REMOVE", "a", "b"}
		var records []store.AttemptRecord
		for i, text := range texts {
			n := pending(fmt.Sprint("m", (i*3)%len(texts)), "e1") // not in the order of their ids
			n.AttemptCount, n.Attempts = 1, []notification.Attempt{attempt(1, "a", notification.OutcomeRetry)}
			n.Reason, n.NextAttemptAt, n.Claim = "exhausted", &n.CreatedAt, &notification.Claim{Token: "t", Until: now.Add(-time.Second)}
			Expect(s.InsertNotification(ctx, n)).To(Succeed())
			a := attempt(2, "b", notification.OutcomeOK)
			a.At, a.StatusCode, a.ResponseExcerpt = now.Add(time.Duration(i)*time.Millisecond), 200+i, text
			records = append(records, store.AttemptRecord{ID: n.ID, Attempt: a, Status: notification.Delivered})
		}
		dead := store.AttemptRecord{ID: "n1", Attempt: attempt(1, "a", notification.OutcomePermanent), Status: notification.Dead, Reason: "$reason"}
		alike := dead
		alike.ID = "n2"
		Expect(s.RecordAttempts(ctx, now, append(records, dead, alike))).To(HaveEach(HaveField("Accepted", BeTrue())))
		for _, r := range records {
			n, err := s.Notification(ctx, r.ID)
			Expect(err).NotTo(HaveOccurred())
			Expect(n.Attempts).To(HaveExactElements(HaveField("Number", 1), r.Attempt))
			Expect(n).To(And(HaveField("Status", notification.Delivered), HaveField("AttemptCount", 2), HaveField("Reason", ""),
				HaveField("NextAttemptAt", BeNil()), HaveField("Claim", BeNil()), HaveField("UpdatedAt", now)))
		}
		n, err := s.Notification(ctx, "n2")
		Expect(err).NotTo(HaveOccurred())
		Expect(n).To(And(HaveField("Status", notification.Dead), HaveField("Reason", "$reason"), HaveField("Attempts", HaveLen(1))))
	}, SpecTimeout(30*time.Second))

	It("lets one that cannot be written fail alone", func(ctx SpecContext) {
		record := func(id string) store.AttemptRecord {
			return store.AttemptRecord{ID: id, Attempt: attempt(1, "a", notification.OutcomeOK), Status: notification.Delivered}
		}
		well, spoilt := record("n1"), record("n2")
		Expect(s.SpoilNotifications(ctx, "n2")).To(Succeed())
		for _, together := range [][]store.AttemptRecord{{well, spoilt}, {spoilt}} {
			_, err := s.RecordAttempts(ctx, now, together)
			Expect(err).To(HaveOccurred())
			Expect(errors.As(err, new(interface{ Outage() bool }))).To(BeFalse(), "it would be tried for ever, and its neighbours with it")
		}
		Expect(s.RecordAttempts(ctx, now, []store.AttemptRecord{well})).To(ConsistOf(HaveField("Accepted", BeTrue())))
		n, err := s.Notification(ctx, "n1")
		Expect(err).NotTo(HaveOccurred())
		Expect(n.Attempts).To(HaveLen(1))
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
