package metric_test

import (
	"math"
	"math/rand/v2"
	"slices"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/metric"
)

// longest is the longest response time that is counted, in microseconds.
const longest = int64(metric.ResponseTimeMax * 1000)

var _ = Describe("the histogram of response times", func() {
	It("has buckets without gaps, in order, whose middle is near all in them", func() {
		Expect(metric.BucketOf(0)).To(BeZero())
		before := 0
		for us := int64(1); us <= longest; us += max(us/200, 1) {
			i := metric.BucketOf(us)
			Expect(i).To(Or(Equal(before), Equal(before+1)), "%d µs", us)
			before = i
			b := metric.Bucket{Index: i, N: 1}
			Expect(metric.BucketAt(b.MS())).To(Equal(i))
			Expect(math.Abs(b.MS()*1000-float64(us))/float64(us)).To(BeNumerically("<=", metric.ErrorMost), "%d µs", us)
			if us < 64 {
				Expect(b.MS()).To(Equal(float64(us) / 1000))
			}
		}
		Expect(metric.BucketOf(longest)).To(BeNumerically("<", 10_000), "names have four digits")
	})

	It("is a document whose names are in the order of its buckets, and comes back the same", func() {
		h := slices.Concat(in(3), in(70), in(900), in(1_000_000), in(longest))
		names := []string{}
		for _, e := range h.Document() {
			names = append(names, e.Key)
		}
		Expect(slices.IsSorted(names)).To(BeTrue())
		raw, err := bson.Marshal(metric.Response{Count: 5, Histogram: h})
		Expect(err).NotTo(HaveOccurred())
		var back metric.Response
		Expect(bson.Unmarshal(raw, &back)).To(Succeed())
		Expect(back.Histogram).To(Equal(h))
	})

	It("has no percentile of nothing", func() {
		Expect(metric.Response{}.Percentile(99)).To(BeZero())
	})

	DescribeTable("gives percentiles within the stated error", func(next func(r *rand.Rand) float64) {
		random := rand.New(rand.NewPCG(seeds()))
		for _, n := range []int{1, 2, 3, 19, 100, 5_000} {
			var exact []float64
			var events []bson.Raw
			for range n {
				ms := min(max(next(random), 0), metric.ResponseTimeMax)
				exact = append(exact, ms)
				events = append(events, stored(noon, 3, func(d bson.M) { d["payload"] = bson.M{"duration_ms": ms} }))
			}
			slices.Sort(exact)
			// As batches are: several parts that are added up.
			var parts [][]metric.Increment
			for part := range slices.Chunk(events, 700) {
				parts = append(parts, sum(part...))
			}
			r := metric.Merge(parts...)[0].Response
			Expect(r.Count).To(BeEquivalentTo(n))
			for _, q := range metric.Percentiles {
				want := exact[int(math.Ceil(float64(q)*float64(n)/100))-1]
				const microsecond = 0.001
				Expect(r.Percentile(q)).To(BeNumerically("~", want, max(metric.ErrorMost*want, 0)+microsecond), "p%d of %d", q, n)
			}
			mean := 0.0
			for _, ms := range exact {
				mean += ms / float64(n)
			}
			Expect(r.Mean()).To(BeNumerically("~", mean, 0.001+1e-9*mean))
		}
	},
		Entry("even", func(r *rand.Rand) float64 { return r.Float64() * 1000 }),
		Entry("exponential", func(r *rand.Rand) float64 { return r.ExpFloat64() * 80 }),
		Entry("logarithmic normal", func(r *rand.Rand) float64 { return math.Exp(r.NormFloat64()*2 + 3) }),
		Entry("heavy tail", func(r *rand.Rand) float64 { return 5 / math.Pow(1-r.Float64(), 1.2) }),
		Entry("two peaks", func(r *rand.Rand) float64 { return []float64{2, 900}[r.IntN(2)] + r.NormFloat64()/10 }),
		Entry("whole milliseconds", func(r *rand.Rand) float64 { return float64(r.IntN(50)) }),
		Entry("microseconds", func(r *rand.Rand) float64 { return r.Float64() / 20 }),
		Entry("all the same", func(*rand.Rand) float64 { return 123.456 }),
		Entry("days", func(r *rand.Rand) float64 { return r.Float64() * metric.ResponseTimeMax }),
	)
})
