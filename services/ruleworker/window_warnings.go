package ruleworker

import (
	"sync"

	"github.com/events-aggregator/events-aggregator/pkg/rule"
)

// warnings are what this process cannot do for rules that it holds, one for each
// rule; `eactl rules status` shows them.
type warnings struct {
	mu sync.Mutex
	of map[string]rule.HeldInPart
}

// note sets a rule's warning; an empty one takes it back.
func (w *warnings) note(r *rule.Rule, warning string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if warning == "" {
		delete(w.of, r.ID)
		return
	}
	if w.of == nil {
		w.of = map[string]rule.HeldInPart{}
	}
	w.of[r.ID] = rule.HeldInPart{RuleID: r.ID, Name: r.Name, Version: r.Version, Warning: warning}
}

// warned are the warnings of a set's rules, in its order.
func (w *windows) warned(set *rule.Set) (all []rule.HeldInPart) {
	w.warnings.mu.Lock()
	defer w.warnings.mu.Unlock()
	for _, c := range set.Windows() {
		if one, there := w.warnings.of[c.Rule.ID]; there && one.Version == c.Rule.Version {
			all = append(all, one)
		}
	}
	return all
}
