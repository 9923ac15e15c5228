package rule

import "go.mongodb.org/mongo-driver/bson"

// Possible says whether a document can fulfil the condition of which only some
// fields are known: every other field may hold anything or be absent. It may
// say yes where clauses about unknown fields exclude each other.
func (c *Condition) Possible(known bson.Raw) bool { return possibly(c.root, known) != no }

// tri is an answer about a document of which not all is known.
type tri int8

const (
	no tri = iota
	maybe
	yes
)

func possibly(n node, known []byte) tri {
	switch n := n.(type) {
	case *leaf:
		return possibleLeaf(n, known)
	case negate:
		return yes - possibly(n.node, known)
	case allOf:
		answer := yes
		for _, k := range n {
			answer = min(answer, possibly(k, known))
		}
		return answer
	case anyOf:
		answer := no
		for _, k := range n {
			answer = max(answer, possibly(k, known))
		}
		return answer
	default:
		return maybe
	}
}

// possibleLeaf knows the answer when all values of the path are known.
func possibleLeaf(l *leaf, known []byte) tri {
	answer := no
	t := tour{whole: l.whole, visit: func(_ []string, v value) {
		switch {
		case v.t == missing:
			answer = max(answer, maybe)
		case l.pred.test(v, nil):
			answer = yes
		}
	}}
	t.document(known, l.path.parts, nil)
	return answer
}
