package store

import "sync"

// startedCommands remembers the collection of each command under way.
type startedCommands struct {
	mu          sync.Mutex
	collections map[int64]string
}

func newStartedCommands() *startedCommands {
	return &startedCommands{collections: map[int64]string{}}
}

func (c *startedCommands) put(request int64, collection string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.collections[request] = collection
}

func (c *startedCommands) take(request int64) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	name := c.collections[request]
	delete(c.collections, request)
	return name
}
