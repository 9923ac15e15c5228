package config

// QueueNames lists the dispatch queues, sorted.
func (d Dispatcher) QueueNames() []string { return sortedKeys(d.Queues) }
