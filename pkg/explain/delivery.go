package explain

import (
	"fmt"
	"slices"

	"github.com/events-aggregator/events-aggregator/pkg/notification"
)

// delivery tells what became of the notifications. The worst of them is the
// outcome: somebody asks because something is missing.
func (s *story) delivery() bool {
	all := slices.Clone(s.Notifications)
	if len(all) == 0 {
		why := s.nothingOwed()
		s.step("delivery", false, "%s", why)
		s.end(Nothing, "matched, and did nothing: %s", why)
		return true
	}
	slices.SortStableFunc(all, func(a, b notification.Notification) int { return rank(a.Status) - rank(b.Status) })
	for _, n := range all {
		name := "delivery"
		if n.Status == notification.Suppressed {
			name = "noise"
		}
		s.step(name, n.Status == notification.Delivered || n.Status == notification.Pending, "%s: %s", n.Action.Type, s.fate(n))
	}
	worst := all[0]
	more := ""
	if len(all) > 1 && slices.ContainsFunc(all[1:], func(n notification.Notification) bool { return n.Status != worst.Status }) {
		more = fmt.Sprintf(" (%d notifications, of which this one stands worst)", len(all))
	}
	o, begin := map[notification.Status]Outcome{
		notification.Dead: Dead, notification.Pending: Pending, notification.Suppressed: Held, notification.Delivered: Delivered,
	}[worst.Status], "fired: "
	switch worst.Status {
	case notification.Dead:
		begin = "fired, but was not delivered: "
	case notification.Suppressed:
		begin = "matched, but was held back: "
	case notification.Pending, notification.Delivered:
	}
	s.end(o, "%s%s%s", begin, s.fate(worst), more)
	return true
}

// rank puts first what needs a look.
func rank(status notification.Status) int {
	return slices.Index([]notification.Status{notification.Dead, notification.Suppressed, notification.Pending, notification.Delivered}, status)
}

func (s *story) nothingOwed() string {
	if len(s.Rule.Actions) == 0 {
		return "the rule has no actions"
	}
	return "there is no notification of it; it was removed after its retention, or the rule matched only after this version was judged"
}

// fate is what became of one notification, as the end of a sentence.
func (s *story) fate(n notification.Notification) string {
	switch n.Status {
	case notification.Delivered:
		return fmt.Sprintf("delivered at %s%s", clock(n.UpdatedAt), attemptsOf(n))
	case notification.Dead:
		return fmt.Sprintf("dead since %s%s", clock(n.UpdatedAt), attemptsOf(n))
	case notification.Suppressed:
		return s.heldBy(n)
	default:
		text := "the message waits in the queue " + n.Queue
		if n.AttemptCount > 0 {
			text = "will be tried again"
		}
		if n.NextAttemptAt != nil {
			text += " at " + clock(*n.NextAttemptAt)
		}
		return text + attemptsOf(n)
	}
}

func attemptsOf(n notification.Notification) string {
	if len(n.Attempts) == 0 {
		return ""
	}
	last := n.Attempts[len(n.Attempts)-1]
	text := ", at the first attempt"
	if n.AttemptCount > 1 {
		text = fmt.Sprintf(" after %d attempts", n.AttemptCount)
	}
	switch {
	case last.Error != "" && last.StatusCode != 0:
		text += fmt.Sprintf("; the last answer was HTTP %d: %s", last.StatusCode, last.Error)
	case last.Error != "":
		text += "; the last error was: " + last.Error
	case last.StatusCode != 0:
		text += fmt.Sprintf(" (HTTP %d)", last.StatusCode)
	}
	return text
}

// heldBy is why a notification was held back.
func (s *story) heldBy(n notification.Notification) string {
	until := ""
	if n.Held != nil && n.Held.Until != nil {
		until = clock(*n.Held.Until)
	}
	switch n.Reason {
	case notification.Shadow:
		return "the rule's mode is shadow: it decides and does nothing"
	case notification.Throttled:
		return "its throttle had let another match of the same key through, and holds until " + until
	case notification.Paused:
		return fmt.Sprintf("the rule had its %d matches of the hour, and is paused until %s", s.Rule.MaxMatchesPerHour, until)
	case notification.Muted:
		return "the rule is muted at that time of the week, until " + until
	case notification.Grouped:
		return "it was taken into a group, whose notification stands for it and was due by " + until
	case notification.Silenced:
		text := "a silence is in force until " + until
		if n.Held != nil {
			text = fmt.Sprintf("the silence %s is in force until %s", n.Held.ID, until)
			if comment := s.Silences[n.Held.ID]; comment != "" {
				text += fmt.Sprintf(" (%q)", comment)
			}
		}
		return text
	case notification.Disabled:
		return "the rule was disabled or deleted before its group was told"
	case notification.TargetDisabled:
		return "its receiver is disabled, since it answered 410 Gone or somebody disabled it; GET /api/v1/targets says why"
	case notification.Cancelled:
		return "somebody cancelled it"
	}
	text := n.Reason
	if until != "" {
		text += ", until " + until
	}
	return text
}
