package rule

import (
	"github.com/events-aggregator/events-aggregator/pkg/action"
)

// Validator knows the action types; action.Table is one.
type Validator interface {
	Lookup(name string) (action.Type, bool)
	Names() []string
}

// ValidationError names everything that is wrong with a rule.
type ValidationError struct{ Problems []Problem }

func (e *ValidationError) Error() string { return "" }

// Validate checks the whole rule. The error is a *ValidationError.
func (r *Rule) Validate(v Validator) error { return nil }
