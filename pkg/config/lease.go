package config

import (
	"fmt"
	"time"
)

// Lease is how work with one owner changes hands.
type Lease struct {
	Beat     time.Duration
	Takeover time.Duration
}

func (l *Lease) keys(r *registry) {
	r.duration("beat", &l.Beat, 2*time.Second, 100*time.Millisecond, time.Minute, "How often the owner shows that it lives.")
	r.duration("takeover", &l.Takeover, 10*time.Second, 300*time.Millisecond, 10*time.Minute, "How long a beat must stay unchanged before another process takes over.")
}

func (l *Lease) check(report func(key, message string)) {
	if l.Takeover < 3*l.Beat {
		report("lease.takeover", fmt.Sprintf("%s is less than three times lease.beat (%s), so a live owner would lose its lease over one late beat", l.Takeover, l.Beat))
	}
}
