package store_test

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/store"
)

var _ = Describe("a circuit breaker", func() {
	It("is closed by whoever probes it now, and not by a prober that was paused", func(ctx SpecContext) {
		s := fresh(ctx)
		now := time.Now().UTC().Truncate(time.Millisecond)
		open := func(by string) {
			_, err := s.OpenTarget(ctx, "host", "calls failed", by, now, func(int) time.Time { return now })
			Expect(err).NotTo(HaveOccurred())
		}
		open("a")
		Expect(s.ProbeTarget(ctx, "host", "a", now, now)).To(BeTrue()) // and is paused
		Expect(s.ProbeTarget(ctx, "host", "b", now, now)).To(BeTrue())
		Expect(s.CloseTarget(ctx, "host", "a", now)).To(BeFalse(), "b probes")
		open("b") // its probe failed
		Expect(s.CloseTarget(ctx, "host", "a", now)).To(BeFalse(), "open again")
		Expect(s.Target(ctx, "host")).To(HaveField("State", store.TargetOpen))
		Expect(s.ProbeTarget(ctx, "host", "b", now, now.Add(time.Minute))).To(BeTrue())
		Expect(s.CloseTarget(ctx, "host", "b", now)).To(BeTrue())
		Expect(s.Target(ctx, "host")).To(HaveField("State", store.TargetClosed))
	}, SpecTimeout(30*time.Second))
})
