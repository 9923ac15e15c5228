package action

import "github.com/events-aggregator/events-aggregator/pkg/event"

// Urgent says whether a match overtakes others: it is critical by its event, or
// its rule is of the first priority.
func Urgent(severity, priority int) bool {
	return severity >= event.CriticalSeverity || priority == 1
}
