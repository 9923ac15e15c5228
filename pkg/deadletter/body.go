package deadletter

import (
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/x/bsonx/bsoncore"

	"github.com/events-aggregator/events-aggregator/pkg/action/builtin"
	"github.com/events-aggregator/events-aggregator/pkg/action/seal"
	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
)

const (
	// maxRead bounds how large a JSON body is read: an event has 256 KiB at most,
	// and what is larger died of it.
	maxRead = 1 << 20
	// maxTypes bounds the types of a batch's events.
	maxTypes = 20
)

// content is what can be told of a body.
type content struct {
	document                                bson.Raw // nil when it is none
	shown                                   []byte   // without secrets
	eventID, notificationID, ruleID, target string
	eventTypes                              []string
}

// readBody tells apart what travels in the product: events as JSON, delivery
// orders and stored batches as BSON.
func readBody(contentType string, body []byte) content {
	if contentType != "application/bson" {
		return readEvent(body)
	}
	doc := bson.Raw(body)
	if doc.Validate() != nil {
		return content{} // whose secrets cannot be found, so none of it is shown
	}
	if _, err := doc.LookupErr("notification"); err == nil {
		return readOrder(doc)
	}
	return readBatch(doc)
}

// readEvent reads what a producer sent, which may be anything.
func readEvent(body []byte) content {
	c := content{shown: body}
	if len(body) > maxRead {
		return c
	}
	doc, err := event.FromJSON(body)
	if err != nil {
		return c
	}
	c.document = doc
	c.eventID = strings.ToLower(event.Text(doc, "event_id"))
	if t := event.Text(doc, "type"); t != "" {
		c.eventTypes = []string{t}
	}
	return c
}

// readBatch reads a stored batch; an event is named when there is only one.
func readBatch(doc bson.Raw) content {
	c := content{document: doc, shown: doc}
	list, _ := doc.Lookup("events").ArrayOK()
	events, err := list.Values()
	if err != nil {
		return c
	}
	for _, v := range events {
		e, ok := v.DocumentOK()
		if !ok {
			continue
		}
		if t := event.Text(e, "type"); t != "" && len(c.eventTypes) < maxTypes && !slices.Contains(c.eventTypes, t) {
			c.eventTypes = append(c.eventTypes, t)
		}
		if len(events) == 1 {
			c.eventID = event.Text(e, "event_id")
		}
	}
	return c
}

// readOrder reads a delivery order.
func readOrder(doc bson.Raw) content {
	c := content{document: doc}
	var m notification.Message
	if bson.Unmarshal(doc, &m) != nil {
		return c
	}
	n := m.Notification
	c.eventID, c.notificationID, c.ruleID = n.EventID, n.ID, n.RuleID
	if t := event.Text(m.Event, "type"); t != "" {
		c.eventTypes = []string{t}
	}
	c.target = seal.Target(n.Action.Config)
	// An action type that is not known here keeps its configuration to itself.
	masked := bson.Raw(bsoncore.NewDocumentBuilder().Build())
	if kind, known := builtin.Table().Lookup(n.Action.Type); known && len(n.Action.Config) > 0 {
		masked = seal.Hide(kind.Mask(n.Action.Config))
	}
	m.Notification.Action.Config = masked
	c.shown, _ = bson.Marshal(m) // nil when it cannot be: then nothing is shown
	return c
}
