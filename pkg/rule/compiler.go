package rule

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.mongodb.org/mongo-driver/bson"
)

// What a condition may cost. A condition is written by people and kept in one
// document; these bound what a hostile one does to compiler and matcher.
const (
	// maxConditionBytes leaves room for a list of ten thousand ids in $in.
	maxConditionBytes = 256 << 10
	// maxDepth bounds every recursion, over operators and over operands.
	maxDepth = 32
	// maxClauses bounds the comparisons of one condition.
	maxClauses = 1000
	// maxPathParts bounds a walk: each position in a path that is also a
	// field's name doubles its ways.
	maxPathParts = 32
	// maxProblems is where listing mistakes stops to help.
	maxProblems = 50
)

// compiler turns one query document after another into nodes. Rules of a set
// share it and thereby their regular expressions.
type compiler struct {
	table    map[string]*operator
	names    string // of the table, for refusals
	regexes  map[regexKey]*regex
	problems []*CompileError
	clauses  int
	comment  string
}

func newCompiler() *compiler {
	ops := operators()
	c := &compiler{table: make(map[string]*operator, len(ops)), regexes: map[regexKey]*regex{}}
	for i := range ops {
		c.table[ops[i].name] = &ops[i]
		c.names += " " + ops[i].name
	}
	c.names = c.names[1:]
	return c
}

// place is where the compiler is: a JSON pointer that is only written out when
// there is something to say.
type place struct {
	up      *place
	key     string
	depth   int
	pointer bool // key is a whole pointer
}

func (p *place) in(key string) *place {
	if p == nil {
		return &place{key: key, depth: 1}
	}
	return &place{up: p, key: key, depth: p.depth + 1}
}

// raw is the place that a JSON pointer leads to from here.
func (p *place) raw(pointer string) *place {
	here := p.in(pointer)
	here.pointer = true
	return here
}

// below is the place as seen from one of those above it.
func (p *place) below(keys []string) (*place, bool) {
	var path []string
	for at := p; at != nil; at = at.up {
		path = append(path, at.key)
	}
	slices.Reverse(path)
	if len(path) < len(keys) || !slices.Equal(path[:len(keys)], keys) {
		return nil, false
	}
	var rest *place
	for _, key := range path[len(keys):] {
		rest = rest.in(key)
	}
	return rest, true
}

func (p *place) at(i int) *place { return p.in(strconv.Itoa(i)) }

var pointerEscape = strings.NewReplacer("~", "~0", "/", "~1")

func (p *place) String() string {
	if p == nil {
		return ""
	}
	if p.pointer {
		return p.up.String() + p.key
	}
	return p.up.String() + "/" + pointerEscape.Replace(p.key)
}

func (c *compiler) refuse(at *place, format string, args ...any) {
	if len(c.problems) < maxProblems {
		c.problems = append(c.problems, &CompileError{Path: at.String(), Reason: fmt.Sprintf(format, args...)})
	}
}

// condition compiles one whole condition.
func (c *compiler) condition(raw bson.Raw) (*Condition, error) {
	c.problems, c.clauses, c.comment = nil, 0, ""
	cond := &Condition{raw: slices.Clone(raw)}
	switch {
	case len(raw) == 0:
		c.refuse(nil, "a condition is a document, {} matches every event")
	case len(raw) > maxConditionBytes:
		c.refuse(nil, "a condition has at most %d bytes, this one %d", maxConditionBytes, len(raw))
	case c.wellFormed(cond.raw, false, nil):
		cond.root = c.query(cond.raw, nil)
		cond.comment = c.comment
	}
	if len(c.problems) > 0 {
		first := *c.problems[0]
		first.More = c.problems[1:]
		return nil, &first
	}
	return cond, nil
}

// wellFormed goes through every nested document before anything else does: the
// bytes must be BSON to the last one, not too deep, no name twice in a
// document, all text UTF-8.
func (c *compiler) wellFormed(doc []byte, array bool, at *place) bool {
	if at != nil && at.depth > maxDepth*2 {
		c.refuse(at, "nested deeper than %d levels", maxDepth*2)
		return false
	}
	it := elementsOf(doc)
	whole := it.rest != nil
	ok := true
	var names []string
	for {
		key, v, more := it.next()
		if !more {
			break
		}
		name := view(key)
		if !utf8.Valid(key) {
			c.refuse(at, "a name is not UTF-8")
			return false
		}
		if !array {
			names = append(names, name)
		}
		ok = c.wellFormedValue(v, at.in(name)) && ok
	}
	if !whole || len(it.rest) > 0 || int(value{b: doc}.int32()) != len(doc) || doc[len(doc)-1] != 0 {
		c.refuse(at, "is not valid BSON")
		return false
	}
	return c.distinct(names, at) && ok
}

