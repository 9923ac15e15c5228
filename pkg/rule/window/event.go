package window

import (
	"slices"
	"strings"

	"github.com/google/uuid"
	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"

	"github.com/events-aggregator/events-aggregator/pkg/notification"
)

// AlertType is the type of the event that stands for an alert that no event
// completed: nothing happened. It is never stored.
const AlertType = "WINDOW_ALERT"

// Source of such events, and their severity: an error, since what should have
// happened did not.
const (
	alertSource   = "rule-worker"
	alertSeverity = 7
)

// alertNamespace makes alert events' ids distinct from all other UUIDv5s.
var alertNamespace = uuid.MustParse("1f6b0c1e-7d0a-5a77-8a53-1d6c2b9c3f10")

// AlertEventID is the event_id of the event that stands for an alert: the same
// for all actions of a rule, whoever asks. It is of the alert's identity.
func AlertEventID(ruleID string, version int, a notification.Alert) string {
	return uuid.NewSHA1(alertNamespace, []byte(notification.AlertID(ruleID, version, 0, a.Key, a.Slot))).String()
}

// AlertEvent is the event that stands for an alert that no event completed, so
// that templates, webhooks, throttles and silences see one: the values of the
// rule's group_by stand at their paths, what was found in the payload. It is
// made of the notification alone.
func AlertEvent(n notification.Notification) bson.Raw {
	a := n.Alert
	d := bson.D{}
	elements, _ := a.Key.Elements()
	for _, e := range elements {
		d = put(d, strings.Split(e.Key(), "."), e.Value())
	}
	own := bson.D{
		{Key: "event_id", Value: n.EventID},
		{Key: "type", Value: AlertType},
		{Key: "source", Value: alertSource},
		{Key: "severity", Value: int32(alertSeverity)},
		{Key: "timestamp", Value: primitive.NewDateTimeFromTime(a.To)},
		{Key: "payload.rule", Value: bson.D{{Key: "id", Value: n.RuleID}, {Key: "name", Value: n.RuleName}, {Key: "version", Value: int32(n.RuleVersion)}}},
		{Key: "payload.kind", Value: a.Kind},
		{Key: "payload.from", Value: primitive.NewDateTimeFromTime(a.From)},
		{Key: "payload.to", Value: primitive.NewDateTimeFromTime(a.To)},
		{Key: "payload.value", Value: a.Value},
		{Key: "payload.reference", Value: a.Reference},
		{Key: "payload.text", Value: a.Text},
	}
	if len(a.Key) > 0 {
		own = append(own, bson.E{Key: "payload.key", Value: a.Key})
	}
	for _, e := range own {
		d = put(d, strings.Split(e.Key, "."), e.Value)
	}
	raw, err := bson.Marshal(d)
	if err != nil { // a key that is no BSON: it came from the database
		return nil
	}
	return raw
}

// put sets the value at a path; what is in its way gives way.
func put(d bson.D, path []string, value any) bson.D {
	at := slices.IndexFunc(d, func(e bson.E) bool { return e.Key == path[0] })
	if at < 0 {
		d, at = append(d, bson.E{Key: path[0]}), len(d)
	}
	if len(path) == 1 {
		d[at].Value = value
		return d
	}
	inner, _ := d[at].Value.(bson.D)
	d[at].Value = put(inner, path[1:], value)
	return d
}
