package config

import "time"

// Health is what /health judges by.
type Health struct {
	LagBudget time.Duration
	Cache     time.Duration
}

func (h *Health) keys(r *registry) {
	r.duration("lag_budget", &h.LagBudget, 30*time.Second, time.Second, 24*time.Hour, "A stage, or a live stream, that is further behind turns /health to degraded.")
	r.duration("cache", &h.Cache, time.Second, 0, time.Minute, "How long an answer of /health and /readyz is used again.")
}
