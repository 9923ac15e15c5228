package metric

import "go.mongodb.org/mongo-driver/bson"

// Kind is a metric type. It says twice how its value comes from a window's
// totals: as an aggregation expression over their fields (count, errors,
// levels.info, …), which the materialiser runs in the database, and as a
// function, by which verify computes it again.
type Kind struct {
	Name       string // metric_type
	Doc        string
	Expression any
	Value      func(Totals) float64
	Extra      bson.D // further fields of its documents, as expressions
}

// Kinds lists all; a new one is a file with its Kind, a line here, and its
// cases in the specs.
var Kinds = []Kind{
	eventsCount,
	errorRate,
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
