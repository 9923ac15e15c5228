package rule

import "go.mongodb.org/mongo-driver/bson"

var opExists = operator{
	name: "$exists",
	doc:  "true: the field is there, also when it is null. false: it is absent.",
	field: func(c *compiler, p *path, arg value, o operand) node {
		var there bool
		switch arg.t {
		case bson.TypeBoolean:
			there = arg.isTrue()
		case bson.TypeInt32, bson.TypeInt64, bson.TypeDouble, bson.TypeDecimal128:
			f, exact := exactFloat(arg)
			there = !exact || f != 0
		case bson.TypeNull:
		default: // MongoDB takes any of these for true, "false" too
			c.refuse(o.at, "$exists takes true or false")
			return nil
		}
		n := c.leaf(p, present{}, o.at)
		if !there {
			n = not(n)
		}
		return n
	},
	must: func(value, []byte) string { return "be there" },
	hint: func(_, v value) string {
		if v.t == bson.TypeNull {
			return "null is a value"
		}
		return ""
	},
}

// present holds for every value that is there.
type present struct{}

func (present) test(v value, _ *meter) bool { return v.t != missing }
