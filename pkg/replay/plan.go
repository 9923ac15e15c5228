package replay

import (
	"time"

	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/decision"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
)

// Page is what rules owe for some events that come one after the other.
type Page struct {
	Events  int64
	Matches []Match
	To      Position // up to where
	Last    bool     // nothing is left
}

// Match is one event that one rule matched, with what it owes for it now: one
// notification for each action, held back where a silence or a mute time says so.
type Match struct {
	Event bson.Raw
	Owed  []decision.Owed
}

// EventIDs are the events that are owed something.
func (p Page) EventIDs() []string {
	var ids []string
	for _, m := range p.Matches {
		if n := len(ids); len(m.Owed) > 0 && (n == 0 || ids[n-1] != m.Owed[0].EventID) {
			ids = append(ids, m.Owed[0].EventID)
		}
	}
	return ids
}

// Work is what is to be done about a page.
type Work struct {
	Make   []decision.Owed // insert
	Retry  []decision.Owed // dead: pending again, with a schedule that begins anew
	Repeat []decision.Owed // delivered: one attempt more, under the nonce of the replay
	Page   Progress
}

// Makes are the ids of what is inserted.
func (w Work) Makes() []string {
	ids := make([]string, len(w.Make))
	for i, o := range w.Make {
		ids[i] = o.ID
	}
	return ids
}

// Plan compares what a page owes with the notifications that its events have. What
// exists is never made a second time: the same match finds its own notification,
// and one of another version of the rule stands for the same action as long as it
// is under way or, if those are to be left alone, delivered.
func (j Job) Plan(p Page, existing []notification.Notification, now time.Time) Work {
	byMatch, taken := map[[2]string][]notification.Notification{}, map[string]bool{}
	for _, n := range existing {
		taken[n.ID] = true
		if n.Group == nil && n.Alert == nil && !n.Trial { // those are about more than this match, or about none
			key := [2]string{n.EventID, n.RuleID}
			byMatch[key] = append(byMatch[key], n)
		}
	}
	w := Work{Page: Progress{Events: p.Events}}
	places := map[string]int{}
	for _, m := range p.Matches {
		if len(m.Owed) == 0 {
			continue
		}
		first := m.Owed[0]
		at, known := places[first.RuleID]
		if !known {
			at = len(w.Page.Rules)
			places[first.RuleID] = at
			w.Page.Rules = append(w.Page.Rules, RuleProgress{RuleID: first.RuleID})
		}
		of := &w.Page.Rules[at]
		of.Name = first.RuleName
		of.Matches++
		of.Samples = firstOf(of.Samples, []string{first.EventID})
		w.Page.Matches++
		for _, o := range m.Owed {
			c := w.decide(j, o, byMatch[[2]string{o.EventID, o.RuleID}], taken[o.ID], now)
			of.Counts = of.plus(c)
			w.Page.Counts = w.Page.Counts.plus(c)
		}
	}
	return w
}

// decide says what becomes of one action of a match. taken: something has its id, which
// may be nothing that anybody understands.
func (w *Work) decide(j Job, o decision.Owed, have []notification.Notification, taken bool, now time.Time) Counts {
	var same *notification.Notification
	delivered, underWay := false, false
	for i := range have {
		n := &have[i]
		if notification.ID(n.EventID, n.RuleID, n.RuleVersion, o.Place) != n.ID {
			continue // of another action
		}
		if n.ID == o.ID {
			same = n
		}
		delivered = delivered || n.Status == notification.Delivered
		underWay = underWay || n.Status == notification.Pending
	}
	switch {
	case delivered && j.SkipDelivered:
		return Counts{Delivered: 1}
	case underWay || same == nil && taken || same != nil && busy(same, j.ID, now):
		return Counts{UnderWay: 1}
	case same == nil:
		o.Unpublished, o.ReplayID = o.Status == notification.Pending, j.ID
		w.Make = append(w.Make, o)
		if o.Status != notification.Pending {
			return Counts{Held: 1}
		}
		return Counts{Made: 1}
	case same.Status == notification.Suppressed || o.Status != notification.Pending:
		return Counts{Held: 1}
	case same.Status == notification.Dead:
		w.Retry = append(w.Retry, decision.Owed{Notification: same.Again(now), Event: o.Event, Rule: o.Rule, Place: o.Place})
		return Counts{Retried: 1}
	default:
		once := *same
		once.Forced = &notification.Forced{Nonce: j.ID, At: now, By: j.CreatedBy}
		once.UpdatedAt, once.Unpublished, once.Orders = now, true, once.Orders+1
		w.Repeat = append(w.Repeat, decision.Owed{Notification: once, Event: o.Event, Rule: o.Rule, Place: o.Place})
		return Counts{Repeated: 1}
	}
}

// busy says that somebody is calling for a notification, or will: also this very
// replay, which asks for one more attempt once.
func busy(n *notification.Notification, id string, now time.Time) bool {
	return n.Claim != nil && n.Claim.Until.After(now) || n.Forced != nil && (!n.Forced.Done || n.Forced.Nonce == id)
}

// Held takes notice of what the rules' memories held back of Make, in the
// deciding transaction. made is Make as it was stored.
func (w Work) Held(made []decision.Owed) Work {
	before := w.Make
	w.Make = made
	rules := make([]RuleProgress, len(w.Page.Rules))
	copy(rules, w.Page.Rules)
	w.Page.Rules = rules
	for i, o := range made {
		if before[i].Status != notification.Pending || o.Status == notification.Pending {
			continue
		}
		held := Counts{Made: -1, Held: 1}
		w.Page.Counts = w.Page.Counts.plus(held)
		for r := range rules {
			if rules[r].RuleID == o.RuleID {
				rules[r].Counts = rules[r].plus(held)
			}
		}
	}
	return w
}

// Messages are the orders for the dispatcher. All of them ask it to claim: an
// owner that was paused may publish beside whoever took over.
func (w Work) Messages() ([]notification.Message, error) {
	messages := make([]notification.Message, 0, len(w.Make)+len(w.Retry)+len(w.Repeat))
	for _, list := range [][]decision.Owed{w.Make, w.Retry, w.Repeat} {
		for _, o := range list {
			if o.Status != notification.Pending && (o.Forced == nil || o.Forced.Done) {
				continue
			}
			m, err := decision.Again(o.Notification, o.Event)
			if err != nil {
				return nil, err
			}
			messages = append(messages, m)
		}
	}
	return messages, nil
}
