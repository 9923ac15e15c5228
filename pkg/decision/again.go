package decision

import (
	"fmt"

	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/rule/window"
)

// Again is the order of a notification's next attempt, for when its message is
// lost or somebody wants it: whoever gets it asks the record before the endpoint.
// event is the stored one, nil when there is none: then it is what stands for it,
// and at the least its id, since no dispatcher takes an order without an event.
func Again(n notification.Notification, event bson.Raw) (notification.Message, error) {
	if event == nil {
		event = standIn(n)
	}
	if event == nil { // its retention is over
		var err error
		if event, err = bson.Marshal(bson.D{{Key: "event_id", Value: n.EventID}}); err != nil {
			return notification.Message{}, fmt.Errorf("event of notification %s: %w", n.ID, err)
		}
	}
	msg := notification.Message{Notification: n, Event: event, Attempt: n.AttemptCount + 1, Republished: true, Receipts: n.Receipts()}
	if f := n.Forced; f != nil && !f.Done && n.Status != notification.Pending {
		msg.Force = f.Nonce
	}
	msg.Notification.Attempts = nil
	return msg, nil
}

// standIn is the event of a notification about more than one: it stands for an
// alert that no event completed, or for a group. nil for one about an event.
func standIn(n notification.Notification) bson.Raw {
	if n.Alert != nil {
		return window.AlertEvent(n)
	}
	if n.Group != nil {
		return GroupEvent(n)
	}
	return nil
}
