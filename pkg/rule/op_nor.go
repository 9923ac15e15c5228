package rule

var opNor = operator{
	name: "$nor",
	doc:  "None of the conditions in the list holds.",
	query: func(c *compiler, arg value, at *place) node {
		nodes := c.list("$nor", arg, at)
		if nodes == nil {
			return nil
		}
		return negate{anyOf(nodes)}
	},
}
