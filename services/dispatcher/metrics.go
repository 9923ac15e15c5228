package dispatcher

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/events-aggregator/events-aggregator/pkg/telemetry"
)

// metrics of the dispatcher. Labels are from closed sets: queues are the
// configuration's, classes the executors' constants.
type metrics struct {
	stage      telemetry.StageTimer
	attempts   *prometheus.CounterVec   // queue, outcome, class
	duration   *prometheus.HistogramVec // queue
	calling    *prometheus.GaugeVec     // queue
	waiting    *prometheus.GaugeVec     // queue
	heldBack   *prometheus.CounterVec   // queue
	keyMissing prometheus.Counter
	claims     *prometheus.CounterVec // result
	repeats    *prometheus.CounterVec // consequence
	unaccepted prometheus.Counter
	outcomes   *prometheus.CounterVec // status
	bulk       prometheus.Histogram
	held       prometheus.Gauge
	targets    *prometheus.GaugeVec // state
}

// Results of claims.
const (
	claimGranted   = "granted"
	claimElsewhere = "elsewhere"
	claimRecorded  = "recorded"
	claimUnknown   = "unknown"
)

// States of targets that are not called.
const (
	stateOpen     = "open"
	stateDisabled = "disabled"
)

// repeatNothing: another message answers for the consequence.
const repeatNothing = "nothing"

func newMetrics(reg prometheus.Registerer) *metrics {
	counters := func(name, help string, labels ...string) *prometheus.CounterVec {
		return telemetry.Register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels))
	}
	gauges := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return telemetry.Register(reg, prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels))
	}
	return &metrics{
		stage:    telemetry.Processed(reg),
		attempts: counters("ea_dispatcher_attempts_total", "Calls made, by what they came to.", "queue", "outcome", "class"),
		duration: telemetry.Register(reg, prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "ea_dispatcher_call_seconds", Help: "How long a call took.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"queue"})),
		calling:  gauges("ea_dispatcher_in_flight", "Calls under way.", "queue"),
		waiting:  gauges("ea_dispatcher_waiting", "Messages that wait for a place among their target's calls or their queue's.", "queue"),
		heldBack: counters("ea_dispatcher_held_back_total", "Messages sent to a tier, uncounted, because their target is too slow.", "queue"),
		keyMissing: telemetry.Register(reg, prometheus.NewCounter(prometheus.CounterOpts{
			Name: "ea_dispatcher_secret_key_missing_total",
			Help: "Messages sent to a tier, uncounted, because this process lacks the key of their action's secrets.",
		})),
		claims:  counters("ea_dispatcher_claims_total", "Claims of redelivered and republished notifications.", "result"),
		repeats: counters("ea_dispatcher_repeated_total", "Messages whose attempt was recorded already, by the consequence that was repeated.", "consequence"),
		unaccepted: telemetry.Register(reg, prometheus.NewCounter(prometheus.CounterOpts{
			Name: "ea_dispatcher_unrecorded_calls_total", Help: "Calls made beside another dispatcher's and not recorded.",
		})),
		outcomes: counters("ea_dispatcher_outcome_events_total", "Outcome events published.", "status"),
		bulk: telemetry.Register(reg, prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "ea_dispatcher_record_bulk", Help: "Attempts recorded together.",
			Buckets: []float64{1, 2, 5, 10, 25, 50, 100, 200},
		})),
		held: telemetry.Register(reg, prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "ea_dispatcher_holding", Help: "Operations that an outage of MongoDB or RabbitMQ holds.",
		})),
		targets: gauges("ea_dispatcher_targets_held", "Targets whose circuit breaker is not closed (open) and endpoints that are disabled, of all dispatchers as this one sees them.", "state"),
	}
}

func (m *metrics) attempted(o *order, r result, took time.Duration) {
	m.attempts.WithLabelValues(o.queue, string(r.outcome), r.class).Inc()
	m.duration.WithLabelValues(o.queue).Observe(took.Seconds())
}
