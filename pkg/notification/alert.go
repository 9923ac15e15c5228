package notification

import (
	"encoding/json"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/event"
)

// Alert is what a window rule found: the notification stands for many events.
type Alert struct {
	Kind string   `bson:"kind" json:"kind"`
	Key  bson.Raw `bson:"key,omitempty" json:"-"` // the values of the rule's group_by, by path
	// Slot tells the windows of one key apart: two alerts of the same slot are
	// the same alert.
	Slot int64 `bson:"slot" json:"slot"`
	// From and To are the window: one that ends at an event is without From and
	// with To, one of a slot with From and without To.
	From  time.Time `bson:"from" json:"from"`
	To    time.Time `bson:"to" json:"to"`
	Value float64   `bson:"value" json:"value"`
	// Reference is what Value was compared with: the window before, or a bound.
	Reference float64 `bson:"reference,omitempty" json:"reference,omitempty"`
	Text      string  `bson:"text" json:"text"` // the same for a reader
}

// MarshalJSON writes the key as events are written.
func (a Alert) MarshalJSON() ([]byte, error) {
	type plain Alert
	shown := struct {
		plain
		Key json.RawMessage `json:"key,omitempty"`
	}{plain: plain(a)}
	if len(a.Key) > 0 {
		key, err := event.ToJSON(a.Key)
		if err != nil {
			return nil, fmt.Errorf("key of an alert: %w", err)
		}
		shown.Key = key
	}
	return json.Marshal(shown)
}
