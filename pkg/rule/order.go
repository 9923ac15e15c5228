package rule

import "go.mongodb.org/mongo-driver/bson"

// relation is one of the four ordered comparisons.
type relation uint8

const (
	greater relation = iota
	greaterOrEqual
	less
	lessOrEqual
)

// ordering compiles {path: {$gt: arg}} and its kin.
func ordering(name string, r relation) func(c *compiler, p *path, arg value, o operand) node {
	return func(c *compiler, p *path, arg value, o operand) node {
		if arg.t == bson.TypeRegex {
			c.refuse(o.at, "%s cannot compare with a regular expression", name)
			return nil
		}
		return c.leaf(p, &ordered{
			operand: arg, class: arg.class(), relation: r,
			nan: arg.class() == classNumber && isNaN(arg),
		}, o.at)
	}
}

// ordered holds for values of the operand's class that stand in the relation to
// it (type bracketing: a comparison never holds between classes).
type ordered struct {
	operand  value
	class    class
	relation relation
	nan      bool // the operand is NaN, which only NaN is equal to
}

func (p *ordered) test(v value, _ *meter) bool {
	inclusive := p.relation == greaterOrEqual || p.relation == lessOrEqual
	if c := v.class(); c != p.class {
		switch p.class {
		case classNull:
			return c == classMissing && inclusive
		case classMinKey: // all else is greater, also what is absent
			return p.relation == greater || p.relation == greaterOrEqual
		case classMaxKey:
			return p.relation == less || p.relation == lessOrEqual
		default:
			return false
		}
	}
	if p.class == classNumber {
		if nan := isNaN(v); nan || p.nan {
			return nan && p.nan && inclusive
		}
	}
	x := compareWithin(p.class, v, p.operand)
	switch p.relation {
	case greater:
		return x > 0
	case greaterOrEqual:
		return x >= 0
	case less:
		return x < 0
	default:
		return x <= 0
	}
}
