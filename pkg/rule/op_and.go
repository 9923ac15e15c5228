package rule

import "go.mongodb.org/mongo-driver/bson"

var opAnd = operator{
	name: "$and",
	doc:  "All of the conditions in the list hold.",
	query: func(c *compiler, arg value, at *place) node {
		nodes := c.list("$and", arg, at)
		if nodes == nil {
			return nil
		}
		return conjunction(nodes)
	},
}

// list compiles the operand of a logical operator; nil means that it was
// refused.
func (c *compiler) list(name string, arg value, at *place) []node {
	if arg.t != bson.TypeArray {
		c.refuse(at, "%s takes a list of conditions", name)
		return nil
	}
	before := len(c.problems)
	var nodes []node
	it := elementsOf(arg.b)
	for i := 0; ; i++ {
		_, v, more := it.next()
		if !more {
			break
		}
		if v.t != bson.TypeEmbeddedDocument {
			c.refuse(at.at(i), "%s takes conditions, each a document", name)
			continue
		}
		nodes = append(nodes, c.query(v.b, at.at(i)))
	}
	if nodes == nil && len(c.problems) == before {
		c.refuse(at, "%s takes at least one condition", name)
	}
	return nodes
}
