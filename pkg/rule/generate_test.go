package rule_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"
)

// generator makes documents and conditions of few fields and few values, so
// that they meet often, over every type and operator.
type generator struct{ *rand.Rand }

func newGenerator(seed uint64) generator {
	return generator{rand.New(rand.NewPCG(seed, 1))}
}

func pick[T any](g generator, from ...T) T { return from[g.IntN(len(from))] }

func decimal(s string) primitive.Decimal128 {
	d, err := primitive.ParseDecimal128(s)
	if err != nil {
		panic(err)
	}
	return d
}

func (g generator) name() string { return pick(g, "a", "b", "c", "0", "1") }

func (g generator) path() string {
	parts := make([]string, 1+g.IntN(3))
	for i := range parts {
		parts[i] = g.name()
	}
	return strings.Join(parts, ".")
}

func (g generator) number() any {
	switch g.IntN(12) {
	case 0:
		return pick(g, math.NaN(), math.Inf(1), math.Inf(-1), math.Copysign(0, -1))
	case 1:
		return pick(g, decimal("0.1"), decimal("NaN"), decimal("-Infinity"), decimal("9007199254740993"), decimal("1.0"), decimal("2E0"))
	case 2:
		return pick[any](g, int64(math.MaxInt64), int64(1<<53+1), float64(1<<53), int64(1<<53), float64(math.MaxInt64), 0.1)
	case 3, 4:
		return g.Float64() * 4
	case 5, 6:
		return int64(g.IntN(5))
	case 7:
		return float64(g.IntN(5))
	default:
		return int32(g.IntN(5))
	}
}

func (g generator) text() string {
	return pick(g, "", "a", "ab", "abc", "b", "B", "x\n", "a b", "PAY-404", "é", "\x00")
}

var aDay = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

// value is any value up to a depth.
func (g generator) value(depth int) any {
	switch n := g.IntN(20); {
	case n < 6:
		return g.number()
	case n < 10:
		return g.text()
	case n < 11:
		return nil
	case n < 12:
		return pick(g, true, false)
	case n < 13:
		return aDay.Add(time.Duration(g.IntN(3)) * time.Hour)
	case n < 14:
		return pick[any](g, primitive.ObjectID{11: byte(g.IntN(3))}, primitive.Timestamp{T: uint32(g.IntN(2)), I: uint32(g.IntN(2))})
	case n < 17 && depth > 0:
		return g.array(depth - 1)
	case depth > 0:
		return g.document(depth - 1)
	default:
		return g.number()
	}
}

func (g generator) array(depth int) bson.A {
	a := bson.A{}
	for range g.IntN(4) {
		a = append(a, g.value(depth))
	}
	return a
}

func (g generator) document(depth int) bson.D {
	d := bson.D{}
	names := g.Perm(5)
	for _, i := range names[:g.IntN(4)] {
		d = append(d, bson.E{Key: []string{"a", "b", "c", "0", "1"}[i], Value: g.value(depth)})
	}
	return d
}

func (g generator) regex() primitive.Regex {
	return primitive.Regex{
		Pattern: pick(g, "^a", "b", "^(a|PAY)", "b$", "^A B$", "^$", "x", "[ab]c", `^PAY-[45]\d\d`, "é", "", `\s`),
		Options: pick(g, "", "", "", "i", "m", "s", "x", "im"),
	}
}

// operand is a value that a comparison takes.
func (g generator) operand() any {
	if g.IntN(4) > 0 {
		return g.value(0)
	}
	return g.value(2)
}

func (g generator) values() bson.A {
	a := bson.A{}
	for range g.IntN(4) + g.IntN(2)*g.IntN(12) {
		if g.IntN(8) == 0 {
			a = append(a, g.regex())
			continue
		}
		a = append(a, g.operand())
	}
	return a
}

// operators is what can stand as a field's value.
func (g generator) operators(depth int) bson.D {
	d := bson.D{}
	seen := map[string]bool{}
	for range 1 + g.IntN(2) {
		e := g.operator(depth)
		if seen[e.Key] {
			continue
		}
		seen[e.Key] = true
		d = append(d, e)
		if e.Key == "$regex" && g.IntN(2) == 0 {
			d = append(d, bson.E{Key: "$options", Value: pick(g, "i", "m", "s", "x")})
		}
	}
	return d
}

func (g generator) operator(depth int) bson.E {
	switch g.IntN(14) {
	case 0:
		return bson.E{Key: "$eq", Value: g.operand()}
	case 1:
		return bson.E{Key: "$ne", Value: g.operand()}
	case 2, 3:
		return bson.E{Key: "$gt", Value: g.operand()}
	case 4, 5:
		return bson.E{Key: "$gte", Value: g.operand()}
	case 6:
		return bson.E{Key: "$lt", Value: g.operand()}
	case 7:
		return bson.E{Key: "$lte", Value: g.operand()}
	case 8:
		return bson.E{Key: "$in", Value: g.values()}
	case 9:
		return bson.E{Key: "$nin", Value: g.values()}
	case 10:
		return bson.E{Key: "$exists", Value: pick[any](g, true, false, 1, 0)}
	case 11:
		if depth > 0 {
			return bson.E{Key: "$not", Value: g.operators(depth - 1)}
		}
		return bson.E{Key: "$not", Value: g.regex()}
	default:
		return bson.E{Key: "$regex", Value: g.regex().Pattern}
	}
}

// condition is a query document.
func (g generator) condition(depth int) bson.D {
	d := bson.D{}
	seen := map[string]bool{}
	for range 1 + g.IntN(2) {
		e := g.clause(depth)
		if !seen[e.Key] {
			seen[e.Key] = true
			d = append(d, e)
		}
	}
	return d
}

func (g generator) clause(depth int) bson.E {
	if depth > 0 && g.IntN(4) == 0 {
		list := bson.A{}
		for range 1 + g.IntN(3) {
			list = append(list, g.condition(depth-1))
		}
		return bson.E{Key: pick(g, "$or", "$or", "$and", "$nor"), Value: list}
	}
	switch g.IntN(5) {
	case 0, 1:
		return bson.E{Key: g.path(), Value: g.plain()}
	default:
		return bson.E{Key: g.path(), Value: g.operators(2)}
	}
}

// plain is a value that is no document of operators.
func (g generator) plain() any {
	if g.IntN(8) == 0 {
		return g.regex()
	}
	return g.operand()
}

func marshalD(d bson.D) bson.Raw {
	raw, err := bson.Marshal(d)
	if err != nil {
		panic(fmt.Sprint(d, err))
	}
	return raw
}
