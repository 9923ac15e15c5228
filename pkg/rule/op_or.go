package rule

var opOr = operator{
	name: "$or",
	doc:  "At least one of the conditions in the list holds.",
	query: func(c *compiler, arg value, at *place) node {
		switch nodes := c.list("$or", arg, at); len(nodes) {
		case 0:
			return nil
		case 1:
			return nodes[0]
		default:
			return anyOf(nodes)
		}
	},
}
