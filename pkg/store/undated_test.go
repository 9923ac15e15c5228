package store_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson/primitive"

	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/store"
)

var _ = Describe("a list of documents of which some have no time", func() {
	// row is a document's place among all of them.
	type row struct {
		at time.Time // zero: it has none
		id string
	}
	// noTimes are what stands where a time should: nothing at all, no date, or one of
	// which no clock was asked.
	noTimes := []any{nil, primitive.Null{}, "2026-01-02T03:04:05.000Z", "spoilt", int32(7), int64(1_700_000_000_000), primitive.Timestamp{T: 1_700_000_000},
		true, time.Time{}}

	// inOrder is what a list must have, in its order.
	inOrder := func(rows []row, but func(row) bool) (ids []string) {
		slices.SortFunc(rows, func(a, b row) int { return cmp.Or(b.at.Compare(a.at), cmp.Compare(b.id, a.id)) })
		for _, r := range rows {
			if !but(r) {
				ids = append(ids, r.id)
			}
		}
		return ids
	}
	none := func(row) bool { return false }

	It("ends with those, page by page", func(ctx SpecContext) {
		s := fresh(ctx)
		seed := uint64(GinkgoRandomSeed())
		random := rand.New(rand.NewPCG(seed, 11))
		now := time.Now().UTC().Truncate(time.Millisecond)
		// fill makes documents, and spoils the time of most.
		fill := func(collection, path string, create func(i int, at time.Time) (id any, text string)) (rows []row) {
			GinkgoHelper()
			for i := range 3 * len(noTimes) {
				r := row{at: now.Add(-time.Duration(random.IntN(4)) * 20 * time.Minute)}
				id, text := create(i, r.at)
				r.id = text
				if random.IntN(3) > 0 {
					r.at = time.Time{}
					Expect(s.SetField(ctx, collection, id, path, noTimes[i%len(noTimes)])).To(Succeed())
				}
				rows = append(rows, r)
			}
			return rows
		}
		notifications := fill("notifications", "created_at", func(i int, at time.Time) (any, string) {
			n := pending(fmt.Sprintf("n%02d", i), "e")
			n.CreatedAt, n.RuleID = at, fmt.Sprint("r", i%2)
			Expect(s.InsertNotification(ctx, n)).To(Succeed())
			return n.ID, n.ID
		})
		entries := fill("audit", "at", func(_ int, at time.Time) (any, string) {
			id, err := s.NoteAudit(ctx, store.Audit{At: at, By: "spec", Action: "rule.try"})
			Expect(err).NotTo(HaveOccurred())
			return id, id.Hex()
		})
		Expect(s.SpoilNotifications(ctx, "n03", "n04", "n05", "n17")).To(Succeed())
		spoilt := func(r row) bool { return slices.Contains([]string{"n03", "n04", "n05", "n17"}, r.id) }

		found := func(f store.NotificationFilter, limit func() int) (ids []string) {
			GinkgoHelper()
			for after := (*store.NotificationPosition)(nil); ; {
				most := limit()
				page, err := s.FindNotifications(ctx, f, after, most)
				Expect(err).NotTo(HaveOccurred())
				for _, n := range page {
					ids, after = append(ids, n.ID), &store.NotificationPosition{CreatedAt: n.CreatedAt, ID: n.ID}
				}
				if len(page) < most {
					return ids
				}
			}
		}
		noted := func(limit func() int) (ids []string) {
			GinkgoHelper()
			for after := (*store.AuditPosition)(nil); ; {
				most := limit()
				page, err := s.FindAudit(ctx, store.AuditFilter{By: "spec"}, after, most)
				Expect(err).NotTo(HaveOccurred())
				for _, a := range page {
					ids, after = append(ids, a.ID.Hex()), &store.AuditPosition{At: a.At, ID: a.ID}
				}
				if len(page) < most {
					return ids
				}
			}
		}
		for _, limit := range []func() int{
			func() int { return 1000 },
			func() int { return 1 + random.IntN(9) },
		} {
			Expect(found(store.NotificationFilter{}, limit)).To(Equal(inOrder(notifications, spoilt)), "seed %d", seed)
			Expect(found(store.NotificationFilter{Status: notification.Pending, RuleID: "r1"}, limit)).To(
				Equal(inOrder(notifications, func(r row) bool { return spoilt(r) || (r.id[2]-'0')%2 == 0 })), "seed %d", seed)
			Expect(found(store.NotificationFilter{EventID: "e"}, limit)).To(Equal(inOrder(notifications, spoilt)), "seed %d", seed)
			Expect(found(store.NotificationFilter{From: now.Add(-24 * time.Hour)}, limit)).To(
				Equal(inOrder(notifications, func(r row) bool { return spoilt(r) || r.at.IsZero() })), "seed %d", seed)
			Expect(noted(limit)).To(Equal(inOrder(entries, none)), "seed %d", seed)
		}
	}, SpecTimeout(time.Minute))
})
