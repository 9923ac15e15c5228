package rule

import (
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/bson"
)

// tour goes where walk goes and tells of each value where it stands. It serves
// explanations, which have time; a spec holds the two together.
type tour struct {
	whole bool
	visit func(trail []string, v value)
}

func (t *tour) document(doc []byte, parts []part, trail []string) {
	v := field(doc, parts[0].name)
	trail = append(trail, parts[0].name)
	parts = parts[1:]
	switch {
	case v.t == bson.TypeArray:
		t.array(v, parts, trail)
	case len(parts) == 0:
		t.visit(trail, v)
	case v.t == bson.TypeEmbeddedDocument:
		t.document(v.b, parts, trail)
	default:
		for _, p := range parts {
			trail = append(trail, p.name)
		}
		t.visit(trail, value{})
	}
}

func (t *tour) array(array value, parts []part, trail []string) {
	if len(parts) == 0 {
		if !t.whole {
			eachElement(array, func(key string, v value) { t.visit(append(trail, key), v) })
		}
		t.visit(trail, array)
		return
	}
	first, rest := parts[0], parts[1:]
	eachElement(array, func(key string, v value) {
		here := slices.Concat(trail, []string{key})
		if v.t == bson.TypeEmbeddedDocument {
			t.document(v.b, parts, here)
		}
		if !first.number || key != first.name {
			return
		}
		switch {
		case len(rest) == 0:
			t.visit(here, v)
		case v.t == bson.TypeEmbeddedDocument:
			t.document(v.b, rest, here)
		case v.t == bson.TypeArray:
			t.array(v, rest, here)
		}
	})
}

func eachElement(array value, visit func(key string, v value)) {
	for it := elementsOf(array.b); ; {
		key, v, more := it.next()
		if !more {
			return
		}
		visit(string(key), v)
	}
}

// joined is a path below another.
func joined(at string, trail ...string) string {
	if at != "" {
		trail = append([]string{at}, trail...)
	}
	return strings.Join(trail, ".")
}
