package metric_test

import (
	"fmt"
	"maps"
	"slices"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/metric"
)

var _ = Describe("a tally of events", func() {
	names := func() *metric.Names { return metric.NewNames(metric.Registry{}, metric.NamesMost) }
	from := func(source string, at time.Time, severity int, ms float64) bson.Raw {
		return stored(at, severity, func(d bson.M) { d["source"], d["payload"] = source, bson.M{"duration_ms": ms} })
	}

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
				tally := metric.NewTally(window, by, true, names(), metric.TallyMost)
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
		Expect(metric.NewTally(metric.Period{}, nil, false, names(), metric.TallyMost).Fields()).To(Equal([]string{"severity"}))
		Expect(metric.NewTally(five, metric.Dimensions, true, names(), metric.TallyMost).Fields()).To(Equal([]string{
			"severity", "timestamp", "type", "source", "metadata.region", "payload.response_time_ms", "payload.duration_ms",
		}))
		Expect(metric.NewTally(metric.Period{}, nil, false, names(), metric.TallyMost).Add(bson.Raw{1, 2})).NotTo(Succeed())
	})

	It("names what counters name, and so many other values; the rest is other", func() {
		registry := metric.Registry{metric.Source: {Values: map[string]bool{"counted": true}, Full: true}}
		tally := metric.NewApartTally(true, metric.NewNames(registry, 3))
		var want metric.Apart
		for i := range 40 {
			source := fmt.Sprint("pod-", i%8)
			if i > 30 {
				source = "counted"
			}
			e := from(source, noon, 1+i%10, float64(i))
			Expect(tally.Add(e)).To(Succeed())
			series := metric.Series{Type: "USER_LOGIN", Source: source, Region: "eu"}
			if source != "counted" && i%8 >= 3 {
				series.Source = metric.Other
			}
			want.Add(series, sum(e)[0].Sums)
		}
		got := tally.Apart()
		Expect(got.By).To(Equal(want.By))
		Expect(got.By[metric.Source]).To(HaveLen(5))
		Expect(got.All.Equal(want.All)).To(BeTrue())
		Expect(tally.Fields()).To(ConsistOf("severity", "type", "source", "metadata.region", "payload.response_time_ms", "payload.duration_ms"))
		Expect(tally.Add(bson.Raw{1, 2})).NotTo(Succeed())
	})

	DescribeTable("puts the series with the fewest events together where there is no room for all", func(most, rows, kept int) {
		five, _ := metric.PeriodNamed("5m")
		tally := metric.NewTally(five, []metric.Dimension{metric.Source}, true, names(), most)
		type key struct {
			start  int64
			source string
		}
		each, counts := map[key]*metric.Sums{}, map[string]int{}
		for i := range 3000 { // thirty minutes, and the source pod-n has more events the smaller n is
			at, source := noon.Add(time.Duration(i)*600*time.Millisecond), fmt.Sprint("pod-", min(i*7919%100, i*104729%97))
			e := from(source, at, 1+i%10, float64(i%50))
			Expect(tally.Add(e)).To(Succeed())
			k := key{five.Start(at).Unix(), source}
			if each[k] == nil {
				each[k] = &metric.Sums{}
			}
			each[k].Add(sum(e)[0].Sums)
			counts[source]++
		}
		named, got := map[string]bool{}, map[key]metric.Sums{}
		tally.Each(func(k metric.TallyKey, sums metric.Sums) { named[k.Source] = true; got[key{k.Start, k.Source}] = sums })
		Expect(got).To(HaveLen(tally.Len()))
		Expect(len(got)).To(BeNumerically("<=", rows))
		want := map[key]*metric.Sums{}
		for k, sums := range each {
			if !named[k.source] {
				k.source = metric.Other
			}
			if want[k] == nil {
				want[k] = &metric.Sums{}
			}
			want[k].Add(*sums)
		}
		Expect(got).To(HaveLen(len(want)))
		for k, sums := range want {
			Expect(got[k].Equal(*sums)).To(BeTrue(), "%v: %v, not %v", k, got[k], *sums)
		}
		largest := slices.SortedFunc(maps.Keys(counts), func(a, b string) int { return counts[b] - counts[a] })
		for _, source := range largest[:kept] {
			Expect(named).To(HaveKey(source))
		}
	},
		Entry("for some", 5000, 300, 10),
		Entry("for hardly any", 100, 21*6, 0),
	)
})
