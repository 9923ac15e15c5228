package backtest

import (
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/decision"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/pkg/silence"
)

// noise says which matches of a rule would have been held back, match by match in
// the order of time. It asks what is asked live, and keeps in memory what rules
// remember in the database.
type noise struct {
	rule      rule.Rule
	silences  *silence.Set
	mutes     rule.MuteTimes
	throttles map[string]decision.Throttle
	hours     map[string]decision.Hour
	groups    map[string]decision.Group

	toTell *agenda // groups that wait
	toDrop *agenda // groups and throttles that will mean nothing any more

	most       int // keys
	owed, left int64
	held       map[string]int64
}

// match is what a rule acts on: an event, or an alert with the event that stands
// for it.
type match struct {
	at      time.Time
	eventID string
	event   bson.Raw
	alert   *notification.Alert
}

// mostKeys bounds the keys of throttles and groups that are remembered: about
// 100 MB.
const mostKeys = 300_000

var errKeys = fmt.Errorf("its throttle or group has more than %d keys at once", mostKeys)

// newNoise begins with a rule that remembers nothing. silences are those of the
// time that is tested; those that do not compile hold nothing back live either.
func newNoise(r rule.Rule, silences []silence.Silence) (*noise, error) {
	mutes, err := rule.NewMuteTimes(r.Mute)
	if err != nil {
		return nil, err
	}
	n := &noise{rule: r, mutes: mutes, throttles: map[string]decision.Throttle{}, hours: map[string]decision.Hour{}, groups: map[string]decision.Group{},
		toTell: newAgenda(), toDrop: newAgenda(), most: mostKeys, held: map[string]int64{}}
	n.silences, _ = silence.NewSet(silences)
	if n.rule.ID == "" {
		n.rule.ID = "draft"
	}
	return n, nil
}

// asks says whether anything could hold a match back.
func (n *noise) asks() bool {
	r := &n.rule
	return r.Throttle != nil || r.Group != nil || r.MaxMatchesPerHour > 0 || len(r.Mute) > 0 || n.silences.Len() > 0
}

// readsEvents says whether it takes more of an event than its time.
func (n *noise) readsEvents() bool {
	return n.silences.Len() > 0 || n.rule.Group != nil || n.rule.Throttle != nil && len(n.rule.Throttle.Per) > 0
}

// take decides about some matches, the earliest first, and returns why each is
// held back, "" if it is not.
func (n *noise) take(matches []match) ([]string, error) {
	if n.rule.Group == nil {
		return n.together(matches)
	}
	var reasons []string
	for i, m := range matches { // what is due between two matches is told between them
		n.tell(m.at)
		some, err := n.together(matches[i : i+1])
		reasons = append(reasons, some...)
		if err != nil {
			return reasons, err
		}
	}
	return reasons, nil
}

// tell tells the groups that are due by then. Each stands for many matches.
func (n *noise) tell(by time.Time) {
	for {
		id, due := n.toTell.next(by.Add(1)) // one whose time is by is due
		if !due {
			return
		}
		g := n.groups[id]
		n.keep(id, g.Flushed(n.rule.Group, *g.FlushAt, n.owes(g)))
	}
}

// owes is what telling a group owes: it may be muted by then. Silences have held
// its matches already, unless one began while they waited.
func (n *noise) owes(g decision.Group) []decision.Owed {
	one := []decision.Owed{{Rule: &n.rule, Notification: notification.Notification{Status: notification.Pending, CreatedAt: *g.FlushAt}}}
	decision.Mute(one, func(*rule.Rule) rule.MuteTimes { return n.mutes })
	if one[0].Status == notification.Pending {
		n.left++
	} else {
		n.held[one[0].Reason]++
	}
	return one
}

// keep remembers a group for as long as it means something.
func (n *noise) keep(id string, g decision.Group) {
	n.groups[id] = g
	switch {
	case g.FlushAt != nil:
		n.toTell.set(id, *g.FlushAt)
		n.toDrop.set(id, never)
	case g.ExpiresAt != nil:
		n.toDrop.set(id, *g.ExpiresAt)
	}
}

// never is later than everything that is dropped.
var never = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// finish tells the groups that still wait at the end of the range.
func (n *noise) finish() {
	for _, g := range n.groups {
		if g.FlushAt != nil {
			n.owes(g)
		}
	}
	clear(n.groups)
}

func (n *noise) together(matches []match) ([]string, error) {
	owed := make([]decision.Owed, len(matches))
	for i, m := range matches {
		// One stands for all actions of a match: they pass or are held together.
		owed[i] = decision.Owed{Event: m.event, Rule: &n.rule, Notification: notification.Notification{
			EventID: m.eventID, RuleID: n.rule.ID, RuleVersion: n.rule.Version,
			Status: notification.Pending, CreatedAt: m.at, Alert: m.alert,
		}}
	}
	decision.Quiet(owed, n.silences, func(*rule.Rule) rule.MuteTimes { return n.mutes })
	h := decision.NewHolder(owed)
	for _, id := range h.Throttles.Needed() {
		if t, known := n.throttles[id]; known {
			h.Throttles.Put(id, t)
		}
	}
	for _, id := range h.Hours.Needed() {
		if hour, known := n.hours[id]; known {
			h.Hours.Put(id, hour)
		}
	}
	for _, id := range h.Groups.Needed() {
		g, known := n.groups[id]
		if known && (g.ExpiresAt == nil || !g.ExpiresAt.Before(matches[0].at)) { // else it is about to be forgotten
			h.Groups.Put(id, g)
		}
	}
	reasons := make([]string, len(matches))
	for i, o := range h.Hold() {
		n.owed++
		if o.Status == notification.Pending {
			n.left++
			continue
		}
		reasons[i] = o.Reason
		n.held[o.Reason]++
	}
	for _, id := range h.Throttles.Changed() {
		t := h.Throttles.Get(id)
		n.throttles[id] = t
		n.toDrop.set(id, t.ExpiresAt)
	}
	for _, id := range h.Hours.Changed() {
		n.hours[id] = h.Hours.Get(id)
	}
	for _, id := range h.Groups.Changed() {
		n.keep(id, h.Groups.Get(id))
	}
	return reasons, n.forget(matches)
}

// forget drops what means nothing any more.
func (n *noise) forget(matches []match) error {
	if len(matches) > 0 {
		now := matches[len(matches)-1].at
		for id, over := n.toDrop.next(now); over; id, over = n.toDrop.next(now) {
			delete(n.throttles, id)
			delete(n.groups, id)
		}
	}
	if len(n.throttles) >= n.most || len(n.groups) >= n.most {
		return errKeys
	}
	return nil
}

// actions is the outcome so far.
func (n *noise) actions() Actions {
	a := Actions{Owed: n.owed, Left: n.left, Notifications: n.left * int64(len(n.rule.Actions))}
	if len(n.held) > 0 {
		a.Held = n.held
	}
	if n.rule.Mode == rule.Shadow {
		a.Note = "the rule's mode is shadow: live it decides, and does nothing"
	}
	return a
}

// isCut says that a back-test had to end before its range did, and why.
func isCut(err error) (why string, cut bool) {
	var slow interface{ TooSlow() bool }
	switch {
	case errors.Is(err, errKeys):
		return errKeys.Error(), true
	case errors.As(err, &slow) && slow.TooSlow():
		return "the time for a back-test was over; a shorter range, or an index for the condition, makes it whole", true
	}
	return "", false
}
