package rule

import (
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/bson"
)

// Condition is a compiled MongoDB query document. It is immutable and safe for
// concurrent use.
type Condition struct {
	raw     bson.Raw
	root    node
	comment string
}

// CompileError says why a condition is refused: where (a JSON pointer into the
// conditions) and the reason. More are the further mistakes of the same
// condition.
type CompileError struct {
	Path   string
	Reason string
	More   []*CompileError
}

// Error names every mistake.
func (e *CompileError) Error() string {
	var b strings.Builder
	for i, m := range e.All() {
		if i > 0 {
			b.WriteString("; ")
		}
		if m.Path != "" {
			b.WriteString(m.Path)
			b.WriteString(": ")
		}
		b.WriteString(m.Reason)
	}
	return b.String()
}

// All are the error itself and More.
func (e *CompileError) All() []*CompileError {
	return append([]*CompileError{e}, e.More...)
}

// Compile checks a condition and prepares it for matching. The error is a
// *CompileError that names every mistake.
func Compile(conditions bson.Raw) (*Condition, error) {
	return newCompiler().condition(conditions)
}

// Match says whether a document fulfils the condition, as MongoDB's find would.
// It allocates nothing, and takes as long as it takes: a Set has a Budget.
func (c *Condition) Match(doc bson.Raw) bool { return c.root.match(doc, nil) }

// Paths are the fields that the condition speaks of, each once, in order; a
// field of an array's elements is one below the array.
func (c *Condition) Paths() []string {
	var all []string
	addPaths(&all, c.root, "")
	slices.Sort(all)
	return slices.Compact(all)
}

func addPaths(all *[]string, n node, at string) {
	switch n := n.(type) {
	case *leaf:
		name := joined(at, n.path.name)
		if inner, ok := n.pred.(*elementFields); ok {
			addPaths(all, inner.node, name)
			return
		}
		*all = append(*all, name)
	case allOf:
		for _, k := range n {
			addPaths(all, k, at)
		}
	case anyOf:
		for _, k := range n {
			addPaths(all, k, at)
		}
	case negate:
		addPaths(all, n.node, at)
	}
}

// Comment is the condition's $comment, empty when there is none or no text.
func (c *Condition) Comment() string { return c.comment }

// Raw is the query document itself, fit for the database's find.
func (c *Condition) Raw() bson.Raw { return slices.Clone(c.raw) }
