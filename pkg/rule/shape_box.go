package rule

var shapeBox = shapeKind{
	name: "$box",
	doc:  "A rectangle on a plane, by two opposite corners: [[x, y], [x, y]]. Its border belongs to it.",
	parse: func(spec value) (shape, string) {
		corners, problem := pairsOf(spec)
		if problem == "" && len(corners) != 2 {
			problem = "takes two opposite corners, [[x, y], [x, y]]"
		}
		if problem != "" {
			return nil, problem
		}
		a, b := corners[0], corners[1]
		return &box{
			low:  position{min(a.x, b.x), min(a.y, b.y)},
			high: position{max(a.x, b.x), max(a.y, b.y)},
		}, ""
	},
}

type box struct{ low, high position }

func (b *box) contains(at position) bool {
	return b.low.x <= at.x && at.x <= b.high.x && b.low.y <= at.y && at.y <= b.high.y
}

func (b *box) spherical() bool { return false }

func (b *box) steps() int { return 1 }
