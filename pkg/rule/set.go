package rule

import "go.mongodb.org/mongo-driver/bson"

// MaxHops is where the chain event → action → event ends: an event with as many
// hops is stored and not matched.
const MaxHops = 8

// DeliveryType is the type of the events about delivery outcomes. They match
// only rules whose condition requires that type.
const DeliveryType = "NOTIFICATION_DELIVERY"

// Compiled is a rule of a Set.
type Compiled struct {
	Rule      Rule
	Condition *Condition
}

// Set is an immutable index over the enabled rules.
type Set struct{}

// SetError names the rules that a Set had to leave out.
type SetError struct{ Rules []RuleError }

// RuleError is one rule and what is wrong with it.
type RuleError struct {
	ID, Name string
	Err      error
}

func (e *SetError) Error() string { return "" }

// NewSet compiles the enabled rules. It always returns a usable set of every
// rule that compiles; the error, if any, is a *SetError that names the others.
func NewSet(rules []Rule) (*Set, error) { return &Set{}, nil }

// Match appends the rules that the document matches to dst, by priority, then
// id. It allocates nothing besides dst's growth.
func (s *Set) Match(doc bson.Raw, dst []*Compiled) []*Compiled { return dst }

// Versions is the version of each rule in the set, by id.
func (s *Set) Versions() map[string]int { return nil }

// Len is the number of rules in the set.
func (s *Set) Len() int { return 0 }

// Hops is how many actions stand between the event and a real cause
// (metadata.hops), 0 when absent.
func Hops(doc bson.Raw) int { return 0 }
