package querygen

import (
	"math"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"
)

// Day is the first of the few dates.
var Day = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

// value is any value up to a depth.
func (g Generator) value(depth int) any {
	switch n := g.IntN(24); {
	case n < 7:
		return g.number()
	case n < 11:
		return g.text()
	case n < 12:
		return nil
	case n < 13:
		return pick(g, true, false)
	case n < 14:
		return Day.Add(time.Duration(g.IntN(3)) * time.Hour)
	case n < 15:
		return g.rare()
	case n < 16:
		return g.point()
	case n < 20 && depth > 0:
		return g.array(depth - 1)
	case depth > 0:
		return g.Document(depth - 1)
	default:
		return g.number()
	}
}

// number is of any of the four types, often the same number in several.
func (g Generator) number() any {
	switch g.IntN(12) {
	case 0:
		return pick(g, math.NaN(), math.Inf(1), math.Inf(-1), math.Copysign(0, -1))
	case 1:
		return pick(g, decimal("0.1"), decimal("NaN"), decimal("-Infinity"), decimal("9007199254740993"), decimal("1.0"), decimal("2E0"), decimal("-3.5"))
	case 2:
		return pick[any](g, int64(math.MaxInt64), int64(math.MinInt64), int64(1<<53+1), float64(1<<53), int64(1<<53), float64(math.MaxInt64), 0.1, 1e300)
	case 3:
		return g.Float64() * 4
	case 4:
		return pick[any](g, -1, int64(-2), -2.5, 7, 8)
	case 5, 6:
		return int64(g.IntN(5))
	case 7:
		return float64(g.IntN(5))
	default:
		return int32(g.IntN(5))
	}
}

func decimal(s string) primitive.Decimal128 {
	d, err := primitive.ParseDecimal128(s)
	if err != nil {
		panic(err)
	}
	return d
}

func (g Generator) text() string {
	return pick(g, "", "a", "ab", "abc", "b", "B", "x\n", "a b", "PAY-404", "é", "\x00", "a\nb")
}

// rare is of a type that events seldom have.
func (g Generator) rare() any {
	switch g.IntN(7) {
	case 0, 1:
		return primitive.ObjectID{11: byte(g.IntN(3))}
	case 2:
		return primitive.Timestamp{T: uint32(g.IntN(2)), I: 1 + uint32(g.IntN(2))} // the server replaces 0, 0 by the time of the insert
	case 3, 4:
		return primitive.Binary{Subtype: pick[byte](g, 0, 4, 0x80), Data: []byte("0123456789abcdef")[:pick(g, 0, 1, 16)]}
	case 5:
		return g.regex()
	default:
		return pick[any](g, primitive.MinKey{}, primitive.MaxKey{}, primitive.JavaScript("a"))
	}
}

// coordinate is one of few, so that points often lie on borders and corners.
func (g Generator) coordinate() any { return pick[any](g, 0, 1, 2, 3, 4, 2.0, 0.5, int64(3), 10, -1) }

func (g Generator) pair() bson.A { return bson.A{g.coordinate(), g.coordinate()} }

// point is a place in one of its forms, sometimes broken.
func (g Generator) point() any {
	switch g.IntN(10) {
	case 0, 1:
		return g.pair()
	case 8:
		return bson.D{{Key: "type", Value: pick(g, "LineString", "MultiPoint")}, {Key: "coordinates", Value: bson.A{g.pair(), g.pair()}}}
	case 9:
		return bson.D{{Key: "type", Value: "Polygon"}, {Key: "coordinates", Value: bson.A{bson.A{bson.A{1, 1}, g.pair(), g.pair(), bson.A{1, 1}}}}}
	case 2:
		return bson.D{{Key: "lng", Value: g.coordinate()}, {Key: "lat", Value: g.coordinate()}}
	case 3:
		return bson.D{{Key: "type", Value: pick(g, "Point", "point", "Circle")}, {Key: "coordinates", Value: pick[any](g, g.pair(), bson.A{1}, bson.A{200, 1}, bson.A{"a", 1}, 5)}}
	default:
		return bson.D{{Key: "type", Value: "Point"}, {Key: "coordinates", Value: g.pair()}}
	}
}

func (g Generator) array(depth int) bson.A {
	a := bson.A{}
	for range g.IntN(4) {
		a = append(a, g.value(depth))
	}
	return a
}

func (g Generator) regex() primitive.Regex {
	return primitive.Regex{
		Pattern: pick(g, "^a", "b", "^(a|PAY)", "b$", "^A B$", "^$", "x", "[ab]c", `^PAY-[45]\d\d`, "é", "É", "", `\s`, "a.b", `^b`, "a b # c"),
		Options: pick(g, "", "", "", "i", "m", "s", "x", "im", "imsx"),
	}
}
