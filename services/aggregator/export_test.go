package aggregator

// What specs need of the inside.
var (
	NewMetrics = newMetrics
	Rest       = rest
)
