package metric

import (
	"fmt"

	"go.mongodb.org/mongo-driver/bson"
)

var responseTime = Kind{
	Name: "RESPONSE_TIME",
	Doc: "mean of the response times of the window's events that name one, in milliseconds; `count` is their number, " +
		"`p50`, `p95` and `p99` come from `histogram` and are at most 1.6 % off",
	Responses: true,
	Expression: op("$cond", op("$gt", "$count", 0),
		op("$divide", op("$divide", "$sum_us", "$count"), 1000), 0.0),
	Extra: bson.D{
		{Key: "sum_us", Value: "$sum_us"}, {Key: "min", Value: "$min"}, {Key: "max", Value: "$max"},
		{Key: "p50", Value: percentile(50)}, {Key: "p95", Value: percentile(95)}, {Key: "p99", Value: percentile(99)},
		{Key: "histogram", Value: "$histogram"},
	},
	Figures: func(s Sums) []Figure {
		r := s.Response
		if r.Count == 0 {
			return nil
		}
		figures := []Figure{{"value", r.Mean()}, {"count", float64(r.Count)}, {"min", r.MinMS}, {"max", r.MaxMS}}
		for _, q := range Percentiles {
			figures = append(figures, Figure{fmt.Sprintf("p%d", q), r.Percentile(q)})
		}
		sum := 0.0
		for _, b := range r.Histogram {
			sum += b.MS() * float64(b.N)
		}
		return append(figures, Figure{"histogram", sum})
	},
}

// HistogramField is the histogram as metrics have it, of buckets as counters
// name them: [{ms: the bucket's middle, n}].
func HistogramField(buckets any) bson.D {
	return bson.D{{Key: "$map", Value: bson.D{
		{Key: "input", Value: buckets}, {Key: "as", Value: "b"},
		{Key: "in", Value: bson.D{{Key: "ms", Value: bucketMS("$$b.k")}, {Key: "n", Value: "$$b.n"}}},
	}}}
}
