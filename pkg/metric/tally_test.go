package metric_test

import (
	"fmt"
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
				tally := metric.NewTally(window, by, true, names(), metric.Room{})
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
		Expect(metric.NewTally(metric.Period{}, nil, false, names(), metric.Room{}).Fields()).To(Equal([]string{"severity"}))
		Expect(metric.NewTally(five, metric.Dimensions, true, names(), metric.Room{}).Fields()).To(Equal([]string{
			"severity", "timestamp", "type", "source", "metadata.region", "payload.response_time_ms", "payload.duration_ms",
		}))
		Expect(metric.NewTally(metric.Period{}, nil, false, names(), metric.Room{}).Add(bson.Raw{1, 2})).NotTo(Succeed())
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

	Describe("without room for all windows of all values", func() {
		five, _ := metric.PeriodNamed("5m")
		sources := []metric.Dimension{metric.Source}
		var events []bson.Raw
		for i := range 3000 { // thirty minutes
			events = append(events, from(fmt.Sprint("pod-", i*7919%50), noon.Add(time.Duration(i)*600*time.Millisecond), 1+i%10, float64(i%50)))
		}
		// added are the rows of a tally, and added up those of a loop.
		added := func(tally *metric.Tally) map[metric.TallyKey]metric.Sums {
			for _, e := range events {
				Expect(tally.Add(e)).To(Succeed())
			}
			rows := map[metric.TallyKey]metric.Sums{}
			tally.Each(func(key metric.TallyKey, sums metric.Sums) { rows[key] = sums })
			return rows
		}
		addedUp := func(key func(metric.Increment) metric.TallyKey) map[metric.TallyKey]metric.Sums {
			rows := map[metric.TallyKey]metric.Sums{}
			for _, inc := range sum(events...) {
				sums := rows[key(inc)]
				sums.Add(inc.Sums)
				rows[key(inc)] = sums
			}
			return rows
		}
		of := func(start time.Time, source string) metric.TallyKey {
			return metric.TallyKey{Start: start.Unix(), Series: metric.Series{Source: source}}
		}

		It("tells the values apart, and says so", func() {
			for _, responses := range []bool{false, true} {
				tally := metric.NewTally(five, sources, responses, names(), metric.Room{Rows: 500, Values: 20})
				got := added(tally)
				Expect(tally.Whole()).To(BeTrue())
				want := addedUp(func(inc metric.Increment) metric.TallyKey { return of(time.Unix(0, 0), inc.Source) })
				Expect(got).To(HaveLen(50))
				for key, sums := range want {
					sums.Response.Histogram = nil
					if !responses {
						sums.Response = metric.Response{}
					}
					Expect(got[key]).To(Equal(sums), key.Source)
				}
			}
		})

		It("does not mind values that are few, nor windows of all", func() {
			for _, c := range []struct {
				by   []metric.Dimension
				room metric.Room
				rows int
			}{{sources, metric.Room{Rows: 500, Values: 50}, 300}, {nil, metric.Room{Rows: 50}, 6}, {sources, metric.Room{}, 300}, {sources, metric.Room{Rows: metric.TallyMost}, 300}} {
				tally := metric.NewTally(five, c.by, true, names(), c.room)
				Expect(added(tally)).To(HaveLen(c.rows))
				Expect(tally.Whole()).To(BeFalse())
			}
		})

		It("has each value count under what it is told", func() {
			tally := metric.NewTally(five, sources, true, names(), metric.Room{}).Under(func(source string) string {
				if source == "pod-7" || source == "pod-49" {
					return source
				}
				return "all others"
			})
			got := added(tally)
			want := addedUp(func(inc metric.Increment) metric.TallyKey {
				source := inc.Source
				if source != "pod-7" && source != "pod-49" {
					source = "all others"
				}
				return of(five.Start(inc.Minute), source)
			})
			Expect(got).To(HaveLen(18))
			for key, sums := range want {
				Expect(got[key].Equal(sums)).To(BeTrue(), "%v: %v, not %v", key, got[key], sums)
			}
		})

		It("is full when there is no way to have less", func() {
			for _, c := range []struct {
				window metric.Period
				by     []metric.Dimension
			}{{metric.Period{}, sources}, {five, metric.Dimensions}} {
				tally := metric.NewTally(c.window, c.by, false, names(), metric.Room{Rows: 500, Values: 20})
				var err error
				for _, e := range events {
					if err = tally.Add(e); err != nil {
						break
					}
				}
				Expect(err).To(MatchError(metric.ErrTallyFull))
				Expect(tally.Len()).To(BeNumerically("<", 50))
			}
		})
	})
})
