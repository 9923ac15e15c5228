package differential_test

import (
	"context"
	"math"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"
)

// fault is a known difference between SecantusDB, the server for development,
// and MongoDB. The matcher does what MongoDB documents. A fault counts only on a
// server that has it: one that answers its example as documented must agree with
// the matcher on everything of its shape, too.
type fault struct {
	name       string
	documented string // what MongoDB does
	condition  string // the smallest example
	document   string
	matches    bool // as MongoDB answers the example

	// shape says whether a minimised pair can differ for this reason alone.
	shape func(condition, document bson.D) bool
	// reword puts a condition that the server refuses into other words of the
	// same meaning.
	reword func(condition bson.D) (bson.D, bool)
	// fails says whether the server can fail over a pair instead of answering.
	fails func(condition, document bson.D) bool
}

// has says whether the server has the fault.
func (f *fault) has(ctx context.Context, s *server) (bool, error) {
	c, err := s.keep(ctx, []bson.D{parsed(f.document)})
	if err != nil {
		return false, err
	}
	defer func() { _ = c.Drop(ctx) }()
	found, err := find(ctx, c, parsed(f.condition))
	if f.reword != nil || f.fails != nil {
		return err != nil, ctx.Err()
	}
	return found[0] != f.matches, err
}

func parsed(json string) bson.D {
	var d bson.D
	if err := bson.UnmarshalExtJSON([]byte(json), false, &d); err != nil {
		panic(json + ": " + err.Error())
	}
	return d
}

