package ruleworker

import (
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/action/builtin"
	"github.com/events-aggregator/events-aggregator/pkg/decision"
	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/rule"
)

// reasonShadow is why a shadow rule's notifications are suppressed.
const reasonShadow = "shadow"

// decide matches every event of the batch against the set. It is pure: the
// same batch and rules give the same decision, with the same identities.
func decide(set *rule.Set, batch event.Batch, retention time.Duration, now time.Time) decision.Batch {
	d := decision.Batch{Batch: batch}
	types := builtin.Table()
	var matched []*rule.Compiled
	for _, raw := range batch.Events {
		matched = set.Match(raw, matched[:0])
		if len(matched) == 0 {
			continue
		}
		id, _ := raw.Lookup("_id").ObjectIDOK()
		rules := make([]string, len(matched))
		severity := severityOf(raw)
		for i, m := range matched {
			rules[i] = m.Rule.ID
			for index, spec := range m.Rule.Actions {
				kind, known := types.Lookup(spec.Type)
				if !known { // saved by a newer version: nothing here can carry it out
					continue
				}
				n := notification.Notification{
					ID:      notification.ID(eventID(raw), m.Rule.ID, m.Rule.Version, index),
					EventID: eventID(raw), RuleID: m.Rule.ID, RuleVersion: m.Rule.Version, RuleName: m.Rule.Name,
					Action:   notification.Action{Type: spec.Type, Config: spec.Config},
					Queue:    kind.Queue(spec.Config, severity, m.Rule.Priority),
					Status:   notification.Pending,
					Attempts: []notification.Attempt{}, CreatedAt: now, UpdatedAt: now, ExpiresAt: now.Add(retention),
				}
				if m.Rule.Mode == rule.Shadow {
					n.Status, n.Reason = notification.Suppressed, reasonShadow
				}
				d.Owed = append(d.Owed, decision.Owed{Notification: n, Event: raw, Rule: &m.Rule})
			}
		}
		slices.Sort(rules) // equal sets make equal lists, and one update
		d.Matches = append(d.Matches, event.Match{ID: id, Rules: rules})
	}
	return d
}

func eventID(raw bson.Raw) string {
	id, _ := raw.Lookup("event_id").StringValueOK()
	return id
}

func severityOf(raw bson.Raw) int {
	n, _ := raw.Lookup("severity").AsInt64OK()
	return int(n)
}
