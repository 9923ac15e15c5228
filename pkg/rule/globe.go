package rule

import (
	"slices"

	"github.com/golang/geo/r3"
	"github.com/golang/geo/s1"
	"github.com/golang/geo/s2"
)

// borderWidth is how far, in radians, a point may lie beside a border and still
// be on it: less than a centimetre, about the grid to which MongoDB rounds
// points. Points on a border must not depend on the last bit of a product.
const borderWidth = 1e-9

// point is the position on the unit sphere.
func (p position) point() s2.Point { return s2.PointFromLatLng(s2.LatLngFromDegrees(p.y, p.x)) }

// globePolygon is a polygon on the earth: an outline and its holes.
type globePolygon struct {
	rings  []*s2.Loop
	bound  s2.Rect // of the outline, with its border
	points int
}

func newGlobePolygon(rings []*s2.Loop) (*globePolygon, string) {
	g := &globePolygon{rings: rings, bound: rings[0].RectBound()}
	// The bound of a polygon around a pole has all longitudes already.
	g.bound = s2.Rect{
		Lat: g.bound.Lat.Expanded(2 * borderWidth),
		Lng: g.bound.Lng.Expanded(1e-6), // a centimetre is more degrees near the poles
	}
	for i, ring := range rings {
		g.points += ring.NumVertices()
		if i == 0 {
			continue
		}
		for _, p := range ring.Vertices() {
			if !rings[0].ContainsPoint(p) && !onBorder(rings[0], p) {
				return nil, "has a hole that is not within its outline"
			}
		}
		for _, other := range rings[:i] {
			if crossing(ring, other) {
				return nil, "has rings that cross each other"
			}
		}
	}
	return g, ""
}

func (g *globePolygon) contains(at position) bool {
	if at.y < 89.9 && at.y > -89.9 && !g.bound.ContainsLatLng(s2.LatLngFromDegrees(at.y, at.x)) {
		return false
	}
	return g.containsPoint(at.point())
}

func (g *globePolygon) containsPoint(p s2.Point) bool {
	for i, ring := range g.rings {
		if onBorder(ring, p) {
			return true
		}
		if inside(ring, p) != (i == 0) { // outside the outline, or in a hole
			return false
		}
	}
	return true
}

// containsPath says whether all of a line, or a ring, lies within.
func (g *globePolygon) containsPath(points []s2.Point, closed bool) bool {
	for i, a := range points {
		if !g.containsPoint(a) {
			return false
		}
		if i == len(points)-1 && !closed {
			return true
		}
		b := points[(i+1)%len(points)]
		// Between two points of the border an edge may lie outside without crossing it.
		if middle := (s2.Point{Vector: a.Add(b.Vector).Normalize()}); !g.containsPoint(middle) {
			return false
		}
		for _, ring := range g.rings {
			for j := range ring.NumVertices() {
				if s2.CrossingSign(a, b, ring.Vertex(j), ring.Vertex(j+1)) == s2.Cross {
					return false
				}
			}
		}
	}
	return true
}

// containsPolygon says whether all of another polygon lies within: its rings
// do, and it covers no hole.
func (g *globePolygon) containsPolygon(other *globePolygon) bool {
	for _, ring := range other.rings {
		if !g.containsPath(ring.Vertices(), true) {
			return false
		}
	}
	for _, hole := range g.rings[1:] {
		middle := hole.Centroid()
		if p := (s2.Point{Vector: middle.Normalize()}); inside(hole, p) && other.containsPoint(p) {
			return false
		}
		for _, p := range hole.Vertices() {
			if other.containsPoint(p) && !slices.ContainsFunc(other.rings, func(r *s2.Loop) bool { return onBorder(r, p) }) {
				return false
			}
		}
	}
	return true
}

// onBorder says whether a point lies on an edge.
func onBorder(ring *s2.Loop, p s2.Point) bool {
	const near = s1.Angle(borderWidth)
	for i := range ring.NumVertices() {
		a, b := ring.Vertex(i), ring.Vertex(i+1)
		// Most edges are told by their plane alone; the exact distance costs ten times as much.
		if plane := p.Dot(a.PointCross(b).Normalize()); plane > 2*borderWidth || plane < -2*borderWidth {
			continue
		}
		if s2.DistanceFromSegment(p, a, b) <= near {
			return true
		}
	}
	return false
}

// inside counts the edges between the point and one whose side is known. It
// does what s2.Loop.ContainsPoint does, without allocating.
func inside(ring *s2.Loop, p s2.Point) bool {
	origin := s2.OriginPoint()
	in := ring.ContainsOrigin()
	for i := range ring.NumVertices() {
		if s2.EdgeOrVertexCrossing(origin, p, ring.Vertex(i), ring.Vertex(i+1)) {
			in = !in
		}
	}
	return in
}

// ringProblem says what keeps points from being a ring: "" for nothing.
func ringProblem(points []s2.Point) string {
	if len(points) < 3 {
		return "has a ring of fewer than three different positions"
	}
	seen := make(map[r3.Vector]bool, len(points))
	for _, p := range points {
		if seen[p.Vector] {
			return "has a ring that touches itself: a position is there twice"
		}
		seen[p.Vector] = true
	}
	n := len(points)
	for i := range n {
		a, b := points[i], points[(i+1)%n]
		if a.Add(b.Vector).Norm() < 1e-15 {
			return "has an edge between opposite points of the earth"
		}
		for j := i + 2; j < n; j++ {
			if (j+1)%n != i && s2.CrossingSign(a, b, points[j], points[(j+1)%n]) == s2.Cross {
				return "has a ring whose edges cross"
			}
		}
	}
	return ""
}

// crossing says whether edges of two rings cross.
func crossing(a, b *s2.Loop) bool {
	for i := range a.NumVertices() {
		for j := range b.NumVertices() {
			if s2.CrossingSign(a.Vertex(i), a.Vertex(i+1), b.Vertex(j), b.Vertex(j+1)) == s2.Cross {
				return true
			}
		}
	}
	return false
}
