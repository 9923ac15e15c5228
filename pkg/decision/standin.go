package decision

import (
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/rule/window"
)

// StandIn is the event of a notification whose own is not stored: it stands for
// an alert that no event completed, or its retention is over. nil when there is
// none.
func StandIn(n notification.Notification) bson.Raw {
	if n.Alert != nil {
		return window.AlertEvent(n)
	}
	if n.Group != nil {
		return GroupEvent(n)
	}
	return nil
}
