package decision

import (
	"bytes"
	"slices"

	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/rule"
)

// Holder decides which of some notifications are held back by what their rules
// remember. It is pure: who keeps the memories reads the documents that they
// need, calls Hold, and writes what changed and the announcements.
//
// A match is asked once for all its actions: they pass together or are held
// together. The time that counts is the notification's CreatedAt, when a human
// would be disturbed, not the event's own: after an outage of hours a throttle
// of five minutes lets one through, not one for every five minutes of backlog.
type Holder struct {
	Throttles     Memory[Throttle]
	Hours         Memory[Hour]
	Groups        Memory[Group]
	Announcements []Announcement

	owed    []Owed
	matches []match
}

// match is what one match of one rule owes: owed[from:to].
type match struct {
	from, to              int
	rule                  *rule.Rule
	hour, throttle, group string // ids, "" when there is none
	throttleKey, groupKey bson.Raw
}

// NewHolder looks at notifications in the order in which they are owed. owed is
// left as it is.
func NewHolder(owed []Owed) *Holder {
	h := &Holder{owed: owed, Throttles: newMemory[Throttle](), Hours: newMemory[Hour](), Groups: newMemory[Group]()}
	eachMatch(owed, func(from, to int) {
		// A group's own notification was asked about when its matches came.
		if o := &owed[from]; o.Status == notification.Pending && o.Rule != nil && o.Group == nil {
			h.ask(match{from: from, to: to, rule: o.Rule}, o)
		}
	})
	return h
}

// eachMatch calls f for each run of notifications that one match owes.
func eachMatch(owed []Owed, f func(from, to int)) {
	for from := 0; from < len(owed); {
		to := from + 1
		for to < len(owed) && sameMatch(&owed[from], &owed[to]) {
			to++
		}
		f(from, to)
		from = to
	}
}

func sameMatch(a, b *Owed) bool {
	if a.RuleID != b.RuleID || a.RuleVersion != b.RuleVersion || a.EventID != b.EventID || (a.Alert == nil) != (b.Alert == nil) {
		return false
	}
	return a.Alert == nil || a.Alert.Slot == b.Alert.Slot && bytes.Equal(a.Alert.Key, b.Alert.Key)
}

// ask notes which documents a match needs, if any.
func (h *Holder) ask(m match, o *Owed) {
	// Somebody asked for a replay, and gave it a rate: it neither pauses the rule,
	// which would hold back what comes now, nor is it held back by what came.
	if m.rule.MaxMatchesPerHour > 0 && o.ReplayID == "" {
		m.hour = hourID(m.rule, o.CreatedAt)
		h.Hours.needed[m.hour] = true
	}
	if t := m.rule.Throttle; t != nil {
		m.throttleKey = rule.Key(o.Event, t.Per)
		m.throttle = throttleID(m.rule.ID, m.throttleKey)
		h.Throttles.needed[m.throttle] = true
	}
	if g := m.rule.Group; g != nil {
		m.groupKey = rule.Key(o.Event, g.By)
		m.group = groupID(m.rule, m.groupKey)
		h.Groups.needed[m.group] = true
	}
	if m.hour != "" || m.throttle != "" || m.group != "" {
		h.matches = append(h.matches, m)
	}
}

// Hold is owed with what is held back suppressed. It is called once.
func (h *Holder) Hold() []Owed {
	if len(h.matches) == 0 {
		return h.owed
	}
	held := slices.Clone(h.owed)
	for _, m := range h.matches {
		actions := held[m.from:m.to]
		if h.counted(m, actions) && h.passed(m, actions) {
			h.grouped(m, actions)
		}
	}
	return held
}

// counted counts the match in its hour, or holds it when there were too many.
func (h *Holder) counted(m match, actions []Owed) bool {
	if m.hour == "" {
		return true
	}
	hour, counted, changed := h.Hours.Get(m.hour).count(m.rule, actions[0].CreatedAt)
	if changed {
		h.Hours.change(m.hour, hour)
	}
	if counted {
		return true
	}
	if changed {
		h.Announcements = append(h.Announcements, Paused(m.rule, hour, actions[0].Event, actions[0].EventID))
	}
	suppress(actions, notification.Paused, notification.Held{Until: &hour.Until})
	return false
}

// passed lets the first match through after the last hold's end, and holds
// the others. Only what lets through is changed: a held match needs no write,
// so workers do not meet in a flood; two that would both let one through meet in
// the document, and one of them starts again and finds itself late.
func (h *Holder) passed(m match, actions []Owed) bool {
	if m.throttle == "" {
		return true
	}
	at := actions[0].CreatedAt
	t := h.Throttles.Get(m.throttle)
	if at.Before(t.Until) {
		suppress(actions, notification.Throttled, notification.Held{ID: t.ID, Until: &t.Until})
		return false
	}
	for i := range actions {
		actions[i].HeldBack = t.Suppressed
	}
	t = t.pass(m.rule.Throttle, at)
	t.ID, t.RuleID = m.throttle, m.rule.ID
	if len(m.throttleKey) <= keyShown {
		t.Key = m.throttleKey
	}
	h.Throttles.change(m.throttle, t)
	return true
}

// grouped takes the match into its group, whose notification stands for it.
func (h *Holder) grouped(m match, actions []Owed) {
	if m.group == "" {
		return
	}
	g := h.Groups.Get(m.group)
	if g.ID == "" {
		g = newGroup(m.rule, m.groupKey, actions[0].CreatedAt)
	}
	g = g.add(m.rule.Group, &actions[0])
	h.Groups.change(m.group, g)
	suppress(actions, notification.Grouped, notification.Held{ID: g.ID, Until: g.FlushAt})
}

func suppress(actions []Owed, reason string, by notification.Held) {
	for i := range actions {
		actions[i].Suppress(reason, by)
	}
}

// Throttled counts the matches that each throttle held back, by its id.
func Throttled(owed []Owed) map[string]int {
	held := map[string]int{}
	eachMatch(owed, func(from, _ int) {
		if o := &owed[from]; o.Reason == notification.Throttled && o.Held != nil {
			held[o.Held.ID]++
		}
	})
	return held
}
