package ruleworker

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/decision"
	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/rule"
)

// cannotDecide: a rule that events were given to is not one that can decide them.
type cannotDecide struct{ id, why string }

func (e *cannotDecide) Error() string { return fmt.Sprintf("rule %s %s", e.id, e.why) }

// Class names the error for dead letters.
func (*cannotDecide) Class() string { return "rule_cannot_decide" }

// canDecide says which of some rules cannot decide single events.
func canDecide(set *rule.Set, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	held := set.Versions()
	for _, id := range ids {
		if _, is := held[id]; !is {
			return &cannotDecide{id, "is not there, disabled, or does not compile"}
		}
	}
	for _, c := range set.Windows() {
		if slices.Contains(ids, c.Rule.ID) {
			return &cannotDecide{c.Rule.ID, "has a window, whose alerts are about many events"}
		}
	}
	return nil
}

// toRules is what events owe that were given to some rules alone. It belongs to no
// batch, and is found again under its own ids when the message comes again.
func (w *Worker) toRules(ctx context.Context, b event.Batch, now time.Time) ([]decision.Owed, error) {
	if err := w.Rules.Load(ctx); err != nil { // the rule may be newer than this worker knows
		return nil, err
	}
	set := w.Rules.Current()
	if err := canDecide(set, b.Rules); err != nil {
		return nil, broker.Permanent(err)
	}
	var all []decision.Owed
	for _, raw := range b.Events {
		for _, m := range set.Match(raw, nil) {
			if !slices.Contains(b.Rules, m.Rule.ID) {
				continue
			}
			owes := owe(&m.Rule, raw, notification.Notification{
				EventID: eventID(raw), RuleID: m.Rule.ID, RuleVersion: m.Rule.Version, RuleName: m.Rule.Name, ReplayID: b.ID,
			}, w.Retention, now)
			for i := range owes {
				owes[i].Unpublished = owes[i].Status == notification.Pending
			}
			all = append(all, owes...)
		}
	}
	return all, nil
}
