package config

import "time"

// Shutdown is how a process stops.
type Shutdown struct {
	DrainTimeout time.Duration
}

func (s *Shutdown) keys(r *registry) {
	r.duration("drain_timeout", &s.DrainTimeout, 15*time.Second, 100*time.Millisecond, 10*time.Minute, "Longest time that work under way may take to finish; what is left goes back to its queue, uncounted.")
}
