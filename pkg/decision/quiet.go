package decision

import (
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/pkg/silence"
)

// Quiet suppresses what is silenced, or muted, at the time of its decision. mutes
// gives the mute times of a rule that has some. What rules remember is for a
// Holder.
func Quiet(owed []Owed, silences *silence.Set, mutes func(*rule.Rule) rule.MuteTimes) {
	for i := range owed {
		o := &owed[i]
		if o.Status != notification.Pending {
			continue
		}
		if s := silences.Match(o.RuleID, o.Event, o.CreatedAt); s != nil {
			o.Suppress(notification.Silenced, notification.Held{ID: s.ID, Until: &s.Until})
		}
	}
	Mute(owed, mutes)
}

// Mute suppresses what is muted at the time of its decision.
func Mute(owed []Owed, mutes func(*rule.Rule) rule.MuteTimes) {
	for i := range owed {
		o := &owed[i]
		if o.Status != notification.Pending || o.Rule == nil || len(o.Rule.Mute) == 0 {
			continue
		}
		if until, muted := mutes(o.Rule).Until(o.CreatedAt); muted {
			o.Suppress(notification.Muted, notification.Held{Until: &until})
		}
	}
}
