package dispatcher

import (
	"github.com/events-aggregator/events-aggregator/pkg/broker"
	decisions "github.com/events-aggregator/events-aggregator/pkg/decision"
	"github.com/events-aggregator/events-aggregator/pkg/rule"
)

// Source is the `source` of the events that the dispatcher publishes.
const Source = rule.DeliverySource

// outcomeEvent makes the message of a NOTIFICATION_DELIVERY event.
func (d *Dispatcher) outcomeEvent(o *order, decided decision) (broker.Message, error) {
	m, err := d.topology.Outcome(decisions.Outcome{Notification: o.msg.Notification, Event: o.msg.Event,
		Status: decided.status, Reason: decided.reason, Attempt: decided.attempt, Target: o.call.target})
	if err != nil {
		return m, err
	}
	if trace, ok := traceOf(o.msg.Event); ok {
		trace.Child().WriteHeaders(m.Headers)
	}
	return m, nil
}
