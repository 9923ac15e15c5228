package aggregator

import "context"

// What specs need of the inside.
var (
	NewMetrics = newMetrics
	Patience   = patience
)

// Look is one look of the materialiser.
func (m *Materialiser) Look(ctx context.Context) error { return m.look(ctx) }
