package metric

import "go.mongodb.org/mongo-driver/bson"

var errorRate = Kind{
	Name: "ERROR_RATE",
	Doc:  "share of the window's events with severity 7 or more, 0 to 1; `errors` is their number",
	Expression: bson.D{{Key: "$cond", Value: bson.A{
		bson.D{{Key: "$gt", Value: bson.A{"$count", 0}}},
		bson.D{{Key: "$divide", Value: bson.A{"$errors", "$count"}}},
		0.0,
	}}},
	Extra: bson.D{{Key: "errors", Value: "$errors"}},
	Figures: func(s Sums) []Figure {
		return []Figure{{"value", s.ErrorRate()}, {"count", float64(s.Count)}, {"errors", float64(s.Errors)}}
	},
}
