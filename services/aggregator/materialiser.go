package aggregator

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/bson/primitive"
	"go.uber.org/zap"

	"github.com/events-aggregator/events-aggregator/pkg/fault"
	"github.com/events-aggregator/events-aggregator/pkg/metric"
)

// Windows are the windows whose counters have changed.
type Windows interface {
	// ChangedWindows lists a period's, earliest first.
	ChangedWindows(ctx context.Context, p metric.Period, limit int) ([]metric.Window, error)
	// Materialise makes the metrics of listed windows.
	Materialise(ctx context.Context, p metric.Period, windows []metric.Window, at time.Time) error
}

const (
	// windowsListed is more than there can be: a window whose metrics would be
	// expired is not listed.
	windowsListed = 10_000
	// patienceMax bounds how old the metrics of a long period get.
	patienceMax = 10 * time.Minute
	// costFactor: a window that changes all the time waits for so many times
	// as long as the last making of its period took, so that a flood of late
	// events leaves the database to those who count.
	costFactor = 10
)

// Materialiser turns changed windows into metrics. One process at a time does
// so, by a lease; two at once would do double work but no harm.
//
// A window that has stood still since the last look is made at once, so
// everything is complete within two looks after the traffic ends. One that
// goes on changing is made again and again, but no oftener than its period and
// the cost allow.
type Materialiser struct {
	Windows Windows
	Every   time.Duration // between two looks
	Log     *zap.Logger
	Metrics *metrics
	Now     func() time.Time

	seen    map[string]map[string]sighting // by period and window
	cost    map[string]time.Duration       // of the last making, by period
	failing bool
}

// sighting is what the last look saw of a window.
type sighting struct {
	token primitive.ObjectID
	since time.Time // waits since: first seen or last made
}

// Run looks until ctx ends.
func (m *Materialiser) Run(ctx context.Context) error {
	ticker := time.NewTicker(m.Every)
	defer ticker.Stop()
	for {
		err := m.look(ctx)
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

func (m *Materialiser) look(ctx context.Context) error {
	if m.seen == nil {
		m.seen, m.cost = map[string]map[string]sighting{}, map[string]time.Duration{}
	}
	for _, p := range metric.Periods {
		windows, err := m.Windows.ChangedWindows(ctx, p, windowsListed)
		if err != nil {
			return err
		}
		ready := m.ready(p, windows)
		if len(ready) == 0 {
			continue
		}
		fault.At(fault.AggregatorMaterialising)
		started := m.Now()
		if err := m.Windows.Materialise(ctx, p, ready, started.UTC()); err != nil {
			return err
		}
		m.cost[p.Name] = m.Now().Sub(started)
		m.Metrics.materialised(p, len(ready), m.cost[p.Name])
	}
	return nil
}

// ready picks the windows that stand still or have waited long enough.
func (m *Materialiser) ready(p metric.Period, windows []metric.Window) []metric.Window {
	now, patience := m.Now(), patience(p, m.cost[p.Name])
	before, seen := m.seen[p.Name], make(map[string]sighting, len(windows))
	var ready []metric.Window
	for _, w := range windows {
		last, known := before[w.ID]
		switch {
		case !known:
			seen[w.ID] = sighting{w.Token, now}
			continue
		case last.token == w.Token, now.Sub(last.since)+m.Every/2 >= patience:
			ready = append(ready, w)
			last.since = now
		}
		last.token = w.Token
		seen[w.ID] = last
	}
	m.seen[p.Name] = seen
	return ready
}

// patience is how long a window that goes on changing waits: a sixtieth of its
// period, in which its metrics hardly change, or longer when making is dear.
func patience(p metric.Period, cost time.Duration) time.Duration {
	return min(max(p.Length/60, costFactor*cost), patienceMax)
}
