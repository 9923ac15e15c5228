package action

import (
	"fmt"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/bson"
)

// Reference is a name in a configuration that must exist outside it.
type Reference struct {
	Kind    string // KindQueue, …
	Name    string
	Pointer string // relative to the configuration
	Refused bool   // the known names are those that it must not be
}

// The kinds of references.
const (
	KindQueue    = "queue"
	KindChannel  = "channel"
	KindTemplate = "template"
	KindUser     = "user"
	// KindInnerExchange are the exchanges that carry the pipeline's own messages.
	KindInnerExchange = "inner exchange"
)

// Referrer is a Type whose configurations name more than a queue.
type Referrer interface {
	References(config bson.Raw) []Reference
}

// Known are the names that exist, by kind (of inner exchanges: those of ours). A kind that is not in it is not
// checked.
type Known map[string][]string

// Knowing is the table whose types also refuse names that do not exist.
func (t Table) Knowing(k Known) Table {
	types := make([]Type, len(t.types))
	for i, typ := range t.types {
		types[i] = knowing{typ, k}
	}
	return Table{types: types}
}

type knowing struct {
	Type
	known Known
}

// Check is the type's own, and then that of the names.
func (t knowing) Check(config bson.Raw) []Problem {
	problems := t.Type.Check(config)
	refs := []Reference{{Kind: KindQueue, Name: queueNamed(config), Pointer: "/queue"}}
	if r, ok := t.Type.(Referrer); ok {
		refs = append(refs, r.References(config)...)
	}
	for _, ref := range refs {
		names, checked := t.known[ref.Kind]
		if !checked || ref.Name == "" || slices.Contains(names, ref.Name) != ref.Refused ||
			slices.ContainsFunc(problems, func(p Problem) bool { return p.Pointer == ref.Pointer }) {
			continue
		}
		message := fmt.Sprintf("%s is one of our own: it carries the pipeline's messages", ref.Name)
		if !ref.Refused {
			message = unknownName(ref, names)
		}
		problems = append(problems, Problem{Pointer: ref.Pointer, Message: message})
	}
	return problems
}

// shownNames bounds a message.
const shownNames = 20

func unknownName(ref Reference, names []string) string {
	switch n := len(names); {
	case n == 0:
		return fmt.Sprintf("there is no %s %q, and no other", ref.Kind, ref.Name)
	case n > shownNames:
		return fmt.Sprintf("there is no %s %q; there are %s and %d more", ref.Kind, ref.Name, strings.Join(names[:shownNames], ", "), n-shownNames)
	default:
		return fmt.Sprintf("there is no %s %q; there are %s", ref.Kind, ref.Name, strings.Join(names, ", "))
	}
}
