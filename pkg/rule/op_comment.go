package rule

import "go.mongodb.org/mongo-driver/bson"

var opComment = operator{
	name: "$comment",
	doc:  "A remark; it changes nothing and is kept.",
	query: func(c *compiler, arg value, _ *place) node {
		if arg.t == bson.TypeString && c.comment == "" {
			c.comment = string(arg.text())
		}
		return nil
	},
}
