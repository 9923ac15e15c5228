package decision

import (
	"fmt"
	"time"

	"github.com/events-aggregator/events-aggregator/pkg/rule"
)

// Hour is a document of the collection `rule_hours`: the matches of a version of
// a rule with max_matches_per_hour in one hour of the clock (UTC). Matches that
// something before it held back (shadow, silence, mute) do not count. A new
// version begins anew, since it is how people mend a rule that matches too much.
type Hour struct {
	ID          string     `bson:"_id"` // <rule_id>:<version>:<hour>
	RuleID      string     `bson:"rule_id"`
	RuleVersion int        `bson:"rule_version"`
	Matches     int        `bson:"matches"`
	Until       time.Time  `bson:"until"`               // the hour's end
	PausedAt    *time.Time `bson:"paused_at,omitempty"` // when the first match too many came
	ExpiresAt   time.Time  `bson:"expires_at"`
}

// hoursKept is how long people can look at an hour that is over.
const hoursKept = 7 * 24 * time.Hour

func hourID(r *rule.Rule, at time.Time) string {
	return fmt.Sprintf("%s:%d:%s", r.ID, r.Version, at.UTC().Truncate(time.Hour).Format("2006-01-02T15"))
}

// count counts a match, or says that there are too many; what is changed is then
// only that the rule is paused, once.
func (h Hour) count(r *rule.Rule, at time.Time) (next Hour, counted, changed bool) {
	if h.ID == "" {
		until := at.UTC().Truncate(time.Hour).Add(time.Hour)
		h = Hour{ID: hourID(r, at), RuleID: r.ID, RuleVersion: r.Version, Until: until, ExpiresAt: until.Add(hoursKept)}
	}
	switch {
	case h.Matches < r.MaxMatchesPerHour:
		h.Matches++
		return h, true, true
	case h.PausedAt == nil:
		h.PausedAt = &at
		return h, false, true
	default:
		return h, false, false
	}
}
