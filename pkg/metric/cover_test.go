package metric_test

import (
	"fmt"
	"math/rand/v2"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/metric"
)

var _ = Describe("covering a range by windows", func() {
	named := func(name string) metric.Period { p, _ := metric.PeriodNamed(name); return p }
	// text is the segments as "period from-to".
	text := func(segments []metric.Segment) []string {
		var all []string
		for _, s := range segments {
			name := s.Period.Name
			if name == "" {
				name = "counters"
			}
			all = append(all, fmt.Sprintf("%s %s-%s", name, s.From.Format("02T15:04"), s.To.Format("02T15:04")))
		}
		return all
	}
	all := func(metric.Period, time.Time) bool { return true }

	It("takes the longest windows that fit, and counters for the rest", func() {
		r := metric.Range{From: noon.Add(-13*time.Hour - 7*time.Minute), To: noon.Add(26*time.Hour + 2*time.Minute)}
		Expect(text(metric.Cover(r, named("1d"), all))).To(Equal([]string{
			"counters 03T22:53-03T22:55", "5m 03T22:55-03T23:00", "1h 03T23:00-04T00:00",
			"1d 04T00:00-05T00:00", "1h 05T00:00-05T14:00", "counters 05T14:00-05T14:02",
		}))
		Expect(text(metric.Cover(r, named("5m"), all))).To(Equal([]string{
			"counters 03T22:53-03T22:55", "5m 03T22:55-05T14:00", "counters 05T14:00-05T14:02",
		}))
		Expect(text(metric.Cover(r, named("1m"), all))).To(Equal([]string{"counters 03T22:53-05T14:02"}))
	})

	It("goes down to shorter windows where a longer one is not usable", func() {
		now := noon.Add(7*time.Minute + 30*time.Second)
		closed := func(p metric.Period, start time.Time) bool { return !start.Add(p.Length).After(now) }
		r := metric.Range{From: noon.Add(-12 * time.Hour), To: noon.Add(8 * time.Minute)}
		Expect(text(metric.Cover(r, named("1d"), closed))).To(Equal([]string{
			"1h 04T00:00-04T12:00", "5m 04T12:00-04T12:05", "counters 04T12:05-04T12:08",
		}))
	})

	It("covers each minute once, in order, and none besides", func() {
		random := rand.New(rand.NewPCG(seeds()))
		for range 200 {
			from := noon.Add(time.Duration(random.IntN(5000)) * time.Minute)
			r := metric.Range{From: from, To: from.Add(time.Duration(1+random.IntN(5000)) * time.Minute)}
			at := r.From
			for _, s := range metric.Cover(r, metric.Periods[random.IntN(4)], func(metric.Period, time.Time) bool { return random.IntN(3) > 0 }) {
				Expect(s.From).To(Equal(at))
				Expect(s.From).To(BeTemporally("<", s.To))
				if s.Period.Name != "" {
					Expect(s.Period.Start(s.From)).To(Equal(s.From))
					Expect(s.Period.Start(s.To)).To(Equal(s.To))
				}
				at = s.To
			}
			Expect(at).To(Equal(r.To))
		}
	})

	It("counts windows without making them: those of all of time would be 100 GB", func() {
		r := metric.Range{From: time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC), To: time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)}
		Expect(metric.Periods[0].Count(r)).To(BeNumerically(">", 100_000_000))
		Expect(metric.Periods[0].Count(metric.Range{From: noon, To: noon})).To(BeZero())
	})

	It("widens to whole windows", func() {
		hour := named("1h")
		r := metric.Range{From: noon.Add(time.Minute), To: noon.Add(61 * time.Minute)}
		Expect(hour.Whole(r)).To(Equal(metric.Range{From: noon, To: noon.Add(2 * time.Hour)}))
		Expect(hour.Windows(r)).To(Equal([]time.Time{noon, noon.Add(time.Hour)}))
		Expect(hour.Count(r)).To(Equal(2))
		Expect(hour.Whole(metric.Range{From: noon, To: noon.Add(time.Hour)})).To(Equal(metric.Range{From: noon, To: noon.Add(time.Hour)}))
	})
})
