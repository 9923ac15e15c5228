package rule

import (
	"math"

	"go.mongodb.org/mongo-driver/bson"
)

var opMod = operator{
	name: "$mod",
	doc: "The number, or an element of the array the field holds, divided by the first of two numbers leaves the second: {$mod: [4, 0]}. " +
		"Fractions are cut off on all sides, so 4.5 leaves 0; the remainder has the sign of the field's number. NaN, infinities and what 64 bits do not hold leave nothing.",
	field: func(c *compiler, p *path, arg value, o operand) node {
		var operands [2]int64
		n := 0
		ok := arg.t == bson.TypeArray
		for it := elementsOf(arg.b); ok; n++ {
			_, v, more := it.next()
			if !more {
				break
			}
			if n < len(operands) {
				if operands[n], ok = truncated(v); !ok {
					c.refuse(o.at.at(n), "$mod takes numbers that 64 bits hold")
					return nil
				}
			}
		}
		switch {
		case !ok || n != len(operands):
			c.refuse(o.at, "$mod takes a list of two numbers, the divisor and the remainder")
			return nil
		case operands[0] == 0:
			c.refuse(o.at.at(0), "$mod cannot divide by 0; fractions of the divisor are cut off")
			return nil
		default:
			return c.leaf(p, &modulo{divisor: operands[0], remainder: operands[1]}, o.at)
		}
	},
	must: func(arg value, _ []byte) string {
		it := elementsOf(arg.b)
		_, divisor, _ := it.next()
		_, remainder, _ := it.next()
		return "leave " + shortValue(remainder) + " when divided by " + shortValue(divisor)
	},
	hint: func(_, v value) string {
		if v.t == missing || v.class() == classNumber {
			return ""
		}
		return "it is no number"
	},
}

// modulo holds for numbers that leave the remainder.
type modulo struct{ divisor, remainder int64 }

func (p *modulo) test(v value, _ *meter) bool {
	i, ok := truncated(v)
	return ok && i%p.divisor == p.remainder
}

// truncated is a number without its fraction, if 64 bits hold that.
func truncated(v value) (int64, bool) {
	switch v.t {
	case bson.TypeInt32, bson.TypeInt64:
		return integer(v)
	case bson.TypeDouble:
		f := math.Trunc(float(v))
		if !(math.MinInt64 <= f && f < math.MaxInt64) { // also NaN; the upper constant rounds up to 2^63
			return 0, false
		}
		return int64(f), true
	case bson.TypeDecimal128:
		return decimalOf(v).truncated()
	default:
		return 0, false
	}
}
