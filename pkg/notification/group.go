package notification

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/event"
)

// Group is what one notification stands for when a rule groups its matches.
type Group struct {
	ID       string    `bson:"id" json:"id"`             // that the matches are held by
	Key      bson.Raw  `bson:"key" json:"-"`             // the values of the rule's `by`, by path
	BornAt   time.Time `bson:"born_at" json:"-"`         // tells it from a forgotten group of the same key
	Sequence int       `bson:"sequence" json:"sequence"` // 1 is the group's first
	Matches  int       `bson:"matches" json:"matches"`   // since the one before
	Samples  []string  `bson:"samples" json:"samples"`   // the newest events' ids, the newest first
	FirstAt  time.Time `bson:"first_at" json:"first_at"` // of the events
	LastAt   time.Time `bson:"last_at" json:"last_at"`
}

// MarshalJSON writes the key as events are written.
func (g Group) MarshalJSON() ([]byte, error) {
	type plain Group
	key, err := event.ToJSON(g.Key)
	if err != nil {
		return nil, fmt.Errorf("key of a group: %w", err)
	}
	return json.Marshal(struct {
		plain
		Key json.RawMessage `json:"key"`
	}{plain(g), key})
}

// GroupID is the identity of a group's notification: whoever tells the group
// writes the same row.
func GroupID(g Group, actionIndex int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%d\x00%d\x00%d", g.ID, g.BornAt.UnixMilli(), g.Sequence, actionIndex))
	return "ntf_" + hex.EncodeToString(sum[:16])
}
