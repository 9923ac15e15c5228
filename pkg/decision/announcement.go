package decision

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/rule"
)

// Announcement is a document of the collection `announcements`: an event about a
// rule that is owed to the public exchange. It is inserted in the transaction
// that made it true and removed when the broker has it, so it comes even if the
// worker dies in between; its id makes a repeat a duplicate.
type Announcement struct {
	EventID    string    `bson:"_id"`
	Type       string    `bson:"type"`
	RoutingKey string    `bson:"routing_key"`
	Body       []byte    `bson:"body"` // JSON, in the product's native shape
	CreatedAt  time.Time `bson:"created_at"`
}

// Source is the `source` of announcements.
const Source = "rule-worker"

// The types of announcements, and their routing keys.
const (
	RulePaused      = "RULE_PAUSED"
	RulePausedKey   = "events.rule.paused"
	RuleDisabled    = "RULE_DISABLED"
	RuleDisabledKey = "events.rule.disabled"
	RuleFailing     = "RULE_FAILING"
	RuleFailingKey  = "events.rule.failing"
)

// Severities: a pause ends by itself, a disabled or failing rule needs somebody.
const (
	severityPaused   = 6
	severityFailing  = 7
	severityDisabled = 8
)

// announced is the event in the native shape.
type announced struct {
	EventID   string           `json:"event_id"`
	Type      string           `json:"type"`
	Source    string           `json:"source"`
	Severity  int              `json:"severity"`
	Timestamp time.Time        `json:"timestamp"`
	Payload   announcedPayload `json:"payload"`
	Metadata  announcedCause   `json:"metadata"`
}

type announcedPayload struct {
	RuleID            string     `json:"rule_id"`
	RuleName          string     `json:"rule_name"`
	RuleVersion       int        `json:"rule_version"`
	EventID           string     `json:"event_id,omitempty"` // the match or evaluation that was one too many
	MaxMatchesPerHour int        `json:"max_matches_per_hour,omitempty"`
	PausedUntil       *time.Time `json:"paused_until,omitempty"`
	Reason            string     `json:"reason,omitempty"`
}

type announcedCause struct {
	Hops     int    `json:"hops"`
	CausedBy string `json:"caused_by,omitempty"`
}

// announcementNamespace makes announcements' ids distinct from all other UUIDv5s.
var announcementNamespace = uuid.MustParse("0b0a6c1e-93c4-5f0e-8d1f-6b1d7f3a2e44")

func announce(kind, key string, severity int, which string, at time.Time, hops int, p announcedPayload) Announcement {
	id := uuid.NewSHA1(announcementNamespace, fmt.Appendf(nil, "%s\x00%s\x00%d\x00%s", kind, p.RuleID, p.RuleVersion, which)).String()
	body, err := json.Marshal(announced{EventID: id, Type: kind, Source: Source, Severity: severity, Timestamp: at.UTC(), Payload: p,
		Metadata: announcedCause{Hops: hops + 1, CausedBy: p.EventID}})
	if err != nil {
		panic("decision: an announcement of plain fields cannot be encoded: " + err.Error())
	}
	return Announcement{EventID: id, Type: kind, RoutingKey: key, Body: body, CreatedAt: at}
}

// Paused announces that a rule had its matches of the hour: once for each
// version and hour, whichever worker notices.
func Paused(r *rule.Rule, h Hour, event bson.Raw, eventID string) Announcement {
	return announce(RulePaused, RulePausedKey, severityPaused, h.Until.Format(time.RFC3339), *h.PausedAt, rule.Hops(event), announcedPayload{
		RuleID: r.ID, RuleName: r.Name, RuleVersion: r.Version, EventID: eventID,
		MaxMatchesPerHour: r.MaxMatchesPerHour, PausedUntil: &h.Until,
	})
}

// Failing announces that windows of a rule cannot be decided, why, and since how
// many tries: once for each version and day, whichever worker notices. The name
// of a rule that cannot be read is not known.
func Failing(r rule.Rule, tries int, why string, at time.Time) Announcement {
	return announce(RuleFailing, RuleFailingKey, severityFailing, at.UTC().Format(time.DateOnly), at, 0, announcedPayload{
		RuleID: r.ID, RuleName: r.Name, RuleVersion: r.Version,
		Reason: fmt.Sprintf("a window was not decided in %d tries: %s", tries, why),
	})
}
