package window

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/bson"
)

// Due is a slot of a rule that has to be decided, a document of `window_dues`.
// It says nothing about the outcome, which is found in the events alone: one
// that is made twice, or for nothing, does no harm.
type Due struct {
	ID          string    `bson:"_id"`
	RuleID      string    `bson:"rule_id"`
	RuleVersion int       `bson:"rule_version"`
	Part        int       `bson:"part"`
	Slot        int64     `bson:"slot"`
	Key         bson.Raw  `bson:"key,omitempty"` // none: of all keys, or the rule has no group_by
	DueAt       time.Time `bson:"due_at"`
	Deferred    bool      `bson:"deferred,omitempty"` // its events wait for no other to be stored: it was left to the timer
	Parts       int       `bson:"parts,omitempty"`    // of what it owes, that are committed already
	Tries       int       `bson:"tries,omitempty"`    // that failed
	Error       string    `bson:"error,omitempty"`    // of the last one
}

// NewDue is the due slot of a part of a rule; key is a window's key, for a part
// that remembers each.
func NewDue(ruleID string, version int, p Part, slot int64, key string) Due {
	h := sha256.New()
	fmt.Fprintf(h, "%s\x00%d\x00%d\x00%d\x00%s", ruleID, version, p.Place, slot, key)
	return Due{ID: "due_" + hex.EncodeToString(h.Sum(nil)[:16]), RuleID: ruleID, RuleVersion: version, Part: p.Place,
		Slot: slot, Key: keyOf(key), DueAt: p.DueAt(slot)}
}
