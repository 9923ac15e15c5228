package main

import (
	"cmp"
	"regexp"
	"slices"
	"sort"
	"strings"

	"go.mongodb.org/mongo-driver/bson"
)

// value is a field of a decoded event: a text, a number, something else, or
// nothing.
type value struct {
	kind   byte // t, n, o, or 0
	text   string
	number float64
}

// slots are the fields that any rule asks for.
type slots struct {
	places map[string]int
	paths  [][]string
}

func (s *slots) of(path string) int {
	at, known := s.places[path]
	if !known {
		at = len(s.paths)
		s.places[path], s.paths = at, append(s.paths, strings.Split(path, "."))
	}
	return at
}

// decode reads the fields of an event.
func (s *slots) decode(doc bson.Raw) []value {
	values := make([]value, len(s.paths))
	for i, path := range s.paths {
		v, err := doc.LookupErr(path...)
		if err != nil {
			continue
		}
		values[i].kind = 'o'
		if text, is := v.StringValueOK(); is {
			values[i] = value{kind: 't', text: text}
		} else if v.IsNumber() {
			number, is := v.DoubleOK()
			if !is {
				number = float64(v.AsInt64())
			}
			values[i] = value{kind: 'n', number: number}
		}
	}
	return values
}

type check func([]value) bool

func (s *slots) all(clauses []clause) check {
	checks := make([]check, len(clauses))
	for i := range clauses {
		checks[i] = s.check(&clauses[i])
	}
	switch len(checks) {
	case 0:
		return func([]value) bool { return true }
	case 1:
		return checks[0]
	case 2:
		first, second := checks[0], checks[1]
		return func(v []value) bool { return first(v) && second(v) }
	}
	return func(v []value) bool {
		for _, is := range checks {
			if !is(v) {
				return false
			}
		}
		return true
	}
}

func (s *slots) check(c *clause) check {
	if c.operator == "$or" {
		var either []check
		for _, some := range c.either {
			either = append(either, s.all(some))
		}
		return func(v []value) bool { return slices.ContainsFunc(either, func(is check) bool { return is(v) }) }
	}
	at := s.of(c.path)
	switch c.operator {
	case "$eq":
		text := c.text
		return func(v []value) bool { return v[at].kind == 't' && v[at].text == text }
	case "$gte":
		least := c.number
		return func(v []value) bool { return v[at].kind == 'n' && v[at].number >= least }
	case "$exists":
		wanted := c.exists
		return func(v []value) bool { return (v[at].kind != 0) == wanted }
	case "$in":
		texts := map[string]bool{}
		for _, text := range c.texts {
			texts[text] = true
		}
		return func(v []value) bool { return v[at].kind == 't' && texts[v[at].text] }
	}
	re := regexp.MustCompile(c.text)
	return func(v []value) bool { return v[at].kind == 't' && re.MatchString(v[at].text) }
}

// plain is the index that one writes for one load: hashes by type and source,
// lists by severity, sorted amounts, and what is left of a rule as a closure.
// Events are decoded before.
type plain struct {
	slots
	ids        []string
	left       []check
	byText     []textIndex
	bySeverity [16][]int32
	amounts    []float64 // ascending, each with
	amountOf   []int32   // its rule
	always     []int32

	severity, amount int // slots
}

type textIndex struct {
	slot  int
	rules map[string][]int32
}

// keys of rules in the order in which they are preferred.
var keys = []struct{ operator, path string }{
	{"$eq", "type"}, {"$eq", "source"}, {"$in", "type"}, {"$in", "source"}, {"$gte", "payload.amount"}, {"$gte", "severity"},
}

func newPlain(ids []string, rules [][]clause) *plain {
	p := &plain{slots: slots{places: map[string]int{}}, ids: ids}
	p.severity, p.amount = p.of("severity"), p.of("payload.amount")
	type threshold struct {
		number float64
		rule   int32
	}
	var amounts []threshold
	for i, clauses := range rules {
		rule := int32(i)
		at := keyOf(clauses)
		if at < 0 {
			p.always, p.left = append(p.always, rule), append(p.left, p.all(clauses))
			continue
		}
		key := clauses[at]
		switch {
		case key.path == "severity":
			least := int(key.number)
			p.bySeverity[least] = append(p.bySeverity[least], rule)
		case key.path == "payload.amount":
			amounts = append(amounts, threshold{key.number, rule})
		case key.operator == "$eq":
			p.hash(key.path, key.text, rule)
		default:
			for _, text := range key.texts {
				p.hash(key.path, text, rule)
			}
		}
		p.left = append(p.left, p.all(slices.Delete(slices.Clone(clauses), at, at+1)))
	}
	slices.SortStableFunc(amounts, func(a, b threshold) int { return cmp.Compare(a.number, b.number) })
	for _, a := range amounts {
		p.amounts, p.amountOf = append(p.amounts, a.number), append(p.amountOf, a.rule)
	}
	return p
}

// keyOf is the clause by which a rule is found, -1 when there is none.
func keyOf(clauses []clause) int {
	for _, key := range keys {
		at := slices.IndexFunc(clauses, func(c clause) bool { return c.operator == key.operator && c.path == key.path })
		if at >= 0 {
			return at
		}
	}
	return -1
}

func (p *plain) hash(path, text string, rule int32) {
	slot := p.of(path)
	at := slices.IndexFunc(p.byText, func(t textIndex) bool { return t.slot == slot })
	if at < 0 {
		at = len(p.byText)
		p.byText = append(p.byText, textIndex{slot, map[string][]int32{}})
	}
	p.byText[at].rules[text] = append(p.byText[at].rules[text], rule)
}

// match appends the ids of the rules that match a decoded event.
func (p *plain) match(v []value, ids []string) []string {
	for i := range p.byText {
		ids = p.among(p.byText[i].rules[v[p.byText[i].slot].text], v, ids)
	}
	if severity := v[p.severity]; severity.kind == 'n' {
		for least := 0; least < len(p.bySeverity) && float64(least) <= severity.number; least++ {
			ids = p.among(p.bySeverity[least], v, ids)
		}
	}
	if amount := v[p.amount]; amount.kind == 'n' {
		reached := sort.Search(len(p.amounts), func(i int) bool { return p.amounts[i] > amount.number })
		ids = p.among(p.amountOf[:reached], v, ids)
	}
	return p.among(p.always, v, ids)
}

func (p *plain) among(rules []int32, v []value, ids []string) []string {
	for _, rule := range rules {
		if p.left[rule](v) {
			ids = append(ids, p.ids[rule])
		}
	}
	return ids
}
