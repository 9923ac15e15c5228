// Package rule is the product's noun for "when this, then that": its document,
// the language of its conditions, and the index that finds the rules an event
// matches. It does no I/O.
package rule

import (
	"time"

	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/rule/window"
)

// Mode says what a match does.
type Mode string

const (
	// Live rules act.
	Live Mode = "live"
	// Shadow rules decide and record, and do nothing.
	Shadow Mode = "shadow"
)

// Rule is a document of the collection `rules`.
type Rule struct {
	ID          string       `bson:"_id"`
	Name        string       `bson:"name"`
	Description string       `bson:"description,omitempty"`
	Conditions  bson.Raw     `bson:"conditions"`
	Actions     []ActionSpec `bson:"actions"`
	Priority    int          `bson:"priority"` // 1 is first
	Enabled     bool         `bson:"enabled"`
	Mode        Mode         `bson:"mode"`

	Window            *window.Spec `bson:"window,omitempty"` // nil: each event that matches is a match
	Throttle          *Throttle    `bson:"throttle,omitempty"`
	Group             *Group       `bson:"group,omitempty"`
	Mute              []Mute       `bson:"mute,omitempty"`
	MaxMatchesPerHour int          `bson:"max_matches_per_hour,omitempty"` // 0: no bound

	Version   int       `bson:"version"`
	CreatedAt time.Time `bson:"created_at"`
	UpdatedAt time.Time `bson:"updated_at"`
	CreatedBy string    `bson:"created_by,omitempty"`
}

// ActionSpec is one action of a rule: a type of the action table and its
// configuration.
type ActionSpec struct {
	Type   string   `bson:"type"`
	Config bson.Raw `bson:"config"`
}

// DefaultPriority is the priority of a rule that names none: behind every rule
// that somebody gave a place.
const DefaultPriority = 100

// Problem is one mistake in a rule: where (a JSON pointer into the rule's JSON)
// and what was expected.
type Problem struct {
	Pointer string
	Message string
}
