package querygen

import (
	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"
)

// operand is a value that a comparison takes.
func (g Generator) operand() any {
	if g.IntN(4) > 0 {
		return g.value(0)
	}
	return g.value(2)
}

// ordered is an operand of an ordered comparison, which takes no regular
// expression.
func (g Generator) ordered() any {
	for {
		v := g.operand()
		if _, is := v.(primitive.Regex); !is {
			return v
		}
	}
}

func (g Generator) values() bson.A {
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

// Operators is what can stand as a field's value.
func (g Generator) Operators(depth int) bson.D {
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
			d = append(d, bson.E{Key: "$options", Value: pick(g, "i", "m", "s", "x", "im")})
		}
	}
	return d
}

func (g Generator) operator(depth int) bson.E {
	switch g.IntN(22) {
	case 0:
		return bson.E{Key: "$eq", Value: g.operand()}
	case 1:
		return bson.E{Key: "$ne", Value: g.ordered()}
	case 2, 3:
		return bson.E{Key: "$gt", Value: g.ordered()}
	case 4, 5:
		return bson.E{Key: "$gte", Value: g.ordered()}
	case 6:
		return bson.E{Key: "$lt", Value: g.ordered()}
	case 7:
		return bson.E{Key: "$lte", Value: g.ordered()}
	case 8:
		return bson.E{Key: "$in", Value: g.values()}
	case 9:
		return bson.E{Key: "$nin", Value: g.values()}
	case 10:
		return bson.E{Key: "$exists", Value: pick[any](g, true, false, 1, 0)}
	case 11, 12:
		return bson.E{Key: "$type", Value: g.types()}
	case 13:
		return bson.E{Key: "$mod", Value: bson.A{pick[any](g, 1, 2, 3, int64(-2), 2.5, decimal("2.0")), pick[any](g, 0, 1, -1, 1.9, int64(0))}}
	case 14:
		return bson.E{Key: "$size", Value: pick[any](g, 0, 1, 2, int64(1), 2.0)}
	case 15:
		return bson.E{Key: "$all", Value: g.all(depth)}
	case 16, 17:
		return bson.E{Key: "$elemMatch", Value: g.element(depth)}
	case 18:
		return bson.E{Key: "$geoWithin", Value: bson.D{g.shape()}}
	case 19, 20:
		if depth > 0 && g.IntN(3) > 0 {
			return bson.E{Key: "$not", Value: g.Operators(depth - 1)}
		}
		return bson.E{Key: "$not", Value: g.regex()}
	default:
		return bson.E{Key: "$regex", Value: g.regex().Pattern}
	}
}

func (g Generator) types() any {
	one := func() any {
		return pick[any](g, "double", "string", "object", "array", "null", "bool", "date", "int", "long", "decimal", "number", "objectId", "binData", "regex",
			"timestamp", "minKey", "maxKey", "javascript", 1, 2, 3, 4, 10, 16, 18, int64(19), 8.0)
	}
	if g.IntN(3) > 0 {
		return one()
	}
	return bson.A{one(), one()}
}

func (g Generator) all(depth int) bson.A {
	a := bson.A{}
	elements := g.IntN(4) == 0
	for range g.IntN(3) {
		switch {
		case elements:
			a = append(a, bson.D{{Key: "$elemMatch", Value: g.element(depth)}})
		case g.IntN(8) == 0:
			a = append(a, g.regex())
		default:
			a = append(a, g.operand())
		}
	}
	return a
}

// element is the operand of $elemMatch in either form.
func (g Generator) element(depth int) bson.D {
	switch {
	case depth <= 0:
		return pick(g, bson.D{{Key: "$gte", Value: g.number()}}, bson.D{{Key: g.name(), Value: g.value(0)}}, bson.D{})
	case g.IntN(2) == 0:
		return g.Operators(depth - 1)
	default:
		return g.Condition(depth - 1)
	}
}

func (g Generator) shape() bson.E {
	switch g.IntN(5) {
	case 0:
		return bson.E{Key: "$box", Value: bson.A{g.pair(), g.pair()}}
	case 1:
		return bson.E{Key: "$center", Value: bson.A{g.pair(), pick[any](g, 0, 1, 2.5, int64(3))}}
	case 2:
		return bson.E{Key: "$polygon", Value: pick(g, bson.A{g.pair(), g.pair(), g.pair()}, ring(0, 0, 0, 3, 3, 3, 3, 0), ring(0, 0, 2, 4, 4, 0), ring(0, 0, 0, 4, 2, 1, 4, 4, 4, 0))}
	case 3:
		return bson.E{Key: "$centerSphere", Value: bson.A{g.pair(), pick[any](g, 0, 0.02, 0.05, 1)}}
	default:
		return bson.E{Key: "$geometry", Value: pick(g,
			bson.D{{Key: "type", Value: "Polygon"}, {Key: "coordinates", Value: bson.A{ring(0, 0, 3, 0, 3, 3, 0, 3, 0, 0)}}},
			bson.D{{Key: "type", Value: "Polygon"}, {Key: "coordinates", Value: bson.A{ring(-1, -1, 5, -1, 5, 5, -1, 5, -1, -1), ring(1, 1, 3, 1, 3, 3, 1, 3, 1, 1)}}},
			bson.D{{Key: "type", Value: "MultiPolygon"}, {Key: "coordinates", Value: bson.A{bson.A{ring(0, 0, 1, 0, 1, 1, 0, 0)}, bson.A{ring(2, 2, 4, 2, 4, 4, 2, 4, 2, 2)}}}},
		)}
	}
}

// ring is a list of positions.
func ring(xy ...int) bson.A {
	a := bson.A{}
	for i := 0; i < len(xy); i += 2 {
		a = append(a, bson.A{xy[i], xy[i+1]})
	}
	return a
}
