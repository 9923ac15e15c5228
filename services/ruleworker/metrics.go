package ruleworker

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/events-aggregator/events-aggregator/pkg/decision"
	"github.com/events-aggregator/events-aggregator/pkg/replay"
	"github.com/events-aggregator/events-aggregator/pkg/telemetry"
)

type metrics struct {
	matched     *telemetry.RuleCounter
	processed   telemetry.StageTimer
	events      prometheus.Counter
	owed        *prometheus.CounterVec
	repeated    prometheus.Counter
	exceeded    prometheus.Counter
	republished prometheus.Counter
	swept       prometheus.Counter
	again       *prometheus.CounterVec
	rules       prometheus.Gauge
	broken      prometheus.Gauge
	together    prometheus.Histogram
	windows     *prometheus.HistogramVec
	alerts      *prometheus.CounterVec
	windowsWait prometheus.Gauge
}

func newMetrics(r prometheus.Registerer) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return telemetry.Register(r, prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help}))
	}
	return &metrics{
		matched:     telemetry.RulesMatched(r),
		processed:   telemetry.Processed(r),
		events:      counter("ea_rule_worker_events_total", "Events decided."),
		exceeded:    counter("ea_rule_worker_over_budget_total", "Evaluations given up because the rule exceeded its budget."),
		repeated:    counter("ea_rule_worker_repeated_batches_total", "Batches that came again after they were decided."),
		republished: counter("ea_rule_worker_republished_total", "Notifications whose first message was published again."),
		swept:       counter("ea_rule_worker_swept_batches_total", "Abandoned batches whose actions the sweep published."),
		again: telemetry.Register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ea_rule_worker_replayed_total", Help: "What replays came to, by outcome: notifications made, retried, repeated, held, delivered, under_way; and the events looked at.",
		}, []string{"outcome"})),
		owed: telemetry.Register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ea_rule_worker_notifications_total", Help: "Notifications decided, by queue and status (pending, suppressed).",
		}, []string{"queue", "status"})),
		together: telemetry.Register(r, prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "ea_rule_worker_batches_together", Help: "Batches decided in one transaction.", Buckets: prometheus.ExponentialBuckets(1, 2, 7),
		})),
		windows: telemetry.Register(r, prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "ea_rule_worker_window_seconds", Help: "Evaluations of window rules, by kind and outcome (ok, error).",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 8),
		}, []string{"kind", "outcome"})),
		alerts: telemetry.Register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ea_rule_worker_alerts_total", Help: "Notifications of window rules' alerts decided, by kind.",
		}, []string{"kind"})),
		windowsWait: telemetry.Register(r, prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "ea_rule_worker_windows_wait_seconds", Help: "How far decisions about settled windows are behind because ingest has not caught up, in the process that decides them.",
		})),
		broken: telemetry.Register(r, prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "ea_rule_worker_broken_rules", Help: "Enabled rules that are not matched, since they cannot be read or do not compile; eactl rules status names them.",
		})),
		rules: telemetry.Register(r, prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "ea_rule_worker_rules", Help: "Rules in the set that is matched now.",
		})),
	}
}

func (m *metrics) decided(batches []decision.Batch, alerts []decision.Owed) {
	m.owes(alerts)
	for _, b := range batches {
		m.events.Add(float64(len(b.Events)))
		for _, match := range b.Matches {
			for _, id := range match.Rules {
				m.matched.Add(1, id)
			}
		}
		m.owes(b.Owed)
	}
}

func (m *metrics) owes(owed []decision.Owed) {
	for _, o := range owed {
		m.owed.WithLabelValues(o.Queue, string(o.Status)).Inc()
		if o.Alert != nil && o.Group == nil {
			m.alerts.WithLabelValues(o.Alert.Kind).Inc()
		}
	}
}

// evaluated is one evaluation of a rule's windows.
func (m *metrics) evaluated(kind string, err error, took time.Duration) {
	outcome := "ok"
	if err != nil {
		outcome = "error"
	}
	m.windows.WithLabelValues(kind, outcome).Observe(took.Seconds())
}

func (m *metrics) took(batches int, d time.Duration) {
	m.together.Observe(float64(batches))
	m.processed.Observe(telemetry.StageDecide, d)
}

// replayed is a saved page of a replay.
func (m *metrics) replayed(events int64, work replay.Work) {
	m.owes(work.Make)
	for outcome, n := range map[string]int64{"events": events, "made": work.Page.Made, "retried": work.Page.Retried, "repeated": work.Page.Repeated,
		"held": work.Page.Held, "delivered": work.Page.Delivered, "under_way": work.Page.UnderWay} {
		m.again.WithLabelValues(outcome).Add(float64(n))
	}
}
