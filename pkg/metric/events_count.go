package metric

import "go.mongodb.org/mongo-driver/bson"

var eventsCount = Kind{
	Name:       "EVENTS_COUNT",
	Doc:        "events of the window; `levels` has them by severity band, `severity_sum` their severities' sum",
	Expression: bson.D{{Key: "$toDouble", Value: "$count"}},
	Extra:      bson.D{{Key: "levels", Value: "$levels"}, {Key: "severity_sum", Value: "$severity_sum"}},
	Figures: func(s Sums) []Figure {
		return []Figure{
			{"value", float64(s.Count)}, {"count", float64(s.Count)}, {"severity_sum", float64(s.Severity)},
			{"levels.info", float64(s.Levels.Info)}, {"levels.warning", float64(s.Levels.Warning)},
			{"levels.error", float64(s.Levels.Error)}, {"levels.critical", float64(s.Levels.Critical)},
		}
	},
}
