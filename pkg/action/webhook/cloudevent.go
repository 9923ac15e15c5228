package webhook

import (
	"fmt"
	"strconv"
	"time"

	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
)

// cloudEvent is the event in CloudEvents' JSON format 1.0, with its payload as
// data, as ingest takes it in: the same event under the same id. The rule and
// the notification are extension attributes, whose names CloudEvents limits to
// lower-case letters and digits.
func cloudEvent(msg notification.Message) ([]byte, error) {
	n := msg.Notification
	b := append(make([]byte, 0, 2*len(msg.Event)+256), `{"specversion":"1.0"`...)
	attribute := func(name, value string) {
		if value != "" {
			b = append(append(append(b, `,"`...), name...), `":`...)
			b = event.AppendText(b, value)
		}
	}
	attribute("id", n.EventID)
	attribute("source", event.Text(msg.Event, "source"))
	attribute("type", event.Text(msg.Event, "type"))
	if at, ok := msg.Event.Lookup("timestamp").TimeOK(); ok {
		attribute("time", at.UTC().Format(time.RFC3339Nano))
	}
	if severity, ok := msg.Event.Lookup("severity").AsInt64OK(); ok {
		b = strconv.AppendInt(append(b, `,"severity":`...), severity, 10)
	}
	attribute("userid", event.Text(msg.Event, "user_id"))
	attribute("sessionid", event.Text(msg.Event, "session_id"))
	attribute("traceid", event.Text(msg.Event, "trace_id"))
	attribute("ruleid", n.RuleID)
	attribute("rulename", n.RuleName)
	attribute("notificationid", n.ID)
	if n.Alert != nil {
		attribute("alerttext", n.Alert.Text)
	}
	if payload, ok := msg.Event.Lookup("payload").DocumentOK(); ok {
		b = append(b, `,"datacontenttype":"application/json","data":`...)
		var err error
		if b, err = event.AppendJSON(b, payload); err != nil {
			return nil, fmt.Errorf("webhook body: %w", err)
		}
	}
	return append(b, '}'), nil
}
