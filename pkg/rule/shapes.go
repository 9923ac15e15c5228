package rule

import (
	"fmt"
	"strings"

	"go.mongodb.org/mongo-driver/bson"
)

// shape is a region of the earth's surface, or of a plane.
type shape interface {
	// contains says whether a position lies within; its border belongs to it.
	contains(at position) bool
	// spherical says that positions are longitudes and latitudes on the earth.
	spherical() bool
	// steps is what asking costs.
	steps() int
}

// shapeKind is one entry of the shapes that $geoWithin takes. Its file has its
// meaning, testdata/shapes has its cases.
type shapeKind struct {
	name string
	doc  string
	// parse reads the operand; the problem completes "<name> …".
	parse func(spec value) (s shape, problem string)
}

// shapes is the table.
func shapes() []shapeKind {
	return []shapeKind{shapeGeometry, shapeCenterSphere, shapeCenter, shapeBox, shapePolygon}
}

// Shapes are all shapes that $geoWithin takes, for documentation.
func Shapes() []Operator {
	var all []Operator
	for _, s := range shapes() {
		all = append(all, Operator{Name: s.name, Doc: s.doc})
	}
	return all
}

func (c *compiler) shapeNames() string {
	var names []string
	for _, s := range shapes() {
		names = append(names, s.name)
	}
	return strings.Join(names, " ")
}

// Limits of one shape: what it costs to check grows with the square of its
// positions, what it costs to match with their number.
const (
	maxRing  = 1000
	maxRings = 100
)

// pairOf reads a position that must be exactly two numbers.
func pairOf(v value) (position, bool) {
	if n := countOf(v); n != 2 {
		return position{}, false
	}
	return positionOf(v)
}

func countOf(v value) int {
	if v.t != bson.TypeArray && v.t != bson.TypeEmbeddedDocument {
		return -1
	}
	n := 0
	for it := elementsOf(v.b); ; n++ {
		if _, _, more := it.next(); !more {
			return n
		}
	}
}

// circleOf reads [[x, y], radius].
func circleOf(spec value) (center position, radius float64, problem string) {
	const form = "takes [[x, y], radius]"
	if spec.t != bson.TypeArray || countOf(spec) != 2 {
		return center, 0, form
	}
	it := elementsOf(spec.b)
	_, c, _ := it.next()
	_, r, _ := it.next()
	center, ok := pairOf(c)
	if !ok {
		return center, 0, form + ", its center two finite numbers"
	}
	radius, ok = finite(r)
	if !ok || radius < 0 {
		return center, 0, form + ", its radius a finite number, 0 or more"
	}
	return center, radius, ""
}

// pairsOf reads a list of positions.
func pairsOf(spec value) (points []position, problem string) {
	if spec.t != bson.TypeArray {
		return nil, "takes a list of positions [x, y]"
	}
	for it := elementsOf(spec.b); ; {
		_, v, more := it.next()
		if !more {
			return points, ""
		}
		p, ok := pairOf(v)
		if !ok {
			return nil, fmt.Sprintf("has no position [x, y] of two finite numbers at place %d", len(points)+1)
		}
		if len(points) == maxRing {
			return nil, fmt.Sprintf("has more than %d positions", maxRing)
		}
		points = append(points, p)
	}
}
