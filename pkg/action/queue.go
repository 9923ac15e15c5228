package action

import (
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/event"
)

// Urgent says whether a match overtakes others: it is critical by its event, or
// its rule is of the first priority.
func Urgent(severity, priority int) bool {
	return severity >= event.CriticalSeverity || priority == 1
}

// Queue reads the field `queue`, which every type has: the dispatch queue that
// its notifications go to instead of the type's own ones. Whether there is such
// a queue is a question to the configuration, see References.
func (r *Reader) Queue() {
	if _, there := r.Get("queue"); there && r.Text("queue", "") == "" {
		r.Refuse("/queue", "must be the name of a dispatch queue")
	}
}

// QueueOf is the queue that a configuration names, else family.critical for
// what is urgent and family.default for the rest.
func QueueOf(config bson.Raw, family string, severity, priority int) string {
	if named := queueNamed(config); named != "" {
		return named
	}
	if Urgent(severity, priority) {
		return family + ".critical"
	}
	return family + ".default"
}

func queueNamed(config bson.Raw) string {
	v, err := config.LookupErr("queue")
	if err != nil {
		return ""
	}
	s, _ := v.StringValueOK()
	return s
}
