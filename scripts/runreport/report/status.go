// Package report reads what `eactl status` and `eactl simulate` say as JSON and
// judges it: one line while a run goes on, a balance when it has ended.
package report

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Status is `eactl status -o json`.
type Status struct {
	Events struct {
		Stored      int `json:"stored"`
		Unprocessed int `json:"unprocessed"`
	} `json:"events"`
	Notifications struct {
		Pending    int `json:"pending"`
		Delivered  int `json:"delivered"`
		Dead       int `json:"dead"`
		Suppressed int `json:"suppressed"`
	} `json:"notifications"`
	DeadLetters map[string]int   `json:"dead_letters"` // by work queue
	Queues      map[string]Queue `json:"queues"`
	Lag         map[string]Lag   `json:"lag"` // by stage
}

// Queue is one queue of the broker.
type Queue struct {
	Messages int `json:"messages"`
}

// Lag is how far one stage of the pipeline is behind.
type Lag struct {
	Batches int     `json:"batches"`
	Seconds float64 `json:"seconds"`
}

// waiting counts the messages that somebody still has to handle; what lies in
// a dead-letter queue waits for an operator.
func (s Status) waiting() int {
	n := 0
	for name, q := range s.Queues {
		if !strings.HasSuffix(name, ".dead") {
			n += q.Messages
		}
	}
	return n
}

// badMessages are the dead letters of the ingest queue. A broker prefix may
// stand before its name.
func (s Status) badMessages() int {
	n := 0
	for name, count := range s.DeadLetters {
		if strings.HasSuffix(strings.TrimSuffix(name, ".dead"), "ingester.events") {
			n += count
		}
	}
	return n
}

// behind is the stage with the greatest lag.
func (s Status) behind() (stage string, lag Lag) {
	for _, name := range slices.Sorted(maps.Keys(s.Lag)) {
		if l := s.Lag[name]; stage == "" || l.Seconds > lag.Seconds {
			stage, lag = name, l
		}
	}
	return stage, lag
}

// Undrained says what is still under way; empty when nothing is.
func (s Status) Undrained() []string {
	var out []string
	note := func(n int, what string) {
		if n > 0 {
			out = append(out, fmt.Sprintf("%d %s", n, what))
		}
	}
	note(s.waiting(), "messages in queues")
	note(s.Events.Unprocessed, "events not processed")
	note(s.Notifications.Pending, "notifications pending")
	for _, name := range slices.Sorted(maps.Keys(s.Lag)) {
		note(s.Lag[name].Batches, "batches behind in "+name)
	}
	return out
}

// Line is the live status: what happened since before, and the rate since
// previous, which was taken some seconds ago.
func Line(before, previous, now Status, seconds float64) string {
	rate := 0.0
	if seconds > 0 {
		rate = float64(now.Events.Stored-previous.Events.Stored) / seconds
	}
	stage, lag := now.behind()
	behind := "no lag"
	if lag.Batches > 0 {
		behind = fmt.Sprintf("lag %.1f s (%s)", lag.Seconds, stage)
	}
	return fmt.Sprintf("events %d stored, %.0f/s · notifications %d delivered, %d pending, %d dead · dead letters %d · queued %d · %s",
		now.Events.Stored-before.Events.Stored, rate,
		now.Notifications.Delivered-before.Notifications.Delivered, now.Notifications.Pending,
		now.Notifications.Dead-before.Notifications.Dead,
		now.badMessages()-before.badMessages(), now.waiting(), behind)
}
