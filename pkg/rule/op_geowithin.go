package rule

import (
	"fmt"

	"go.mongodb.org/mongo-driver/bson"
)

// earthRadius is MongoDB's, in kilometres.
const earthRadius = 6378.1

var opGeoWithin = operator{
	name: "$geoWithin",
	doc: "The place that the field holds, or one of them in an array, lies within the shape: a GeoJSON Point, or a pair [longitude, latitude] or document whose first two values are numbers. " +
		"GeoJSON lines, polygons and collections lie within a $geometry when all of them does, and a MultiPoint within a $centerSphere, too. Rings of more than 1000 positions are not looked at.",
	field: func(c *compiler, p *path, arg value, o operand) node {
		it := elementsOf(arg.b)
		key, spec, one := it.next()
		if _, _, more := it.next(); arg.t != bson.TypeEmbeddedDocument || !one || more {
			c.refuse(o.at, "$geoWithin takes one shape: %s", c.shapeNames())
			return nil
		}
		here := o.at.in(string(key))
		for _, kind := range shapes() {
			if kind.name != string(key) {
				continue
			}
			s, problem := kind.parse(spec)
			if problem != "" {
				c.refuse(here, "%s %s", kind.name, problem)
				return nil
			}
			return c.leaf(p, &inShape{s}, o.at)
		}
		c.refuse(here, "there is no shape %s; known are %s", key, c.shapeNames())
		return nil
	},
	must: func(arg value, _ []byte) string {
		it := elementsOf(arg.b)
		key, spec, _ := it.next()
		text := "lie within " + string(key) + " " + shortValue(spec)
		if _, radius, problem := circleOf(spec); string(key) == shapeCenterSphere.name && problem == "" {
			text += fmt.Sprintf(" (%.3g km around it)", radius*earthRadius)
		}
		return text
	},
	hint: func(_, v value) string {
		_, pair := positionOf(v)
		if v.t == missing || pair || v.t == bson.TypeEmbeddedDocument && field(v.b, "coordinates").t == bson.TypeArray {
			return ""
		}
		return "it is no place"
	},
}

// inShape holds for places within a shape.
type inShape struct{ shape }

func (p *inShape) test(v value, m *meter) bool {
	if v.t != bson.TypeEmbeddedDocument && v.t != bson.TypeArray || !m.take(p.steps()) {
		return false
	}
	it := elementsOf(v.b)
	if _, first, _ := it.next(); v.t == bson.TypeArray || first.class() == classNumber {
		at, ok := positionOf(v)
		return ok && (!p.spherical() || at.onEarth()) && p.contains(at)
	}
	return p.geoJSON(v.b, false, m)
}

// geoJSON judges an event's geometry. What is no valid one is within nothing;
// of those with an extent a plane contains none, and so does a circle.
func (p *inShape) geoJSON(doc []byte, part bool, m *meter) bool {
	kind := string(field(doc, "type").text())
	if !knownReference(doc) || kind != "Point" && !p.spherical() {
		return false
	}
	region, _ := p.shape.(region)
	coordinates := field(doc, "coordinates")
	switch {
	case kind == "Point":
		at, ok := positionOf(coordinates)
		return ok && at.onEarth() && p.contains(at)
	case kind == "MultiPoint":
		return all(coordinates, m, func(v value) bool {
			at, ok := positionOf(v)
			return ok && v.t == bson.TypeArray && at.onEarth() && m.take(p.steps()) && p.contains(at)
		})
	case kind == "GeometryCollection" && !part:
		return all(field(doc, "geometries"), m, func(v value) bool {
			return v.t == bson.TypeEmbeddedDocument && p.geoJSON(v.b, true, m)
		})
	case region == nil:
		return false
	case kind == "LineString":
		return region.containsLine(coordinates, m)
	case kind == "MultiLineString":
		return all(coordinates, m, func(v value) bool { return region.containsLine(v, m) })
	case kind == "Polygon":
		return region.containsPolygon(coordinates, m)
	case kind == "MultiPolygon":
		return all(coordinates, m, func(v value) bool { return region.containsPolygon(v, m) })
	default:
		return false
	}
}

// region is a shape that can contain lines and polygons of the sphere.
type region interface {
	containsLine(coordinates value, m *meter) bool
	containsPolygon(coordinates value, m *meter) bool
}

// all says whether a list has elements and each of them holds.
func all(list value, m *meter, holds func(value) bool) bool {
	if list.t != bson.TypeArray {
		return false
	}
	some := false
	for it := elementsOf(list.b); ; some = true {
		_, v, more := it.next()
		if !more {
			return some
		}
		if !m.take(1) || !holds(v) {
			return false
		}
	}
}

// position is a pair of coordinates; on the earth, longitude and latitude in
// degrees.
type position struct{ x, y float64 }

func (p position) onEarth() bool { return -180 <= p.x && p.x <= 180 && -90 <= p.y && p.y <= 90 }

// positionOf reads the first two numbers of an array or document; what follows
// (a height, a name) does not matter.
func positionOf(v value) (p position, ok bool) {
	if v.t != bson.TypeArray && v.t != bson.TypeEmbeddedDocument {
		return p, false
	}
	it := elementsOf(v.b)
	_, x, _ := it.next()
	_, y, _ := it.next()
	if p.x, ok = finite(x); !ok {
		return p, false
	}
	p.y, ok = finite(y)
	return p, ok
}

// The names under which GeoJSON's own reference system (longitude, latitude on
// WGS 84) is known.
const (
	referenceCRS84 = "urn:ogc:def:crs:OGC:1.3:CRS84"
	referenceEPSG  = "EPSG:4326"
)

// knownReference says whether a GeoJSON object names no reference system, or
// one that MongoDB knows, too.
func knownReference(doc []byte) bool {
	crs := field(doc, "crs")
	if crs.t == missing {
		return true
	}
	if crs.t != bson.TypeEmbeddedDocument || string(field(crs.b, "type").text()) != "name" {
		return false
	}
	properties := field(crs.b, "properties")
	if properties.t != bson.TypeEmbeddedDocument {
		return false
	}
	name := string(field(properties.b, "name").text())
	return name == referenceCRS84 || name == referenceEPSG
}
