package rule

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"go.mongodb.org/mongo-driver/bson"
)

// sentence is the text of one comparison.
type sentence struct {
	path     string // in the whole document
	must     string // "be >= 7"
	negative bool   // no value may
	matched  bool
	values   []found
	decides  int // the value that alone decides, or -1
	hint     string
}

// absent says that there are several places where a value could be, and none is
// there.
func (s sentence) absent() bool {
	return len(s.values) > 1 && !slices.ContainsFunc(s.values, func(f found) bool { return f.v.t != missing })
}

func (s sentence) String() string {
	var b strings.Builder
	absent := s.absent()
	switch {
	case absent:
		b.WriteString(s.path + " is missing")
	case len(s.values) == 1:
		b.WriteString(s.values[0].at + " is " + described(s.values[0].v))
	case s.decides >= 0:
		b.WriteString(s.values[s.decides].at + " is " + described(s.values[s.decides].v))
	default:
		b.WriteString(s.path + " " + listed(s.values, s.path))
	}
	b.WriteString(map[bool]string{true: ", and ", false: ", but "}[s.matched])
	switch many := len(s.values) != 1 && !absent; {
	case many && s.negative:
		b.WriteString("none may ")
	case many:
		b.WriteString("one must ")
	case s.negative:
		b.WriteString("must not ")
	default:
		b.WriteString("must ")
	}
	b.WriteString(s.must)
	if s.hint != "" {
		b.WriteString(": " + s.hint)
	}
	return b.String()
}

// listed are the values of a path in a line. The array at its end, which is
// compared as a whole, too, is left out beside its elements.
func listed(values []found, path string) string {
	const most = 5
	if n := len(values); n > 1 && values[n-1].at == path && values[n-1].v.t == bson.TypeArray {
		values = values[:n-1]
	}
	if len(values) == 0 {
		return "leads to nothing"
	}
	var parts []string
	for i, f := range values {
		if i == most && len(values) > most+1 {
			parts = append(parts, fmt.Sprintf("%d more", len(values)-most))
			break
		}
		parts = append(parts, described(f.v))
	}
	last := len(parts) - 1
	if last == 0 {
		return "has one value, " + parts[0]
	}
	return fmt.Sprintf("has %d values, %s and %s", len(values), strings.Join(parts[:last], ", "), parts[last])
}

// described is a value with its type.
func described(v value) string {
	switch v.t {
	case missing:
		return "missing"
	case bson.TypeNull:
		return "null"
	case bson.TypeArray:
		if countOf(v) == 0 {
			return "an empty array"
		}
	}
	return shortValue(v) + " (" + typeName(v.t) + ")"
}

// The texts of what joins clauses. Where one clause is to blame it speaks.

func textOfAnd(clauses []Explanation) string {
	fails := len(clauses) - holding(clauses)
	switch {
	case len(clauses) == 0:
		return "there is nothing to fulfil"
	case len(clauses) == 1:
		return clauses[0].Text
	case fails == 0:
		return fmt.Sprintf("all %d clauses hold", len(clauses))
	case fails == 1:
		return first(clauses, false).Text
	default:
		return fmt.Sprintf("%s (%d of %d clauses fail)", first(clauses, false).Text, fails, len(clauses))
	}
}

func textOfOr(clauses []Explanation) string {
	switch {
	case len(clauses) == 1:
		return clauses[0].Text
	case holding(clauses) > 0:
		return first(clauses, true).Text
	default:
		texts := make([]string, len(clauses))
		for i := range clauses {
			texts[i] = clauses[i].Text
		}
		const most = 3
		if len(texts) > most {
			texts = append(texts[:most], fmt.Sprintf("and %d more", len(clauses)-most))
		}
		return fmt.Sprintf("none of %d alternatives holds: %s", len(clauses), strings.Join(texts, "; "))
	}
}

func textOfNor(clauses []Explanation) string {
	if holding(clauses) > 0 {
		return textOfOpposite(first(clauses, true), "$nor")
	}
	if len(clauses) == 1 {
		return textOfOpposite(&clauses[0], "$nor")
	}
	return fmt.Sprintf("none of the %d conditions of $nor holds", len(clauses))
}

func textOfNot(clauses []Explanation) string {
	if len(clauses) == 1 {
		return textOfOpposite(&clauses[0], "$not")
	}
	hold := holding(clauses) == len(clauses)
	return textOfOpposite(&Explanation{Text: textOfAnd(clauses), Matched: hold}, "$not")
}

// textOfOpposite is what an operator says of a clause whose opposite it asks for.
func textOfOpposite(e *Explanation, operator string) string {
	if e.opposite != "" {
		return e.opposite + " (" + operator + ")"
	}
	return e.Text + map[bool]string{true: ", but ", false: ", and "}[e.Matched] + operator + " asks for the opposite"
}

func first(clauses []Explanation, matched bool) *Explanation {
	for i := range clauses {
		if clauses[i].Matched == matched {
			return &clauses[i]
		}
	}
	return &Explanation{}
}

func textOfElemMatch(path string, e *Explanation, values []found, elements int, closest closestElement) string {
	switch {
	case e.Matched && len(e.Clauses[0].Clauses) == 1:
		return e.Clauses[0].Path + " fulfils it: " + e.Clauses[0].Text
	case e.Matched:
		return e.Clauses[0].Path + " fulfils all of it"
	case elements == 1:
		return "the one element of " + path + " does not fulfil all of it: " + closest.text
	case elements > 0:
		return fmt.Sprintf("none of the %d elements of %s fulfils all of it; the closest: %s", elements, path, closest.text)
	case len(values) == 1:
		return values[0].at + " is " + described(values[0].v) + ", but must be an array with an element that fulfils it"
	default:
		return path + " " + listed(values, path) + ", but one must be an array with an element that fulfils it"
	}
}

