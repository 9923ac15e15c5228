package backtest_test

import (
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/backtest"
	"github.com/events-aggregator/events-aggregator/pkg/rule/interval"
	"github.com/events-aggregator/events-aggregator/pkg/rule/window"
)

func TestBacktest(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Back-test")
}

func frequency(timeframe time.Duration) window.Part {
	spec := window.Spec{Kind: "frequency", Timeframe: interval.Duration(timeframe), NumEvents: 3}
	return spec.Parts()[0]
}

var _ = Describe("a long range", func() {
	from := time.Date(2026, 3, 2, 10, 17, 3, 0, time.UTC)

	DescribeTable("is evaluated in pieces that end where slots do, without gap or overlap",
		func(timeframe time.Duration, perHour int64, hours, atLeast int) {
			p := frequency(timeframe)
			to := from.Add(time.Duration(hours) * time.Hour)
			var counts []backtest.Count
			for at := from.Truncate(time.Hour); at.Before(to); at = at.Add(time.Hour) {
				counts = append(counts, backtest.Count{At: at, Matches: perHour})
			}
			pieces := backtest.Pieces(p, from, to, counts, "hour")
			Expect(len(pieces)).To(BeNumerically(">=", atLeast))
			at := from.UnixMilli()
			for i, one := range pieces {
				Expect(one[0]).To(Equal(at))
				Expect(one[1]).To(BeNumerically(">", one[0]))
				if i < len(pieces)-1 {
					Expect(one[1] % p.Length()).To(BeZero())
				}
				at = one[1]
			}
			Expect(at).To(Equal(to.UnixMilli()))
		},
		Entry("few events", time.Minute, int64(10), 48, 1),
		Entry("many events", time.Minute, int64(40_000), 48, 24),
		Entry("an hour with too many by itself", 7*time.Minute, int64(400_000), 3, 3),
		Entry("windows longer than an hour", 5*time.Hour, int64(60_000), 48, 9),
		Entry("no whole window", 90*24*time.Hour, int64(1_000_000), 5, 1),
		Entry("no events", time.Minute, int64(0), 48, 1),
	)

	It("is cut in halves at a slot's end until one slot is left", func() {
		p := frequency(time.Minute)
		start := from.UnixMilli() / 60_000 * 60_000
		for _, pieces := range [][][2]int64{backtest.Halves(p, start, start+120_000), backtest.Halves(p, start+59_000, start+120_000), backtest.Halves(p, start+1, start+61_000)} {
			Expect(pieces).To(HaveLen(2))
			Expect(pieces[0][1]).To(Equal(pieces[1][0]))
			Expect(pieces[0][1] % p.Length()).To(BeZero())
			for _, one := range pieces {
				Expect(one[1]).To(BeNumerically(">", one[0]))
			}
		}
	})
})
