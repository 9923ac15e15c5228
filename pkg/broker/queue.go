package broker

import (
	"strconv"
	"time"
)

// WorkQueue is what a consumer must know about its queue: where a failed
// message waits and where a dead one lies. Names carry the prefix.
type WorkQueue struct {
	Name          string
	RetryExchange string
	DeadExchange  string
	Tiers         []time.Duration // the delays for which a tier is declared, ascending
	Schedule      []time.Duration // the delay before each further attempt, each a tier
}

// Tier names the retry queue for one of the queue's delays; it is also its
// routing key in the retry exchange.
func (q WorkQueue) Tier(delay time.Duration) string { return q.Name + ".retry." + DelayLabel(delay) }

// Dead names the queue of the dead letters.
func (q WorkQueue) Dead() string { return q.Name + ".dead" }

// DelayLabel writes a tier's delay as queue names have it: 1s, 10m, 6h.
func DelayLabel(d time.Duration) string {
	switch {
	case d >= time.Hour && d%time.Hour == 0:
		return strconv.Itoa(int(d/time.Hour)) + "h"
	case d >= time.Minute && d%time.Minute == 0:
		return strconv.Itoa(int(d/time.Minute)) + "m"
	case d >= time.Second && d%time.Second == 0:
		return strconv.Itoa(int(d/time.Second)) + "s"
	default:
		return strconv.Itoa(int(d/time.Millisecond)) + "ms"
	}
}
