package rule

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"

	"go.mongodb.org/mongo-driver/bson"
)

// found is a value of the document and where it stands.
type found struct {
	at string
	v  value
}

// values are those that the path leads to.
func (x *explainer) values(p *path, s scene, whole bool) []found {
	if s.single {
		return []found{{s.at, s.element}}
	}
	var all []found
	t := tour{whole: whole, visit: func(trail []string, v value) { all = append(all, found{joined(s.at, trail...), v}) }}
	t.document(s.doc, p.parts, nil)
	return all
}

// clause explains one comparison.
func (x *explainer) clause(p *path, op *operator, arg value, doc []byte, s scene) Explanation {
	e := Explanation{Path: p.name, Operator: op.name, Expected: valueJSON(arg)}
	n := op.field(x.compiler, p, arg, operand{doc: doc})
	e.Matched = s.holds(n)
	not, negative := n.(negate)
	if negative {
		n = not.node
	}
	l := n.(*leaf) //nolint:forcetypeassert // an operator is one comparison, or the opposite of one
	values := x.values(p, s, l.whole)
	decides := -1
	for i, f := range values {
		if l.pred.test(f.v, nil) {
			decides = i
			break
		}
	}
	for i, f := range values {
		if len(e.Actual) < mostActual-1 || i == decides || i == len(values)-1 && decides < len(e.Actual) {
			e.Actual = append(e.Actual, f.actual(i == decides))
		}
	}
	e.More = len(values) - len(e.Actual)
	text := sentence{
		path: joined(s.at, p.name), must: op.must(arg, doc), negative: negative,
		matched: e.Matched, values: values, decides: decides,
	}
	if s.single {
		text.path = s.at
	}
	opposite := text
	opposite.negative, opposite.matched = !negative, !e.Matched
	e.opposite = opposite.String()
	switch {
	case len(values) == 1:
		text.hint = hint(op, arg, values[0].v, p, s, e.Matched != negative)
	case e.Matched:
	case text.absent():
		text.hint = absence(s.doc, p, s.at)
	case op.name == opEq.name && arg.t == bson.TypeArray:
		text.hint = "an array is compared as a whole, in its order"
	}
	e.Text = text.String()
	return e
}

// hint is what else there is to say about the one value of a path: why it is
// missing, or why the comparison came out as it did.
func hint(op *operator, arg, v value, p *path, s scene, holds bool) string {
	if op.hint != nil && (!holds || v.t == missing || v.t == bson.TypeNull) {
		if text := op.hint(arg, v); text != "" {
			return text
		}
	}
	if v.t == missing && !s.single && !holds {
		return absence(s.doc, p, s.at)
	}
	return ""
}

func (f found) actual(decides bool) Actual {
	return Actual{At: f.at, Type: typeName(f.v.t), Value: valueJSON(f.v), Decides: decides}
}

func few(actual []Actual) []Actual { return actual[:min(len(actual), mostActual)] }

// valueJSON is a value in relaxed extended JSON; nil for a missing one and for
// one that is too long to be read.
func valueJSON(v value) json.RawMessage {
	b := fullJSON(v)
	if len(b) > mostValue {
		return nil
	}
	return b
}

func fullJSON(v value) json.RawMessage {
	if v.t == missing {
		return nil
	}
	b, err := bson.MarshalExtJSON(bson.D{{Key: "v", Value: bson.RawValue{Type: v.t, Value: v.b}}}, false, false)
	if err != nil {
		return nil
	}
	return bytes.TrimSuffix(bytes.TrimPrefix(b, []byte(`{"v":`)), []byte{'}'})
}

// shortValue is a value as people read it in a line.
func shortValue(v value) string {
	const most = 80
	switch v.t {
	case bson.TypeDateTime:
		return shortDate(v)
	case bson.TypeObjectID, bson.TypeDecimal128, bson.TypeInt64, bson.TypeDouble:
		return plain(v)
	}
	text := string(fullJSON(v))
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	return string([]rune(text)[:most]) + "…"
}
