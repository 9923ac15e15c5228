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

// predicate judges one value that a path leads to.
type predicate interface{ test(v value) bool }

// anyInDocument says whether the predicate holds for one of the values that the
// path leads to, and walks as MongoDB does:
//
//   - A path that leads nowhere yields one "missing" value.
//   - Where it meets an array with parts left, it goes on in each element that
//     is a document, and in the element at the position when the next part is a
//     number; elements that are neither yield nothing, not even "missing".
//   - An array at its end yields each element and then the whole array; an
//     array reached by its position at the end yields only itself.
func anyInDocument(doc []byte, parts []part, p predicate) bool {
	for {
		v := field(doc, parts[0].name)
		parts = parts[1:]
		switch v.class() {
		case classArray:
			return anyInArray(v, parts, p)
		case classObject:
			if len(parts) == 0 {
				return p.test(v)
			}
			doc = v.b
		default:
			if len(parts) > 0 {
				v = value{}
			}
			return p.test(v)
		}
	}
}

// anyInArray goes on in an array with the parts that are left.
func anyInArray(array value, parts []part, p predicate) bool {
	it := elementsOf(array.b)
	if len(parts) == 0 {
		for {
			_, v, ok := it.next()
			if !ok {
				return p.test(array)
			}
			if p.test(v) {
				return true
			}
		}
	}
	first, rest := parts[0], parts[1:]
	for {
		key, v, ok := it.next()
		if !ok {
			return false
		}
		class := v.class()
		if class == classObject && anyInDocument(v.b, parts, p) {
			return true
		}
		if !first.number || string(key) != first.name {
			continue
		}
		switch {
		case len(rest) == 0:
			if p.test(v) {
				return true
			}
		case class == classObject:
			if anyInDocument(v.b, rest, p) {
				return true
			}
		case class == classArray:
			if anyInArray(v, rest, p) {
				return true
			}
		}
	}
}

// field is a document's first field of that name.
func field(doc []byte, name string) value {
	it := elementsOf(doc)
	for {
		key, v, ok := it.next()
		if !ok {
			return value{}
		}
		if string(key) == name {
			return v
		}
	}
}