// faults is the table.
var faults = []*fault{
	{
		name:       "a fractional remainder in $mod",
		documented: "$mod rounds decimal input towards zero, so 1.9 asks for 1",
		condition:  `{"a": {"$mod": [3, 1.9]}}`, document: `{"a": 1}`, matches: true,
		shape: func(condition, _ bson.D) bool {
			name, operand := soleOperator(condition)
			if name != "$mod" {
				return false
			}
			remainder, ok := operand.(bson.A)[1].(float64)
			return ok && remainder != math.Trunc(remainder)
		},
	},
	{
		name:       "$mod of an array as a whole",
		documented: "an array that is itself an element, or that is reached by its position, is compared as a whole, and $mod takes numbers",
		condition:  `{"a.0": {"$mod": [3, 1]}}`, document: `{"a": [[1]]}`, matches: false,
		shape: func(condition, document bson.D) bool {
			name, _ := soleOperator(condition)
			return name == "$mod" && arrayWithin(document, isArray)
		},
	},
	{
		name:       "$mod of large numbers",
		documented: "$mod divides whole numbers of 64 bits, and numbers beyond leave nothing",
		condition:  `{"a": {"$mod": [2, 1]}}`, document: `{"a": 9007199254740993}`, matches: true,
		shape: func(condition, document bson.D) bool {
			name, _ := soleOperator(condition)
			return name == "$mod" && contains(document, beyondExact)
		},
	},
	{
		name:       "null at array positions that do not exist",
		documented: "a path into an array yields its documents' fields and, for a number, the element at that position; an array without either yields nothing, and null is equal to nothing",
		condition:  `{"a.0": null}`, document: `{"a": []}`, matches: false,
		shape: func(condition, document bson.D) bool {
			path, ok := asksForNull(condition)
			return ok && endsInEmptyArray(document, strings.Split(path, "."))
		},
	},
	{
		name:       "$elemMatch with fields and arrays within the array",
		documented: "the query of $elemMatch is asked of each element that is a document or an array, whose positions are its fields",
		condition:  `{"a": {"$elemMatch": {"0": 1}}}`, document: `{"a": [[1]]}`, matches: true,
		shape: func(condition, document bson.D) bool {
			name, operand := soleOperator(condition)
			query, _ := operand.(bson.D)
			return name == "$elemMatch" && aboutFields(query) && arrayWithin(document, isArray)
		},
	},
	{
		name:       "$elemMatch that begins with a logical operator",
		documented: "$elemMatch takes a query, and a query may consist of $or, $and or $nor",
		condition:  `{"a": {"$elemMatch": {"$or": [{"b": 1}]}}}`, document: `{"a": [{"b": 1}]}`, matches: true,
		reword: func(condition bson.D) (bson.D, bool) {
			again, changed := elementsByField(condition)
			return again.(bson.D), changed // a document stays one
		},
	},
	{
		name:       "places in an array that begins with a number",
		documented: "a query of an array is fulfilled by one of its elements",
		condition:  `{"a": {"$geoWithin": {"$box": [[0, 0], [2, 2]]}}}`, document: `{"a": [5, [1, 1]]}`, matches: true,
		shape: func(condition, document bson.D) bool {
			name, _ := soleOperator(condition)
			return name == "$geoWithin" && arrayWithin(document, func(v any) bool { return isArray(v) || isDocument(v) })
		},
	},
	{
		name:       "coordinates that are no finite numbers",
		documented: "coordinates are finite numbers; what is none is no place",
		condition:  `{"a": {"$geoWithin": {"$geometry": {"type": "Polygon", "coordinates": [[[0, 0], [3, 3], [0, 3], [0, 0]]]}}}}`,
		document:   `{"a": [{"$numberDouble": "Infinity"}, 1]}`, matches: false,
		shape: func(condition, document bson.D) bool {
			name, _ := soleOperator(condition)
			return name == "$geoWithin" && contains(document, notFinite)
		},
	},
	{
		name:       "places on the border of a shape",
		documented: "a geometry lies entirely within a shape also where it touches the border",
		condition:  `{"a": {"$geoWithin": {"$geometry": {"type": "Polygon", "coordinates": [[[0, 0], [3, 3], [0, 3], [0, 0]]]}}}}`,
		document:   `{"a": [0, 2]}`, matches: true,
		shape: func(condition, document bson.D) bool {
			name, operand := soleOperator(condition)
			return name == "$geoWithin" && contains(document, func(place any) bool { return onBorder(operand, place) })
		},
	},
	{
		name:       "places on a sloped edge of $polygon",
		documented: "not documented; MongoDB counts the edges to the right of a place, so of sloped edges those on the right side belong to the polygon",
		condition:  `{"a": {"$geoWithin": {"$polygon": [[0, 0], [2, 4], [4, 0]]}}}`, document: `{"a": [1, 2]}`, matches: false,
		shape: func(condition, document bson.D) bool {
			name, operand := soleOperator(condition)
			return name == "$geoWithin" && containsName(operand, "$polygon") && contains(document, func(place any) bool { return onBorder(operand, place) })
		},
	},
	{
		name:       "pairs as documents of any names",
		documented: "a legacy coordinate pair is an array or a document { <field1>: <x>, <field2>: <y> }",
		condition:  `{"a": {"$geoWithin": {"$box": [[0, 0], [2, 2]]}}}`, document: `{"a": {"b": 1, "c": 1}}`, matches: true,
		shape: func(condition, document bson.D) bool {
			name, _ := soleOperator(condition)
			return name == "$geoWithin" && contains(document, func(v any) bool {
				_, pair := coordinates(v)
				return pair && isDocument(v)
			})
		},
	},
	{
		name:       "pairs with more than two values",
		documented: "a pair may have further values, as a GeoJSON position has a height; they do not matter",
		condition:  `{"a": {"$geoWithin": {"$box": [[0, 0], [2, 2]]}}}`, document: `{"a": [1, 1, 1]}`, matches: true,
		shape: func(condition, document bson.D) bool {
			name, _ := soleOperator(condition)
			return name == "$geoWithin" && contains(document, func(v any) bool {
				_, pair := coordinates(v)
				a, _ := v.(bson.A)
				return pair && len(a) > 2
			})
		},
	},
	{
		name:       "truth values as coordinates",
		documented: "coordinates are numbers",
		condition:  `{"a": {"$geoWithin": {"$box": [[0, 0], [2, 2]]}}}`, document: `{"a": [1, true]}`, matches: false,
		shape: func(condition, document bson.D) bool {
			name, _ := soleOperator(condition)
			return name == "$geoWithin" && arrayWithin(document, isTruth)
		},
	},
	{
		name:       "decimals as coordinates",
		documented: "coordinates are numbers, of which decimals are a type",
		condition:  `{"a": {"$geoWithin": {"$box": [[0, 0], [2, 2]]}}}`, document: `{"a": [{"$numberDecimal": "1"}, 1]}`, matches: true,
		shape: func(condition, document bson.D) bool {
			name, _ := soleOperator(condition)
			return name == "$geoWithin" && contains(document, isDecimal)
		},
	},
	{
		name:       "doubles beside decimals",
		documented: "a double is equal to a decimal only if both have the same exact value: 9.99 is not Decimal128(\"9.99\") (data types of mongosh)",
		condition:  `{"a": {"$numberDecimal": "0.1"}}`, document: `{"a": 0.1}`, matches: false,
		shape: func(condition, document bson.D) bool {
			return contains(condition, isDecimal) && contains(document, isDouble) || contains(condition, isDouble) && contains(document, isDecimal)
		},
	},
	{
		name:       "null in $all",
		documented: "$all is an $and of its values, so null in it is fulfilled by an absent field",
		condition:  `{"a.b": {"$all": [null]}}`, document: `{}`, matches: true,
		shape: func(condition, _ bson.D) bool {
			name, operand := soleOperator(condition)
			return name == "$all" && operand == nil
		},
	},
	{
		name:       "an array in $all",
		documented: "$all is an $and of its values, so an array in it is fulfilled by that array as a whole, too",
		condition:  `{"a": {"$all": [[]]}}`, document: `{"a": []}`, matches: true,
		shape: func(condition, document bson.D) bool {
			name, _ := soleOperator(condition)
			return name == "$all" && contains(document, isArray) && contains(condition, func(v any) bool {
				d, _ := v.(bson.D)
				return len(d) == 1 && d[0].Key == "$all" && slices.ContainsFunc(d[0].Value.(bson.A), isArray)
			})
		},
	},
	{
		name:       "infinite coordinates and $centerSphere",
		documented: "coordinates are finite numbers; what is none is no place",
		condition:  `{"a": {"$geoWithin": {"$centerSphere": [[3, 1], 1]}}}`, document: `{"a": [{"$numberDouble": "Infinity"}, 1]}`, matches: false,
		fails: func(condition, document bson.D) bool {
			return containsName(condition, "$centerSphere") && contains(document, notFinite)
		},
	},
	{
		name:       "a MultiPoint and $centerSphere",
		documented: "a GeoJSON object lies within a shape when all of it does",
		condition:  `{"a": {"$geoWithin": {"$centerSphere": [[3, 1], 1]}}}`, document: `{"a": {"type": "MultiPoint", "coordinates": [[1, 1], [2, 2]]}}`, matches: true,
		fails: func(condition, document bson.D) bool {
			return containsName(condition, "$centerSphere") && contains(document, func(v any) bool { return v == "MultiPoint" })
		},
	},
	{
		name:       "pairs that are not on the earth",
		documented: "longitudes are between -180 and 180, latitudes between -90 and 90, both included (legacy coordinate pairs)",
		condition:  `{"a": {"$geoWithin": {"$centerSphere": [[3, 1], 1]}}}`, document: `{"a": [363, 1]}`, matches: false,
		shape: func(condition, document bson.D) bool {
			name, _ := soleOperator(condition)
			return name == "$geoWithin" && contains(document, beyondDegrees)
		},
	},
	{
		name:       "the order of binary values",
		documented: "binary values are compared by their length, then their subtype, then byte by byte (comparison and sort order)",
		condition:  `{"a": {"$lt": {"$binary": {"base64": "", "subType": "80"}}}}`,
		document:   `{"a": {"$binary": {"base64": "", "subType": "04"}}}`, matches: true,
		shape: func(condition, document bson.D) bool {
			name, operand := soleOperator(condition)
			return slices.Contains([]string{"$gt", "$gte", "$lt", "$lte"}, name) && contains(operand, isBinary) && contains(document, isBinary)
		},
	},
}

