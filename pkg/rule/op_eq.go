package rule

import "go.mongodb.org/mongo-driver/bson"

var opEq = operator{
	name: "$eq",
	doc: "The field, or an element of the array it holds, is equal to the value; {field: value} is short for it. " +
		"null also matches a field that is absent; numbers are equal across their types; documents are equal with the same fields in the same order; a regular expression is compared as a value.",
	field: func(c *compiler, p *path, arg value, o operand) node {
		return c.leaf(p, c.equality(arg, o.at), o.at)
	},
	must: beValue,
	hint: equalHint,
}

// equality is the predicate "equal to the operand".
func (c *compiler) equality(operand value, at *place) predicate {
	if operand.t == bson.TypeUndefined {
		c.refuse(at, "nothing can be compared with undefined")
		return nil
	}
	return &equal{operand: operand, class: operand.class()}
}

// equal holds for values equal to the operand.
type equal struct {
	operand value
	class   class
}

func (p *equal) test(v value, _ *meter) bool {
	if c := v.class(); c != p.class {
		return c == classMissing && p.class == classNull
	}
	return compareWithin(p.class, v, p.operand) == 0
}
