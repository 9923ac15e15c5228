package ctl_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/services/ctl"
)

var _ = Describe("a rotation of secrets", func() {
	type looks = []store.Renewed
	DescribeTable("looks at a collection until", func(dry, all bool, answers looks, changed, times int) {
		gotChanged, gotTimes, unreadable, err := ctl.Repeated(dry, all, answers...)
		Expect(err).NotTo(HaveOccurred())
		Expect([]int{gotChanged, gotTimes}).To(Equal([]int{changed, times}))
		Expect(unreadable).To(Equal(1), "as of the last look")
	},
		Entry("there is nothing", false, false, looks{{}}, 0, 1),
		Entry("there is nothing more", false, false, looks{{Found: 3, Changed: 3}, {Found: 1, Changed: 1}, {}}, 4, 3),
		Entry("what somebody else wrote is done, too", false, false, looks{{Found: 3, Changed: 1}, {Found: 2, Changed: 2}, {}}, 3, 3),
		Entry("all that was found is changed", false, true, looks{{Found: 3, Changed: 3}}, 3, 1),
		Entry("all that was found is changed, which others wrote at first", false, true, looks{{Found: 3, Changed: 1}, {}}, 1, 2),
		Entry("it has counted, in a dry run", true, false, looks{{Found: 3}}, 3, 1),
	)

	It("fails when others go on writing", func() {
		again := store.Renewed{Found: 2, Changed: 1}
		changed, times, _, err := ctl.Repeated(false, true, again, again, again, again, again)
		Expect(err).To(MatchError(ContainSubstring("another rotation")))
		Expect([]int{changed, times}).To(Equal([]int{5, 5}))
	})
})
