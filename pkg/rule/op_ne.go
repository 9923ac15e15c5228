package rule

import "go.mongodb.org/mongo-driver/bson"

var opNe = operator{
	name: "$ne",
	doc: "The opposite of $eq: neither the field nor any element of the array it holds is equal to the value. " +
		"It also matches events without the field, unless the value is null.",
	field: func(c *compiler, p *path, arg value, o operand) node {
		if arg.t == bson.TypeRegex {
			c.refuse(o.at, "$ne takes no regular expression; use {\"$not\": {\"$regex\": …}}")
			return nil
		}
		return not(c.leaf(p, c.equality(arg, o.at), o.at))
	},
	must: beValue,
	hint: nullHint,
}

// not negates a node that compiled.
func not(n node) node {
	if n == nil {
		return nil
	}
	return negate{n}
}
