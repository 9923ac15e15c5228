// Package silence is the product's noun for "do not disturb about this for a
// while": its document, its checks, and the set that says which silence holds a
// rule's match back. It does no I/O.
package silence

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/rule"
)

// Silence is a document of the collection `silences`. It ends by itself, or is
// expired; then it stays for people who ask why they heard nothing.
type Silence struct {
	ID        string     `bson:"_id"`
	Condition bson.Raw   `bson:"condition"`       // over the event, as a rule's
	Rules     []string   `bson:"rules,omitempty"` // ids; none: of every rule
	From      time.Time  `bson:"from"`
	Until     time.Time  `bson:"until"` // exclusive
	Author    string     `bson:"author"`
	Comment   string     `bson:"comment"`
	CreatedAt time.Time  `bson:"created_at"`
	ExpiredAt *time.Time `bson:"expired_at,omitempty"` // when somebody ended it
	ExpiresAt time.Time  `bson:"expires_at"`           // when it is erased
}

// Retention is how long a silence stays after its end.
const Retention = 90 * 24 * time.Hour

// State is where a silence stands at a time.
type State string

// The states, in their order in time.
const (
	Pending State = "pending"
	Active  State = "active"
	Expired State = "expired"
)

// State at a time.
func (s Silence) State(at time.Time) State {
	switch {
	case !at.Before(s.Until):
		return Expired
	case at.Before(s.From):
		return Pending
	default:
		return Active
	}
}

// Expire ends the silence now; one that is over stays as it is.
func (s Silence) Expire(at time.Time) Silence {
	if s.State(at) == Expired {
		return s
	}
	if at.Before(s.From) {
		s.From = at
	}
	s.Until, s.ExpiredAt, s.ExpiresAt = at, &at, at.Add(Retention)
	return s
}

// Invalid names everything that is wrong with a silence.
type Invalid struct{ Problems []rule.Problem }

func (e *Invalid) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.Pointer + ": " + p.Message
	}
	return strings.Join(lines, "; ")
}

// Bounds of a silence. One that ends in years is a rule to switch off.
const (
	longest    = 366 * 24 * time.Hour
	maxComment = 1024
	maxRules   = 100
)

// Validate checks a new silence; the error is an *Invalid.
func (s Silence) Validate(now time.Time) error {
	e := &Invalid{}
	refuse := func(pointer, format string, args ...any) {
		e.Problems = append(e.Problems, rule.Problem{Pointer: pointer, Message: fmt.Sprintf(format, args...)})
	}
	var refused *rule.CompileError
	if _, err := rule.Compile(s.Condition); errors.As(err, &refused) {
		for _, c := range refused.All() {
			refuse("/condition"+c.Path, "%s", c.Reason)
		}
	}
	if len(s.Rules) > maxRules {
		refuse("/rules", "must be at most %d", maxRules)
	}
	for i, id := range s.Rules {
		if id == "" {
			refuse(fmt.Sprintf("/rules/%d", i), "is no rule's id")
		}
	}
	switch {
	case !s.Until.After(now):
		refuse("/until", "is over already")
	case !s.Until.After(s.From):
		refuse("/until", "must be after from")
	case s.Until.Sub(s.From) > longest:
		refuse("/until", "must be within a year of from; a rule that nobody wants is disabled")
	}
	if n := utf8.RuneCountInString(s.Comment); strings.TrimSpace(s.Comment) == "" || n > maxComment || !utf8.ValidString(s.Comment) {
		refuse("/comment", "must say why, in 1 to %d characters", maxComment)
	}
	if len(e.Problems) > 0 {
		return e
	}
	return nil
}

// Set is an immutable set of silences, safe for concurrent use.
type Set struct{ all []compiled }

type compiled struct {
	Silence

	condition *rule.Condition
}

// NewSet compiles silences. It always returns a usable set of those that
// compile; the errors name the others.
func NewSet(all []Silence) (*Set, []error) {
	s := &Set{all: make([]compiled, 0, len(all))}
	var broken []error
	for _, one := range all {
		c, err := rule.Compile(one.Condition)
		if err != nil {
			broken = append(broken, fmt.Errorf("silence %s: %w", one.ID, err))
			continue
		}
		s.all = append(s.all, compiled{one, c})
	}
	// Of several, the one that ends last says until when.
	slices.SortFunc(s.all, func(a, b compiled) int { return cmp.Or(b.Until.Compare(a.Until), cmp.Compare(a.ID, b.ID)) })
	return s, broken
}

// Len is the number of silences.
func (s *Set) Len() int { return len(s.all) }

// Match is the silence that holds a match of the rule by the event back at that
// time; nil when there is none.
func (s *Set) Match(ruleID string, event bson.Raw, at time.Time) *Silence {
	for i := range s.all {
		c := &s.all[i]
		if c.State(at) == Active && (len(c.Rules) == 0 || slices.Contains(c.Rules, ruleID)) && c.condition.Match(event) {
			return &c.Silence
		}
	}
	return nil
}
