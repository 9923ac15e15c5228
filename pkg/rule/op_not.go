package rule

import "go.mongodb.org/mongo-driver/bson"

var opNot = operator{
	name: "$not",
	doc:  "The operators, or the regular expression, do not hold for the field. It also matches events without the field.",
	field: func(c *compiler, p *path, arg value, o operand) node {
		if o.at.depth > maxDepth {
			c.refuse(o.at, "nested deeper than %d levels", maxDepth)
			return nil
		}
		switch arg.t {
		case bson.TypeRegex:
			return not(c.regexLeaf(p, c.regexValue(arg, o.at), o.at))
		case bson.TypeEmbeddedDocument:
			before := len(c.problems)
			nodes := c.expression(p, arg, o.at)
			if len(nodes) == 0 {
				if len(c.problems) == before {
					c.refuse(o.at, "$not takes at least one operator")
				}
				return nil
			}
			return not(conjunction(nodes))
		default:
			c.refuse(o.at, "$not takes operators or a regular expression")
			return nil
		}
	},
}
