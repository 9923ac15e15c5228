package api

import (
	"encoding/json"
	"fmt"

	"github.com/events-aggregator/events-aggregator/pkg/rule"
)

// warningsOf are what the author of a rule that was accepted should know.
func warningsOf(r rule.Rule) []FieldFlaw {
	var all []FieldFlaw
	for _, w := range r.Warnings() {
		all = append(all, FieldFlaw{Pointer: w.Pointer, Message: w.Message})
	}
	return all
}

// importWarnings are those of many rules, as many as mistakes would be shown.
func importWarnings(rules []rule.Rule) []FieldFlaw {
	var all []FieldFlaw
	more := 0
	for i, r := range rules {
		for _, w := range r.Warnings() {
			if len(all) == flawsShown {
				more++
				continue
			}
			all = append(all, FieldFlaw{Rule: r.Name, Pointer: fmt.Sprintf("/%d%s", i, w.Pointer), Message: w.Message})
		}
	}
	if more > 0 {
		all = append(all, FieldFlaw{Message: fmt.Sprintf("and %d more warnings", more)})
	}
	return all
}

// withWarnings adds them to a rule's JSON object as its last field.
func withWarnings(body json.RawMessage, warnings []FieldFlaw) (json.RawMessage, error) {
	if len(warnings) == 0 {
		return body, nil
	}
	list, err := json.Marshal(warnings)
	if err != nil {
		return nil, fmt.Errorf("encode warnings: %w", err)
	}
	return append(append(append(body[:len(body)-1:len(body)-1], `,"warnings":`...), list...), '}'), nil
}
