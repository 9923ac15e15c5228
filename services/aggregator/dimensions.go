package aggregator

import (
	"context"
	"maps"
	"slices"
	"sync"

	"go.uber.org/zap"

	"github.com/events-aggregator/events-aggregator/pkg/metric"
)

// Admitter keeps the values that dimensions count by name, for all processes.
type Admitter interface {
	// Admit gives values a place while the dimension holds at most limit, and
	// returns the dimension as it then is. A full one stays full.
	Admit(ctx context.Context, d metric.Dimension, values []string, limit int) (metric.Named, error)
}

// Dimensions decides under which series an event is counted: a producer that
// invents values without end must not fill the database with counters.
type Dimensions struct {
	admitter Admitter
	limit    int
	log      *zap.Logger
	metrics  *metrics

	mu       sync.Mutex
	registry metric.Registry // as last seen; values never leave it
}

// NewDimensions admits at most limit values of each dimension.
func NewDimensions(a Admitter, limit int, log *zap.Logger, m *metrics) *Dimensions {
	return &Dimensions{admitter: a, limit: limit, log: log, metrics: m, registry: metric.Registry{}}
}

// Name puts the increments of the batches under the names that are counted.
func (d *Dimensions) Name(ctx context.Context, batches []metric.Batch) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, dim := range metric.Dimensions {
		if err := d.admit(ctx, dim, batches); err != nil {
			return err
		}
	}
	for i := range batches {
		renamed := false
		for j := range batches[i].Increments {
			inc := &batches[i].Increments[j]
			named := d.registry.Map(inc.Series)
			if named == inc.Series {
				continue
			}
			d.metrics.renamed(inc.Series, named, inc.Count)
			inc.Series, renamed = named, true
		}
		if renamed {
			batches[i].Increments = metric.Merge(batches[i].Increments)
		}
	}
	return nil
}

// admit asks for a place for the values that have none, unless the dimension
// is known to be full.
func (d *Dimensions) admit(ctx context.Context, dim metric.Dimension, batches []metric.Batch) error {
	if d.registry[dim].Full {
		return nil
	}
	wanted := map[string]bool{}
	for _, b := range batches {
		for _, inc := range b.Increments {
			if v := dim.Of(inc.Series); d.registry.Unregistered(dim, v) {
				wanted[v] = true
			}
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	named, err := d.admitter.Admit(ctx, dim, slices.Sorted(maps.Keys(wanted)), d.limit)
	if err != nil {
		return err
	}
	if named.Full {
		d.log.Warn("dimension is full, further values count as other",
			zap.String("dimension", string(dim)), zap.Int("values", len(named.Values)))
	}
	d.registry[dim] = named
	return nil
}
