package metric_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"

	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/pkg/metric"
)

var _ = Describe("summing events", func() {
	It("counts by minute and series", func() {
		payment := func(d bson.M) { d["type"], d["source"] = "PAYMENT_FAILED", "payments" }
		Expect(sum(
			stored(noon, 3), stored(noon.Add(59_999*time.Millisecond), 5), stored(noon.Add(time.Minute), 3),
			stored(noon, 9, payment),
		)).To(Equal([]metric.Increment{
			{Minute: noon, Series: metric.Series{Type: "PAYMENT_FAILED", Source: "payments", Region: "eu"},
				Sums:        metric.Sums{Totals: metric.Totals{Count: 1, Errors: 1, Severity: 9, Levels: metric.Levels{Critical: 1}}},
				EventsUntil: noon.Add(30 * 24 * time.Hour)},
			{Minute: noon, Series: metric.Series{Type: "USER_LOGIN", Source: "auth", Region: "eu"},
				Sums:        metric.Sums{Totals: metric.Totals{Count: 2, Severity: 8, Levels: metric.Levels{Info: 1, Warning: 1}}},
				EventsUntil: noon.Add(30 * 24 * time.Hour)},
			{Minute: noon.Add(time.Minute), Series: metric.Series{Type: "USER_LOGIN", Source: "auth", Region: "eu"},
				Sums:        metric.Sums{Totals: metric.Totals{Count: 1, Severity: 3, Levels: metric.Levels{Info: 1}}},
				EventsUntil: noon.Add(time.Minute + 30*24*time.Hour)},
		}))
	})

	DescribeTable("bands by severity",
		func(severity int, want metric.Levels, errors int) {
			got := sum(stored(noon, severity))[0].Totals
			Expect(got).To(Equal(metric.Totals{Count: 1, Errors: int64(errors), Severity: int64(severity), Levels: want}))
			Expect(got).To(Equal(metric.TotalsOf(severity, 1)))
		},
		Entry("1", 1, metric.Levels{Info: 1}, 0), Entry("3", 3, metric.Levels{Info: 1}, 0),
		Entry("4", 4, metric.Levels{Warning: 1}, 0), Entry("6", 6, metric.Levels{Warning: 1}, 0),
		Entry("7", 7, metric.Levels{Error: 1}, 1), Entry("8", 8, metric.Levels{Error: 1}, 1),
		Entry("9", 9, metric.Levels{Critical: 1}, 1), Entry("10", 10, metric.Levels{Critical: 1}, 1),
	)

	It("counts an event without a region, or with one that is no string, as the empty region", func() {
		counts := sum(
			stored(noon, 3, func(d bson.M) { delete(d, "metadata") }),
			stored(noon, 3, func(d bson.M) { d["metadata"] = bson.M{} }),
			stored(noon, 3, func(d bson.M) { d["metadata"] = bson.M{"region": 7} }),
		)
		Expect(counts).To(HaveLen(1))
		Expect(counts[0].Region).To(BeEmpty())
		Expect(counts[0].Count).To(BeEquivalentTo(3))
	})

	DescribeTable("response times",
		func(payload bson.M, want metric.Response) {
			Expect(sum(stored(noon, 3, func(d bson.M) { d["payload"] = payload }))[0].Response).To(Equal(want))
		},
		Entry("response_time_ms", bson.M{"response_time_ms": int32(12)}, metric.Response{Count: 1, SumMicros: 12_000, MinMS: 12, MaxMS: 12, Histogram: in(12_000)}),
		Entry("duration_ms", bson.M{"duration_ms": int64(7)}, metric.Response{Count: 1, SumMicros: 7_000, MinMS: 7, MaxMS: 7, Histogram: in(7_000)}),
		Entry("the first of both", bson.M{"response_time_ms": 1.5, "duration_ms": 7}, metric.Response{Count: 1, SumMicros: 1_500, MinMS: 1.5, MaxMS: 1.5, Histogram: in(1_500)}),
		Entry("the one that is a number", bson.M{"response_time_ms": "12", "duration_ms": 7}, metric.Response{Count: 1, SumMicros: 7_000, MinMS: 7, MaxMS: 7, Histogram: in(7_000)}),
		Entry("zero", bson.M{"duration_ms": 0}, metric.Response{Count: 1, Histogram: in(0)}),
		Entry("negative", bson.M{"duration_ms": -1}, metric.Response{}),
		Entry("not a number", bson.M{"duration_ms": math.NaN()}, metric.Response{}),
		Entry("infinite", bson.M{"duration_ms": math.Inf(1)}, metric.Response{}),
		Entry("weeks", bson.M{"duration_ms": 1e12}, metric.Response{}),
		Entry("none", bson.M{"n": 1}, metric.Response{}),
	)

	It("leaves out events that are too old, and says how many", func() {
		counts, tooOld, err := metric.Sum([]bson.Raw{stored(noon.Add(-time.Millisecond), 3), stored(noon, 3)}, noon)
		Expect(err).NotTo(HaveOccurred())
		Expect(tooOld).To(Equal(1))
		Expect(counts).To(HaveLen(1))
		Expect(counts[0].Minute).To(Equal(noon))
	})

	It("puts times before 1970 into their minute", func() {
		at := time.Date(1969, 12, 31, 23, 59, 30, 0, time.UTC)
		Expect(sum(stored(at, 3))[0].Minute).To(Equal(at.Truncate(time.Minute)))
	})

	DescribeTable("refuses what is no stored event",
		func(doc bson.Raw, says string) {
			_, _, err := metric.Sum([]bson.Raw{stored(noon, 3), doc}, time.Time{})
			Expect(err).To(MatchError(And(ContainSubstring("event 1"), ContainSubstring(says))))
		},
		Entry("no bytes", bson.Raw{}, "no type"),
		Entry("a wrong length", bson.Raw{9, 0, 0, 0, 0}, "wrong length"),
		Entry("a broken element", bson.Raw{7, 0, 0, 0, 2, 'a', 0}, "broken BSON"),
		Entry("no type", stored(noon, 3, func(d bson.M) { delete(d, "type") }), "no type"),
		Entry("no source", stored(noon, 3, func(d bson.M) { delete(d, "source") }), "no source"),
		Entry("no severity", stored(noon, 3, func(d bson.M) { d["severity"] = "3" }), "no severity"),
		Entry("no timestamp", stored(noon, 3, func(d bson.M) { d["timestamp"] = "now" }), "no timestamp"),
	)

	It("equals a plain loop over decoded events", func() {
		var events []bson.Raw
		want := map[metric.Series]map[time.Time]metric.Totals{}
		random := rand.New(rand.NewPCG(seeds()))
		for range 2_000 {
			at := noon.Add(time.Duration(random.IntN(600)) * time.Second)
			series := metric.Series{Type: []string{"A", "B"}[random.IntN(2)], Source: []string{"x", "y"}[random.IntN(2)], Region: []string{"", "eu"}[random.IntN(2)]}
			severity := 1 + random.IntN(10)
			events = append(events, stored(at, severity, func(d bson.M) {
				d["type"], d["source"], d["metadata"] = series.Type, series.Source, bson.M{}
				if series.Region != "" {
					d["metadata"] = bson.M{"region": series.Region}
				}
			}))
			if want[series] == nil {
				want[series] = map[time.Time]metric.Totals{}
			}
			t := want[series][at.Truncate(time.Minute)]
			t.Count++
			t.Severity += int64(severity)
			if severity >= 7 {
				t.Errors++
			}
			switch event.Level(severity) {
			case "info":
				t.Levels.Info++
			case "warning":
				t.Levels.Warning++
			case "error":
				t.Levels.Error++
			case "critical":
				t.Levels.Critical++
			}
			want[series][at.Truncate(time.Minute)] = t
		}
		got := map[metric.Series]map[time.Time]metric.Totals{}
		for _, inc := range sum(events...) {
			if got[inc.Series] == nil {
				got[inc.Series] = map[time.Time]metric.Totals{}
			}
			got[inc.Series][inc.Minute] = inc.Totals
		}
		Expect(got).To(Equal(want))
	})
})

