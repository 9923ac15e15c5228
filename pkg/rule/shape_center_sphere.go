package rule

import "github.com/golang/geo/s2"

var shapeCenterSphere = shapeKind{
	name: "$centerSphere",
	doc:  "A circle on the earth: [[longitude, latitude], radius], the radius in radians (kilometres divided by 6378.1). Its border belongs to it.",
	parse: func(spec value) (shape, string) {
		center, radius, problem := circleOf(spec)
		if problem == "" && !center.onEarth() {
			problem = "has a center that is not on the earth: longitudes are -180 to 180, latitudes -90 to 90"
		}
		if problem != "" {
			return nil, problem
		}
		return &disc{center.point(), radius}, ""
	},
}

// disc is a circle on the earth.
type disc struct {
	center s2.Point
	radius float64
}

func (c *disc) contains(at position) bool {
	return c.center.Distance(at.point()).Radians() <= c.radius+borderWidth
}

func (c *disc) spherical() bool { return true }

func (c *disc) steps() int { return 1 }
