package aggregator

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/events-aggregator/events-aggregator/pkg/metric"
)

// Windows are the windows whose counters have changed.
type Windows interface {
	// Materialise makes the metrics of at most limit changed windows of the
	// period, and says of how many.
	Materialise(ctx context.Context, p metric.Period, limit int, at time.Time) (windows int, err error)
}

const (
	// windowsPerPass bounds how many windows are listed at once.
	windowsPerPass = 1_000
	// restFactor: a period rests for so many times as long as its last pass
	// took, so that each takes at most a twentieth of the time.
	restFactor = 20
	// restMax bounds the rest of a long period.
	restMax = 10 * time.Minute
)

// Materialiser turns changed windows into metrics. One process at a time does
// so, by a lease; two at once would do double work but no harm.
type Materialiser struct {
	Windows Windows
	Every   time.Duration
	Log     *zap.Logger
	Metrics *metrics
	Now     func() time.Time

	next    map[string]time.Time // when a period is due
	failing bool
}

// Run passes over the periods until ctx ends.
func (m *Materialiser) Run(ctx context.Context) error {
	m.next = map[string]time.Time{}
	ticker := time.NewTicker(m.Every)
	defer ticker.Stop()
	for {
		err := m.pass(ctx)
		switch {
		case ctx.Err() != nil:
			return nil // what is not done stays on the list
		case err != nil:
			m.Metrics.failures.Inc()
			if !m.failing {
				m.Log.Warn("metrics are not up to date, materialising is tried again", zap.Error(err))
			}
		case m.failing:
			m.Log.Info("metrics are being materialised again")
		}
		m.failing = err != nil
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// pass does the shortest period always, the others when they are due or when
// nothing has been counted since the last pass: then everything is made, so
// that metrics are complete soon after the traffic ends.
func (m *Materialiser) pass(ctx context.Context) error {
	quiet := false
	for i, p := range metric.Periods {
		if i > 0 && !quiet && m.Now().Before(m.next[p.Name]) {
			continue
		}
		windows, took, err := m.period(ctx, p)
		if err != nil {
			return err
		}
		if i == 0 {
			quiet = windows == 0
		}
		m.next[p.Name] = m.Now().Add(rest(p, took))
	}
	return nil
}

// rest is how long a period waits for its next pass: the dearer a pass, the
// longer, but no more than a sixtieth of the period, in which its metrics
// hardly change.
func rest(p metric.Period, took time.Duration) time.Duration {
	return min(restFactor*took, p.Length/60, restMax)
}

// period makes all changed windows of one period.
func (m *Materialiser) period(ctx context.Context, p metric.Period) (windows int, took time.Duration, err error) {
	started := m.Now()
	for {
		n, err := m.Windows.Materialise(ctx, p, windowsPerPass, m.Now())
		windows += n
		if err != nil || n < windowsPerPass {
			took = m.Now().Sub(started)
			if windows > 0 {
				m.Metrics.materialised(p, windows, took)
			}
			return windows, took, err
		}
	}
}
