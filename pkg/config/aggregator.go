package config

import (
	"fmt"
	"time"
)

// Aggregator is the section of the same name.
type Aggregator struct {
	Prefetch         int           // batches
	BatchCount       int           // batches counted in one transaction
	BatchWait        time.Duration // longest time that a batch waits for others
	MaterialiseEvery time.Duration
	SweepEvery       time.Duration
	DimensionValues  int
}

func (a *Aggregator) keys(r *registry) {
	r.integer("prefetch", &a.Prefetch, 64, 1, 1000, "Batches taken from the queue and not acknowledged yet.")
	r.integer("batch_count", &a.BatchCount, 16, 1, 1000, "Most batches counted in one transaction.")
	r.duration("batch_wait", &a.BatchWait, 50*time.Millisecond, 0, 10*time.Second, "Longest time that a batch waits for others to be counted with.")
	r.duration("materialise_every", &a.MaterialiseEvery, time.Second, 100*time.Millisecond, time.Hour, "How often changed minutes become metrics.")
	r.duration("sweep_every", &a.SweepEvery, 10*time.Second, 100*time.Millisecond, time.Hour, "How often batches are looked for that were stored and never counted.")
	r.integer("dimension_values", &a.DimensionValues, 1000, 1, 100_000, "Distinct types, sources and regions that are counted by name; further ones count as `other`.")
}

func (a *Aggregator) check(report func(key, message string)) {
	if a.Prefetch < a.BatchCount {
		report("aggregator.prefetch", fmt.Sprintf("%d is less than aggregator.batch_count (%d), so a transaction could never fill", a.Prefetch, a.BatchCount))
	}
}
