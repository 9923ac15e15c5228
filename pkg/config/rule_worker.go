package config

import (
	"fmt"
	"time"
)

// RuleWorker is the section `rule_worker`.
type RuleWorker struct {
	Prefetch              int // batches, per queue
	BatchCount            int // batches decided in one transaction
	Concurrency           int // transactions at the same time, per queue
	Poll                  time.Duration
	WindowsEvery          time.Duration
	GroupsEvery           time.Duration
	ReplaysEvery          time.Duration
	NotificationRetention time.Duration
}

func (w *RuleWorker) keys(r *registry) {
	r.integer("prefetch", &w.Prefetch, 64, 1, 1000, "Batches taken from each queue and not acknowledged yet; a batch is up to ingester.batch_bytes large.")
	r.integer("batch_count", &w.BatchCount, 32, 1, 1000, "Batches decided in one transaction at most; they are taken together when they are waiting.")
	r.integer("concurrency", &w.Concurrency, 2, 1, 64, "Transactions of each queue at the same time.")
	r.duration("poll", &w.Poll, 15*time.Second, 100*time.Millisecond, time.Hour, "How often rules are compared with the database, in case a broadcast was missed.")
	r.duration("windows_every", &w.WindowsEvery, 500*time.Millisecond, 50*time.Millisecond, time.Hour,
		"How often windows whose time to be decided has come are looked for.")
	r.duration("groups_every", &w.GroupsEvery, 500*time.Millisecond, 50*time.Millisecond, time.Hour,
		"How often groups of matches that are to be told are looked for.")
	r.duration("replays_every", &w.ReplaysEvery, time.Second, 50*time.Millisecond, time.Hour,
		"How often a replay that waits is looked for.")
	r.duration("notification_retention", &w.NotificationRetention, 2160*time.Hour, time.Hour, 10*365*24*time.Hour,
		"How long a notification is kept.")
}

func (w *RuleWorker) check(report func(key, message string)) {
	if w.Prefetch < w.Concurrency {
		report("rule_worker.prefetch", fmt.Sprintf("%d is less than rule_worker.concurrency (%d), so some would never have work", w.Prefetch, w.Concurrency))
	}
}
