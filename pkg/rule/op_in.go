package rule

import (
	"slices"

	"go.mongodb.org/mongo-driver/bson"
)

var opIn = operator{
	name: "$in",
	doc: "The field, or an element of the array it holds, is equal to one of the values or matches one of the regular expressions in the list. " +
		"null in the list also matches a field that is absent.",
	field: func(c *compiler, p *path, arg value, o operand) node {
		return c.leaf(p, c.membership("$in", arg, o.at), o.at)
	},
	must: beOneOf,
	hint: memberHint,
}

// membership is the predicate "in the list".
func (c *compiler) membership(name string, arg value, at *place) predicate {
	if arg.t != bson.TypeArray {
		c.refuse(at, "%s takes a list of values", name)
		return nil
	}
	m := &member{}
	ok := true
	it := elementsOf(arg.b)
	for i := 0; ; i++ {
		_, v, more := it.next()
		if !more {
			break
		}
		switch {
		case v.t == bson.TypeRegex:
			if r := c.regexValue(v, at.at(i)); r != nil {
				m.regexes = append(m.regexes, r)
			} else {
				ok = false
			}
		case v.t == bson.TypeEmbeddedDocument && isOperators(v.b):
			c.refuse(at.at(i), "%s takes values, not operators; a regular expression in it is {\"$regularExpression\": {\"pattern\": …, \"options\": …}}", name)
			ok = false
		default:
			m.values = append(m.values, v)
			m.null = m.null || v.t == bson.TypeNull
		}
	}
	if !ok {
		return nil
	}
	m.index()
	return m
}

// member holds for values that are in a list, or match one of its regular
// expressions.
type member struct {
	values  []value // sorted, distinct
	texts   map[string]struct{}
	regexes []*regex
	null    bool
}

// smallList is up to where looking at each value beats a map.
const smallList = 8

func (p *member) index() {
	slices.SortFunc(p.values, compare)
	p.values = slices.CompactFunc(p.values, func(a, b value) bool { return compare(a, b) == 0 })
	if len(p.values) <= smallList {
		return
	}
	p.texts = make(map[string]struct{}, len(p.values))
	for _, v := range p.values {
		if v.class() == classString {
			p.texts[view(v.text())] = struct{}{}
		}
	}
}

func (p *member) test(v value, m *meter) bool {
	switch v.class() {
	case classMissing:
		return p.null
	case classString:
		if p.holdsText(v.text()) {
			return true
		}
	default:
		if _, ok := slices.BinarySearchFunc(p.values, v, compare); ok {
			return true
		}
	}
	for _, r := range p.regexes {
		if r.test(v, m) {
			return true
		}
	}
	return false
}

func (p *member) holdsText(text []byte) bool {
	if p.texts != nil {
		_, ok := p.texts[view(text)]
		return ok
	}
	for i := range p.values {
		if p.values[i].class() == classString && string(p.values[i].text()) == string(text) {
			return true
		}
	}
	return false
}
