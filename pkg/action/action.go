// Package action is what a rule can cause: the kinds of action, each with its
// name, its configuration's check and the queue that its notifications go to.
// Carrying an action out is I/O and lives in the dispatcher.
package action

import (
	"slices"

	"go.mongodb.org/mongo-driver/bson"
)

// Type is one kind of action. Each has a package of its own; pkg/action/builtin
// lists them and pkg/action/actiontest holds what every one must fulfil.
type Type interface {
	// Name is what a rule writes, in capitals: WEBHOOK.
	Name() string
	// Doc is one line for listings and the documentation.
	Doc() string
	// Schema is the configuration's JSON Schema (2020-12), for editors and people.
	// Check says more than it can.
	Schema() []byte
	// Check names everything that is wrong with a configuration; none is valid.
	Check(config bson.Raw) []Problem
	// Queue is the dispatcher queue, without prefix, for a match by an event of
	// that severity and a rule of that priority.
	Queue(config bson.Raw, severity, priority int) string
	// Mask returns the configuration with every secret replaced by Masked.
	Mask(config bson.Raw) bson.Raw
	// Restore puts the stored secrets back where config still carries what
	// Mask made of them, so that a rule that was read can be written back.
	Restore(config, stored bson.Raw) bson.Raw
}

// Masked stands where a secret is.
const Masked = "********"

// Problem is one mistake in a configuration: where (a JSON pointer relative to
// it, "" for the whole) and what was expected.
type Problem struct {
	Pointer string
	Message string
}

// Table is a list of types, found by name. The zero Table knows none.
type Table struct{ types []Type }

// NewTable lists types in the order that documentation shows them. Two types of
// one name are a mistake of the program.
func NewTable(types ...Type) Table {
	for i, t := range types {
		if slices.ContainsFunc(types[:i], func(o Type) bool { return o.Name() == t.Name() }) {
			panic("action: two types are called " + t.Name())
		}
	}
	return Table{types: slices.Clone(types)}
}

// Lookup finds a type by its name.
func (t Table) Lookup(name string) (Type, bool) {
	for _, typ := range t.types {
		if typ.Name() == name {
			return typ, true
		}
	}
	return nil, false
}

// Types are all, in order.
func (t Table) Types() []Type { return slices.Clone(t.types) }

// Names are all names, in order.
func (t Table) Names() []string {
	names := make([]string, len(t.types))
	for i, typ := range t.types {
		names[i] = typ.Name()
	}
	return names
}
