package store_test

import (
	"fmt"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/store"
)

var _ = Describe("the records of dead letters", func() {
	var s *store.Store
	var now time.Time
	BeforeEach(func(ctx SpecContext) {
		s = fresh(ctx)
		now = time.Now().UTC().Truncate(time.Millisecond)
	}, NodeTimeout(time.Minute))

	record := func(id string, change ...func(*store.DeadLetterRecord)) store.DeadLetterRecord {
		r := store.DeadLetterRecord{ID: id, Queue: "webhooks.default", Reason: "permanent", ErrorClass: "http_4xx", Error: "answered 404",
			Cause: "c1", Fingerprint: "answered <n>", DeadAt: now, Attempts: 1, Body: []byte("b"), BodySize: 1, ExpiresAt: now.Add(time.Hour)}
		for _, f := range change {
			f(&r)
		}
		return r
	}

	It("stay as they were first written, but for their end", func(ctx SpecContext) {
		Expect(s.SaveDeadLetters(ctx, record("d1"))).To(Succeed())
		Expect(s.SaveDeadLetters(ctx, record("d1", func(r *store.DeadLetterRecord) { r.Attempts, r.Body = 9, nil }))).To(Succeed())
		Expect(s.DeadLetter(ctx, "d1")).To(Equal(record("d1")))

		replayed := record("d1", func(r *store.DeadLetterRecord) { r.ReplayedAt, r.ReplayID = &now, "r" })
		Expect(s.SaveDeadLetters(ctx, replayed)).To(Succeed())
		Expect(s.SaveDeadLetters(ctx, record("d1"))).To(Succeed())
		Expect(s.DeadLetter(ctx, "d1")).To(Equal(replayed))
	}, SpecTimeout(time.Minute))

	It("know their end also when that is told first", func(ctx SpecContext) {
		purged := record("d1", func(r *store.DeadLetterRecord) { r.PurgedAt = &now })
		Expect(s.SaveDeadLetters(ctx, purged)).To(Succeed())
		Expect(s.SaveDeadLetters(ctx, record("d1"), record("d2"))).To(Succeed())
		waiting, err := s.FindDeadLetters(ctx, store.DeadLetterFilter{Waiting: true}, nil, 10)
		Expect(err).NotTo(HaveOccurred())
		Expect(waiting).To(Equal([]store.DeadLetterRecord{record("d2")}))
	}, SpecTimeout(time.Minute))

	It("are written once by several at the same moment", func(ctx SpecContext) {
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				defer GinkgoRecover()
				var records []store.DeadLetterRecord
				for i := range 20 {
					records = append(records, record(fmt.Sprintf("d%02d", i)))
				}
				Expect(s.SaveDeadLetters(ctx, records...)).To(Succeed())
			})
		}
		all.Wait()
		found, err := s.FindDeadLetters(ctx, store.DeadLetterFilter{}, nil, 100)
		Expect(err).NotTo(HaveOccurred())
		Expect(found).To(HaveLen(20))
	}, SpecTimeout(time.Minute))

	It("are counted, and grouped by queue, reason and cause, the largest group first", func(ctx SpecContext) {
		at := func(minutes int) func(*store.DeadLetterRecord) {
			return func(r *store.DeadLetterRecord) { r.DeadAt = now.Add(time.Duration(minutes) * time.Minute) }
		}
		other := func(r *store.DeadLetterRecord) { r.Cause, r.ErrorClass, r.Fingerprint = "c2", "timeout", "timed out" }
		queue := func(r *store.DeadLetterRecord) { r.Queue = "ingester.events" }
		Expect(s.SaveDeadLetters(ctx, record("a1", at(1), other), record("b1", at(2)), record("b2", at(5)), record("b3", at(3)),
			record("c1", at(4), queue), record("c2", at(4), queue),
			record("gone", at(9), func(r *store.DeadLetterRecord) { r.ReplayedAt = &now }))).To(Succeed())
		Expect(s.WaitingDeadLetters(ctx, 100)).To(BeEquivalentTo(6))
		Expect(s.WaitingDeadLetters(ctx, 4)).To(BeEquivalentTo(4), "no more than are asked for")
		groups, err := s.DeadLetterGroups(ctx, store.DeadLetterFilter{Waiting: true})
		Expect(err).NotTo(HaveOccurred())
		base := store.DeadLetterGroup{Queue: "webhooks.default", Reason: "permanent", Cause: "c1", ErrorClass: "http_4xx",
			Fingerprint: "answered <n>", Error: "answered 404"}
		large, middle, small := base, base, base
		large.Messages, large.Since, large.Last, large.Example = 3, now.Add(2*time.Minute), now.Add(5*time.Minute), "b2"
		middle.Queue, middle.Messages, middle.Since, middle.Last, middle.Example = "ingester.events", 2, now.Add(4*time.Minute), now.Add(4*time.Minute), "c2"
		small.Cause, small.ErrorClass, small.Fingerprint = "c2", "timeout", "timed out"
		small.Messages, small.Since, small.Last, small.Example = 1, now.Add(time.Minute), now.Add(time.Minute), "a1"
		Expect(groups).To(Equal([]store.DeadLetterGroup{large, middle, small}))
		Expect(s.DeadLetterGroups(ctx, store.DeadLetterFilter{Cause: "c1", Queue: "ingester.events"})).To(Equal([]store.DeadLetterGroup{middle}))
	}, SpecTimeout(time.Minute))

	It("are found by rule, target, event and type", func(ctx SpecContext) {
		Expect(s.SaveDeadLetters(ctx, record("d1"), record("d2", func(r *store.DeadLetterRecord) {
			r.RuleID, r.Target, r.EventID, r.EventTypes = "rule", "example.com", "e1", []string{"A", "B"}
		}))).To(Succeed())
		for _, f := range []store.DeadLetterFilter{{RuleID: "rule"}, {Target: "example.com"}, {EventID: "e1"}, {EventType: "B"}} {
			found, err := s.FindDeadLetters(ctx, f, nil, 10)
			Expect(err).NotTo(HaveOccurred())
			Expect(found).To(HaveLen(1), "%+v", f)
			Expect(found[0].ID).To(Equal("d2"))
		}
	}, SpecTimeout(time.Minute))
})
