package rule

import (
	"fmt"
	"regexp"

	"go.mongodb.org/mongo-driver/bson"

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
	for i, a := range r.Actions {
		if doc := published(a); doc != nil && cond.Possible(doc) {
			return []Problem{{Pointer: fmt.Sprintf("/actions/%d", i), Message: fmt.Sprintf(
				"the rule can match the event that this action publishes, which leads to the next until %d actions stand between them; let its type or source be one that the conditions leave out", MaxHops)}}
		}
	}
	if !namesDelivery(cond.root) {
		return nil
	}
	for _, a := range r.Actions {
		for _, end := range outcomes {
			if !cond.Possible(r.outcome(a, end)) {
				continue
			}
			return []Problem{{Pointer: "/conditions", Message: fmt.Sprintf(
				"the rule can match the %s events about its own notifications (%s of %s), each of which leads to the next until %d actions stand between them; leave them out by {\"payload.rule_name\": {\"$ne\": %q}}",
				DeliveryType, end.status, a.Type, MaxHops, r.Name)}}
		}
	}
	return nil
}

// outcome is how a delivery can end.
type outcome struct {
	status   notification.Status
	severity int
}

var outcomes = []outcome{{notification.Delivered, DeliveredSeverity}, {notification.Dead, DeadSeverity}}

// outcome is what is known of an event about a notification of this rule.
func (r *Rule) outcome(a ActionSpec, end outcome) bson.Raw {
	payload := bson.D{{Key: "status", Value: end.status}, {Key: "rule_name", Value: r.Name}, {Key: "action_type", Value: a.Type}}
	if r.ID != "" {
		payload = append(payload, bson.E{Key: "rule_id", Value: r.ID})
	}
	raw, err := bson.Marshal(bson.D{
		{Key: "type", Value: DeliveryType}, {Key: "source", Value: DeliverySource}, {Key: "severity", Value: end.severity},
		{Key: "payload", Value: payload}, {Key: "metadata", Value: bson.D{{Key: "hops", Value: 1}}},
	})
	if err != nil { // texts of a rule are always BSON
		return emptyDocument()
	}
	return raw
}

// published is what is known of the event that a PUBLISH action makes: what its
// template says in so many words. nil when it makes none.
func published(a ActionSpec) bson.Raw {
	if a.Type != "PUBLISH" || textOf(a.Config, "exchange") != "events" {
		return nil
	}
	doc := bson.D{{Key: "metadata", Value: bson.D{{Key: "hops", Value: 1}}}}
	body := textOf(a.Config, "body")
	for _, name := range []string{"type", "source"} {
		said := regexp.MustCompile(`"` + name + `"\s*:\s*"([^"{}\\]+)"`).FindStringSubmatch(body)
		if said != nil {
			doc = append(doc, bson.E{Key: name, Value: said[1]})
		}
	}
	raw, err := bson.Marshal(doc)
	if err != nil {
		return emptyDocument()
	}
	return raw
}

func textOf(doc bson.Raw, key string) string {
	s, _ := doc.Lookup(key).StringValueOK()
	return s
}
