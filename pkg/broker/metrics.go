package broker

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the package's series. Labels are from closed sets: connection
// names and queues are the process's own, verdicts and reasons are constants.
type metrics struct {
	sessions  *prometheus.CounterVec // connection
	connected *prometheus.GaugeVec   // connection

	confirmed *prometheus.CounterVec   // connection
	returned  *prometheus.CounterVec   // connection
	nacked    *prometheus.CounterVec   // connection
	resent    *prometheus.CounterVec   // connection
	confirm   *prometheus.HistogramVec // connection

	deliveries *prometheus.CounterVec // queue, verdict
	retries    *prometheus.CounterVec // queue, tier
	dead       *prometheus.CounterVec // queue, reason
	unsettled  *prometheus.GaugeVec   // queue
}

// Verdicts as the deliveries' metric has them.
const (
	verdictAck       = "ack"
	verdictRetry     = "retry"
	verdictUncounted = "uncounted"
	verdictDead      = "dead"
	verdictRequeue   = "requeue"
	verdictLost      = "lost" // the session ended first: the broker gives the message out again
)

// newMetrics registers the series, or finds those that another connection or
// consumer has registered before.
func newMetrics(reg prometheus.Registerer) *metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels))
	}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return register(reg, prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels))
	}
	return &metrics{
		sessions:  counter("ea_broker_sessions_total", "AMQP sessions opened.", "connection"),
		connected: gauge("ea_broker_connected", "1 while an AMQP session is open.", "connection"),
		confirmed: counter("ea_published_total", "Messages confirmed by the broker.", "connection"),
		returned:  counter("ea_publish_returned_total", "Mandatory messages that no queue would take.", "connection"),
		nacked:    counter("ea_publish_nacked_total", "Messages refused with a nack and sent again.", "connection"),
		resent:    counter("ea_publish_resent_total", "Messages sent again because their session was lost before the confirm.", "connection"),
		confirm: register(reg, prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "ea_publish_confirm_seconds", Help: "From sending a message to its confirm.",
			Buckets: []float64{.0005, .001, .002, .005, .01, .02, .05, .1, .25, .5, 1, 5, 30},
		}, []string{"connection"})),
		deliveries: counter("ea_deliveries_total", "Deliveries by what became of them.", "queue", "verdict"),
		retries:    counter("ea_retries_total", "Messages sent to a retry tier.", "queue", "tier"),
		dead:       counter("ea_dead_letters_total", "Messages sent to the dead letters.", "queue", "reason"),
		unsettled:  gauge("ea_deliveries_unsettled", "Deliveries in this process's hands.", "queue"),
	}
}

// publisherMetrics are one publisher's series, looked up once.
type publisherMetrics struct {
	confirmed, returned, nacked, resent prometheus.Counter
	confirm                             prometheus.Observer
}

func (m *metrics) publisher(connection string) publisherMetrics {
	return publisherMetrics{
		confirmed: m.confirmed.WithLabelValues(connection),
		returned:  m.returned.WithLabelValues(connection),
		nacked:    m.nacked.WithLabelValues(connection),
		resent:    m.resent.WithLabelValues(connection),
		confirm:   m.confirm.WithLabelValues(connection),
	}
}

func register[C prometheus.Collector](reg prometheus.Registerer, c C) C {
	if reg == nil {
		return c
	}
	err := reg.Register(c)
	var registered prometheus.AlreadyRegisteredError
	if errors.As(err, &registered) {
		if same, ok := registered.ExistingCollector.(C); ok {
			return same
		}
	}
	return c
}
