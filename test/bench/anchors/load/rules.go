package load

import (
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/rule"
)

// thresholds of a type's rules: two events in a thousand of the type have such
// an amount.
var thresholds = []float64{6000, 6500, 7000, 7500, 8000}

// Rules are 1,000, five for each type, of which about one matches every
// hundredth event; each owes a log line then.
func Rules() ([]rule.Rule, error) {
	action, err := bson.Marshal(bson.D{{Key: "level", Value: "info"}, {Key: "message", Value: "a large amount"}})
	if err != nil {
		return nil, err
	}
	var rules []rule.Rule
	for i := range types {
		for _, amount := range thresholds {
			condition, err := bson.Marshal(bson.D{
				{Key: "type", Value: typeName(i)},
				{Key: "payload.amount", Value: bson.D{{Key: "$gte", Value: amount}}},
			})
			if err != nil {
				return nil, err
			}
			name := fmt.Sprintf("%s from %g", typeName(i), amount)
			rules = append(rules, NewRule(name, condition, rule.ActionSpec{Type: "LOG", Config: action}))
		}
	}
	return rules, nil
}

// NewRule is an enabled rule of the bench.
func NewRule(name string, condition bson.Raw, action rule.ActionSpec) rule.Rule {
	now := time.Now().UTC().Truncate(time.Millisecond)
	return rule.Rule{
		ID: name, Name: name, Conditions: condition, Actions: []rule.ActionSpec{action},
		Priority: rule.DefaultPriority, Enabled: true, Mode: rule.Live, CreatedAt: now, UpdatedAt: now, CreatedBy: "bench",
	}
}
