package metric

import "go.mongodb.org/mongo-driver/bson"

// Kind is a metric type. It says twice how its figures come from a window's
// sums: as aggregation expressions over their fields (count, errors,
// levels.info, …; of response times count, sum_us, min, max, histogram), which
// the materialiser runs in the database, and as a function, by which verify
// computes them again.
type Kind struct {
	Name       string // metric_type
	Doc        string
	Responses  bool // made of response times; windows without any have no such metric
	Expression any
	Extra      bson.D // further fields of its documents, as expressions
	// Figures are the numbers in a window's document; none when there should
	// be no document.
	Figures func(Sums) []Figure
}

// Figure is one number of a metric, by the name of its field.
type Figure struct {
	Name  string
	Value float64
}

// Kinds lists all; a new one is a file with its Kind, a line here, and its
// cases in the specs.
var Kinds = []Kind{
	eventsCount,
	errorRate,
	responseTime,
}

// KindNamed finds a kind by its name.
func KindNamed(name string) (Kind, bool) {
	for _, k := range Kinds {
		if k.Name == name {
			return k, true
		}
	}
	return Kind{}, false
}
