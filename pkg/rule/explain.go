package rule

import (
	"encoding/json"

	"go.mongodb.org/mongo-driver/bson"
)

// Explanation says of one clause of a condition whether a document fulfils it,
// and why. A whole condition is the $and of its clauses.
type Explanation struct {
	// Path is the field as the condition names it; within $elemMatch it is one
	// of the element. Logical operators have none.
	Path     string `json:"path,omitempty"`
	Operator string `json:"operator"`
	// Expected is the operand in relaxed extended JSON.
	Expected json.RawMessage `json:"expected,omitempty"`
	// Actual are the values that the path leads to, the first few of many; the
	// one that decides is always among them. A path that leads nowhere has one
	// value of type "missing".
	Actual []Actual `json:"actual,omitempty"`
	// More is how many values are left out.
	More    int  `json:"more,omitempty"`
	Matched bool `json:"matched"`
	// Text says all of it in one line.
	Text string `json:"text"`
	// Clauses are the parts of $and, $or, $nor, $not, $all and $elemMatch. Those
	// of $elemMatch are its array's elements, each with the clauses for it.
	Clauses []Explanation `json:"clauses,omitempty"`

	// opposite is Text for who asks for the opposite, "" when there is no better
	// word than that.
	opposite string
}

// Actual is one value of the document.
type Actual struct {
	At   string `json:"at"`   // payload.items.2.sku
	Type string `json:"type"` // MongoDB's name of the BSON type, or "missing"
	// Value is relaxed extended JSON, absent when it is missing or too long.
	Value json.RawMessage `json:"value,omitempty"`
	// Decides: it alone makes the clause hold, or, of a clause that says what no
	// value may be, fail.
	Decides bool `json:"decides,omitempty"`
}

// Bounds of an explanation, which is read by people.
const (
	mostActual   = 10
	mostElements = 10
	mostValue    = 1024 // bytes of JSON
)

// Explain says why a document fulfils the condition or not, clause by clause.
// Its verdict is Match's.
func (c *Condition) Explain(doc bson.Raw) Explanation {
	x := explainer{newCompiler()}
	return x.query(c.raw, scene{doc: doc})
}

// explainer compiles clause by clause what has compiled as a whole before.
type explainer struct{ compiler *compiler }

// scene is what is explained: a document, or an element by itself.
type scene struct {
	at      string // its path in the whole document
	doc     []byte
	element value
	single  bool
}

func (s scene) holds(n node) bool {
	if s.single {
		return n.single(s.element, nil)
	}
	return n.match(s.doc, nil)
}

// query explains a query document.
func (x *explainer) query(query []byte, s scene) Explanation {
	e := Explanation{Operator: opAnd.name}
	for it := elementsOf(query); ; {
		key, v, more := it.next()
		if !more {
			break
		}
		switch name := string(key); name {
		case opComment.name:
		case opAnd.name, opOr.name, opNor.name:
			e.Clauses = append(e.Clauses, x.logical(name, v, s))
		default:
			e.Clauses = append(e.Clauses, x.field(newPath(name), v, s)...)
		}
	}
	e.Matched = holding(e.Clauses) == len(e.Clauses)
	e.Text = textOfAnd(e.Clauses)
	if len(e.Clauses) == 1 {
		e.opposite = e.Clauses[0].opposite
	}
	return e
}

func holding(clauses []Explanation) int {
	n := 0
	for i := range clauses {
		n += b2i(clauses[i].Matched)
	}
	return n
}

func (x *explainer) logical(name string, list value, s scene) Explanation {
	e := Explanation{Operator: name}
	eachElement(list, func(_ string, v value) { e.Clauses = append(e.Clauses, x.query(v.b, s)) })
	switch hold := holding(e.Clauses); name {
	case opAnd.name:
		e.Matched, e.Text = hold == len(e.Clauses), textOfAnd(e.Clauses)
	case opOr.name:
		e.Matched, e.Text = hold > 0, textOfOr(e.Clauses)
	default:
		e.Matched, e.Text = hold == 0, textOfNor(e.Clauses)
	}
	return e
}

// field explains {path: v}.
func (x *explainer) field(p *path, v value, s scene) []Explanation {
	switch {
	case v.t == bson.TypeEmbeddedDocument && isOperators(v.b):
		return x.operators(p, v.b, s)
	case v.t == bson.TypeRegex:
		return []Explanation{x.clause(p, &opRegex, v, v.b, s)}
	default:
		return []Explanation{x.clause(p, &opEq, v, v.b, s)}
	}
}