func (c *compiler) wellFormedValue(v value, at *place) bool {
	switch v.t {
	case bson.TypeEmbeddedDocument, bson.TypeArray:
		return c.wellFormed(v.b, v.t == bson.TypeArray, at)
	case bson.TypeString, bson.TypeSymbol, bson.TypeJavaScript:
		if !utf8.Valid(v.text()) || v.b[len(v.b)-1] != 0 {
			c.refuse(at, "text is not UTF-8")
			return false
		}
	case bson.TypeUndefined, bson.TypeDBPointer, bson.TypeCodeWithScope:
		c.refuse(at, "the deprecated BSON type %s is not supported", v.t)
		return false
	}
	return true
}

func (c *compiler) distinct(names []string, at *place) bool {
	if len(names) < 2 {
		return true
	}
	if len(names) > 16 {
		slices.Sort(names)
	}
	for i, name := range names {
		var twice bool
		if len(names) > 16 {
			twice = i > 0 && names[i-1] == name
		} else {
			twice = slices.Contains(names[:i], name)
		}
		if twice {
			c.refuse(at.in(name), "is there twice; MongoDB would silently use one of them (join them by $and)")
			return false
		}
	}
	return true
}

// query compiles a query document: every element must hold.
func (c *compiler) query(doc []byte, at *place) node {
	if at != nil && at.depth > maxDepth {
		c.refuse(at, "nested deeper than %d levels", maxDepth)
		return allOf(nil)
	}
	var nodes []node
	for it := elementsOf(doc); ; {
		key, v, more := it.next()
		if !more {
			return conjunction(nodes)
		}
		name := string(key)
		here := at.in(name)
		if strings.HasPrefix(name, "$") {
			nodes = c.append(nodes, c.topLevel(name, v, here))
			continue
		}
		if p := c.path(name, here); p != nil {
			nodes = c.append(nodes, c.fieldValue(p, v, here))
		}
	}
}

func (c *compiler) append(nodes []node, n node) []node {
	if n == nil {
		return nodes
	}
	return append(nodes, n)
}

// topLevel compiles {$name: v} where a field could stand.
func (c *compiler) topLevel(name string, v value, at *place) node {
	op := c.operator(name, at)
	switch {
	case op == nil:
		return nil
	case op.query == nil:
		c.refuse(at, "%s belongs into a field's value: {\"field\": {%q: …}}", name, name)
		return nil
	default:
		return op.query(c, v, at)
	}
}

// path checks a field path.
func (c *compiler) path(name string, at *place) *path {
	p := newPath(name)
	if len(p.parts) > maxPathParts {
		c.refuse(at, "a path has at most %d parts", maxPathParts)
		return nil
	}
	for _, part := range p.parts {
		switch {
		case part.name == "":
			c.refuse(at, "a part of the path %q is empty", name)
			return nil
		case part.name[0] == '$':
			c.refuse(at, "a part of the path %q begins with $; no stored field does", name)
			return nil
		}
	}
	return p
}

// fieldValue compiles {path: v}: a document of operators, or what the field
// must be equal to.
func (c *compiler) fieldValue(p *path, v value, at *place) node {
	if v.t == bson.TypeEmbeddedDocument && isOperators(v.b) {
		return conjunction(c.expression(p, v, at))
	}
	if v.t == bson.TypeRegex {
		return c.regexLeaf(p, c.regexValue(v, at), at)
	}
	return c.leaf(p, c.equality(v, at), at)
}

// isOperators says whether a document is an expression: its first name decides,
// as in MongoDB.
func isOperators(doc []byte) bool {
	it := elementsOf(doc)
	key, _, ok := it.next()
	return ok && len(key) > 0 && key[0] == '$'
}

// expression compiles {$op: …, $op: …} about one field: all must hold.
func (c *compiler) expression(p *path, v value, at *place) []node {
	var nodes []node
	for it := elementsOf(v.b); ; {
		key, arg, more := it.next()
		if !more {
			return nodes
		}
		name := string(key)
		here := at.in(name)
		if !strings.HasPrefix(name, "$") {
			c.refuse(here, "stands among operators but is none; wrap the whole document in $eq to compare with it")
			continue
		}
		op := c.operator(name, here)
		switch {
		case op == nil:
		case op.field == nil:
			c.refuse(here, "%s joins whole conditions and cannot stand in a field's value; write {%q: [{%q: …}]}", name, name, p.name)
		default:
			nodes = c.append(nodes, op.field(c, p, arg, operand{doc: v.b, at: here}))
		}
	}
}

// operand is where a field operator's argument stands: the document of
// operators around it, and its place.
type operand struct {
	doc []byte
	at  *place
}

// leaf is one comparison of a field.
func (c *compiler) leaf(p *path, pred predicate, at *place) node {
	if pred == nil {
		return nil
	}
	if c.clauses++; c.clauses == maxClauses+1 {
		c.refuse(at, "a condition has at most %d comparisons", maxClauses)
	}
	return &leaf{path: p, pred: pred}
}

// wholeLeaf is a comparison that looks at an array as such, not at its elements.
func (c *compiler) wholeLeaf(p *path, pred predicate, at *place) node {
	n := c.leaf(p, pred, at)
	if l, ok := n.(*leaf); ok {
		l.whole = true
	}
	return n
}
