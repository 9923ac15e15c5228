package decision

import (
	"maps"
	"slices"
)

// Memory is the documents of one collection in which rules remember, as one
// transaction sees them.
type Memory[T any] struct {
	docs    map[string]T
	needed  map[string]bool
	changed map[string]bool
}

func newMemory[T any]() Memory[T] {
	return Memory[T]{docs: map[string]T{}, needed: map[string]bool{}, changed: map[string]bool{}}
}

// Needed are the ids of the documents to read, in order.
func (m *Memory[T]) Needed() []string { return slices.Sorted(maps.Keys(m.needed)) }

// Put takes a document that was read; one that is not put does not exist.
func (m *Memory[T]) Put(id string, doc T) { m.docs[id] = doc }

// Changed are the ids of the documents to write, in order.
func (m *Memory[T]) Changed() []string { return slices.Sorted(maps.Keys(m.changed)) }

// Get is a document as it is now.
func (m *Memory[T]) Get(id string) T { return m.docs[id] }

func (m *Memory[T]) change(id string, doc T) { m.docs[id], m.changed[id] = doc, true }
