package report

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Ledger is what the database holds of one run. It is read past the product:
// the API's own sums would always agree with themselves.
type Ledger struct {
	Stored  int             // of the event_ids that must be stored; an index keeps each from being there twice
	Rules   map[string]Rule // by id
	Matches map[string]int  // by rule: stored events that it matched
	Rows    map[string]int  // by rule: notifications about one event each
	// Others are notifications about more than one event: alerts of windows, and
	// those of groups. No event alone owes them.
	Others int
	// Webhooks are the ids of the delivered notifications whose URL is the
	// receiver's.
	Webhooks []string
}

// Rule is what a match of it owes.
type Rule struct {
	Name    string
	Actions int
	Window  bool // its events are counted, and owe nothing by themselves
}

// owed is what the matches owe: a notification for each action of each rule
// that matched, held back or not. wrong names the rules whose rows are others.
func (l Ledger) owed() (all int, wrong []string) {
	ids := map[string]bool{}
	for id := range l.Matches {
		ids[id] = true
	}
	for id := range l.Rows {
		ids[id] = true
	}
	for _, id := range slices.Sorted(maps.Keys(ids)) {
		r, known := l.Rules[id]
		if !known {
			wrong = append(wrong, fmt.Sprintf("rule %s matched %d events and is not there", id, l.Matches[id]))
			continue
		}
		n := l.Matches[id] * r.Actions
		if r.Window {
			n = 0
		}
		if n != l.Rows[id] {
			wrong = append(wrong, fmt.Sprintf("rule %q owes %d and has %d", r.Name, n, l.Rows[id]))
		}
		all += n
	}
	return all, wrong
}

// notifications: what the matches owe is there, and has come to an end.
func (r Run) notifications() Check {
	b, a := r.Before.Notifications, r.After.Notifications
	delivered, suppressed, dead, pending := a.Delivered-b.Delivered, a.Suppressed-b.Suppressed, a.Dead-b.Dead, a.Pending-b.Pending
	owed, wrong := r.Ledger.owed()
	says := fmt.Sprintf("owed %d", owed)
	if r.Ledger.Others > 0 {
		says += fmt.Sprintf(" + windows and groups %d", r.Ledger.Others)
	}
	says += fmt.Sprintf(" = delivered %d + suppressed %d + dead %d + pending %d", delivered, suppressed, dead, pending)
	for _, w := range wrong {
		says += "; " + w
	}
	return Check{
		"notifications", says,
		len(wrong) == 0 && owed+r.Ledger.Others == delivered+suppressed+dead+pending &&
			delivered > 0 && dead == 0 && a.Pending == 0,
	}
}

// webhooks: the receiver has seen exactly the ids that are recorded as
// delivered to it.
func (r Run) webhooks() Check {
	received := without(r.ReceivedAfter.IDs, r.ReceivedBefore.IDs)
	lost, strange := without(r.Ledger.Webhooks, received), without(received, r.Ledger.Webhooks)
	repeats := r.ReceivedAfter.AcceptedAgain - r.ReceivedBefore.AcceptedAgain
	signatures := r.ReceivedAfter.BadSignatures - r.ReceivedBefore.BadSignatures
	says := fmt.Sprintf("delivered %d = distinct webhook-ids received %d; %d repeats, %d bad signatures",
		len(r.Ledger.Webhooks), len(received), repeats, signatures)
	says += some("delivered and not received", lost) + some("received and not delivered", strange)
	return Check{"webhooks", says, len(received) > 0 && len(lost) == 0 && len(strange) == 0 && signatures == 0}
}

// without are the distinct ids that are not among the others, sorted.
func without(ids, others []string) []string {
	left := map[string]bool{}
	for _, id := range ids {
		left[id] = true
	}
	for _, id := range others {
		delete(left, id)
	}
	return slices.Sorted(maps.Keys(left))
}

func some(what string, ids []string) string {
	const shown = 3
	switch {
	case len(ids) == 0:
		return ""
	case len(ids) > shown:
		return fmt.Sprintf("; %d %s: %s, …", len(ids), what, strings.Join(ids[:shown], ", "))
	}
	return fmt.Sprintf("; %d %s: %s", len(ids), what, strings.Join(ids, ", "))
}