// elementsByField puts a field that no element has before the logical operator
// with which an $elemMatch begins; its absence changes nothing.
func elementsByField(v any) (any, bool) {
	changed := false
	switch v := v.(type) {
	case bson.D:
		out := make(bson.D, 0, len(v))
		for _, e := range v {
			inner, c := elementsByField(e.Value)
			changed = changed || c
			if d, ok := inner.(bson.D); ok && e.Key == "$elemMatch" && len(d) > 0 && (d[0].Key == "$or" || d[0].Key == "$and" || d[0].Key == "$nor") {
				inner = append(bson.D{{Key: "surely_absent", Value: bson.D{{Key: "$exists", Value: false}}}}, d...)
				changed = true
			}
			out = append(out, bson.E{Key: e.Key, Value: inner})
		}
		return out, changed
	case bson.A:
		out := make(bson.A, 0, len(v))
		for _, e := range v {
			inner, c := elementsByField(e)
			changed = changed || c
			out = append(out, inner)
		}
		return out, changed
	default:
		return v, false
	}
}

// soleOperator is the one operator that a condition comes to, with its operand,
// when there is but one: what is around it ($and, $or, $nor, $not, $all and an
// $elemMatch of operators) is looked through.
func soleOperator(condition bson.D) (name string, operand any) {
	_, v, ok := soleClause(condition)
	for ok {
		if list, is := v.(bson.A); is && name == "$all" && len(list) == 1 {
			v = list[0]
		}
		operators, is := v.(bson.D)
		if !is || len(operators) != 1 || !strings.HasPrefix(operators[0].Key, "$") {
			break
		}
		name, v = operators[0].Key, operators[0].Value
		if name != "$not" && name != "$all" && (name != "$elemMatch" || aboutFields(v)) {
			break
		}
	}
	return name, v
}

