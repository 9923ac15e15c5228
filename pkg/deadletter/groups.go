package deadletter

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/events-aggregator/events-aggregator/pkg/store"
)

// Group is what died of one cause in one queue.
type Group = store.DeadLetterGroup

// Groups gathers dead letters by queue, reason and cause. The zero value is empty.
type Groups struct{ groups map[groupKey]*Group }

type groupKey struct{ queue, reason, cause string }

// Add counts one.
func (g *Groups) Add(l *Letter) {
	if g.groups == nil {
		g.groups = map[groupKey]*Group{}
	}
	key := groupKey{l.Queue, l.Reason, l.Cause}
	group := g.groups[key]
	if group == nil {
		group = &Group{Queue: l.Queue, Reason: l.Reason, Cause: l.Cause, ErrorClass: l.ErrorClass, Fingerprint: l.Fingerprint,
			Since: l.DeadAt, Last: l.DeadAt, Example: l.ID, Error: l.Error}
		g.groups[key] = group
	}
	group.Messages++
	if l.DeadAt.Before(group.Since) {
		group.Since = l.DeadAt
	}
	if l.DeadAt.After(group.Last) || l.DeadAt.Equal(group.Last) && l.ID > group.Example { // as the records' groups have it
		group.Last, group.Example, group.Error = l.DeadAt, l.ID, l.Error
	}
}

// Sorted are the groups, the largest first.
func (g *Groups) Sorted() []Group {
	var all []Group
	for _, group := range slices.Collect(maps.Values(g.groups)) {
		all = append(all, *group)
	}
	slices.SortFunc(all, func(a, b Group) int {
		return cmp.Or(cmp.Compare(b.Messages, a.Messages), cmp.Compare(a.Queue, b.Queue), cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Cause, b.Cause))
	})
	return all
}

// Summary adds groups up: "1 cause, 4,812 messages, since 10:02".
type Summary struct {
	Causes   int        `json:"causes"`
	Messages int        `json:"messages"`
	Since    *time.Time `json:"since,omitempty"`
}

// Summarise adds up.
func Summarise(groups []Group) Summary {
	var s Summary
	causes := map[string]bool{}
	for _, g := range groups {
		causes[g.Cause] = true
		s.Messages += g.Messages
		if s.Since == nil || g.Since.Before(*s.Since) {
			since := g.Since
			s.Since = &since
		}
	}
	s.Causes = len(causes)
	return s
}
