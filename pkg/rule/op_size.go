package rule

import (
	"math"
	"strconv"

	"go.mongodb.org/mongo-driver/bson"
)

var opSize = operator{
	name: "$size",
	doc:  "The field holds an array of exactly that many elements; ranges are not possible, {\"items.9\": {\"$exists\": true}} asks for ten or more.",
	field: func(c *compiler, p *path, arg value, o operand) node {
		n, ok := truncated(arg)
		if f, exact := plainNumber(arg); !ok || !exact || f != float64(n) || n < 0 || n > math.MaxInt32 {
			c.refuse(o.at, "$size takes a whole number, 0 or more")
			return nil
		}
		return c.wholeLeaf(p, sized(n), o.at)
	},
	must: func(arg value, _ []byte) string { return "be an array of " + shortValue(arg) + " elements" },
	hint: func(_, v value) string {
		if v.t != bson.TypeArray {
			return ""
		}
		return "it has " + strconv.Itoa(countOf(v))
	},
}

// sized holds for arrays of that many elements.
type sized int

func (p sized) test(v value, m *meter) bool {
	if v.t != bson.TypeArray {
		return false
	}
	n := 0
	for it := elementsOf(v.b); n <= int(p); n++ {
		if _, _, more := it.next(); !more {
			break
		}
	}
	return m.take(n) && n == int(p)
}
