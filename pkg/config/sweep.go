package config

import "time"

// Sweep says when unpublished work is taken to be abandoned.
type Sweep struct {
	Every         time.Duration
	StoredAfter   time.Duration // batches stored and not published
	ActionsAfter  time.Duration // batches decided whose actions are not published
	AttemptsAfter time.Duration // attempts whose time has come and passed
	// FirstAttemptsAfter is for notifications that nobody has called for.
	FirstAttemptsAfter time.Duration
	Limit              int // batches of one pass
}

func (s *Sweep) keys(r *registry) {
	r.duration("every", &s.Every, 2*time.Second, 100*time.Millisecond, time.Hour, "How often the sweeps look.")
	r.duration("stored_after", &s.StoredAfter, 5*time.Second, 100*time.Millisecond, time.Hour, "Age at which a stored batch that was not published is published again.")
	r.duration("actions_after", &s.ActionsAfter, 10*time.Second, 100*time.Millisecond, time.Hour, "Age at which a decided batch's pending notifications are published again.")
	r.duration("first_attempts_after", &s.FirstAttemptsAfter, 24*time.Hour, time.Second, 7*24*time.Hour, "Age at which a notification that nobody has called for is published again, when nothing waits in its queue.")
	r.duration("attempts_after", &s.AttemptsAfter, 15*time.Minute, time.Second, 24*time.Hour, "How late an attempt may be until its order is published again: its message is lost, as when somebody purged a queue.")
	r.integer("limit", &s.Limit, 100, 1, 10_000, "Most batches of one pass.")
}
