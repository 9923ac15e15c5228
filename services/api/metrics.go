package api

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/events-aggregator/events-aggregator/pkg/telemetry"
	"github.com/events-aggregator/events-aggregator/services/api/live"
)

type metrics struct {
	registry prometheus.Registerer
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	streams  prometheus.Gauge
	slow     prometheus.Counter
}

func newMetrics(r prometheus.Registerer) *metrics {
	return &metrics{
		registry: r,
		requests: telemetry.Register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ea_api_requests_total", Help: "Requests, by route, method and status.",
		}, []string{"route", "method", "status"})),
		seconds: telemetry.Register(r, prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "ea_api_request_seconds", Help: "Seconds that requests took, by route; streams count until they end.",
			Buckets: []float64{.001, .005, .01, .05, .1, .5, 1, 5, 30},
		}, []string{"route"})),
		streams: telemetry.Register(r, prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "ea_stream_clients", Help: "Live clients now.",
		})),
		slow: telemetry.Register(r, prometheus.NewCounter(prometheus.CounterOpts{
			Name: "ea_stream_slow_clients_total", Help: "Live clients that were let go because they fell behind.",
		})),
	}
}

// stream shows how a kind's stream is.
func (m *metrics) stream(kind string, h *live.Hub) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "ea_stream_lag_seconds", ConstLabels: prometheus.Labels{"stream": kind},
		Help: "How long ago was written what the live stream told last, while there is more; or since when its server does not answer.",
	}, func() float64 {
		lag, _, _ := h.Health()
		return lag.Seconds()
	}), prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "ea_stream_waiting_clients", ConstLabels: prometheus.Labels{"stream": kind},
		Help: "Live clients that resume from afar and wait until a stream is free that catches up.",
	}, func() float64 { return float64(h.Waiting()) }))
}

// request counts one. Paths that no route has are one label.
func (m *metrics) request(route, method string, status int, took time.Duration) {
	if route == "" {
		route, method = "none", "none"
	}
	m.requests.WithLabelValues(route, method, strconv.Itoa(status)).Inc()
	m.seconds.WithLabelValues(route).Observe(took.Seconds())
}
