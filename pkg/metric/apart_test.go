package metric_test

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/metric"
)

var _ = Describe("sums apart", func() {
	one, two := metric.Series{Type: "A", Source: "x", Region: "eu"}, metric.Series{Type: "A", Source: "y"}

	It("are of all series, and of each value of each dimension", func() {
		var a metric.Apart
		a.Add(one, metric.Sums{Totals: metric.TotalsOf(9, 2)})
		a.Add(two, metric.Sums{Totals: metric.TotalsOf(3, 1), Response: metric.Response{Count: 1, SumMicros: 5000, MinMS: 5, MaxMS: 5}})
		a.Add(metric.Series{Type: "NONE"}, metric.Sums{})
		Expect(a.All.Count).To(BeEquivalentTo(3))
		Expect(a.All.Response.Count).To(BeEquivalentTo(1))
		Expect(a.By[metric.Type]).To(Equal(map[string]metric.Totals{"A": a.All.Totals}))
		Expect(a.By[metric.Source]).To(Equal(map[string]metric.Totals{"x": metric.TotalsOf(9, 2), "y": metric.TotalsOf(3, 1)}))
		Expect(a.By[metric.Region]).To(Equal(map[string]metric.Totals{"eu": metric.TotalsOf(9, 2), "": metric.TotalsOf(3, 1)}))

		var twice metric.Apart
		twice.AddApart(a)
		twice.AddApart(a)
		Expect(twice.All.Count).To(BeEquivalentTo(6))
		Expect(twice.By[metric.Region]["eu"].Errors).To(BeEquivalentTo(4))
	})

	It("of a window are compared figure by figure", func() {
		hour, _ := metric.PeriodNamed("1h")
		timed := metric.Response{Count: 1, SumMicros: 5000, MinMS: 5, MaxMS: 5, Histogram: metric.Histogram{{Index: 200, N: 1}}}
		w := metric.WindowSum{Start: noon, Series: map[metric.Series]metric.Sums{
			one: {Totals: metric.TotalsOf(9, 2)}, two: {Totals: metric.TotalsOf(3, 1), Response: timed}, {Type: "NONE"}: {},
		}}
		right := func() metric.Apart {
			var a metric.Apart
			for series, sums := range w.Series {
				a.Add(series, sums)
			}
			return a
		}
		drift := func(stored *metric.Apart) []metric.Drift {
			c := metric.NewComparison(metric.Range{From: noon, To: noon.Add(time.Hour)})
			c.Sums(hour, w, stored)
			return c.Drift
		}
		same := right()
		Expect(drift(&same)).To(BeEmpty())
		Expect(drift(nil)).To(ConsistOf(And(HaveField("Kind", metric.KindSums), HaveField("Value", BeNil()), HaveField("Period", "1h"))))
		for figure, change := range map[string]func(*metric.Apart){
			"EVENTS_COUNT value":        func(a *metric.Apart) { a.All.Count++ },
			"EVENTS_COUNT severity_sum": func(a *metric.Apart) { a.All.Severity++ },
			"ERROR_RATE value":          func(a *metric.Apart) { a.All.Errors++ },
			"RESPONSE_TIME value":       func(a *metric.Apart) { a.All.Response = metric.Response{} },
			"RESPONSE_TIME max":         func(a *metric.Apart) { a.All.Response.MaxMS++ },
			"histogram": func(a *metric.Apart) {
				a.All.Response.Histogram = append(a.All.Response.Histogram, metric.Bucket{Index: 0, N: 1})
			},
			"source y":  func(a *metric.Apart) { delete(a.By[metric.Source], "y") },
			"region us": func(a *metric.Apart) { a.By[metric.Region]["us"] = metric.TotalsOf(1, 1) },
		} {
			wrong := right()
			change(&wrong)
			Expect(drift(&wrong)).To(ConsistOf(HaveField("Figure", figure)), figure)
		}
		w.Series = nil
		Expect(drift(nil)).To(BeEmpty(), "nothing was counted, and nothing is stored")
		Expect(drift(&metric.Apart{})).To(BeEmpty())
	})
})
