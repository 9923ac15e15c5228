package store_test

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/silence"
	"github.com/events-aggregator/events-aggregator/pkg/store"
)

var _ = Describe("silences", func() {
	It("end once, raise the stamp with every change, and are audited", func(ctx SpecContext) {
		s := fresh(ctx)
		now := time.Now().UTC().Truncate(time.Millisecond)
		stamp := func() int64 {
			GinkgoHelper()
			n, err := s.SilencesStamp(ctx)
			Expect(err).NotTo(HaveOccurred())
			return n
		}
		Expect(stamp()).To(BeZero())
		one := silence.Silence{ID: "s1", Condition: bson.Raw{5, 0, 0, 0, 0}, From: now, Until: now.Add(time.Hour), Author: "a@example.com", Comment: "why",
			CreatedAt: now, ExpiresAt: now.Add(2 * time.Hour)}
		Expect(s.CreateSilence(ctx, one)).To(Succeed())
		created := stamp()
		Expect(created).To(BeNumerically(">", 0))
		Expect(s.CreateSilence(ctx, one)).To(Succeed(), "the answer to the first call was lost")

		ended, err := s.ExpireSilence(ctx, "s1", now.Add(time.Minute), "b@example.com", nil)
		Expect(err).NotTo(HaveOccurred())
		Expect(ended.Until).To(Equal(now.Add(time.Minute)))
		Expect(stamp()).To(BeNumerically(">", created))
		again, err := s.ExpireSilence(ctx, "s1", now.Add(2*time.Minute), "c@example.com", nil)
		Expect(err).NotTo(HaveOccurred())
		Expect(again.Until.UTC()).To(Equal(now.Add(time.Minute)))
		_, err = s.ExpireSilence(ctx, "none", now, "b@example.com", nil)
		Expect(err).To(MatchError(store.ErrNotFound))

		audit, err := s.FindAudit(ctx, store.AuditFilter{Subject: "s1"}, nil, 10)
		Expect(err).NotTo(HaveOccurred())
		Expect(audit).To(HaveExactElements(
			And(HaveField("Action", "silence.expire"), HaveField("By", "b@example.com")),
			And(HaveField("Action", "silence.create"), HaveField("By", "a@example.com"))))
		Expect(s.SilencesAfter(ctx, now.Add(time.Minute))).To(BeEmpty())
	}, SpecTimeout(30*time.Second))

	It("that nobody understands keep no other back", func(ctx SpecContext) {
		s := fresh(ctx)
		now := time.Now().UTC().Truncate(time.Millisecond)
		for _, id := range []string{"a", "b"} {
			Expect(s.CreateSilence(ctx, silence.Silence{ID: id, Condition: bson.Raw{5, 0, 0, 0, 0}, From: now, Until: now.Add(time.Hour), Author: "a@example.com", Comment: "why",
				CreatedAt: now, ExpiresAt: now.Add(2 * time.Hour)})).To(Succeed())
		}
		Expect(s.SpoilSilence(ctx, "a")).To(Succeed())
		Expect(s.SilencesAfter(ctx, now)).To(ConsistOf(HaveField("ID", "b")))
	}, SpecTimeout(30*time.Second))
})
