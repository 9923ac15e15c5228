package decision

import (
	"encoding/json"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/action/seal"
	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/rule"
)

// Outcome is how a notification ended, as a NOTIFICATION_DELIVERY event tells it.
// All of the event comes from here, so that publishing it again gives the same
// event under the same id.
type Outcome struct {
	Notification notification.Notification
	Event        bson.Raw // that the rule matched, or what stands for it
	Status       notification.Status
	Reason       string
	Attempt      notification.Attempt // the last one, or what would have been it
	Target       string               // host alone: a path or a query may be a secret
}

// Cancelled is the outcome of a notification that somebody cancelled. event is the
// stored one, nil when there is none.
func Cancelled(n notification.Notification, event bson.Raw) Outcome {
	if event == nil {
		event = standIn(n)
	}
	return Outcome{Notification: n, Event: event, Status: n.Status, Reason: n.Reason, Target: seal.Target(n.Action.Config),
		Attempt: notification.Attempt{Number: n.AttemptCount, At: n.UpdatedAt}}
}

// EventID makes publishing the outcome again a duplicate. A notification may be
// suppressed for two causes around one attempt, so one that somebody cancelled has
// a name of its own.
func (o Outcome) EventID() string {
	if o.Reason == notification.Cancelled {
		return notification.OutcomeEventID(o.Notification.ID, notification.Cancelled, o.Attempt.Number)
	}
	return notification.OutcomeEventID(o.Notification.ID, o.Status, o.Attempt.Number)
}

// At is the event's time.
func (o Outcome) At() time.Time {
	return o.Attempt.At.Add(time.Duration(o.Attempt.DurationMS) * time.Millisecond).UTC()
}

// Body is the event in the product's native shape.
func (o Outcome) Body() ([]byte, error) {
	n, a := o.Notification, o.Attempt
	e := outcomeEvent{
		EventID: o.EventID(), Type: rule.DeliveryType, Source: rule.DeliverySource, Severity: rule.DeliveredSeverity,
		Timestamp: o.At(), TraceID: event.Text(o.Event, "trace_id"),
		Payload: outcomePayload{
			NotificationID: n.ID, Status: o.Status, Reason: o.Reason, Attempt: a.Number,
			RuleID: n.RuleID, RuleName: n.RuleName, RuleVersion: n.RuleVersion, ActionType: n.Action.Type,
			Queue: n.Queue, Target: o.Target, EventID: n.EventID, EventType: event.Text(o.Event, "type"),
			DeliveryMS: a.DurationMS, StatusCode: a.StatusCode, ErrorClass: a.ErrorClass, Error: a.Error,
		},
		Metadata: outcomeMetadata{
			Hops: rule.Hops(o.Event) + 1, CausedBy: n.EventID,
			Region: event.Text(o.Event, "metadata", "region"),
		},
	}
	if o.Status == notification.Dead {
		e.Severity = rule.DeadSeverity
	}
	body, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("encode outcome event of notification %s: %w", n.ID, err)
	}
	return body, nil
}

type outcomeEvent struct {
	EventID   string          `json:"event_id"`
	Type      string          `json:"type"`
	Source    string          `json:"source"`
	Severity  int             `json:"severity"`
	Timestamp time.Time       `json:"timestamp"`
	TraceID   string          `json:"trace_id,omitempty"`
	Payload   outcomePayload  `json:"payload"`
	Metadata  outcomeMetadata `json:"metadata"`
}

type outcomePayload struct {
	NotificationID string              `json:"notification_id"`
	Status         notification.Status `json:"status"`
	Reason         string              `json:"reason,omitempty"`
	Attempt        int                 `json:"attempt"`
	RuleID         string              `json:"rule_id"`
	RuleName       string              `json:"rule_name"`
	RuleVersion    int                 `json:"rule_version"`
	ActionType     string              `json:"action_type"`
	Queue          string              `json:"queue"`
	Target         string              `json:"target,omitempty"`
	EventID        string              `json:"event_id"`
	EventType      string              `json:"event_type,omitempty"`
	DeliveryMS     int64               `json:"delivery_ms"`
	StatusCode     int                 `json:"status_code,omitempty"`
	ErrorClass     string              `json:"error_class,omitempty"`
	Error          string              `json:"error,omitempty"`
}

type outcomeMetadata struct {
	Hops     int    `json:"hops"`
	CausedBy string `json:"caused_by"` // the event that the rule matched
	Region   string `json:"region,omitempty"`
}
