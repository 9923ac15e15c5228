package rule

import "go.mongodb.org/mongo-driver/bson"

var opOptions = operator{
	name: "$options",
	doc:  "Beside $regex: i ignores case; m lets ^ and $ match at every line; s lets . match a line's end; x ignores white space and #comments in the pattern.",
	field: func(c *compiler, _ *path, arg value, o operand) node {
		switch {
		case field(o.doc, "$regex").t == missing:
			c.refuse(o.at, "$options needs a $regex beside it")
		case arg.t != bson.TypeString:
			c.refuse(o.at, "$options takes text")
		}
		return nil
	},
}
