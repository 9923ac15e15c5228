package dispatcher

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
)

// Source is the `source` of the events that the dispatcher publishes.
const Source = rule.DeliverySource

// outcome is a NOTIFICATION_DELIVERY event in the product's native shape. All
// of it comes from the message and the record, so that publishing it again
// gives the same event under the same id.
type outcome struct {
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
	Target         string              `json:"target,omitempty"` // host alone: a path or a query may be a secret
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

// outcomeEvent makes the event's message.
func (d *Dispatcher) outcomeEvent(o *order, decided decision) (broker.Message, error) {
	n, a := o.msg.Notification, decided.attempt
	e := outcome{
		EventID: notification.OutcomeEventID(n.ID, decided.status, a.Number),
		Type:    rule.DeliveryType, Source: Source, Severity: rule.DeliveredSeverity,
		Timestamp: a.At.Add(time.Duration(a.DurationMS) * time.Millisecond).UTC(),
		TraceID:   event.Text(o.msg.Event, "trace_id"),
		Payload: outcomePayload{
			NotificationID: n.ID, Status: decided.status, Reason: decided.reason, Attempt: a.Number,
			RuleID: n.RuleID, RuleName: n.RuleName, RuleVersion: n.RuleVersion, ActionType: n.Action.Type,
			Queue: n.Queue, Target: o.call.target, EventID: n.EventID, EventType: event.Text(o.msg.Event, "type"),
			DeliveryMS: a.DurationMS, StatusCode: a.StatusCode, ErrorClass: a.ErrorClass, Error: a.Error,
		},
		Metadata: outcomeMetadata{
			Hops: rule.Hops(o.msg.Event) + 1, CausedBy: n.EventID,
			Region: event.Text(o.msg.Event, "metadata", "region"),
		},
	}
	if decided.status == notification.Dead {
		e.Severity = rule.DeadSeverity
	}
	headers := map[string]any{}
	if trace, ok := traceOf(o.msg.Event); ok {
		trace.Child().WriteHeaders(headers)
	}
	body, err := json.Marshal(e)
	if err != nil {
		return broker.Message{}, fmt.Errorf("encode outcome event of notification %s: %w", n.ID, err)
	}
	return broker.Message{
		Exchange: d.topology.Exchange(topology.ExchangeEvents), RoutingKey: topology.KeyDelivery,
		ContentType: "application/json", MessageID: e.EventID, AppID: Source, Type: e.Type,
		Timestamp: e.Timestamp, Headers: headers, Body: body,
	}, nil
}
