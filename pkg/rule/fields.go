package rule

import (
	"math"

	"go.mongodb.org/mongo-driver/bson"
)

// fields are all paths that the rules of a set speak of, each with a slot, as a
// tree by their components: one pass over a document fills the slots.
type fields struct {
	paths []*path // by slot
	nodes []fieldNode
}

// The paths that the set itself looks at have fixed slots.
const (
	slotType = iota
	slotHops
)

// fieldNode is one name in the tree. The first is the document itself.
type fieldNode struct {
	name  string
	slot  int32 // -1: no path ends here
	depth int32
	kids  []int32
	names map[string]int32 // of the kids, when they are many
	below []int32          // the slots here and below
}

// manyKids is from where a map beats looking at each name.
const manyKids = 9

func newFields() *fields {
	f := &fields{nodes: []fieldNode{{slot: -1}}}
	f.slot("type")
	f.slot("metadata.hops")
	return f
}

// slot is the path's slot, a new one for a new path.
func (f *fields) slot(name string) int32 {
	p := newPath(name)
	at := int32(0)
	chain := []int32{}
	for _, part := range p.parts {
		at = f.kid(at, part.name)
		chain = append(chain, at)
	}
	n := &f.nodes[at]
	if n.slot < 0 {
		n.slot = int32(len(f.paths))
		f.paths = append(f.paths, p)
		for _, i := range chain {
			f.nodes[i].below = append(f.nodes[i].below, n.slot)
		}
	}
	return n.slot
}

func (f *fields) kid(at int32, name string) int32 {
	n := &f.nodes[at]
	if i, ok := n.find(f.nodes, name); ok {
		return i
	}
	i := int32(len(f.nodes))
	n.kids = append(n.kids, i)
	if len(n.kids) >= manyKids {
		if n.names == nil {
			n.names = map[string]int32{}
			for _, k := range n.kids[:len(n.kids)-1] {
				n.names[f.nodes[k].name] = k
			}
		}
		n.names[name] = i
	}
	f.nodes = append(f.nodes, fieldNode{name: name, slot: -1, depth: n.depth + 1})
	return i
}

func (n *fieldNode) find(nodes []fieldNode, name string) (int32, bool) {
	if n.names != nil {
		i, ok := n.names[name]
		return i, ok
	}
	for _, k := range n.kids {
		if nodes[k].name == name {
			return k, true
		}
	}
	return 0, false
}

// slotKind says what a document has at a path.
type slotKind uint8

const (
	slotMissing slotKind = iota
	slotText             // v is a string or symbol, text its content
	slotNumber           // v is a number, f its exact double
	slotOther            // v is anything else, or a number that no double is equal to
	slotMany             // the path meets an array v: its values must be walked, from part `rest` on
)

// slot is what one document has at one path.
type slot struct {
	kind slotKind
	rest int32
	f    float64
	text []byte
	v    value
}

// value is the slot's only value.
func (s *slot) value() value {
	if s.kind == slotMany {
		return value{}
	}
	return s.v
}

func (s *slot) set(v value) {
	s.v = v
	switch v.t {
	case bson.TypeString, bson.TypeSymbol:
		s.kind, s.text = slotText, v.text()
	case bson.TypeInt32:
		s.kind, s.f = slotNumber, float64(v.int32())
	case bson.TypeDouble:
		s.kind, s.f = slotNumber, math.Float64frombits(v.uint64())
		if s.f != s.f {
			s.kind = slotOther
		}
	case bson.TypeInt64, bson.TypeDecimal128:
		s.kind = slotOther
		if f, ok := exactFloat(v); ok {
			s.kind, s.f = slotNumber, f
		}
	default:
		s.kind = slotOther
	}
}

// read fills the slots from the document. It stops when every name that matters
// was seen.
func (m *scratch) read(doc []byte) {
	m.epoch++
	if m.epoch == 0 { // after 2^32 events the marks of the first would be valid again
		clear(m.seen)
		clear(m.listed)
		clear(m.verdicts)
		clear(m.spent)
		m.epoch = 1
	}
	m.readNode(doc, &m.set.fields.nodes[0])
}

func (m *scratch) readNode(doc []byte, n *fieldNode) {
	nodes := m.set.fields.nodes
	left := len(n.kids)
	for it := elementsOf(doc); left > 0; {
		key, v, ok := it.next()
		if !ok {
			return
		}
		i, ok := n.find(nodes, view(key))
		if !ok || m.seen[i] == m.epoch { // of two fields of one name the first counts
			continue
		}
		m.seen[i] = m.epoch
		left--
		kid := &nodes[i]
		switch {
		case v.t == bson.TypeArray:
			for _, s := range kid.below {
				sl := &m.slots[s]
				sl.kind, sl.v, sl.rest = slotMany, v, kid.depth
			}
			m.filled = append(m.filled, kid.below...)
			continue
		case v.t == bson.TypeEmbeddedDocument && len(kid.kids) > 0:
			m.readNode(v.b, kid)
		}
		if kid.slot >= 0 {
			m.slots[kid.slot].set(v)
			m.filled = append(m.filled, kid.slot)
		}
	}
}

// any says whether the predicate holds for one of the slot's values.
func (m *scratch) any(slot int32, p predicate, whole bool, meter *meter) bool {
	s := &m.slots[slot]
	if s.kind == slotMany {
		w := walk{pred: p, whole: whole, meter: meter}
		return w.array(s.v, m.set.fields.paths[slot].parts[s.rest:])
	}
	return p.test(s.v, meter)
}
