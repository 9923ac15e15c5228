package dispatcher

import (
	"sync"
	"time"
)

// cached keeps what was read for a moment, so that a flood of notifications
// does not read the same for each.
type cached[T any] struct {
	mu  sync.Mutex
	had map[string]cachedValue[T]
}

type cachedValue[T any] struct {
	value T
	until time.Time
}

const (
	// cacheFor is how long a change may take to be seen.
	cacheFor = 5 * time.Second
	// maxCached bounds the names that are kept.
	maxCached = 1000
)

// get is what is kept under the name, else what read gives.
func (c *cached[T]) get(name string, read func() (T, error)) (T, error) {
	now := time.Now()
	c.mu.Lock()
	had, there := c.had[name]
	c.mu.Unlock()
	if there && now.Before(had.until) {
		return had.value, nil
	}
	value, err := read()
	if err != nil {
		return value, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.had == nil || len(c.had) >= maxCached {
		c.had = map[string]cachedValue[T]{}
	}
	c.had[name] = cachedValue[T]{value, now.Add(cacheFor)}
	return value, nil
}
