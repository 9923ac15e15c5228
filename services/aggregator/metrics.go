package aggregator

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/events-aggregator/events-aggregator/pkg/metric"
	"github.com/events-aggregator/events-aggregator/pkg/telemetry"
)

type metrics struct {
	processed   telemetry.StageTimer
	batches     prometheus.Counter
	repeated    prometheus.Counter
	events      prometheus.Counter
	uncounted   *prometheus.CounterVec
	other       *prometheus.CounterVec
	together    prometheus.Histogram
	windows     *prometheus.CounterVec
	materialise *prometheus.HistogramVec
	failures    prometheus.Counter
	recorded    prometheus.Counter
	unrecorded  prometheus.Counter
}

// reasonTooOld is why an event is stored and not counted.
const reasonTooOld = "too_old"

func newMetrics(r prometheus.Registerer) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return telemetry.Register(r, prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help}))
	}
	counters := func(name, help string, labels ...string) *prometheus.CounterVec {
		return telemetry.Register(r, prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels))
	}
	m := &metrics{
		processed: telemetry.Processed(r),
		batches:   counter("ea_aggregator_batches_total", "Batches counted."),
		repeated:  counter("ea_aggregator_repeated_batches_total", "Batches that came again after they were counted."),
		events:    counter("ea_aggregator_events_total", "Events counted."),
		uncounted: counters("ea_aggregator_uncounted_events_total", "Events stored and not counted, by reason.", "reason"),
		other:     counters("ea_aggregator_other_events_total", "Events counted as `other` because a dimension is full.", "dimension"),
		together: telemetry.Register(r, prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "ea_aggregator_batches_per_transaction", Help: "Batches that were counted together.",
			Buckets: []float64{1, 2, 4, 8, 16, 32, 64},
		})),
		windows: counters("ea_aggregator_windows_total", "Windows materialised, by period.", "period"),
		materialise: telemetry.Register(r, prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "ea_aggregator_materialise_seconds", Help: "Time of one pass over a period's changed windows.",
			Buckets: prometheus.ExponentialBuckets(0.005, 4, 8),
		}, []string{"period"})),
		failures:   counter("ea_aggregator_materialise_failures_total", "Passes that ended with an error."),
		recorded:   counter("ea_aggregator_dead_letters_recorded_total", "Dead letters, and ends of dead letters, that were recorded."),
		unrecorded: counter("ea_aggregator_dead_letters_unrecorded_total", "Dead letters whose record the database refuses; they lie in their queues."),
	}
	m.uncounted.WithLabelValues(reasonTooOld)
	for _, d := range metric.Dimensions {
		m.other.WithLabelValues(string(d))
	}
	return m
}

func (m *metrics) counted(s size) {
	m.batches.Inc()
	m.events.Add(float64(s.events))
	m.uncounted.WithLabelValues(reasonTooOld).Add(float64(s.tooOld))
}

// took is one transaction with what belongs to it.
func (m *metrics) took(batches, repeated int, d time.Duration) {
	m.repeated.Add(float64(repeated))
	m.together.Observe(float64(batches))
	m.processed.Observe(telemetry.StageAggregate, d)
}

func (m *metrics) renamed(from, to metric.Series, events int64) {
	for _, d := range metric.Dimensions {
		if d.Of(from) != d.Of(to) {
			m.other.WithLabelValues(string(d)).Add(float64(events))
		}
	}
}

func (m *metrics) materialised(p metric.Period, windows int, took time.Duration) {
	m.windows.WithLabelValues(p.Name).Add(float64(windows))
	m.materialise.WithLabelValues(p.Name).Observe(took.Seconds())
}
