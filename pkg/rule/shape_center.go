package rule

import "math"

var shapeCenter = shapeKind{
	name: "$center",
	doc:  "A circle on a plane: [[x, y], radius], the radius in the unit of the coordinates. Its border belongs to it. For distances on the earth use $centerSphere.",
	parse: func(spec value) (shape, string) {
		center, radius, problem := circleOf(spec)
		if problem != "" {
			return nil, problem
		}
		return &circle{center, radius}, ""
	},
}

type circle struct {
	center position
	radius float64
}

// contains adds on an axis, where subtracting would round a point of the border
// out of the circle: 52 − 51.9999 is more than 0.0001.
func (c *circle) contains(at position) bool {
	switch {
	case at.x == c.center.x:
		return max(at.y, c.center.y) <= min(at.y, c.center.y)+c.radius
	case at.y == c.center.y:
		return max(at.x, c.center.x) <= min(at.x, c.center.x)+c.radius
	default:
		dx, dy := at.x-c.center.x, at.y-c.center.y
		return math.Sqrt(dx*dx+dy*dy) <= c.radius
	}
}

func (c *circle) spherical() bool { return false }

func (c *circle) steps() int { return 1 }
