package action

import (
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/bson"
)

// Tiers are the waits that a retry can have: each is a queue of its own for every
// dispatch queue.
var tiers = []time.Duration{time.Second, 10 * time.Second, time.Minute, 10 * time.Minute, time.Hour, 6 * time.Hour}

// Tiers lists them, ascending.
func Tiers() []time.Duration { return slices.Clone(tiers) }

const (
	tierNames = "1s, 10s, 1m, 10m, 1h, 6h"
	// maxRetries bounds a schedule.
	maxRetries = 50
)

// Schedule reads the field `retry`, which every type that can fail has: the waits
// before the second and further attempts, each one of the tiers. An empty list
// is no second attempt.
func (r *Reader) Schedule() {
	v, there := r.Get("retry")
	if !there {
		return
	}
	if _, ok := readSchedule(v); !ok {
		r.Refuse("/retry", "must be a list of at most %d waits out of %s", maxRetries, tierNames)
	}
}

// ScheduleOf is the schedule that a configuration names, nil when it names none.
func ScheduleOf(config bson.Raw) []time.Duration {
	v, err := config.LookupErr("retry")
	if err != nil {
		return nil
	}
	schedule, _ := readSchedule(v)
	return schedule
}

func readSchedule(v bson.RawValue) ([]time.Duration, bool) {
	list, ok := v.ArrayOK()
	if !ok {
		return nil, false
	}
	values, err := list.Values()
	if err != nil || len(values) > maxRetries {
		return nil, false
	}
	schedule := make([]time.Duration, 0, len(values))
	for _, v := range values {
		text, _ := v.StringValueOK()
		d, err := time.ParseDuration(strings.TrimSpace(text))
		if err != nil || !slices.Contains(tiers, d) {
			return nil, false
		}
		schedule = append(schedule, d)
	}
	return schedule, true
}
