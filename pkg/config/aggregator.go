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
	CounterRetention time.Duration
	DimensionValues  int

	DeadLetterRetention time.Duration
}

func (a *Aggregator) keys(r *registry) {
	r.integer("prefetch", &a.Prefetch, 32, 1, 1000, "Batches taken from the queue and not acknowledged yet.")
	r.integer("batch_count", &a.BatchCount, 16, 1, 1000, "Most batches counted in one transaction.")
	r.duration("batch_wait", &a.BatchWait, 50*time.Millisecond, 0, 10*time.Second, "Longest time that a batch waits for others to be counted with.")
	r.duration("materialise_every", &a.MaterialiseEvery, time.Second, 100*time.Millisecond, time.Hour, "How often changed minutes become metrics.")
	r.duration("counter_retention", &a.CounterRetention, 1440*time.Hour, 48*time.Hour, 10*365*24*time.Hour,
		"How long one-minute counters are kept; an event that is older is stored and not counted.")
	r.integer("dimension_values", &a.DimensionValues, 1000, 1, 100_000, "Distinct types, sources and regions that are counted by name; further ones count as `other`.")
	r.duration("dead_letter_retention", &a.DeadLetterRetention, 2160*time.Hour, time.Hour, 10*365*24*time.Hour,
		"How long the record of a dead letter is kept; the dead letter itself stays in its queue until it is replayed or purged.")
}

func (a *Aggregator) check(events time.Duration, report func(key, message string)) {
	if a.CounterRetention < events {
		report("aggregator.counter_retention", fmt.Sprintf("%s is less than ingester.retention (%s), so counters would be gone before their events", a.CounterRetention, events))
	}
	if a.Prefetch < a.BatchCount {
		report("aggregator.prefetch", fmt.Sprintf("%d is less than aggregator.batch_count (%d), so a transaction could never fill", a.Prefetch, a.BatchCount))
	}
}
