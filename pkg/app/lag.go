package app

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/events-aggregator/events-aggregator/pkg/store"
)

// lagFresh is how long a lag figure is used again: it costs the database eight
// small queries, and nobody needs it more often.
const lagFresh = 2 * time.Second

// lag is how far each stage of the pipeline is behind, from the ledger. It is
// the same in every process; each exports it, so that it is seen as long as any
// process lives.
type lag struct {
	read           func(ctx context.Context, now time.Time) ([]store.StageLag, error)
	seconds, count *prometheus.Desc

	mu     sync.Mutex
	at     time.Time
	stages []store.StageLag
	err    error
}

func newLag(s *store.Store) *lag {
	return &lag{
		read:    s.Lag,
		seconds: prometheus.NewDesc("ea_lag_seconds", "Age of the oldest batch that the stage has not done.", []string{"stage"}, nil),
		count:   prometheus.NewDesc("ea_lag_batches", "Batches that the stage has not done.", []string{"stage"}, nil),
	}
}

// now returns the figures, at most lagFresh old.
func (l *lag) now(ctx context.Context) ([]store.StageLag, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Since(l.at) < lagFresh {
		return l.stages, l.err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), checkTimeout)
	defer cancel()
	l.stages, l.err = l.read(ctx, time.Now())
	l.at = time.Now()
	return l.stages, l.err
}

// Describe and Collect make the figures metrics, read when they are scraped.
func (l *lag) Describe(ch chan<- *prometheus.Desc) { ch <- l.seconds; ch <- l.count }

func (l *lag) Collect(ch chan<- prometheus.Metric) {
	stages, err := l.now(context.Background())
	if err != nil {
		return // without MongoDB there are no figures, and a stale one would look well
	}
	for _, s := range stages {
		ch <- prometheus.MustNewConstMetric(l.seconds, prometheus.GaugeValue, s.Seconds, string(s.Stage))
		ch <- prometheus.MustNewConstMetric(l.count, prometheus.GaugeValue, float64(s.Batches), string(s.Stage))
	}
}
