package metric

// NamesMost is how many values of each dimension an analysis of events names beside
// those that counters name: as many as counters name unless they are told otherwise.
const NamesMost = 1000

// Names are the values that an analysis of events tells apart: those that counters
// name, so that both answer alike, and of each dimension so many others, the first
// that come. What is beyond is Other. A producer that puts the name of a pod or a
// request into `source` would otherwise fill the memory of who asks.
type Names struct {
	registry Registry
	of       map[Dimension]*namesOf
}

type namesOf struct {
	known map[string]string // each value once, so that no event needs a copy
	left  int
}

// NewNames are those of one analysis.
func NewNames(registry Registry, most int) *Names {
	n := &Names{registry: registry, of: map[Dimension]*namesOf{}}
	for _, d := range Dimensions {
		n.of[d] = &namesOf{known: map[string]string{}, left: most}
	}
	return n
}

// count is how many values of a dimension were named so far.
func (n *Names) count(d Dimension) int { return len(n.of[d].known) }

func (n *Names) name(d Dimension, value []byte) string {
	of := n.of[d]
	if name, known := of.known[string(value)]; known {
		return name
	}
	name := string(value)
	if !Admissible(name) {
		return Other
	}
	if n.registry.Unregistered(d, name) {
		if of.left == 0 {
			return Other
		}
		of.left--
	}
	of.known[name] = name
	return name
}
