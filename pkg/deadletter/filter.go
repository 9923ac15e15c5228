package deadletter

import (
	"slices"
	"strings"
	"time"

	"github.com/events-aggregator/events-aggregator/pkg/rule"
)

// Filter selects dead letters; zero values do not restrict.
type Filter struct {
	ID     string
	IDs    map[string][]byte // one of these; the values do not matter
	Reason string
	Class  string
	Cause  string // its id, or the fingerprint itself
	Rule   string
	Target string // host of a webhook
	Type   string // of the event, or of one in a batch
	Error  string // a part of the error's text

	Since, Until time.Time // of death; Until exclusive

	// Condition is about the body: an event as its producer sent it, a delivery
	// order {notification, event, attempt}, or a stored batch {events: […]}. A
	// body that is no document does not match.
	Condition *rule.Condition
}

// Restricts says whether there is a dead letter that the filter does not mean.
func (f Filter) Restricts() bool {
	return f.ID != "" || f.IDs != nil || f.Reason != "" || f.Class != "" || f.Cause != "" || f.Rule != "" || f.Target != "" ||
		f.Type != "" || f.Error != "" || !f.Since.IsZero() || !f.Until.IsZero() || f.Condition != nil
}

// readsBody says whether only the body tells what is meant.
func (f Filter) readsBody() bool {
	return f.Rule != "" || f.Target != "" || f.Type != "" || f.Condition != nil
}

// Match says whether a dead letter is meant.
func (f Filter) Match(l *Letter) bool {
	same := func(want, is string) bool { return want == "" || want == is }
	if _, there := f.IDs[l.ID]; f.IDs != nil && !there {
		return false
	}
	return same(f.ID, l.ID) && same(f.Reason, l.Reason) && same(f.Class, l.ErrorClass) &&
		(f.Cause == "" || f.Cause == l.Cause || f.Cause == l.Fingerprint) &&
		same(f.Rule, l.RuleID) && same(strings.ToLower(f.Target), l.Target) &&
		(f.Type == "" || slices.Contains(l.EventTypes, f.Type)) &&
		strings.Contains(l.Error, f.Error) &&
		(f.Since.IsZero() || !l.DeadAt.Before(f.Since)) &&
		(f.Until.IsZero() || l.DeadAt.Before(f.Until)) &&
		(f.Condition == nil || l.document != nil && f.Condition.Match(l.document))
}
