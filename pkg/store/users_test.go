package store_test

import (
	"fmt"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/pkg/user"
)

var _ = Describe("users", func() {
	It("never lose their last admin, also when two take the role from each other at once", func(ctx SpecContext) {
		s, now := fresh(ctx), time.Now().UTC().Truncate(time.Millisecond)
		a, b := testUser("a@example.com"), testUser("b@example.com")
		Expect(s.CreateUser(ctx, a)).To(Succeed())
		Expect(s.CreateUser(ctx, b)).To(Succeed())
		lower := func(id string) error {
			_, err := s.ChangeUser(ctx, id, "spec", now, func(u user.User) (user.User, error) { u.Role = user.Plain; return u, nil })
			return err
		}
		both := make([]error, 2)
		var wg sync.WaitGroup
		for i, id := range []string{a.ID, b.ID} {
			wg.Go(func() { both[i] = lower(id) })
		}
		wg.Wait()
		Expect(both).To(ConsistOf(BeNil(), MatchError(store.ErrLastAdmin)))
		left, err := s.FindUsers(ctx, user.Admin, "", 10)
		Expect(err).NotTo(HaveOccurred())
		Expect(left).To(HaveLen(1))

		// An admin without a key that works is none.
		ends := now.Add(-time.Minute)
		c := testUser("c@example.com")
		c.APIKeys[0].ExpiresAt = &ends
		Expect(s.CreateUser(ctx, c)).To(Succeed())
		Expect(s.DeleteUser(ctx, left[0].ID, "spec", now, nil)).To(MatchError(store.ErrLastAdmin))
		Expect(s.RevokeKey(ctx, left[0].APIKeys[0].ID, "", "spec", now)).To(MatchError(store.ErrLastAdmin))
		Expect(lower(left[0].ID)).To(MatchError(store.ErrLastAdmin))
		Expect(s.FindAudit(ctx, store.AuditFilter{Action: "user.update"}, nil, 10)).To(HaveLen(1), "what was refused leaves none")
	}, SpecTimeout(time.Minute))

	It("have keys that are rotated with an overlap, and 20 of them, those that expired left out", func(ctx SpecContext) {
		s, now := fresh(ctx), time.Now().UTC().Truncate(time.Millisecond)
		u := testUser("a@example.com")
		Expect(s.CreateUser(ctx, u)).To(Succeed())
		newKey := func() user.APIKey {
			GinkgoHelper()
			_, k, err := user.NewKey(now)
			Expect(err).NotTo(HaveOccurred())
			return k
		}
		yearly := newKey()
		ends := now.Add(365 * 24 * time.Hour)
		yearly.Name, yearly.ExpiresAt = "deploy", &ends
		Expect(s.AddKey(ctx, u.ID, "spec", now, yearly)).To(Succeed())
		later := now.Add(100 * 24 * time.Hour)
		_, _, err := s.RotateKey(ctx, yearly.ID, "somebody else", "spec", later, later.Add(time.Hour), newKey())
		Expect(err).To(MatchError(store.ErrNotFound))
		_, made, err := s.RotateKey(ctx, yearly.ID, u.ID, "spec", later, later.Add(time.Hour), newKey())
		Expect(err).NotTo(HaveOccurred())
		Expect(made.Name).To(Equal("deploy"))
		Expect(*made.ExpiresAt).To(BeTemporally("==", later.Add(365*24*time.Hour)))
		now3, err := s.User(ctx, u.ID)
		Expect(err).NotTo(HaveOccurred())
		old, _ := now3.Key(yearly.ID)
		Expect(*old.ExpiresAt).To(BeTemporally("==", later.Add(time.Hour)))
		Expect(now3.Version).To(Equal(1), "keys are no edit")

		for range user.KeysMost - 3 {
			Expect(s.AddKey(ctx, u.ID, "spec", later, newKey())).To(Succeed())
		}
		Expect(s.AddKey(ctx, u.ID, "spec", later, newKey())).To(MatchError(store.ErrTooManyKeys))
		Expect(s.AddKey(ctx, u.ID, "spec", later.Add(2*time.Hour), newKey())).To(Succeed(), "the rotated one is over")
		Expect(s.AddKey(ctx, u.ID, "spec", later.Add(2*time.Hour), newKey())).To(MatchError(store.ErrTooManyKeys))
	}, SpecTimeout(time.Minute))

	It("are noted as seen once a minute, by whichever process sees them", func(ctx SpecContext) {
		s, now := fresh(ctx), time.Now().UTC().Truncate(time.Millisecond)
		u := testUser("a@example.com")
		_, second, err := user.NewKey(now)
		Expect(err).NotTo(HaveOccurred())
		u.APIKeys = append(u.APIKeys, second)
		Expect(s.CreateUser(ctx, u)).To(Succeed())
		used := func() *time.Time {
			GinkgoHelper()
			read, err := s.UserByKeyHash(ctx, second.Hash)
			Expect(err).NotTo(HaveOccurred())
			Expect(read.APIKeys[0].LastUsedAt).To(BeNil(), "the other key was not used")
			return read.APIKeys[1].LastUsedAt
		}
		for i, expected := range []time.Duration{0, 0, 0, time.Minute} {
			Expect(s.TouchKey(ctx, second.Hash, now.Add(time.Duration(i)*20*time.Second), time.Minute)).To(Succeed())
			Expect(*used()).To(BeTemporally("==", now.Add(expected)), "touch %d", i)
		}
	}, SpecTimeout(time.Minute))

	It("are changed by the version that was read, one address each, and page by address", func(ctx SpecContext) {
		s, now := fresh(ctx), time.Now().UTC().Truncate(time.Millisecond)
		for i := range 5 {
			Expect(s.CreateUser(ctx, testUser(fmt.Sprintf("%d@example.com", i)))).To(Succeed())
		}
		_, err := s.ChangeUser(ctx, "u-1@example.com", "spec", now, func(u user.User) (user.User, error) { u.Email = "2@example.com"; return u, nil })
		Expect(err).To(MatchError(store.ErrConflict))
		again := testUser("1@example.com")
		again.ID = "another"
		Expect(s.CreateUser(ctx, again)).To(MatchError(store.ErrConflict))
		changed, err := s.ChangeUser(ctx, "u-1@example.com", "spec", now, func(u user.User) (user.User, error) { u.Name = "One"; return u, nil })
		Expect(err).NotTo(HaveOccurred())
		Expect(changed.Version).To(Equal(2))
		same, err := s.ChangeUser(ctx, "u-1@example.com", "spec", now, func(u user.User) (user.User, error) { return u, nil })
		Expect(err).NotTo(HaveOccurred())
		Expect(same.Version).To(Equal(2), "no change, no version")
		page, err := s.FindUsers(ctx, "", "1@example.com", 2)
		Expect(err).NotTo(HaveOccurred())
		Expect(page).To(HaveExactElements(HaveField("Email", "2@example.com"), HaveField("Email", "3@example.com")))

		audit, err := s.FindAudit(store.ForRequest(ctx, "none"), store.AuditFilter{Subject: "u-1@example.com", Action: "user.update"}, nil, 10)
		Expect(err).NotTo(HaveOccurred())
		Expect(audit).To(HaveLen(1))
		Expect(audit[0].Before).To(ContainElement(bson.E{Key: "name", Value: ""}))
		Expect(audit[0].After).To(ContainElement(bson.E{Key: "name", Value: "One"}))
		Expect(fmt.Sprint(audit)).NotTo(ContainSubstring(changed.APIKeys[0].Hash))
	}, SpecTimeout(time.Minute))
})
