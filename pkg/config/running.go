package config

import (
	"fmt"
	"time"
)

// Sweep says when unpublished work is taken to be abandoned.
type Sweep struct {
	Every        time.Duration
	StoredAfter  time.Duration // batches stored and not published
	ActionsAfter time.Duration // batches decided whose actions are not published
	Limit        int           // batches of one pass
}

func (s *Sweep) keys(r *registry) {
	r.duration("every", &s.Every, 2*time.Second, 100*time.Millisecond, time.Hour, "How often the sweeps look.")
	r.duration("stored_after", &s.StoredAfter, 5*time.Second, 100*time.Millisecond, time.Hour, "Age at which a stored batch that was not published is published again.")
	r.duration("actions_after", &s.ActionsAfter, 10*time.Second, 100*time.Millisecond, time.Hour, "Age at which a decided batch's pending notifications are published again.")
	r.integer("limit", &s.Limit, 100, 1, 10_000, "Most batches of one pass.")
}

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

// Health is what /health judges by.
type Health struct {
	LagBudget time.Duration
	Cache     time.Duration
}

func (h *Health) keys(r *registry) {
	r.duration("lag_budget", &h.LagBudget, 30*time.Second, time.Second, 24*time.Hour, "A stage that is further behind turns /health to degraded.")
	r.duration("cache", &h.Cache, time.Second, 0, time.Minute, "How long an answer of /health and /readyz is used again.")
}

// Shutdown is how a process stops.
type Shutdown struct {
	DrainTimeout time.Duration
}

func (s *Shutdown) keys(r *registry) {
	r.duration("drain_timeout", &s.DrainTimeout, 15*time.Second, 0, 10*time.Minute, "Longest time that work under way may take to finish; what is left goes back to its queue, uncounted.")
}
