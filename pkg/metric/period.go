package metric

import (
	"time"

	"go.mongodb.org/mongo-driver/bson/primitive"
)

// Period is a length of window that counters become metrics of.
type Period struct {
	Name      string
	Length    time.Duration
	Unit      string // $dateTrunc's unit and number of units
	Units     int
	Retention time.Duration // of its metrics, from the window's end
}

const day = 24 * time.Hour

// Periods lists all, shortest first. All divide a day, so windows begin at
// whole UTC days and a minute is in one window of each.
var Periods = []Period{
	{Name: "1m", Length: time.Minute, Unit: "minute", Units: 1, Retention: 2 * day},
	{Name: "5m", Length: 5 * time.Minute, Unit: "minute", Units: 5, Retention: 14 * day},
	{Name: "1h", Length: time.Hour, Unit: "hour", Units: 1, Retention: 90 * day},
	{Name: "1d", Length: day, Unit: "day", Units: 1, Retention: 2 * 365 * day},
}

// PeriodNamed finds a period by its name.
func PeriodNamed(name string) (Period, bool) {
	for _, p := range Periods {
		if p.Name == name {
			return p, true
		}
	}
	return Period{}, false
}

// Start is the beginning of the window that t is in.
func (p Period) Start(t time.Time) time.Time { return t.UTC().Truncate(p.Length) }

// KeptUntil is when the metrics of the window that begins at start expire.
func (p Period) KeptUntil(start time.Time) time.Time { return start.Add(p.Length + p.Retention) }

// WindowID names a window, "5m:2026-01-02T15:05:00Z".
func (p Period) WindowID(start time.Time) string {
	return p.Name + ":" + start.UTC().Format(time.RFC3339)
}

// Window is a document of `metric_windows`: a window whose counters have
// changed since its metrics were last made.
type Window struct {
	ID     string             `bson:"_id"`
	Period string             `bson:"period"`
	Start  time.Time          `bson:"start"`
	Since  time.Time          `bson:"since"` // when it first changed
	Token  primitive.ObjectID `bson:"token"` // of the last change; never the same twice
}

// Oldest is the earliest event time that is still counted when counters are
// kept for retention. It is a whole day, so that a window never has only a
// part of its late events counted.
func Oldest(now time.Time, retention time.Duration) time.Time {
	return now.UTC().Add(-retention).Truncate(day).Add(day)
}

// counterMargin is how much longer than retention a counter is kept, so that
// the longest window can be made from all of its counters after the last
// event that may count.
const counterMargin = 2 * day

// CounterExpiry is when the counter of that minute expires.
func CounterExpiry(minute time.Time, retention time.Duration) time.Time {
	return minute.Add(retention + counterMargin)
}
