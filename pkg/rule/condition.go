package rule

import "go.mongodb.org/mongo-driver/bson"

// Condition is a compiled MongoDB query document. It is immutable and safe for
// concurrent use.
type Condition struct{ raw bson.Raw }

// CompileError says why a condition is refused: where (a JSON pointer into the
// conditions) and the reason. More are the further mistakes of the same
// condition, in its order.
type CompileError struct {
	Path   string
	Reason string
	More   []*CompileError
}

func (e *CompileError) Error() string { return e.Path + ": " + e.Reason }

// Compile checks a condition and prepares it for matching. The error is a
// *CompileError that names every mistake.
func Compile(conditions bson.Raw) (*Condition, error) {
	return &Condition{raw: conditions}, nil
}

// Match says whether a document fulfils the condition, as MongoDB's find would.
func (c *Condition) Match(doc bson.Raw) bool { return false }

// Comment is the condition's $comment, empty when there is none or no text.
func (c *Condition) Comment() string { return "" }

// Raw is the query document itself, fit for the database's find.
func (c *Condition) Raw() bson.Raw { return c.raw }
