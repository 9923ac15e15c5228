package rule

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Holding is a document of `rule_workers`: which rules one rule-worker matches
// with. It is a report, and decides nothing.
type Holding struct {
	Worker   string        `bson:"_id" json:"worker"` // the process's instance
	Host     string        `bson:"host" json:"host"`
	Stamp    int64         `bson:"stamp" json:"stamp"` // of all rules, when these were read
	Rules    int           `bson:"rules" json:"rules"`
	Digest   string        `bson:"digest" json:"digest"` // of the versions
	Broken   []NotHeld     `bson:"broken" json:"broken"`
	Warned   []HeldInPart  `bson:"warned,omitempty" json:"warned,omitempty"`
	LoadedAt time.Time     `bson:"loaded_at" json:"loaded_at"`
	BeatAt   time.Time     `bson:"beat_at" json:"beat_at"`
	Every    time.Duration `bson:"beat_every" json:"-"` // from one beat to the next
}

// NotHeld is an enabled rule that a rule-worker cannot match with.
type NotHeld struct {
	RuleID string `bson:"rule_id" json:"rule_id"`
	Name   string `bson:"name" json:"name"`
	Error  string `bson:"error" json:"error"`
}

// HeldInPart is a rule that a rule-worker matches with, and what it cannot do for
// it.
type HeldInPart struct {
	RuleID  string `bson:"rule_id" json:"rule_id"`
	Name    string `bson:"name" json:"name"`
	Version int    `bson:"version" json:"version"`
	Warning string `bson:"warning" json:"warning"`
}

// Silent says that a worker missed several beats: it was killed, or cannot
// reach the database.
func (h *Holding) Silent(now time.Time) bool { return now.Sub(h.BeatAt) > 3*h.Every+beatSlack }

// beatSlack is for clocks and slow writes.
const beatSlack = 5 * time.Second

// Lacks says why a worker does not hold an enabled rule, "" when it does.
func (h *Holding) Lacks(ruleID string) string {
	for _, b := range h.Broken {
		if b.RuleID == ruleID {
			return b.Error
		}
	}
	return ""
}

// Holds says whether a worker holds just these enabled rules, given with their
// versions, but for those that it says are broken.
func (h *Holding) Holds(enabled map[string]int) bool {
	enabled = maps.Clone(enabled)
	for _, b := range h.Broken {
		delete(enabled, b.RuleID)
	}
	return h.Rules == len(enabled) && h.Digest == DigestOf(enabled)
}

// DigestOf is short and the same for the same versions of the same rules.
func DigestOf(versions map[string]int) string {
	sum := sha256.New()
	for _, id := range slices.Sorted(maps.Keys(versions)) {
		fmt.Fprintf(sum, "%s\x00%d\x00", id, versions[id])
	}
	return hex.EncodeToString(sum.Sum(nil)[:16])
}
