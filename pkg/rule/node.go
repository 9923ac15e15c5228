package rule

// node is one part of a compiled condition.
type node interface {
	// match says whether a document fulfils it.
	match(doc []byte) bool
}

type (
	// leaf holds when the predicate holds for one of the path's values.
	leaf struct {
		path *path
		pred predicate
	}
	allOf  []node
	anyOf  []node
	negate struct{ node }
)

func (n *leaf) match(doc []byte) bool { return anyInDocument(doc, n.path.parts, n.pred) }

func (n allOf) match(doc []byte) bool {
	for _, k := range n {
		if !k.match(doc) {
			return false
		}
	}
	return true
}

func (n anyOf) match(doc []byte) bool {
	for _, k := range n {
		if k.match(doc) {
			return true
		}
	}
	return false
}

func (n negate) match(doc []byte) bool { return !n.node.match(doc) }

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
