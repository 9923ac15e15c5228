package ruleworker

import (
	"time"

	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/decision"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/pkg/rule/window"
)

// alertID is the identity of an alert's first action. All are committed
// together, so where it exists the others do.
func alertID(r *rule.Rule, a window.Alert) string {
	return notification.AlertID(r.ID, r.Version, decision.FirstAction(r), a.Key, a.Slot)
}

// alertOwed is what an alert owes. event is the one that completed the window;
// nil when there is none, or it is gone.
func alertOwed(r *rule.Rule, a window.Alert, event bson.Raw, retention time.Duration, now time.Time) []decision.Owed {
	of := notification.Notification{EventID: eventID(event), RuleID: r.ID, RuleVersion: r.Version, RuleName: r.Name, Alert: &a.Alert}
	if event == nil {
		of.EventID = window.AlertEventID(r.ID, r.Version, a.Alert)
		event = window.AlertEvent(of)
	}
	return owe(r, event, of, retention, now)
}
