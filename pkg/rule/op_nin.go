package rule

var opNin = operator{
	name: "$nin",
	doc: "The opposite of $in: neither the field nor any element of the array it holds is in the list. " +
		"It also matches events without the field, unless null is in the list.",
	field: func(c *compiler, p *path, arg value, o operand) node {
		return not(c.leaf(p, c.membership("$nin", arg, o.at), o.at))
	},
	must: beOneOf,
	hint: nullHint,
}
