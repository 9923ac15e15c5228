package rule

var shapePolygon = shapeKind{
	name: "$polygon",
	doc:  "A polygon on a plane, by its corners: [[x, y], [x, y], [x, y], …]; the last is joined to the first. Its corners, its horizontal and vertical edges and the sloped ones on its right side belong to it.",
	parse: func(spec value) (shape, string) {
		corners, problem := pairsOf(spec)
		if problem == "" && len(corners) < 3 {
			problem = "takes at least three corners, [[x, y], [x, y], [x, y]]"
		}
		if problem != "" {
			return nil, problem
		}
		return polygon(corners), ""
	},
}

// polygon is one on a plane. Where its edges cross, what they go around twice
// is outside.
type polygon []position

// contains counts how many edges a ray to the right crosses. An edge has its
// upper end and not its lower one, so that a corner is counted once.
func (p polygon) contains(at position) bool {
	inside := false
	a := p[len(p)-1]
	for _, b := range p {
		low, high := min(a.y, b.y), max(a.y, b.y)
		switch {
		case at == b:
			return true
		case a.y == b.y:
			if at.y == a.y && min(a.x, b.x) <= at.x && at.x <= max(a.x, b.x) {
				return true
			}
		case low < at.y && at.y <= high:
			if a.x == b.x && at.x == a.x {
				return true
			}
			if at.x <= max(a.x, b.x) && at.x <= (at.y-a.y)*(b.x-a.x)/(b.y-a.y)+a.x {
				inside = !inside
			}
		}
		a = b
	}
	return inside
}

func (p polygon) spherical() bool { return false }

func (p polygon) steps() int { return len(p) }
