package api_test

import (
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/services/api"
)

var _ = Describe("the count of wrong keys", func() {
	now := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

	It("is of an address, and of a /64 of IPv6, and is forgiven with time", func() {
		f := api.NewFailures(3)
		for range 3 {
			Expect(f.Wait("192.0.2.1", now)).To(BeZero())
			f.Note("192.0.2.1", now)
			f.Note("2001:db8::1", now)
		}
		Expect(f.Wait("192.0.2.1", now)).To(Equal(20 * time.Second))
		Expect(f.Wait("::ffff:192.0.2.1", now)).To(Equal(20*time.Second), "the same, as IPv6 writes it")
		Expect(f.Wait("192.0.2.2", now)).To(BeZero())
		Expect(f.Wait("2001:db8::ffff:1", now)).NotTo(BeZero())
		Expect(f.Wait("2001:db8:0:1::1", now)).To(BeZero())
		Expect(f.Wait("192.0.2.1", now.Add(20*time.Second))).To(BeZero())
	})

	It("does not grow without bound, and lets nobody off by filling it", func() {
		f := api.NewFailures(3)
		for i := range 10_100 {
			f.Note(fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255), now)
		}
		Expect(f.Len()).To(Equal(10_000))
		Expect(f.Wait("10.0.0.0", now)).To(BeZero(), "one of the first, with one wrong key")
		Expect(f.Wait("198.51.100.1", now)).NotTo(BeZero(), "those beyond share one count")
		f.Note("198.51.100.1", now.Add(time.Hour))
		Expect(f.Len()).To(Equal(1), "what is forgiven makes room")
	})
})
