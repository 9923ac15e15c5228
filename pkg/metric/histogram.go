package metric

import (
	"fmt"
	"math"
	"math/bits"
	"slices"
	"strconv"
	"strings"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/bsontype"
)

// subBuckets is the number of buckets for each doubling of the response time.
// A bucket's middle is at most 1/(2·subBuckets) away from what it counts:
// 1.6 %, below the 2 % that percentiles promise.
//
// Buckets are cut in whole microseconds by powers of two and equal parts of
// them, not by logarithms: MongoDB and Go then agree on every value, and a
// recount in the database finds the very buckets that were counted.
const subBuckets = 32

// ErrorMost is how far a percentile may be from the exact one, relatively;
// below 64 µs it is exact to the microsecond.
const ErrorMost = 1.0 / (2 * subBuckets)

// Bucket is how many response times fall into one bucket of the histogram.
type Bucket struct {
	Index int   `json:"bucket"`
	N     int64 `json:"n"`
}

// Histogram is its buckets in order, each once. In counters it is a document
// of bucket names and numbers, so that it can be added to by $inc.
type Histogram []Bucket

// bucketOf is the bucket of so many microseconds, which are not negative.
func bucketOf(us int64) int {
	shift := max(bits.Len64(uint64(us))-6, 0)
	return shift*subBuckets + int(us>>shift)
}

// MS is the middle of the bucket in milliseconds, which stands for all in it.
func (b Bucket) MS() float64 {
	shift := max(b.Index/subBuckets-1, 0)
	width := float64(int64(1) << shift)
	return (float64(b.Index-shift*subBuckets)*width + (width-1)/2) / 1000
}

// BucketAt is the bucket with that middle.
func BucketAt(ms float64) int { return bucketOf(int64(math.Floor(math.Round(ms*2000) / 2))) }

// Name is the bucket's field in counters; names are in the order of buckets.
func (b Bucket) Name() string { return fmt.Sprintf("b%04d", b.Index) }

// Sorted orders the buckets and adds up those that are there twice.
func (h Histogram) Sorted() Histogram {
	slices.SortFunc(h, func(a, b Bucket) int { return a.Index - b.Index })
	out := h[:0]
	for _, b := range h {
		if n := len(out); n > 0 && out[n-1].Index == b.Index {
			out[n-1].N += b.N
			continue
		}
		out = append(out, b)
	}
	return out
}

// plus is both together; neither is changed.
func (h Histogram) plus(other Histogram) Histogram { return slices.Concat(h, other).Sorted() }

// Document is the histogram as counters keep it.
func (h Histogram) Document() bson.D {
	d := make(bson.D, len(h))
	for i, b := range h {
		d[i] = bson.E{Key: b.Name(), Value: b.N}
	}
	return d
}

// UnmarshalBSONValue reads what Document made. Buckets without a count are
// those of a counter that was corrected.
func (h *Histogram) UnmarshalBSONValue(t bsontype.Type, data []byte) error {
	var names map[string]int64
	if err := (bson.RawValue{Type: t, Value: data}).Unmarshal(&names); err != nil {
		return fmt.Errorf("histogram: %w", err)
	}
	*h = nil
	for name, n := range names {
		i, err := strconv.Atoi(strings.TrimPrefix(name, "b"))
		if err != nil {
			return fmt.Errorf("histogram: %q is no bucket", name)
		}
		if n != 0 {
			*h = append(*h, Bucket{i, n})
		}
	}
	*h = h.Sorted()
	return nil
}

// MarshalBSONValue writes the histogram as Document does.
func (h Histogram) MarshalBSONValue() (bsontype.Type, []byte, error) {
	return bson.MarshalValue(h.Document())
}

// Percentiles are those that metrics have, in percent.
var Percentiles = []int{50, 95, 99}

// Percentile is the response time in milliseconds that q percent of all do not
// exceed (the nearest rank); 0 when there is none.
func (r Response) Percentile(q int) float64 {
	rank, seen := (r.Count*int64(q)+99)/100, int64(0)
	for _, b := range r.Histogram {
		if seen += b.N; seen >= rank {
			return min(max(b.MS(), r.MinMS), r.MaxMS)
		}
	}
	return r.MaxMS
}

// The same as expressions of MongoDB.

func op(name string, args ...any) bson.D {
	if len(args) == 1 {
		return bson.D{{Key: name, Value: args[0]}}
	}
	return bson.D{{Key: name, Value: bson.A(args)}}
}

// let names an expression for another one.
func let(name string, value, in any) bson.D {
	return bson.D{{Key: "$let", Value: bson.D{{Key: "vars", Value: bson.D{{Key: name, Value: value}}}, {Key: "in", Value: in}}}}
}

// BucketExpression is the bucket of so many microseconds. The logarithm only
// guesses the power of two; the comparisons make it exact.
func BucketExpression(us any) bson.D {
	parts := func(shift any) bson.D { return op("$floor", op("$divide", "$$us", op("$pow", 2, shift))) }
	guess := op("$max", 0, op("$subtract", op("$floor", op("$log", op("$max", "$$us", 1), 2)), 5))
	shift := bson.D{{Key: "$switch", Value: bson.D{
		{Key: "branches", Value: bson.A{
			bson.D{{Key: "case", Value: op("$gte", parts("$$guess"), 2*subBuckets)}, {Key: "then", Value: op("$add", "$$guess", 1)}},
			bson.D{
				{Key: "case", Value: op("$and", op("$gt", "$$guess", 0), op("$lt", parts("$$guess"), subBuckets))},
				{Key: "then", Value: op("$subtract", "$$guess", 1)},
			},
		}},
		{Key: "default", Value: "$$guess"},
	}}}
	return let("us", us, let("guess", guess, let("shift", shift,
		op("$toInt", op("$add", op("$multiply", "$$shift", subBuckets), parts("$$shift"))))))
}

// bucketMS is Bucket.MS of a bucket's name.
func bucketMS(name any) bson.D {
	width := op("$pow", 2, "$$shift")
	return let("i", op("$toInt", op("$substrCP", name, 1, 4)),
		let("shift", op("$max", 0, op("$subtract", op("$floor", op("$divide", "$$i", subBuckets)), 1)),
			op("$divide", op("$add",
				op("$multiply", op("$subtract", "$$i", op("$multiply", "$$shift", subBuckets)), width),
				op("$divide", op("$subtract", width, 1), 2)), 1000)))
}

// percentile is Response.Percentile over the fields count, min, max and
// histogram ([{ms, n}] in order).
func percentile(q int) bson.D {
	rank := op("$floor", op("$divide", op("$add", op("$multiply", "$count", q), 99), 100))
	found := bson.D{{Key: "$reduce", Value: bson.D{
		{Key: "input", Value: "$histogram"},
		{Key: "initialValue", Value: bson.D{{Key: "seen", Value: 0}, {Key: "ms", Value: 0.0}}},
		{Key: "in", Value: op("$cond", op("$gte", "$$value.seen", rank), "$$value", bson.D{
			{Key: "seen", Value: op("$add", "$$value.seen", "$$this.n")}, {Key: "ms", Value: "$$this.ms"},
		})},
	}}}
	return let("found", found, op("$min", op("$max", "$$found.ms", "$min"), "$max"))
}