// aboutFields says whether the operand of $elemMatch is a query, not operators.
func aboutFields(v any) bool {
	d, ok := v.(bson.D)
	return ok && (len(d) == 0 || !strings.HasPrefix(d[0].Key, "$") || slices.Contains([]string{"$and", "$or", "$nor"}, d[0].Key))
}

// soleClause is the only clause of a condition, if it has but one.
func soleClause(condition bson.D) (path string, value any, ok bool) {
	for {
		if len(condition) != 1 {
			return "", nil, false
		}
		e := condition[0]
		list, logical := e.Value.(bson.A)
		if !strings.HasPrefix(e.Key, "$") || !logical {
			return e.Key, e.Value, true
		}
		if len(list) != 1 {
			return "", nil, false
		}
		inner, is := list[0].(bson.D)
		if !is {
			return "", nil, false
		}
		condition = inner
	}
}

// asksForNull says whether a condition is about one field that is or is not
// null, or beyond the least or the greatest of all values: what is absent is.
func asksForNull(condition bson.D) (path string, ok bool) {
	path, v, ok := soleClause(condition)
	for ok {
		operators, is := v.(bson.D)
		if !is || len(operators) != 1 {
			break
		}
		v = operators[0].Value
		if operators[0].Key == "$not" {
			continue
		}
		if list, is := v.(bson.A); is && len(list) == 1 {
			v = list[0]
		}
		break
	}
	switch v.(type) {
	case nil, primitive.Null, primitive.MinKey, primitive.MaxKey:
		return path, ok
	default:
		return path, false
	}
}

// endsInEmptyArray says whether a path of a document ends early, at an array
// where it asks for a position, and that array has nothing.
func endsInEmptyArray(v any, parts []string) bool {
	switch v := v.(type) {
	case bson.D:
		for _, e := range v {
			if e.Key == parts[0] && len(parts) > 1 {
				return endsInEmptyArray(e.Value, parts[1:])
			}
		}
	case bson.A:
		position := strings.Trim(parts[0], "0123456789") == ""
		if len(v) == 0 {
			return position
		}
		for _, e := range v {
			if endsInEmptyArray(e, parts) {
				return true
			}
		}
	}
	return false
}