// seeds gives a generator from the run's seed.
func seeds() (uint64, uint64) {
	seed := uint64(GinkgoRandomSeed())
	return seed, seed
}

var _ = Describe("merging increments", func() {
	It("adds up the same counters and keeps others apart, in order", func() {
		a := sum(stored(noon, 3, func(d bson.M) { d["payload"] = bson.M{"duration_ms": 5} }), stored(noon.Add(time.Minute), 3))
		b := sum(stored(noon, 9, func(d bson.M) {
			d["payload"], d["expires_at"] = bson.M{"duration_ms": 2}, noon.Add(time.Hour)
		}))
		merged := metric.Merge(a, b)
		Expect(merged).To(HaveLen(2))
		Expect(merged[0].Minute).To(Equal(noon))
		Expect(merged[0].Totals).To(Equal(metric.Totals{Count: 2, Errors: 1, Severity: 12, Levels: metric.Levels{Info: 1, Critical: 1}}))
		Expect(merged[0].Response).To(Equal(metric.Response{Count: 2, SumMicros: 7_000, MinMS: 2, MaxMS: 5, Histogram: append(in(2_000), in(5_000)...)}))
		Expect(merged[0].EventsUntil).To(Equal(noon.Add(time.Hour)))
		Expect(merged[1].Minute).To(Equal(noon.Add(time.Minute)))
		Expect(a[0].Count).To(BeEquivalentTo(1), "what is merged stays as it is")
		Expect(a[0].Response.Histogram).To(Equal(in(5_000)))
	})
})

var _ = Describe("a series' name", func() {
	It("is never that of another series", func() {
		names := map[string]metric.Series{}
		parts := []string{"", "a", ":", "a:", ":a", "%", "%3A", "%25", "a:b", "other"}
		for _, t := range parts {
			for _, s := range parts {
				for _, r := range parts {
					series := metric.Series{Type: t, Source: s, Region: r}
					Expect(names).NotTo(HaveKey(series.Name()))
					names[series.Name()] = series
				}
			}
		}
	})
})

// FuzzSum: whatever bytes arrive, Sum answers.
func FuzzSum(f *testing.F) {
	f.Add([]byte(stored(noon, 3)))
	f.Add([]byte{5, 0, 0, 0, 0})
	f.Add([]byte{7, 0, 0, 0, 2, 'a', 0})
	f.Fuzz(func(t *testing.T, doc []byte) {
		counts, tooOld, err := metric.Sum([]bson.Raw{doc}, time.Time{})
		if err == nil && len(counts)+tooOld != 1 {
			t.Fatalf("one event made %d counts and %d too old", len(counts), tooOld)
		}
	})
}

func BenchmarkSum(b *testing.B) {
	var events []bson.Raw
	for i := range 500 {
		id := primitive.NewObjectID()
		events = append(events, stored(noon.Add(time.Duration(i)*100*time.Millisecond), 1+i%10, func(d bson.M) {
			d["_id"], d["type"], d["search_text"] = id, []string{"A", "B", "C", "D"}[i%4], "some words that were taken from the payload"
			d["payload"] = bson.M{"amount": 12.5, "currency": "EUR", "response_time_ms": 12, "user": bson.M{"name": "x", "id": i}}
		}))
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := metric.Sum(events, time.Time{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(events)), "ns/event")
}
