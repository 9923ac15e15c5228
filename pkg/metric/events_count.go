package metric

import "go.mongodb.org/mongo-driver/bson"

var eventsCount = Kind{
	Name:       "EVENTS_COUNT",
	Doc:        "events of the window; `levels` has them by severity band",
	Expression: bson.D{{Key: "$toDouble", Value: "$count"}},
	Value:      func(t Totals) float64 { return float64(t.Count) },
	Extra:      bson.D{{Key: "levels", Value: "$levels"}},
}
