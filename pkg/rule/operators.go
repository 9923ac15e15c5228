package rule

import (
	"maps"
	"slices"
)

//go:generate go run ./internal/conditions CONDITIONS.md

// operator is one entry of the condition language. Its file has its meaning,
// testdata/operators has its cases.
type operator struct {
	name string
	// doc is its line in the documentation.
	doc string
	// field compiles {path: {name: arg}}; nil where the operator cannot stand
	// there. No node and no refusal means that a neighbour does the work.
	field func(c *compiler, p *path, arg value, o operand) node
	// query compiles {name: arg} in place of a field.
	query func(c *compiler, arg value, at *place) node
	// must completes "the field must …" for explanations of a comparison; that
	// of a negation ($ne) completes what no value may: "be 5". The operators
	// around the argument are given for $options.
	must func(arg value, beside []byte) string
	// hint is what surprises people about a value for which it does not hold;
	// nil or "" for nothing.
	hint func(arg, v value) string
}

// operators is the table. It is a function because the operators compile their
// operands by it.
func operators() []operator {
	return []operator{
		opEq, opNe, opGt, opGte, opLt, opLte,
		opIn, opNin,
		opExists, opType,
		opRegex, opOptions,
		opMod, opSize,
		opAll, opElemMatch,
		opGeoWithin,
		opAnd, opOr, opNor, opNot,
		opComment,
	}
}

// Operator is an operator of the condition language, for documentation.
type Operator struct{ Name, Doc string }

// Operators are all operators that a condition may use.
func Operators() []Operator {
	var all []Operator
	for _, op := range operators() {
		all = append(all, Operator{Name: op.name, Doc: op.doc})
	}
	return all
}

// Unsupported are the operators that MongoDB has and a condition cannot use,
// each with the reason, by name.
func Unsupported() []Operator {
	var all []Operator
	for _, name := range slices.Sorted(maps.Keys(unsupported)) {
		all = append(all, Operator{Name: name, Doc: unsupported[name]})
	}
	return all
}

// unsupported are the operators that MongoDB has and a condition cannot use,
// with the reason.
var unsupported = map[string]string{
	"$where":            "it runs code in the database, a rule only compares",
	"$function":         "it runs code in the database, a rule only compares",
	"$expr":             "a rule compares fields with values, not with each other",
	"$jsonSchema":       "schemas belong to the event types (configs/schemas)",
	"$text":             "text search is GET /api/v1/events/search",
	"$near":             "it sorts by distance, a rule only says yes or no",
	"$nearSphere":       "it sorts by distance, a rule only says yes or no",
	"$geoIntersects":    "only points can be matched; use $geoWithin",
	"$bitsAllClear":     "bits cannot be matched",
	"$bitsAllSet":       "bits cannot be matched",
	"$bitsAnyClear":     "bits cannot be matched",
	"$bitsAnySet":       "bits cannot be matched",
	"$rand":             "a rule gives the same answer every time",
	"$sampleRate":       "a rule gives the same answer every time",
	"$alwaysTrue":       "the empty condition {} is always true",
	"$alwaysFalse":      "a rule that never matches is switched off by enabled: false",
	"$ref":              "database references are not supported",
	"$id":               "database references are not supported",
	"$db":               "database references are not supported",
	"$query":            "only the condition itself is given",
	"$orderby":          "a rule has no order",
	"$meta":             "a rule has no projection",
	"$slice":            "a rule has no projection",
	"$maxDistance":      "it belongs to $near, which sorts by distance",
	"$minDistance":      "it belongs to $near, which sorts by distance",
	"$geometry":         aShape,
	"$centerSphere":     aShape,
	"$center":           aShape,
	"$box":              aShape,
	"$polygon":          aShape,
	"$uniqueDocs":       "it is deprecated",
	"$within":           "it is deprecated; the name is $geoWithin",
	"$_internalExpr":    "it is MongoDB's own",
	"$_internalPath":    "it is MongoDB's own",
	"$numberDecimal":    "it is extended JSON that was not read as such",
	"$date":             "it is extended JSON that was not read as such",
	"$oid":              "it is extended JSON that was not read as such",
	"$numberLong":       "it is extended JSON that was not read as such",
	"$caseSensitive":    "it belongs to $text; use $regex with $options",
	"$search":           "it belongs to $text",
	"$language":         "it belongs to $text",
	"$encStrStartsWith": "it is MongoDB's own",
}

const aShape = "it belongs into $geoWithin"

// operator finds an operator or says why there is none.
func (c *compiler) operator(name string, at *place) *operator {
	if op, ok := c.table[name]; ok {
		return op
	}
	if reason, ok := unsupported[name]; ok {
		c.refuse(at, "the operator %s is not supported: %s; supported are %s", name, reason, c.names)
		return nil
	}
	if near := c.closest(name); near != "" {
		c.refuse(at, "there is no operator %s, did you mean %s? Supported are %s", name, near, c.names)
		return nil
	}
	c.refuse(at, "there is no operator %s; supported are %s", name, c.names)
	return nil
}
