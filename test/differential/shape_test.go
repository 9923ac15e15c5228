package differential_test

import (
	"math"
	"math/big"
	"slices"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"
)

func isArray(v any) bool {
	_, ok := v.(bson.A)
	return ok
}

func isDocument(v any) bool {
	_, ok := v.(bson.D)
	return ok
}

func notFinite(v any) bool {
	f, double := v.(float64)
	d, decimal := v.(primitive.Decimal128)
	return double && (math.IsNaN(f) || math.IsInf(f, 0)) || decimal && (d.IsNaN() || d.IsInf() != 0)
}

// containsName says whether a document somewhere has a field of that name.
func containsName(v any, name string) bool {
	return contains(v, func(v any) bool {
		d, ok := v.(bson.D)
		return ok && slices.ContainsFunc(d, func(e bson.E) bool { return e.Key == name })
	})
}

// beyondDegrees says whether a number is no longitude.
func beyondDegrees(v any) bool { return beyond(v, 180) }

// beyondExact says whether a number is more than a double holds exactly.
func beyondExact(v any) bool { return beyond(v, 1<<53) }

func beyond(v any, most int64) bool {
	switch n := v.(type) {
	case int:
		return int64(n) < -most || int64(n) > most
	case int32:
		return int64(n) < -most || int64(n) > most
	case int64:
		return n < -most || n > most
	case float64:
		return n < -float64(most) || n > float64(most)
	case primitive.Decimal128:
		i, exponent, err := n.BigInt()
		return err == nil && exponent >= 0 && i.CmpAbs(big.NewInt(most)) > 0
	default:
		return false
	}
}

func isTruth(v any) bool {
	_, ok := v.(bool)
	return ok
}

func isDecimal(v any) bool {
	_, ok := v.(primitive.Decimal128)
	return ok
}

func isDouble(v any) bool {
	_, ok := v.(float64)
	return ok
}

func isBinary(v any) bool {
	_, ok := v.(primitive.Binary)
	return ok
}

// contains says whether a value or one within it is of a kind.
func contains(v any, is func(any) bool) bool {
	switch d := v.(type) {
	case bson.D:
		return is(v) || slices.ContainsFunc(d, func(e bson.E) bool { return contains(e.Value, is) })
	case bson.A:
		return is(v) || slices.ContainsFunc(d, func(e any) bool { return contains(e, is) })
	default:
		return is(v)
	}
}

// arrayWithin says whether an array somewhere has an element of a kind.
func arrayWithin(v any, is func(any) bool) bool {
	return contains(v, func(v any) bool {
		a, ok := v.(bson.A)
		return ok && slices.ContainsFunc(a, is)
	})
}

// onBorder says whether a place lies on the border of the operand of
// $geoWithin, on a map.
func onBorder(shape, place any) bool {
	at, ok := coordinates(place)
	spec, is := shape.(bson.D)
	if !ok || !is || len(spec) != 1 {
		return false
	}
	list, _ := spec[0].Value.(bson.A)
	switch spec[0].Key {
	case "$box":
		a, _ := coordinates(list[0])
		b, _ := coordinates(list[1])
		return at[0] == a[0] || at[0] == b[0] || at[1] == a[1] || at[1] == b[1]
	case "$center":
		center, _ := coordinates(list[0])
		radius, _ := coordinates(bson.A{list[1], 0})
		return math.Abs(math.Hypot(at[0]-center[0], at[1]-center[1])-radius[0]) < 1e-9
	default:
		return contains(shape, func(ring any) bool { return onEdge(ring, place) })
	}
}

// onEdge says whether a place lies on an edge of a ring, on a map.
func onEdge(ring, place any) bool {
	at, ok := coordinates(place)
	list, is := ring.(bson.A)
	if !ok || !is || len(list) < 3 {
		return false
	}
	for i := range list {
		a, aOK := coordinates(list[i])
		b, bOK := coordinates(list[(i+1)%len(list)])
		if !aOK || !bOK {
			return false
		}
		across := (b[0]-a[0])*(at[1]-a[1]) - (b[1]-a[1])*(at[0]-a[0])
		along := (at[0]-a[0])*(at[0]-b[0]) + (at[1]-a[1])*(at[1]-b[1])
		if math.Abs(across) < 1e-9 && along <= 0 {
			return true
		}
	}
	return false
}

// coordinates are the first two numbers of a pair in any form.
func coordinates(v any) (xy [2]float64, ok bool) {
	var values []any
	switch v := v.(type) {
	case bson.A:
		values = v
	case bson.D:
		for _, e := range v {
			values = append(values, e.Value)
		}
	}
	if len(values) < 2 {
		return xy, false
	}
	for i := range xy {
		switch n := values[i].(type) {
		case int:
			xy[i] = float64(n)
		case int32:
			xy[i] = float64(n)
		case int64:
			xy[i] = float64(n)
		case float64:
			xy[i] = n
		default:
			return xy, false
		}
	}
	return xy, true
}
