package ingester

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/pkg/telemetry"
)

// metrics of the ingester; every label value comes from a closed set, or is
// bounded by pkg/telemetry.
type metrics struct {
	events      *telemetry.EventCounter
	processed   telemetry.StageTimer
	duplicates  *prometheus.CounterVec
	invalid     *prometheus.CounterVec
	batchEvents prometheus.Histogram
	batchBytes  prometheus.Histogram
	flushes     *prometheus.CounterVec
	transaction prometheus.Histogram
	bisections  prometheus.Counter
	swept       prometheus.Counter
	holding     prometheus.Gauge
}

// How a duplicate was recognised.
const (
	foundUnderWay   = "under_way"   // the same event was in this process's hands
	foundBefore     = "looked_up"   // by the look-up before the insert
	foundByConflict = "by_conflict" // by the unique index, which costs a transaction
)

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		events:    telemetry.Events(r),
		processed: telemetry.Processed(r),
		duplicates: telemetry.Register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ea_ingester_duplicates_total", Help: "Events that were stored before, by how that was found.",
		}, []string{"found"})),
		invalid: telemetry.Register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ea_ingester_invalid_total", Help: "Messages refused and events that the database refused, by class.",
		}, []string{"class"})),
		batchEvents: telemetry.Register(r, prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "ea_ingester_batch_events", Help: "Events of a batch.",
			Buckets: []float64{1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 5000},
		})),
		batchBytes: telemetry.Register(r, prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "ea_ingester_batch_bytes", Help: "Bytes of a batch's documents.",
			Buckets: prometheus.ExponentialBuckets(1<<10, 4, 8),
		})),
		flushes: telemetry.Register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ea_ingester_flushes_total", Help: "Batches begun, by why they were not waited for any longer.",
		}, []string{"reason"})),
		transaction: telemetry.Register(r, prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "ea_ingester_transaction_seconds", Help: "Seconds of a batch's transaction, repeats after conflicts included.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		})),
		bisections: telemetry.Register(r, prometheus.NewCounter(prometheus.CounterOpts{
			Name: "ea_ingester_bisections_total", Help: "Batches split to isolate an event that spoils them.",
		})),
		swept: telemetry.Register(r, prometheus.NewCounter(prometheus.CounterOpts{
			Name: "ea_ingester_swept_total", Help: "Batches that the sweep published again.",
		})),
		holding: telemetry.Register(r, prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "ea_ingester_held", Help: "Steps that wait for the end of an outage of MongoDB or RabbitMQ.",
		})),
	}
	// Present from the start, so that a rate over them is never "no data".
	for _, reason := range flushReasons {
		m.flushes.WithLabelValues(reason)
	}
	for _, found := range []string{foundUnderWay, foundBefore, foundByConflict} {
		m.duplicates.WithLabelValues(found)
	}
	return m
}

func (m *metrics) batchBegins(b *batch) {
	m.flushes.WithLabelValues(b.reason).Inc()
	m.batchEvents.Observe(float64(len(b.items)))
	m.batchBytes.Observe(float64(b.bytes))
}

// batchStored counts the events of a batch by their labels first: one look-up
// of a time series for all events that share it.
func (m *metrics) batchStored(items []*item) {
	type labels struct {
		eventType, source string
		level             string
	}
	counts := make(map[labels]int, 64)
	for _, it := range items {
		counts[labels{it.doc.Type, it.doc.Source, event.Level(it.doc.Severity)}]++
	}
	for l, n := range counts {
		m.events.Add(n, l.eventType, l.source, l.level)
	}
}
