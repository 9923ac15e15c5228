package main

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"quamina.net/go/quamina"
)

// library is quamina, with what its patterns cannot say checked afterwards. They
// know texts, prefixes, wildcards and existence, so a severity is the list of
// those that reach it, an amount is there and checked afterwards, and $or is a
// pattern for each side.
type library struct {
	slots
	quamina *quamina.Quamina
	ids     []string
	left    []check // nil: the pattern says it all
}

const mostSevere = 10

func newLibrary(ids []string, rules [][]clause) (*library, error) {
	q, err := quamina.New()
	if err != nil {
		return nil, err
	}
	l := &library{slots: slots{places: map[string]int{}}, quamina: q, ids: ids}
	for i, clauses := range rules {
		exact := true
		for _, side := range sides(clauses) {
			p, all := patternOf(side)
			exact = exact && all
			if err := q.AddPattern(int32(i), p); err != nil {
				return nil, fmt.Errorf("rule %s as %s: %w", ids[i], p, err)
			}
		}
		var left check
		if !exact {
			left = l.all(clauses)
		}
		l.left = append(l.left, left)
	}
	return l, nil
}

// sides are the clauses of a rule without $or: those of each choice.
func sides(clauses []clause) [][]clause {
	all := [][]clause{nil}
	for _, c := range clauses {
		choices := [][]clause{{c}}
		if c.operator == "$or" {
			choices = c.either
		}
		var next [][]clause
		for _, side := range all {
			for _, choice := range choices {
				next = append(next, slices.Concat(side, choice))
			}
		}
		all = next
	}
	return all
}

// patternOf is a pattern that is true where the clauses are; exact says that it is
// true nowhere else. A field has a place for one clause: texts come first.
func patternOf(clauses []clause) (pattern string, exact bool) {
	clauses = slices.Clone(clauses)
	slices.SortStableFunc(clauses, func(a, b clause) int {
		switch {
		case a.operator == "$eq" && b.operator != "$eq":
			return -1
		case a.operator != "$eq" && b.operator == "$eq":
			return 1
		}
		return 0
	})
	exact = true
	root := map[string]any{}
	for i := range clauses {
		values, all := accepted(&clauses[i])
		exact = set(root, strings.Split(clauses[i].path, "."), values) && all && exact
	}
	text, err := json.Marshal(root)
	if err != nil {
		panic(err) // of texts, numbers and booleans
	}
	return string(text), exact
}

func set(at map[string]any, path []string, values []any) bool {
	for _, name := range path[:len(path)-1] {
		inner, there := at[name].(map[string]any)
		if !there {
			inner = map[string]any{}
			at[name] = inner
		}
		at = inner
	}
	last := path[len(path)-1]
	if _, taken := at[last]; taken {
		return false
	}
	at[last] = values
	return true
}

var literal = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// accepted is what a pattern accepts for a clause's field.
func accepted(c *clause) (values []any, exact bool) {
	word := func(name string, argument any) []any { return []any{map[string]any{name: argument}} }
	switch c.operator {
	case "$eq":
		return []any{c.text}, true
	case "$in":
		for _, text := range c.texts {
			values = append(values, text)
		}
		return values, true
	case "$exists":
		return word("exists", c.exists), true
	case "$gte":
		if c.path != "severity" {
			break
		}
		for severity := int(c.number); severity <= mostSevere; severity++ {
			values = append(values, severity)
		}
		return values, true
	case "$regex":
		begin, isBegin := strings.CutPrefix(c.text, "^")
		end, isEnd := strings.CutSuffix(c.text, "$")
		switch {
		case isBegin && literal.MatchString(begin):
			return word("prefix", begin), true
		case isEnd && literal.MatchString(end):
			return word("shellstyle", "*"+end), true
		case literal.MatchString(c.text):
			return word("shellstyle", "*"+c.text+"*"), true
		}
	}
	return word("exists", true), false
}

// match appends the ids of the rules that match an event, as JSON, and decoded
// for what is left to check.
func (l *library) match(body []byte, v []value, ids []string) ([]string, error) {
	found, err := l.quamina.MatchesForEvent(body)
	for _, x := range found {
		rule, _ := x.(int32)
		if left := l.left[rule]; left == nil || left(v) {
			ids = append(ids, l.ids[rule])
		}
	}
	return ids, err
}
