package rule

import (
	"regexp"

	"go.mongodb.org/mongo-driver/bson"
)

var opRegex = operator{
	name: "$regex",
	doc: "The text, or an element of the array the field holds, matches the regular expression, which is text with $options beside it or a regular expression value. " +
		"It runs in linear time (RE2): no look-around, no back-references, no possessive quantifiers.",
	field: func(c *compiler, p *path, arg value, o operand) node {
		pattern, options, ok := c.regexOperands(arg, o)
		if !ok {
			return nil
		}
		return c.regexLeaf(p, c.regex(pattern, options, o.at), o.at)
	},
	must: func(arg value, beside []byte) string {
		pattern, options := string(arg.text()), string(field(beside, "$options").text())
		if arg.t == bson.TypeRegex {
			p, o := arg.regex()
			pattern, options = string(p), string(o)+options
		}
		return "match /" + pattern + "/" + options
	},
	hint: func(arg, v value) string {
		switch {
		case v.t == missing:
			return ""
		case v.class() != classString:
			return "only text is searched"
		}
		pattern := string(arg.text())
		if arg.t == bson.TypeRegex {
			p, _ := arg.regex()
			pattern = string(p)
		}
		if folded, err := regexp.Compile("(?i)" + pattern); err == nil && folded.Match(v.text()) {
			return "only upper and lower case differ, which the option i ignores"
		}
		return ""
	},
}

// regexOperands joins $regex with the $options beside it.
func (c *compiler) regexOperands(arg value, o operand) (pattern, options string, ok bool) {
	beside := field(o.doc, "$options")
	switch arg.t {
	case bson.TypeString, bson.TypeSymbol:
		pattern = string(arg.text())
	case bson.TypeRegex:
		p, opts := arg.regex()
		pattern, options = string(p), string(opts)
		if options != "" && beside.t != missing {
			c.refuse(o.at, "the options are both in the regular expression and in $options")
			return "", "", false
		}
	default:
		c.refuse(o.at, "$regex takes text or a regular expression")
		return "", "", false
	}
	if beside.t == bson.TypeString {
		options = string(beside.text())
	}
	return pattern, options, true
}
