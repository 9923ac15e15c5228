package rule

import (
	"strings"

	"go.mongodb.org/mongo-driver/bson"
)

const opElemMatchName = "$elemMatch"

var opElemMatch = operator{
	name: opElemMatchName,
	doc: "One and the same element of the array that the field holds fulfils all of it. With operators, {$elemMatch: {$gt: 1, $lt: 5}}, the element itself is compared; " +
		"with fields or $and, $or, $nor, {$elemMatch: {sku: \"A\", qty: {$gt: 2}}}, the element is a document (or an array, whose positions are its fields).",
	field: func(c *compiler, p *path, arg value, o operand) node { return c.elemMatch(p, arg, o) },
}

// elemMatch compiles {path: {$elemMatch: arg}}; nil when it was refused.
func (c *compiler) elemMatch(p *path, arg value, o operand) node {
	switch {
	case arg.t != bson.TypeEmbeddedDocument:
		c.refuse(o.at, "$elemMatch takes a document of conditions or operators")
		return nil
	case o.at.depth > maxDepth:
		c.refuse(o.at, "nested deeper than %d levels", maxDepth)
		return nil
	case c.aboutElement(arg.b):
		nodes := c.expression(p, arg, o.at)
		if len(nodes) == 0 { // refused, or a lone $options
			return nil
		}
		return c.wholeLeaf(p, &elementValue{conjunction(nodes)}, o.at)
	default:
		return c.wholeLeaf(p, &elementFields{c.query(arg.b, o.at)}, o.at)
	}
}

// aboutElement says whether the operand has operators for the element itself:
// as in MongoDB its first name decides, and $and and its kin are about fields.
func (c *compiler) aboutElement(doc []byte) bool {
	it := elementsOf(doc)
	key, _, _ := it.next()
	if !strings.HasPrefix(view(key), "$") {
		return false
	}
	op, known := c.table[string(key)]
	return !known || op.query == nil
}

// elementValue holds for arrays with an element that fulfils the operators.
type elementValue struct{ node }

func (p *elementValue) test(v value, m *meter) bool {
	if v.t != bson.TypeArray {
		return false
	}
	for it := elementsOf(v.b); ; {
		_, e, more := it.next()
		if !more || !m.take(1) {
			return false
		}
		if p.single(e, m) {
			return true
		}
	}
}

// elementFields holds for arrays with an element whose fields fulfil the query.
type elementFields struct{ node }

func (p *elementFields) test(v value, m *meter) bool {
	if v.t != bson.TypeArray {
		return false
	}
	for it := elementsOf(v.b); ; {
		_, e, more := it.next()
		if !more || !m.take(1) {
			return false
		}
		if (e.t == bson.TypeEmbeddedDocument || e.t == bson.TypeArray) && p.match(e.b, m) {
			return true
		}
	}
}
