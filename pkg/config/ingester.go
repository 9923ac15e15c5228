package config

import (
	"fmt"
	"os"
	"regexp"
	"time"
)

// Ingester is the section of the same name.
type Ingester struct {
	BatchEvents     int
	BatchBytes      int
	BatchWait       time.Duration
	Writers         int
	Prefetch        int
	Retention       time.Duration
	RetentionByType map[string]time.Duration
	Region          string
	SchemaDir       string // may not exist: then no type has a schema
	RecentIDs       int
}

const defaultSchemaDir = "configs/schemas"

var typeShape = regexp.MustCompile(`^[A-Z][A-Z0-9_]{0,63}$`)

func (i *Ingester) keys(r *registry) {
	r.integer("batch_events", &i.BatchEvents, 500, 1, 10_000, "Most events of one batch.")
	r.bytes("batch_bytes", &i.BatchBytes, 1<<20, 64<<10, 12<<20,
		"Most bytes of one batch. A batch is one MongoDB transaction and one message, so 12 MiB is the limit.")
	r.duration("batch_wait", &i.BatchWait, 20*time.Millisecond, 0, 10*time.Second,
		"Longest time that an event waits for company; a batch goes at once when the queue runs dry.")
	r.integer("writers", &i.Writers, 2, 1, 64, "Batches written at the same time.")
	r.integer("prefetch", &i.Prefetch, 2000, 1, 65_535, "Messages taken from the queue and not acknowledged yet.")
	r.duration("retention", &i.Retention, 720*time.Hour, time.Minute, 10*365*24*time.Hour, "How long an event is kept.")
	r.durations("retention_by_type", &i.RetentionByType, nil, time.Minute, 10*365*24*time.Hour,
		"Exceptions by event type, as USER_LOGIN: 168h.", "event types in UPPER_SNAKE", typeShape.MatchString)
	r.text("region", &i.Region, "", "metadata.region of events that bring none.")
	r.text("schema_dir", &i.SchemaDir, defaultSchemaDir, "JSON Schemas of payloads by event type, <TYPE>.json. The default may be absent.").
		require("a directory", func(s string) bool {
			if s == "" || s == defaultSchemaDir {
				return true
			}
			info, err := os.Stat(s)
			return err == nil && info.IsDir()
		})
	r.integer("recent_ids", &i.RecentIDs, 200_000, 0, 10_000_000,
		"Ids of stored events remembered in memory, so that a duplicate is looked up before the insert instead of aborting it.")
}

func (i *Ingester) check(report func(key, message string)) {
	if i.Prefetch < i.BatchEvents {
		report("ingester.prefetch", fmt.Sprintf("%d is less than ingester.batch_events (%d), so a batch could never fill", i.Prefetch, i.BatchEvents))
	}
}
