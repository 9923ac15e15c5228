package rule

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"

	"go.mongodb.org/mongo-driver/bson"
)

// Set is an immutable index over the enabled rules, safe for concurrent use.
//
// Each rule has one or a few entries, each under its most selective clause: a
// value that a field must have (hash), a threshold that it must pass (sorted
// list), a text that it must begin with, or that it is there. Matching reads
// the event once, collects the fields that any rule speaks of, looks up each,
// and checks what is left of the conditions of the rules found. Rules without
// such a clause are checked every time.
type Set struct {
	rules    []Compiled // by priority, then id; the place is the rule's rank
	delivery []bool     // by rank: may match DeliveryType
	fields   fields
	index    index
	scratch  sync.Pool
}

// Compiled is a rule of a Set.
type Compiled struct {
	Rule      Rule
	Condition *Condition
}

// SetError names the rules that a Set had to leave out.
type SetError struct{ Rules []RuleError }

// RuleError is one rule and what is wrong with it.
type RuleError struct {
	ID, Name string
	Err      error
}

func (e *SetError) Error() string {
	lines := make([]string, len(e.Rules))
	for i, r := range e.Rules {
		lines[i] = fmt.Sprintf("rule %q (%s): %v", r.Name, r.ID, r.Err)
	}
	return strings.Join(lines, "\n")
}

// Unwrap are the rules' errors.
func (e *SetError) Unwrap() []error {
	errs := make([]error, len(e.Rules))
	for i, r := range e.Rules {
		errs[i] = r.Err
	}
	return errs
}

// NewSet compiles the enabled rules. It always returns a usable set of every
// rule that compiles, so that one broken rule does not silence the others; the
// error, if any, is a *SetError that names those left out.
func NewSet(rules []Rule) (*Set, error) {
	s := &Set{rules: make([]Compiled, 0, len(rules))}
	var broken []RuleError
	c := newCompiler()
	for _, i := range ranked(rules) {
		r := rules[i]
		cond, err := c.condition(r.Conditions)
		if err == nil {
			err = r.understood()
		}
		if err != nil {
			broken = append(broken, RuleError{ID: r.ID, Name: r.Name, Err: err})
			continue
		}
		s.rules = append(s.rules, Compiled{Rule: r, Condition: cond})
	}
	s.delivery = make([]bool, 0, len(s.rules))
	b := newBuilder(len(s.rules))
	for rank := range s.rules {
		root := s.rules[rank].Condition.root
		s.delivery = append(s.delivery, namesDelivery(root))
		b.add(root)
	}
	s.fields, s.index = b.build()
	s.scratch.New = func() any { return newScratch(s) }
	if broken != nil {
		return s, &SetError{Rules: broken}
	}
	return s, nil
}

// ranked are the places of the enabled rules by priority, then id.
func ranked(rules []Rule) []int {
	order := make([]int, 0, len(rules))
	for i := range rules {
		if rules[i].Enabled {
			order = append(order, i)
		}
	}
	slices.SortFunc(order, func(i, j int) int {
		a, b := &rules[i], &rules[j]
		return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(a.ID, b.ID), cmp.Compare(a.Name, b.Name), cmp.Compare(i, j))
	})
	return order
}

// Match appends the rules that the document matches to dst, by priority, then
// id. It allocates nothing besides dst's growth. An event of MaxHops or more
// matches nothing, one of DeliveryType only the rules that require that type.
func (s *Set) Match(doc bson.Raw, dst []*Compiled) []*Compiled {
	dst, _ = s.MatchBudget(doc, dst, nil)
	return dst
}

// MatchBudget is Match, and appends to over the rules that were given up for
// this document because they took more than Budget steps; those do not match.
func (s *Set) MatchBudget(doc bson.Raw, dst, over []*Compiled) (matched, exceeded []*Compiled) {
	m := s.scratch.Get().(*scratch) //nolint:forcetypeassert // the pool holds nothing else
	m.read(doc)
	if hops(m.slots[slotHops].value()) < MaxHops {
		m.find()
		dst = m.take(dst)
		for _, rank := range m.over {
			over = append(over, &s.rules[rank])
		}
	}
	m.reset()
	s.scratch.Put(m)
	return dst, over
}

// Versions is the version of each rule in the set, by id.
func (s *Set) Versions() map[string]int {
	v := make(map[string]int, len(s.rules))
	for i := range s.rules {
		v[s.rules[i].Rule.ID] = s.rules[i].Rule.Version
	}
	return v
}

// Len is the number of rules in the set.
func (s *Set) Len() int { return len(s.rules) }
