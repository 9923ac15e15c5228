package metric_test

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/metric"
)

var _ = Describe("a tally of events", func() {
	It("adds up what their counters would", func() {
		var events []bson.Raw
		for i := range 200 {
			events = append(events, stored(noon.Add(time.Duration(i)*17*time.Second), 1+i%10, func(d bson.M) {
				d["type"], d["source"] = []string{"A", "B"}[i%2], []string{"x", "y", "z"}[i%3]
				if i%4 > 0 {
					d["metadata"] = bson.M{"region": []any{"eu", "us", 7}[i%3]}
				}
				if i%5 > 0 {
					d["payload"] = bson.M{[]string{"duration_ms", "response_time_ms"}[i%2]: float64(i*i) / 7}
				}
			}))
		}
		five, _ := metric.PeriodNamed("5m")
		for _, by := range [][]metric.Dimension{nil, {metric.Region}, metric.Dimensions} {
			for _, window := range []metric.Period{{}, five} {
				want := map[metric.TallyKey]metric.Sums{}
				for _, inc := range sum(events...) {
					var key metric.TallyKey
					if window.Name != "" {
						key.Start = window.Start(inc.Minute).Unix()
					}
					for _, d := range by {
						d.Set(&key.Series, d.Of(inc.Series))
					}
					sums := want[key]
					sums.Add(inc.Sums)
					want[key] = sums
				}
				tally := metric.NewTally(window, by, true)
				for _, e := range events {
					Expect(tally.Add(e)).To(Succeed())
				}
				got := map[metric.TallyKey]metric.Sums{}
				tally.Each(func(key metric.TallyKey, sums metric.Sums) { got[key] = sums })
				Expect(got).To(HaveLen(len(want)))
				for key, sums := range want {
					Expect(got[key].Equal(sums)).To(BeTrue(), "%v: %v, not %v", key, got[key], sums)
				}
			}
		}
	})

	It("reads no more than it must", func() {
		five, _ := metric.PeriodNamed("5m")
		Expect(metric.NewTally(metric.Period{}, nil, false).Fields()).To(Equal([]string{"severity"}))
		Expect(metric.NewTally(five, metric.Dimensions, true).Fields()).To(Equal([]string{
			"severity", "timestamp", "type", "source", "metadata.region", "payload.response_time_ms", "payload.duration_ms",
		}))
		Expect(metric.NewTally(metric.Period{}, nil, false).Add(bson.Raw{1, 2})).NotTo(Succeed())
	})
})
