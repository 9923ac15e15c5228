package rule

import "strings"

// path is a dotted field path.
type path struct {
	name  string
	parts []part
}

// part is one component; a number is a field's name and an array's position.
type part struct {
	name   string
	number bool
}

func newPath(name string) *path {
	p := &path{name: name, parts: make([]part, 0, strings.Count(name, ".")+1)}
	for s := range strings.SplitSeq(name, ".") {
		p.parts = append(p.parts, part{name: s, number: isNumber(s)})
	}
	return p
}

func isNumber(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// predicate judges one value that a path leads to. A predicate that may take
// long asks the meter.
type predicate interface{ test(v value, m *meter) bool }

// walk asks whether a predicate holds for one of the values that a path leads
// to, and walks as MongoDB does:
//
//   - A path that leads nowhere yields one "missing" value.
//   - Where it meets an array with parts left, it goes on in each element that
//     is a document, and in the element at the position when the next part is a
//     number; elements that are neither yield nothing, not even "missing".
//   - An array at its end yields each element and then the whole array; an
//     array reached by its position at the end yields only itself.
type walk struct {
	pred  predicate
	whole bool // an array at the end yields only itself
	meter *meter
}

func (w *walk) document(doc []byte, parts []part) bool {
	for {
		v := find(doc, parts[0].name, w.meter)
		parts = parts[1:]
		switch v.class() {
		case classArray:
			return w.array(v, parts)
		case classObject:
			if len(parts) == 0 {
				return w.pred.test(v, w.meter)
			}
			doc = v.b
		default:
			if len(parts) > 0 {
				v = value{}
			}
			return w.pred.test(v, w.meter)
		}
	}
}

// array goes on in an array with the parts that are left.
func (w *walk) array(array value, parts []part) bool {
	if len(parts) == 0 {
		return !w.whole && w.elements(array) || w.pred.test(array, w.meter)
	}
	first, rest := parts[0], parts[1:]
	for it := elementsOf(array.b); ; {
		key, v, ok := it.next()
		if !ok || !w.meter.take(1) {
			return false
		}
		class := v.class()
		if class == classObject && w.document(v.b, parts) {
			return true
		}
		if !first.number || string(key) != first.name {
			continue
		}
		switch {
		case len(rest) == 0:
			if w.pred.test(v, w.meter) {
				return true
			}
		case class == classObject:
			if w.document(v.b, rest) {
				return true
			}
		case class == classArray:
			if w.array(v, rest) {
				return true
			}
		}
	}
}

func (w *walk) elements(array value) bool {
	for it := elementsOf(array.b); ; {
		_, v, ok := it.next()
		if !ok || !w.meter.take(1) {
			return false
		}
		if w.pred.test(v, w.meter) {
			return true
		}
	}
}

// field is a document's first field of that name.
func field(doc []byte, name string) value { return find(doc, name, nil) }

func find(doc []byte, name string, m *meter) value {
	steps := 0
	for it := elementsOf(doc); ; steps++ {
		key, v, ok := it.next()
		if !ok || string(key) == name {
			m.take(steps)
			return v
		}
	}
}
