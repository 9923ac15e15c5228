package rule

// node is one part of a compiled condition.
type node interface {
	// match says whether a document fulfils it.
	match(doc []byte, m *meter) bool
	// single says whether a value fulfils it, whatever the path: within
	// $elemMatch an element is judged by itself, arrays among them as a whole.
	single(v value, m *meter) bool
}

type (
	// leaf holds when the predicate holds for one of the path's values. Where
	// the path ends at an array, those are its elements and the array, or, if
	// whole is set, the array alone.
	leaf struct {
		path  *path
		pred  predicate
		whole bool
	}
	allOf  []node
	anyOf  []node
	negate struct{ node }
)

func (n *leaf) match(doc []byte, m *meter) bool {
	w := walk{pred: n.pred, whole: n.whole, meter: m}
	return w.document(doc, n.path.parts)
}

func (n *leaf) single(v value, m *meter) bool { return n.pred.test(v, m) }

func (n allOf) match(doc []byte, m *meter) bool {
	for _, k := range n {
		if !k.match(doc, m) {
			return false
		}
	}
	return true
}

func (n allOf) single(v value, m *meter) bool {
	for _, k := range n {
		if !k.single(v, m) {
			return false
		}
	}
	return true
}

func (n anyOf) match(doc []byte, m *meter) bool {
	for _, k := range n {
		if k.match(doc, m) {
			return true
		}
	}
	return false
}

func (n anyOf) single(v value, m *meter) bool {
	for _, k := range n {
		if k.single(v, m) {
			return true
		}
	}
	return false
}

func (n negate) match(doc []byte, m *meter) bool { return !n.node.match(doc, m) }

func (n negate) single(v value, m *meter) bool { return !n.node.single(v, m) }

// conjunction joins nodes and flattens what is joined already.
func conjunction(nodes []node) node {
	if len(nodes) == 1 {
		return nodes[0]
	}
	return flatten(nodes)
}

// flatten lifts the parts of nested conjunctions.
func flatten(nodes []node) allOf {
	flat := make(allOf, 0, len(nodes))
	for _, n := range nodes {
		if inner, ok := n.(allOf); ok {
			flat = append(flat, flatten(inner)...)
			continue
		}
		flat = append(flat, n)
	}
	return flat
}
