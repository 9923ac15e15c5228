package metric_test

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/metric"
)

var _ = Describe("periods", func() {
	It("divide a day, shortest first, and begin at whole UTC days", func() {
		for i, p := range metric.Periods {
			Expect((24*time.Hour)%p.Length).To(BeZero(), p.Name)
			if i > 0 {
				Expect(p.Length % metric.Periods[i-1].Length).To(BeZero())
			}
			east := noon.In(time.FixedZone("east", 5*3600+1800))
			Expect(p.Start(east.Add(11*time.Hour + 59*time.Minute + 59*time.Second)).Location()).To(Equal(time.UTC))
			Expect(noon.Sub(p.Start(noon))).To(BeNumerically("<", p.Length))
			named, ok := metric.PeriodNamed(p.Name)
			Expect(ok).To(BeTrue())
			Expect(named).To(Equal(p))
		}
		day, _ := metric.PeriodNamed("1d")
		Expect(day.Start(noon)).To(Equal(time.Date(2026, 5, 4, 0, 0, 0, 0, time.UTC)))
		five, _ := metric.PeriodNamed("5m")
		Expect(five.WindowID(five.Start(noon.Add(7 * time.Minute)))).To(Equal("5m:2026-05-04T12:05:00Z"))
		_, ok := metric.PeriodNamed("1w")
		Expect(ok).To(BeFalse())
	})

	It("count whole days, and keep counters until the last of them is materialised", func() {
		const retention = 60 * 24 * time.Hour
		oldest := metric.Oldest(noon, retention)
		Expect(oldest).To(Equal(oldest.Truncate(24 * time.Hour)))
		Expect(noon.Sub(oldest)).To(BeNumerically("<=", retention))
		// The last moment at which an event of that day counts:
		last := oldest.Add(retention)
		Expect(metric.Oldest(last.Add(-time.Millisecond), retention)).To(Equal(oldest))
		Expect(metric.Oldest(last, retention)).To(BeTemporally(">", oldest))
		Expect(metric.CounterExpiry(oldest, retention).Sub(last)).To(BeNumerically(">=", 24*time.Hour))
	})
})

var _ = Describe("the registry of dimensions", func() {
	registry := metric.Registry{
		metric.Type:   {Values: map[string]bool{"A": true}},
		metric.Source: {Values: map[string]bool{"x": true}, Full: true},
	}

	It("names what was admitted, and counts the rest as other", func() {
		Expect(registry.Map(metric.Series{Type: "A", Source: "y", Region: ""})).
			To(Equal(metric.Series{Type: "A", Source: metric.Other, Region: ""}))
		Expect(registry.Map(metric.Series{Type: "B", Source: "x", Region: "eu"})).
			To(Equal(metric.Series{Type: metric.Other, Source: "x", Region: metric.Other}))
	})

	It("asks for no place for the absent value, for other, and for what is too long", func() {
		Expect(registry.Unregistered(metric.Type, "B")).To(BeTrue())
		Expect(registry.Unregistered(metric.Type, "A")).To(BeFalse())
		Expect(registry.Unregistered(metric.Region, "")).To(BeFalse())
		Expect(registry.Unregistered(metric.Type, metric.Other)).To(BeFalse())
		Expect(registry.Unregistered(metric.Type, string(make([]byte, 1000)))).To(BeFalse())
	})
})

var _ = Describe("metric kinds", func() {
	It("have names of their own, a doc line and both forms of their value", func() {
		seen := map[string]bool{}
		for _, k := range metric.Kinds {
			Expect(seen).NotTo(HaveKey(k.Name))
			seen[k.Name] = true
			Expect(k.Doc).NotTo(BeEmpty())
			Expect(k.Expression).NotTo(BeNil())
			for _, f := range k.Figures(metric.Sums{}) {
				Expect(f.Value).To(BeZero(), "a window whose counters were corrected to nothing")
			}
			Expect(k.Figures(metric.Sums{Totals: metric.Totals{Count: 1}, Response: metric.Response{Count: 1}})[0].Name).To(Equal("value"))
			found, ok := metric.KindNamed(k.Name)
			Expect(ok).To(BeTrue())
			Expect(found.Name).To(Equal(k.Name))
		}
	})

	It("have the values that their names promise", func() {
		sums := metric.Sums{Totals: metric.Totals{Count: 8, Errors: 2},
			Response: metric.Response{Count: 4, SumMicros: 10_000, MinMS: 1, MaxMS: 4}}
		for name, want := range map[string]float64{"EVENTS_COUNT": 8, "ERROR_RATE": 0.25, "RESPONSE_TIME": 2.5} {
			kind, _ := metric.KindNamed(name)
			Expect(kind.Figures(sums)[0]).To(Equal(metric.Figure{Name: "value", Value: want}))
		}
	})
})
