package rule

import (
	"io"

	"go.mongodb.org/mongo-driver/bson"
)

// FileError lists every mistake of a rule file.
type FileError struct {
	Name     string
	Mistakes []Mistake
}

// Mistake is one mistake of a rule file.
type Mistake struct {
	Line    int    // 1 is the first
	Index   int    // the rule's place in the file, 0 is the first; -1: no rule
	Rule    string // its name or id, when it has one
	Pointer string // where in the rule
	Message string
}

func (e *FileError) Error() string { return e.Name }

// ParseFile reads rules as a JSON array, JSON lines, extended JSON or YAML. The
// error is a *FileError that lists every mistake, or the reader's own.
func ParseFile(r io.Reader, name string) ([]Rule, error) { return nil, nil }

// ParseJSON reads one rule from JSON or extended JSON, as the API takes it. The
// error is a *ValidationError.
func ParseJSON(b []byte) (Rule, error) { return Rule{}, nil }

// ParseCondition reads a query document from JSON or extended JSON; key order
// and number types are kept. The error is a *CompileError when the JSON is no
// document. It does not compile.
func ParseCondition(b []byte) (bson.Raw, error) { return nil, nil }