func (x *explainer) operators(p *path, doc []byte, s scene) []Explanation {
	var all []Explanation
	for it := elementsOf(doc); ; {
		key, arg, more := it.next()
		if !more {
			return all
		}
		switch op := x.compiler.table[string(key)]; op.name {
		case opOptions.name: // part of $regex
		case opNot.name:
			all = append(all, x.not(p, arg, s))
		case opAll.name:
			all = append(all, x.all(p, arg, s))
		case opElemMatch.name:
			all = append(all, x.elemMatch(p, arg, s))
		default:
			all = append(all, x.clause(p, op, arg, doc, s))
		}
	}
}

func (x *explainer) not(p *path, arg value, s scene) Explanation {
	e := Explanation{Path: p.name, Operator: opNot.name, Expected: valueJSON(arg)}
	if arg.t == bson.TypeRegex {
		e.Clauses = []Explanation{x.clause(p, &opRegex, arg, nil, s)}
	} else {
		e.Clauses = x.operators(p, arg.b, s)
	}
	hold := holding(e.Clauses) == len(e.Clauses)
	e.Matched, e.Text = !hold, textOfNot(e.Clauses)
	return e
}

// all explains $all as what it is short for, a clause for each value.
func (x *explainer) all(p *path, list value, s scene) Explanation {
	e := Explanation{Path: p.name, Operator: opAll.name, Expected: valueJSON(list)}
	eachElement(list, func(_ string, v value) {
		if isElemMatch(v) {
			e.Clauses = append(e.Clauses, x.operators(p, v.b, s)...)
			return
		}
		e.Clauses = append(e.Clauses, x.field(p, v, s)...)
	})
	e.Matched = e.Clauses != nil && holding(e.Clauses) == len(e.Clauses)
	e.Text = textOfAnd(e.Clauses)
	if e.Clauses == nil {
		e.Text = "an empty $all never holds"
	}
	return e
}

// elemMatch explains the first element that fulfils it; when there is none, the
// first few, each with what it lacks.
func (x *explainer) elemMatch(p *path, arg value, s scene) Explanation {
	e := Explanation{Path: p.name, Operator: opElemMatch.name, Expected: valueJSON(arg)}
	values := x.values(p, s, true)
	count, lack := 0, closestElement{}
	for _, array := range values {
		e.Actual = append(e.Actual, array.actual(false))
		if e.Matched || array.v.t != bson.TypeArray {
			continue
		}
		eachElement(array.v, func(key string, v value) {
			count++
			if e.Matched {
				return
			}
			one := x.elementOf(arg, scene{at: joined(array.at, key), element: v})
			if one.Matched {
				e.Matched, e.Clauses = true, []Explanation{one}
				e.Actual[len(e.Actual)-1].Decides = true
				return
			}
			lack.consider(one)
			if len(e.Clauses) < mostElements {
				e.Clauses = append(e.Clauses, one)
			} else {
				e.More++
			}
		})
	}
	if e.Matched {
		e.More = 0
	}
	e.Actual, e.More = few(e.Actual), e.More+max(0, len(e.Actual)-mostActual)
	e.Text = textOfElemMatch(joined(s.at, p.name), &e, values, count, lack)
	if e.Matched {
		e.opposite = e.Clauses[0].Path + " fulfils what no element may: " + e.Clauses[0].Text
	}
	return e
}

// elementOf explains one element: by itself, or by its fields.
func (x *explainer) elementOf(arg value, s scene) Explanation {
	e := Explanation{Operator: opAnd.name}
	switch {
	case x.compiler.aboutElement(arg.b):
		s.single = true
		e.Clauses = x.operators(elementPath, arg.b, s)
		e.Matched, e.Text = holding(e.Clauses) == len(e.Clauses), textOfAnd(e.Clauses)
	case s.element.t == bson.TypeEmbeddedDocument || s.element.t == bson.TypeArray:
		s.doc = s.element.b
		e = x.query(arg.b, s)
	default:
		e.Text = s.at + " is " + described(s.element) + ", but must be a document"
	}
	e.Path = s.at
	return e
}

// elementPath stands for an element itself.
var elementPath = &path{}

// closestElement is the element that lacks least.
type closestElement struct {
	fails int
	text  string
}

func (c *closestElement) consider(e Explanation) {
	if fails := len(e.Clauses) - holding(e.Clauses); c.text == "" || e.Clauses != nil && fails < c.fails {
		c.fails, c.text = fails, e.Text
		if e.Clauses == nil {
			c.fails = maxClauses
		}
	}
}
