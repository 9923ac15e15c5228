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

// decide matches every event of the batch against the set, and notes those of
// rules with windows. The same batch and rules give the same decision, with the
// same identities.
func decide(set *rule.Set, batch event.Batch, retention time.Duration, now time.Time, t *touched) decision.Batch {
	d := decision.Batch{Batch: batch}
	var matched, over []*rule.Compiled
	for _, raw := range batch.Events {
		matched, over = set.MatchBudget(raw, matched[:0], over[:0])
		for _, o := range over {
			d.Excesses = append(d.Excesses, decision.Excess{Rule: &o.Rule, EventID: eventID(raw), Event: raw})
		}
		if len(matched) == 0 {
			continue
		}
		id, _ := raw.Lookup("_id").ObjectIDOK()
		rules := make([]string, len(matched))
		for i, m := range matched {
			rules[i] = m.Rule.ID
			if m.Rule.Window != nil {
				t.add(&m.Rule, raw)
				continue
			}
			d.Owed = append(d.Owed, owe(&m.Rule, raw, notification.Notification{
				EventID: eventID(raw), RuleID: m.Rule.ID, RuleVersion: m.Rule.Version, RuleName: m.Rule.Name,
			}, retention, now)...)
		}
		slices.Sort(rules) // equal sets make equal lists, and one update
		d.Matches = append(d.Matches, event.Match{ID: id, Rules: rules})
	}
	return d
}

// owe is what a match owes, one notification for each action of the rule; of
// says what it is about. An alert or a group belongs to no batch, so until its
// message is confirmed it is unpublished.
func owe(r *rule.Rule, raw bson.Raw, of notification.Notification, retention time.Duration, now time.Time) []decision.Owed {
	types := builtin.Table()
	severity := severityOf(raw)
	owed := make([]decision.Owed, 0, len(r.Actions))
	for index, spec := range r.Actions {
		kind, known := types.Lookup(spec.Type)
		if !known { // saved by a newer version: nothing here can carry it out
			continue
		}
		n := of
		switch {
		case n.Group != nil:
			n.ID, n.Unpublished = notification.GroupID(*n.Group, index), true
		case n.Alert != nil:
			n.ID, n.Unpublished = notification.AlertID(r.ID, r.Version, index, n.Alert.Key, n.Alert.Slot), true
		default:
			n.ID = notification.ID(n.EventID, r.ID, r.Version, index)
		}
		n.Action = notification.Action{Type: spec.Type, Config: spec.Config}
		n.Queue = kind.Queue(spec.Config, severity, r.Priority)
		n.Status = notification.Pending
		n.Attempts = []notification.Attempt{}
		n.CreatedAt, n.UpdatedAt, n.ExpiresAt = now, now, now.Add(retention)
		if r.Mode == rule.Shadow {
			n.Suppress(notification.Shadow, notification.Held{})
		}
		owed = append(owed, decision.Owed{Notification: n, Event: raw, Rule: r, Place: index})
	}
	return owed
}

func eventID(raw bson.Raw) string {
	id, _ := raw.Lookup("event_id").StringValueOK()
	return id
}

func severityOf(raw bson.Raw) int {
	n, _ := raw.Lookup("severity").AsInt64OK()
	return int(n)
}
