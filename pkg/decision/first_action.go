package decision

import (
	"github.com/events-aggregator/events-aggregator/pkg/action/builtin"
	"github.com/events-aggregator/events-aggregator/pkg/rule"
)

// FirstAction is the place of a rule's first action that can be carried out: an
// alert's first notification has its number.
func FirstAction(r *rule.Rule) int {
	types := builtin.Table()
	for i, spec := range r.Actions {
		if _, known := types.Lookup(spec.Type); known {
			return i
		}
	}
	return 0
}