// comparison says "be >= 7".
func comparison(symbol string) func(arg value, _ []byte) string {
	return func(arg value, _ []byte) string { return "be " + symbol + " " + shortValue(arg) }
}

func beValue(arg value, _ []byte) string { return "be " + shortValue(arg) }

func beOneOf(arg value, _ []byte) string { return "be one of " + alternatives(arg) }

// alternatives are the members of a list, or a value that may stand for one.
func alternatives(list value) string {
	const most = 8
	if list.t != bson.TypeArray {
		return shortValue(list)
	}
	var texts []string
	n := 0
	eachElement(list, func(_ string, v value) {
		if n++; n <= most {
			texts = append(texts, shortValue(v))
		}
	})
	switch {
	case n == 0:
		return "no values"
	case n > most:
		return strings.Join(texts, ", ") + fmt.Sprintf(" and %d more", n-most)
	case n == 1:
		return texts[0]
	default:
		return strings.Join(texts[:n-1], ", ") + " or " + texts[n-1]
	}
}

// Hints.

const absentIsNull = "an absent field counts as null"

func nullHint(arg, v value) string {
	if v.t == missing && (arg.t == bson.TypeNull || hasNull(arg)) {
		return absentIsNull
	}
	return ""
}

func hasNull(list value) bool {
	has := false
	if list.t == bson.TypeArray {
		eachElement(list, func(_ string, v value) { has = has || v.t == bson.TypeNull })
	}
	return has
}

func equalHint(arg, v value) string {
	switch {
	case v.t == missing:
		return nullHint(arg, v)
	case v.class() == classString && arg.class() == classString:
		return textHint(arg.text(), v.text())
	case v.t == bson.TypeEmbeddedDocument && arg.t == bson.TypeEmbeddedDocument:
		return "a document is compared as a whole, with all its fields in their order; one field is asked for by its path"
	case v.class() == arg.class() || v.t == bson.TypeArray:
		return ""
	case arg.t == bson.TypeNull:
		return ""
	default:
		return typeName(v.t) + " and " + typeName(arg.t) + " are never equal" + dateHint(arg, v)
	}
}

// dateHint says how a date is written, to whom has written it as text.
func dateHint(arg, v value) string {
	if v.t == bson.TypeDateTime && arg.class() == classString {
		return `; a date is written {"$date": "2006-01-02T15:04:05Z"}`
	}
	return ""
}

func textHint(want, got []byte) string {
	switch {
	case bytes.EqualFold(want, got):
		return "only upper and lower case differ"
	case bytes.Equal(bytes.TrimFunc(want, unicode.IsSpace), bytes.TrimFunc(got, unicode.IsSpace)):
		return "only white space at an end differs"
	default:
		return ""
	}
}

func memberHint(arg, v value) string {
	if v.t == missing {
		return nullHint(arg, v)
	}
	hint, same := "", false
	eachElement(arg, func(_ string, m value) {
		same = same || m.class() == v.class()
		if h := equalHint(m, v); h != "" && m.class() == v.class() {
			hint = h
		}
	})
	if !same && countOf(arg) > 0 && v.t != bson.TypeArray {
		return "none of them is of type " + typeName(v.t)
	}
	return hint
}

func orderHint(arg, v value) string {
	if v.t == missing || v.t == bson.TypeArray || v.class() == arg.class() {
		if v.class() == classNumber && (isNaN(v) || isNaN(arg)) {
			return "NaN is neither more nor less than any number"
		}
		return ""
	}
	return typeName(v.t) + " and " + typeName(arg.t) + " are never compared" + dateHint(arg, v)
}

// absence says why a path leads nowhere: the last part of it that is there, and
// a name there that may be meant.
func absence(doc []byte, p *path, at string) string {
	for i, part := range p.parts {
		v := field(doc, part.name)
		if v.t == missing {
			if near := closestField(doc, part.name); near != "" {
				return "there is " + joined(at, near)
			}
			if i == 0 || i == len(p.parts)-1 {
				return ""
			}
			return at + " has no " + part.name
		}
		at = joined(at, part.name)
		if v.t == bson.TypeArray {
			return fmt.Sprintf("%s is an array of %d elements", at, countOf(v))
		}
		if v.t != bson.TypeEmbeddedDocument {
			return at + " is " + described(v) + ", no document"
		}
		doc = v.b
	}
	return ""
}

func closestField(doc []byte, name string) string {
	var names []string
	for it := elementsOf(doc); ; {
		key, _, more := it.next()
		if !more {
			return closest(strings.ToLower(name), names)
		}
		names = append(names, string(key))
	}
}

func shortDate(v value) string {
	return time.UnixMilli(v.int64()).UTC().Format("2006-01-02T15:04:05.999Z")
}

// plain is a number or id without the marks of extended JSON.
func plain(v value) string {
	switch v.t {
	case bson.TypeInt64:
		return strconv.FormatInt(v.int64(), 10)
	case bson.TypeDouble:
		return strconv.FormatFloat(float(v), 'g', -1, 64)
	default:
		raw := bson.RawValue{Type: v.t, Value: v.b}
		if id, ok := raw.ObjectIDOK(); ok {
			return id.Hex()
		}
		return raw.Decimal128().String()
	}
}
