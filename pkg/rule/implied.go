package rule

// implied is what a condition on elements of an array says about the path
// itself, so that an index can find it: {items: {$elemMatch: {sku: "A"}}} holds
// for nothing that {"items.sku": "A"} does not hold for. It is nil when there is
// nothing that can be said.
func implied(l *leaf) node {
	if !l.whole { // asked of arrays within the array, too
		return nil
	}
	switch p := l.pred.(type) {
	case *elementFields:
		return lifted(p.node, func(inner *leaf) node { return below(l.path, inner) })
	case *elementValue:
		// An array that is reached by its position is no list of values.
		if l.path.parts[len(l.path.parts)-1].number {
			return nil
		}
		return lifted(p.node, func(inner *leaf) node { return at(l.path, inner) })
	default:
		return nil
	}
}

// lifted turns what is said about an element into what follows for the path.
// A part that says nothing is left out of a conjunction, and makes a
// disjunction say nothing.
func lifted(n node, lift func(*leaf) node) node {
	switch n := n.(type) {
	case *leaf:
		if n.pred.test(value{}, nil) { // true where there is nothing: no path leads there
			return nil
		}
		return lift(n)
	case allOf:
		var all allOf
		for _, k := range n {
			if k = lifted(k, lift); k != nil {
				all = append(all, k)
			}
		}
		if all == nil {
			return nil
		}
		return all
	case anyOf:
		some := anyOf{}
		for _, k := range n {
			if k = lifted(k, lift); k == nil {
				return nil
			}
			some = append(some, k)
		}
		return some
	default:
		return nil
	}
}

// below is a field of the elements seen from outside. A position may be one in
// an element that is an array itself, where no path leads.
func below(p *path, inner *leaf) node {
	if inner.path.parts[0].number || len(p.parts)+len(inner.path.parts) > maxPathParts {
		return nil
	}
	return &leaf{path: newPath(p.name + "." + inner.path.name), pred: inner.pred, whole: inner.whole}
}

// at is an element's own value seen from outside.
func at(p *path, inner *leaf) node { return &leaf{path: p, pred: inner.pred} }
