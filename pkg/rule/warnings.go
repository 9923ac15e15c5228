package rule

import (
	"fmt"

	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
)

// Warnings are what a rule is accepted with and its author should know: that it
// can match the events that its own actions cause. The loop guard ends such a
// chain after MaxHops, and until then each match multiplies.
func (r *Rule) Warnings() []Problem {
	cond, err := Compile(r.Conditions)
	if err != nil || len(r.Actions) == 0 {
		return nil
	}
	var all []Problem
	for i, a := range r.Actions {
		if doc, publishes := published(a); publishes && possibleCaused(cond, doc) {
			all = append(all, Problem{Pointer: fmt.Sprintf("/actions/%d", i), Message: fmt.Sprintf(
				"the rule can match the event that this action publishes, which leads to the next until %d actions stand between them; let its type or source be one that the conditions leave out", MaxHops)})
		}
	}
	if !namesDelivery(cond.root) {
		return all
	}
	for _, a := range r.Actions {
		for _, end := range outcomes {
			if !possibleCaused(cond, r.outcome(a, end)) {
				continue
			}
			return append(all, Problem{Pointer: "/conditions", Message: fmt.Sprintf( // the remedy is the same for all
				"the rule can match the %s events about its own notifications (%s of %s), each of which leads to the next until %d actions stand between them; leave them out by {\"payload.rule_name\": {\"$ne\": %q}}",
				DeliveryType, end.status, a.Type, MaxHops, r.Name)})
		}
	}
	return all
}

// possibleCaused says whether a condition can hold for an event that an action
// causes, whichever of the chain it is.
func possibleCaused(cond *Condition, known bson.D) bool {
	for n := 1; n < MaxHops; n++ {
		raw, err := bson.Marshal(append(known[:len(known):len(known)], bson.E{Key: "metadata", Value: bson.D{{Key: "hops", Value: n}}}))
		if err != nil { // texts of a rule are always BSON
			raw = emptyDocument()
		}
		if cond.Possible(raw) {
			return true
		}
	}
	return false
}

// outcome is how a delivery can end.
type outcome struct {
	status   notification.Status
	severity int
}

var outcomes = []outcome{{notification.Delivered, DeliveredSeverity}, {notification.Dead, DeadSeverity}}

// outcome is what is known of an event about a notification of this rule.
func (r *Rule) outcome(a ActionSpec, end outcome) bson.D {
	payload := bson.D{{Key: "status", Value: end.status}, {Key: "rule_name", Value: r.Name}, {Key: "action_type", Value: a.Type}}
	if r.ID != "" {
		payload = append(payload, bson.E{Key: "rule_id", Value: r.ID})
	}
	return bson.D{
		{Key: "type", Value: DeliveryType}, {Key: "source", Value: DeliverySource}, {Key: "severity", Value: end.severity},
		{Key: "payload", Value: payload},
	}
}

// published is what is known of the event that a PUBLISH action makes: what its
// template says in so many words.
func published(a ActionSpec) (known bson.D, publishes bool) {
	if a.Type != "PUBLISH" || event.Text(a.Config, "exchange") != "events" {
		return nil, false
	}
	said := textMembers(event.Text(a.Config, "body"))
	for _, name := range []string{"type", "source"} {
		if text, there := said[name]; there {
			known = append(known, bson.E{Key: name, Value: text})
		}
	}
	return known, true
}
