package rule

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/events-aggregator/events-aggregator/pkg/action"
)

// Validator knows the action types; action.Table is one.
type Validator interface {
	Lookup(name string) (action.Type, bool)
	Names() []string
}

// ValidationError names everything that is wrong with a rule.
type ValidationError struct{ Problems []Problem }

func (e *ValidationError) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.Message
		if p.Pointer != "" {
			lines[i] = p.Pointer + ": " + p.Message
		}
	}
	return strings.Join(lines, "; ")
}

const (
	maxName        = 128
	maxDescription = 4096
	maxActions     = 32
)

var validID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$`)

// Validate checks the whole rule; an id may be absent, since storing gives it
// one. The error is a *ValidationError that names every problem.
func (r *Rule) Validate(v Validator) error {
	e := &ValidationError{}
	refuse := func(pointer, format string, args ...any) {
		e.Problems = append(e.Problems, Problem{Pointer: pointer, Message: fmt.Sprintf(format, args...)})
	}
	if r.ID != "" && !validID.MatchString(r.ID) {
		refuse("/rule_id", "must be 1 to 128 letters, digits and . _ : -")
	}
	if n := utf8.RuneCountInString(r.Name); n < 1 || n > maxName || !printable(r.Name) {
		refuse("/name", "must be 1 to %d printable characters", maxName)
	}
	if utf8.RuneCountInString(r.Description) > maxDescription || !utf8.ValidString(r.Description) {
		refuse("/description", "must be at most %d characters", maxDescription)
	}
	if r.Priority < 1 {
		refuse("/priority", "must be 1 (first) or more")
	}
	if r.Mode != Live && r.Mode != Shadow {
		refuse("/mode", "must be live or shadow")
	}
	var refused *CompileError
	if _, err := Compile(r.Conditions); errors.As(err, &refused) {
		for _, c := range refused.All() {
			refuse("/conditions"+c.Path, "%s", c.Reason)
		}
	}
	r.validateWindow(refuse)
	r.validateNoise(refuse)
	r.validateActions(v, refuse)
	if e.Problems != nil {
		return e
	}
	return nil
}

func (r *Rule) validateWindow(refuse func(pointer, format string, args ...any)) {
	if r.Window == nil {
		return
	}
	for _, p := range r.Window.Check() {
		refuse("/window"+p.Pointer, "%s", p.Message)
	}
	if len(r.Window.Match) > 0 {
		var refused *CompileError
		if _, err := Compile(r.Window.Match); errors.As(err, &refused) {
			for _, c := range refused.All() {
				refuse("/window/match"+c.Path, "%s", c.Reason)
			}
		}
	}
}

func (r *Rule) validateActions(v Validator, refuse func(pointer, format string, args ...any)) {
	if len(r.Actions) > maxActions {
		refuse("/actions", "must be at most %d", maxActions)
	}
	for i, a := range r.Actions {
		at := fmt.Sprintf("/actions/%d", i)
		t, ok := v.Lookup(a.Type)
		if !ok {
			refuse(at+"/type", "%s", unknownType(a.Type, v.Names()))
			continue
		}
		if a.Config.Validate() != nil {
			refuse(at+"/config", "must be an object")
			continue
		}
		for _, p := range t.Check(a.Config) {
			refuse(at+"/config"+p.Pointer, "%s", p.Message)
		}
	}
}

func unknownType(name string, known []string) string {
	if hint := closest(strings.ToLower(name), known); hint != "" {
		return fmt.Sprintf("there is no action type %q, did you mean %s?", name, hint)
	}
	return fmt.Sprintf("there is no action type %q; known are %s", name, strings.Join(known, ", "))
}

func printable(s string) bool {
	for _, r := range s {
		if !unicode.IsPrint(r) || r == utf8.RuneError {
			return false
		}
	}
	return strings.TrimSpace(s) == s
}
