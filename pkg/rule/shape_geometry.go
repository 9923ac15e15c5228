package rule

import (
	"fmt"
	"slices"

	"github.com/golang/geo/s2"
	"go.mongodb.org/mongo-driver/bson"
)

var shapeGeometry = shapeKind{
	name: "$geometry",
	doc: "A GeoJSON Polygon or MultiPolygon on the earth: rings of [longitude, latitude], each closed, the first the outline and the others holes. " +
		"Edges are the shortest lines on the sphere, not straight lines on a map; an outline has its smaller side inside. Borders belong to it.",
	parse: func(spec value) (shape, string) {
		if spec.t != bson.TypeEmbeddedDocument {
			return nil, `takes {"type": "Polygon", "coordinates": [[[longitude, latitude], …]]}`
		}
		if !knownReference(spec.b) {
			return nil, "has a reference system (crs) other than " + referenceCRS84 + " and " + referenceEPSG
		}
		coordinates := field(spec.b, "coordinates")
		switch kind := string(field(spec.b, "type").text()); kind {
		case "Polygon":
			g, problem := parseGlobePolygon(coordinates, nil)
			if problem != "" {
				return nil, problem
			}
			return globe{g}, ""
		case "MultiPolygon":
			return parseMultiPolygon(coordinates)
		case "Point", "LineString", "MultiPoint", "MultiLineString", "GeometryCollection":
			return nil, "takes a Polygon or MultiPolygon, a " + kind + " has no inside"
		default:
			return nil, fmt.Sprintf("takes a GeoJSON Polygon or MultiPolygon; its type is %q", kind)
		}
	},
}

// globe is one or several polygons on the earth; it contains what one of them
// contains.
type globe []*globePolygon

func (p globe) contains(at position) bool {
	return slices.ContainsFunc(p, func(g *globePolygon) bool { return g.contains(at) })
}

func (p globe) spherical() bool { return true }

func (p globe) steps() int {
	n := 0
	for _, g := range p {
		n += g.points
	}
	return n
}

func (p globe) containsLine(coordinates value, m *meter) bool {
	points, problem := lineOf(coordinates)
	return problem == "" && len(points) >= 2 && m.take(len(points)*p.steps()) &&
		slices.ContainsFunc(p, func(g *globePolygon) bool { return g.containsPath(points, false) })
}

func (p globe) containsPolygon(coordinates value, m *meter) bool {
	other, problem := parseGlobePolygon(coordinates, m)
	return problem == "" && m.take(other.points*p.steps()) &&
		slices.ContainsFunc(p, func(g *globePolygon) bool { return g.containsPolygon(other) })
}

func parseMultiPolygon(list value) (shape, string) {
	var all globe
	if list.t != bson.TypeArray {
		return nil, "of type MultiPolygon has a list of polygons in coordinates"
	}
	for it := elementsOf(list.b); ; {
		_, v, more := it.next()
		switch {
		case !more && all == nil:
			return nil, "has no polygon"
		case !more:
			return all, ""
		case len(all) == maxRings:
			return nil, fmt.Sprintf("has more than %d polygons", maxRings)
		}
		g, problem := parseGlobePolygon(v, nil)
		if problem != "" {
			return nil, fmt.Sprintf("%s (polygon %d)", problem, len(all)+1)
		}
		all = append(all, g)
	}
}

// parseGlobePolygon reads the coordinates of a Polygon. The meter bounds what
// an event's may cost.
func parseGlobePolygon(list value, m *meter) (*globePolygon, string) {
	if list.t != bson.TypeArray {
		return nil, "has no list of rings in coordinates"
	}
	var rings []*s2.Loop
	for it := elementsOf(list.b); ; {
		_, v, more := it.next()
		if !more {
			break
		}
		if len(rings) == maxRings {
			return nil, fmt.Sprintf("has more than %d rings", maxRings)
		}
		points, problem := ringOf(v)
		if !m.take(len(points) * len(points)) {
			return nil, "takes too long"
		}
		if problem == "" {
			problem = ringProblem(points)
		}
		if problem != "" {
			return nil, fmt.Sprintf("%s (ring %d)", problem, len(rings)+1)
		}
		loop := s2.LoopFromPoints(points)
		loop.Normalize()
		rings = append(rings, loop)
	}
	if len(rings) == 0 {
		return nil, "has no ring"
	}
	return newGlobePolygon(rings)
}

// ringOf reads a closed ring, without its last position.
func ringOf(v value) (points []s2.Point, problem string) {
	points, problem = lineOf(v)
	switch {
	case problem != "":
		return nil, problem
	case len(points) > maxRing+1:
		return nil, fmt.Sprintf("has a ring of more than %d positions", maxRing)
	case len(points) == 0 || points[0] != points[len(points)-1]:
		return nil, "has a ring that is not closed: its last position must be its first"
	default:
		return points[:len(points)-1], ""
	}
}

// lineOf reads a list of positions, without those that repeat the one before.
func lineOf(v value) (points []s2.Point, problem string) {
	if v.t != bson.TypeArray {
		return nil, "has a ring that is no list of positions"
	}
	for it := elementsOf(v.b); ; {
		_, e, more := it.next()
		if !more {
			return points, ""
		}
		at, ok := positionOf(e)
		switch {
		case !ok || e.t != bson.TypeArray:
			return nil, "has a position that is not [longitude, latitude]"
		case !at.onEarth():
			return nil, fmt.Sprintf("has the position [%v, %v], which is not on the earth: longitudes are -180 to 180, latitudes -90 to 90", at.x, at.y)
		}
		if p := at.point(); len(points) == 0 || points[len(points)-1] != p {
			points = append(points, p)
		}
	}
}
