package store_test

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/letter"
	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/pkg/user"
)

var _ = Describe("templates", func() {
	now := time.Now().UTC().Truncate(time.Millisecond)

	It("are saved as the next of the version that was read, audited, and deleted", func(ctx SpecContext) {
		s := fresh(ctx)
		t := letter.Template{Name: "a", Subject: "one", Text: "x"}
		saved, err := s.SaveTemplate(ctx, t, 0, now, "a@example.com")
		Expect(err).NotTo(HaveOccurred())
		Expect(saved.Version).To(Equal(1))
		_, err = s.SaveTemplate(ctx, t, 0, now, "a@example.com")
		Expect(err).To(MatchError(store.ErrConflict))
		t.Subject = "two"
		_, err = s.SaveTemplate(ctx, t, 2, now, "a@example.com")
		Expect(err).To(MatchError(store.ErrConflict))
		saved, err = s.SaveTemplate(ctx, t, 1, now.Add(time.Minute), "b@example.com")
		Expect(err).NotTo(HaveOccurred())
		Expect(saved.Version).To(Equal(2))
		got, err := s.Template(ctx, "a")
		Expect(err).NotTo(HaveOccurred())
		Expect(got.Subject).To(Equal("two"))
		Expect(got.CreatedAt.UTC()).To(Equal(now))
		Expect(s.DeleteTemplate(ctx, "a", now, "c@example.com", nil)).To(Succeed())
		Expect(s.DeleteTemplate(ctx, "a", now, "c@example.com", nil)).To(MatchError(store.ErrNotFound))
		_, err = s.Template(ctx, "a")
		Expect(err).To(MatchError(store.ErrNotFound))
		audit, err := s.FindAudit(ctx, store.AuditFilter{Subject: "a"}, nil, 10)
		Expect(err).NotTo(HaveOccurred())
		Expect(audit).To(HaveLen(3))
	}, SpecTimeout(30*time.Second))

	It("that people changed are not seeded again", func(ctx SpecContext) {
		s := fresh(ctx)
		seed := letter.Template{Name: "default", Subject: "seed", Text: "x"}
		Expect(s.SeedTemplates(ctx, now, seed)).To(Succeed())
		seeded, err := s.Template(ctx, "default")
		Expect(err).NotTo(HaveOccurred())
		seeded.Subject = "mine"
		_, err = s.SaveTemplate(ctx, seeded, 1, now, "a@example.com")
		Expect(err).NotTo(HaveOccurred())
		Expect(s.SeedTemplates(ctx, now, seed)).To(Succeed())
		Expect(s.Template(ctx, "default")).To(HaveField("Subject", "mine"))
	}, SpecTimeout(30*time.Second))
})

var _ = Describe("people", func() {
	It("are the users of ids and roles, each once, without their keys", func(ctx SpecContext) {
		s := fresh(ctx)
		for _, email := range []string{"a@example.com", "b@example.com", "c@example.com"} {
			u := testUser(email)
			u.ID, u.Role = email[:1], user.Plain
			if email[0] == 'a' {
				u.Role = user.Admin
			}
			Expect(s.CreateUser(ctx, u)).To(Succeed())
		}
		found, err := s.People(ctx, []string{"a", "b", "nobody"}, []user.Role{user.Admin})
		Expect(err).NotTo(HaveOccurred())
		Expect(found).To(HaveExactElements(HaveField("ID", "a"), HaveField("ID", "b")))
		Expect(found[0].APIKeys).To(BeEmpty())
		Expect(s.People(ctx, nil, nil)).To(BeEmpty())
	}, SpecTimeout(30*time.Second))
})
