package metric_test

import (
	"slices"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/metric"
)

var _ = Describe("comparing counters with a recount", func() {
	var (
		hour    = metric.Range{From: noon, To: noon.Add(time.Hour)}
		series  = metric.Series{Type: "A", Source: "x", Region: "eu"}
		period  = func(name string) metric.Period { p, _ := metric.PeriodNamed(name); return p }
		counter = func(minute, n int) metric.Counter {
			return metric.Counter{Minute: noon.Add(time.Duration(minute) * time.Minute), Series: series, Sums: metric.Sums{Totals: metric.TotalsOf(3, int64(n))}, Revision: 4}
		}
		recount = func(minute, n int) metric.Increment {
			return metric.Increment{Minute: noon.Add(time.Duration(minute) * time.Minute), Series: series, Sums: metric.Sums{Totals: metric.TotalsOf(3, int64(n))}}
		}
		complete = func(c *metric.Comparison, name string) []metric.WindowSum {
			windows, _ := c.Complete(period(name), hour.To)
			return windows
		}
	)

	It("finds nothing where both are the same, and completes every window in the range", func() {
		c := metric.NewComparison(hour)
		// The recount comes in groups by severity, so a counter has several.
		c.Minutes(hour, []metric.Counter{counter(1, 3), counter(2, 1)}, []metric.Increment{recount(1, 1), recount(1, 2), recount(2, 1)}, nil)
		Expect(c.Drift).To(BeEmpty())
		Expect(c.Events).To(BeEquivalentTo(4))
		Expect(complete(c, "1m")).To(HaveLen(60))
		Expect(complete(c, "5m")).To(HaveLen(12))
		windows := complete(c, "1h")
		Expect(windows).To(HaveLen(1))
		Expect(windows[0].Series).To(Equal(map[metric.Series]metric.Sums{series: {Totals: metric.TotalsOf(3, 4)}}))
		Expect(complete(c, "1d")).To(BeEmpty(), "it is not wholly in the range")
	})

	It("names counters that are wrong, missing or too many", func() {
		c := metric.NewComparison(hour)
		c.Minutes(hour, []metric.Counter{counter(1, 3), counter(5, 1)}, []metric.Increment{recount(1, 2), recount(9, 7)}, nil)
		metric.SortDrift(c.Drift)
		Expect(c.Drift).To(HaveLen(3))
		wrong, extra, missing := c.Drift[0], c.Drift[1], c.Drift[2]
		Expect(wrong.Start).To(Equal(noon.Add(time.Minute)))
		Expect(wrong.Series).To(Equal(series))
		Expect(wrong.Counted.Count).To(BeEquivalentTo(3))
		Expect(wrong.Recounted.Count).To(BeEquivalentTo(2))
		Expect(wrong.Revision).To(BeEquivalentTo(4))
		Expect(extra.Recounted.Count).To(BeZero())
		Expect(missing.Counted.Count).To(BeZero())
		Expect(missing.Revision).To(BeZero())
	})

	It("takes a counter that was corrected to nothing for the same as none", func() {
		c := metric.NewComparison(hour)
		c.Minutes(hour, []metric.Counter{counter(1, 0)}, nil, nil)
		Expect(c.Drift).To(BeEmpty())
	})

	It("leaves minutes out with all windows that hold them", func() {
		c := metric.NewComparison(hour)
		out := map[time.Time]string{noon.Add(7 * time.Minute): metric.ReasonUncounted, noon.Add(8 * time.Minute): metric.ReasonUncounted}
		c.Minutes(hour, nil, []metric.Increment{recount(7, 2), recount(9, 1)}, out)
		Expect(c.Drift).To(HaveLen(1))
		Expect(c.Events).To(BeEquivalentTo(1))
		Expect(metric.JoinLeftOut(c.LeftOut)).To(Equal([]metric.LeftOut{
			{From: noon.Add(7 * time.Minute), To: noon.Add(9 * time.Minute), Reason: metric.ReasonUncounted},
		}))
		Expect(complete(c, "1m")).To(HaveLen(58))
		Expect(complete(c, "5m")).To(HaveLen(11))
		Expect(complete(c, "1h")).To(BeEmpty())
	})

	// value is a metric as it should be, but for what change does to its figures.
	value := func(kind string, s metric.Series, sums metric.Sums, change func(map[string]float64)) metric.Value {
		GinkgoHelper()
		k, known := metric.KindNamed(kind)
		Expect(known).To(BeTrue())
		v := metric.Value{Kind: kind, Start: noon, Series: s, Figures: map[string]float64{}}
		for _, f := range k.Figures(sums) {
			v.Figures[f.Name] = f.Value
		}
		if change != nil {
			change(v.Figures)
		}
		return v
	}

	It("compares metrics of every kind with the window's recount", func() {
		c := metric.NewComparison(hour)
		c.Minutes(hour, []metric.Counter{counter(1, 4)}, []metric.Increment{recount(1, 4)}, nil)
		w := complete(c, "1h")[0]
		four := metric.Sums{Totals: metric.TotalsOf(3, 4)}
		c.Metrics(period("1h"), w, []metric.Value{value("EVENTS_COUNT", series, four, nil), value("ERROR_RATE", series, four, nil)}, "")
		Expect(c.Drift).To(BeEmpty())

		stray := metric.Series{Type: "B"}
		nine, none := metric.Sums{Totals: metric.TotalsOf(3, 9)}, metric.Sums{}
		c.Metrics(period("1h"), w, []metric.Value{
			value("EVENTS_COUNT", series, metric.Sums{Totals: metric.TotalsOf(3, 3)}, nil),
			value("EVENTS_COUNT", stray, nine, nil), value("ERROR_RATE", stray, none, nil),
		}, "")
		metric.SortDrift(c.Drift)
		Expect(c.Drift).To(HaveLen(3))
		Expect(c.Drift[0].Kind).To(Equal("ERROR_RATE"))
		Expect(c.Drift[0].Value).To(BeNil(), "it is missing")
		Expect(*c.Drift[1].Value).To(BeEquivalentTo(3))
		Expect(*c.Drift[1].Expected).To(BeEquivalentTo(4))
		Expect(c.Drift[1].Figure).To(Equal("value"))
		Expect(c.Drift[2].Series).To(Equal(stray))
		Expect(*c.Drift[2].Expected).To(BeZero())
		Expect(c.Drift[2].Range()).To(Equal(hour))
	})

	It("compares every figure of a metric, response times and their histogram, too", func() {
		slow := sum(stored(noon, 3, func(d bson.M) { d["payload"] = bson.M{"duration_ms": 250} }),
			stored(noon, 9, func(d bson.M) { d["payload"] = bson.M{"duration_ms": 4.25} }))
		counted := metric.Counter{Minute: noon, Series: slow[0].Series, Sums: slow[0].Sums}
		again := func(change func(kind string, figures map[string]float64), without ...string) []metric.Drift {
			c := metric.NewComparison(hour)
			c.Minutes(hour, []metric.Counter{counted}, slow, nil)
			var all []metric.Value
			for _, k := range metric.Kinds {
				if !slices.Contains(without, k.Name) {
					all = append(all, value(k.Name, counted.Series, counted.Sums, func(f map[string]float64) { change(k.Name, f) }))
				}
			}
			c.Metrics(period("1h"), complete(c, "1h")[0], all, "")
			return c.Drift
		}
		right := func(string, map[string]float64) {}
		Expect(again(right)).To(BeEmpty())
		Expect(again(right, "RESPONSE_TIME")).To(ConsistOf(And(HaveField("Kind", "RESPONSE_TIME"), HaveField("Value", BeNil()))))
		names := 0
		for _, k := range metric.Kinds {
			for _, f := range k.Figures(counted.Sums) {
				names++
				drift := again(func(kind string, figures map[string]float64) {
					if kind == k.Name {
						figures[f.Name]++
					}
				})
				Expect(drift).To(ConsistOf(And(HaveField("Kind", k.Name), HaveField("Figure", f.Name))), "%s %s", k.Name, f.Name)
			}
		}
		Expect(names).To(BeNumerically(">", 15))
	})

	It("names response times that are counted otherwise, and metrics of response times that there are not", func() {
		slow := sum(stored(noon, 3, func(d bson.M) { d["payload"] = bson.M{"duration_ms": 250} }))
		c := metric.NewComparison(hour)
		plain := metric.Counter{Minute: noon, Series: slow[0].Series, Sums: metric.Sums{Totals: slow[0].Totals}}
		c.Minutes(hour, []metric.Counter{plain}, slow, nil)
		Expect(c.Drift).To(HaveLen(1))
		Expect(c.Drift[0].Recounted.Response.Count).To(BeEquivalentTo(1))

		c = metric.NewComparison(hour)
		c.Minutes(hour, []metric.Counter{plain}, []metric.Increment{{Minute: noon, Series: plain.Series, Sums: plain.Sums}}, nil)
		c.Metrics(period("1h"), complete(c, "1h")[0], []metric.Value{value("EVENTS_COUNT", plain.Series, plain.Sums, nil),
			value("ERROR_RATE", plain.Series, plain.Sums, nil), value("RESPONSE_TIME", plain.Series, slow[0].Sums, nil)}, "")
		Expect(c.Drift).To(ConsistOf(And(HaveField("Kind", "RESPONSE_TIME"), HaveField("Expected", BeNil()))))
	})

	It("says which windows were skipped", func() {
		c := metric.NewComparison(hour)
		c.Minutes(hour, nil, nil, nil)
		for _, w := range complete(c, "5m") {
			c.Metrics(period("5m"), w, nil, metric.ReasonNotMaterialised)
		}
		Expect(metric.JoinLeftOut(c.LeftOut)).To(Equal([]metric.LeftOut{{Period: "5m", From: hour.From, To: hour.To, Reason: metric.ReasonNotMaterialised}}))
		Expect(c.Windows).NotTo(HaveKey("5m"))
	})
})

var _ = Describe("joining ranges", func() {
	It("merges what overlaps or touches", func() {
		at := func(a, b int) metric.Range {
			return metric.Range{From: noon.Add(time.Duration(a) * time.Minute), To: noon.Add(time.Duration(b) * time.Minute)}
		}
		Expect(metric.Join([]metric.Range{at(0, 5), at(1, 2), at(5, 6), at(8, 9)})).To(Equal([]metric.Range{at(0, 6), at(8, 9)}))
	})
})
