package rule

import "go.mongodb.org/mongo-driver/bson"

var opAll = operator{
	name: "$all",
	doc: "Each of the values is equal to the field or to an element of the array it holds, as $eq would have it for each; a regular expression in the list must match one. " +
		"A list of $elemMatch asks for an element that fulfils each of them. An empty list matches nothing.",
	field: func(c *compiler, p *path, arg value, o operand) node {
		if arg.t != bson.TypeArray {
			c.refuse(o.at, "$all takes a list of values")
			return nil
		}
		var nodes []node
		ok, elements := true, false
		it := elementsOf(arg.b)
		for i := 0; ; i++ {
			_, v, more := it.next()
			if !more {
				break
			}
			if i == 0 {
				elements = isElemMatch(v)
			}
			n := c.allMember(p, v, elements, o.at.at(i))
			ok = ok && n != nil
			nodes = append(nodes, n)
		}
		switch {
		case !ok:
			return nil
		case nodes == nil:
			return anyOf(nil)
		default:
			return conjunction(nodes)
		}
	},
}

func isElemMatch(v value) bool {
	if v.t != bson.TypeEmbeddedDocument {
		return false
	}
	it := elementsOf(v.b)
	key, _, _ := it.next()
	return string(key) == opElemMatchName
}

// allMember compiles one value in the list of $all; nil when it was refused.
func (c *compiler) allMember(p *path, v value, elements bool, at *place) node {
	switch {
	case elements && isElemMatch(v):
		it := elementsOf(v.b)
		_, arg, _ := it.next()
		if len(it.rest) > 0 {
			c.refuse(at, "nothing stands beside $elemMatch in the list of $all")
			return nil
		}
		return c.elemMatch(p, arg, operand{doc: v.b, at: at.in(opElemMatchName)})
	case elements:
		c.refuse(at, "the list of $all begins with $elemMatch, so all of it must be $elemMatch")
		return nil
	case v.t == bson.TypeRegex:
		return c.regexLeaf(p, c.regexValue(v, at), at)
	case v.t == bson.TypeEmbeddedDocument && isOperators(v.b):
		c.refuse(at, "$all takes values, or nothing but $elemMatch; a regular expression in it is {\"$regularExpression\": {\"pattern\": …, \"options\": …}}")
		return nil
	default:
		return c.leaf(p, c.equality(v, at), at)
	}
}
