package telemetry

import (
	"errors"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// NewRegistry is a process's own registry, with the metrics of the Go runtime
// and of the operating system's process. There is no global one: several
// services of one test process must not share counts.
func NewRegistry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

const (
	// labelValues bounds what producers can do to a metric: type and source are
	// open sets, and every distinct value is a time series for ever.
	labelValues = 200
	// ruleValues bounds rules, which only admins make.
	ruleValues = 1000
	other      = "other"
)

// EventCounter is events_total{type,source,level}: events stored.
type EventCounter struct {
	vec           *prometheus.CounterVec
	types, source *bounded
}

// Events registers events_total, or returns the registry's.
func Events(r prometheus.Registerer) *EventCounter {
	vec := Register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "events_total", Help: "Events stored, by type, source and level; beyond 200 types or sources as other.",
	}, []string{"type", "source", "level"}))
	return &EventCounter{vec: vec, types: newBounded(labelValues), source: newBounded(labelValues)}
}

// Add counts n events.
func (c *EventCounter) Add(n int, eventType, source, level string) {
	c.vec.WithLabelValues(c.types.value(eventType), c.source.value(source), level).Add(float64(n))
}

// Stage is a step of the pipeline in events_processed_duration.
type Stage string

// The stages. Each is measured per unit of work (a batch, a delivery).
const (
	StageStore     Stage = "store"     // ingester: one batch from first event to confirm
	StageDecide    Stage = "decide"    // rule-worker: one batch from delivery to actions published
	StageDeliver   Stage = "deliver"   // action-dispatcher: one delivery with its record
	StageAggregate Stage = "aggregate" // aggregator: batches of one counting transaction
)

// StageTimer is events_processed_duration{stage}, in seconds.
type StageTimer struct{ vec *prometheus.HistogramVec }

// Processed registers events_processed_duration, or returns the registry's.
func Processed(r prometheus.Registerer) StageTimer {
	return StageTimer{Register(r, prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "events_processed_duration", Help: "Seconds that a unit of work took, by stage.",
		Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
	}, []string{"stage"}))}
}

// Observe records one unit of work.
func (t StageTimer) Observe(s Stage, took time.Duration) {
	t.vec.WithLabelValues(string(s)).Observe(took.Seconds())
}

// RuleCounter is rules_matched_total{rule}.
type RuleCounter struct {
	vec   *prometheus.CounterVec
	rules *bounded
}

// RulesMatched registers rules_matched_total, or returns the registry's.
func RulesMatched(r prometheus.Registerer) *RuleCounter {
	vec := Register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "rules_matched_total", Help: "Matches committed, by rule id; beyond 1000 rules as other.",
	}, []string{"rule"}))
	return &RuleCounter{vec: vec, rules: newBounded(ruleValues)}
}

// Add counts n matches of a rule.
func (c *RuleCounter) Add(n int, ruleID string) {
	c.vec.WithLabelValues(c.rules.value(ruleID)).Add(float64(n))
}

// MongoOperations registers mongodb_operations_total{collection,op,outcome} and
// returns its observer, which store.Options takes as Observe.
func MongoOperations(r prometheus.Registerer) func(collection, op, outcome string) {
	vec := Register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "mongodb_operations_total", Help: "Finished MongoDB commands, by collection, command and outcome (ok, error).",
	}, []string{"collection", "op", "outcome"}))
	return func(collection, op, outcome string) { vec.WithLabelValues(collection, op, outcome).Inc() }
}

// MongoUnreadable registers ea_mongodb_unreadable_total{collection} and returns
// its observer, which store.Options takes as Spoilt.
func MongoUnreadable(r prometheus.Registerer) func(collection, id string) {
	vec := Register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "ea_mongodb_unreadable_total", Help: "Documents left out because they cannot be read (changed by hand, or written by a newer release), by collection.",
	}, []string{"collection"}))
	return func(collection, _ string) { vec.WithLabelValues(collection).Inc() }
}

// Register registers c, or returns the collector that the registry has under
// the same description, so that two parts of a process may ask for one metric.
// A metric of the same name with other labels is a mistake in the program.
func Register[C prometheus.Collector](r prometheus.Registerer, c C) C {
	err := r.Register(c)
	var already prometheus.AlreadyRegisteredError
	if errors.As(err, &already) {
		if same, ok := already.ExistingCollector.(C); ok {
			return same
		}
	}
	if err != nil {
		panic(err)
	}
	return c
}

// bounded lets the first values of a label through and calls the rest other.
type bounded struct {
	limit int
	mu    sync.RWMutex
	known map[string]struct{}
}

func newBounded(limit int) *bounded { return &bounded{limit: limit, known: map[string]struct{}{}} }

func (b *bounded) value(s string) string {
	b.mu.RLock()
	_, ok := b.known[s]
	full := len(b.known) >= b.limit
	b.mu.RUnlock()
	if ok {
		return s
	}
	if full {
		return other
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.known[s]; !ok && len(b.known) >= b.limit {
		return other
	}
	b.known[s] = struct{}{}
	return s
}
