package api

import (
	"context"
	"net/http"
	"sync"
)

// places are those of live clients, of exports or of analyses, bounded for the process and for each key.
type places struct {
	most, keyMost int

	mu    sync.Mutex
	used  int
	byKey map[string]int
	freed chan struct{} // closed when one is given back
}

func newPlaces(most, keyMost int) *places {
	return &places{most: most, keyMost: keyMost, byKey: map[string]int{}, freed: make(chan struct{})}
}

func (p *places) take(key string) (release func(), err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.byKey[key] >= p.keyMost {
		return nil, problem(http.StatusTooManyRequests, "too_many_streams", "this key has %d live clients, as many as it may", p.keyMost)
	}
	if p.used >= p.most {
		return nil, problem(http.StatusServiceUnavailable, "too_many_clients", "this process has %d live clients, as many as it may; try again, another one may have room", p.most)
	}
	p.used++
	p.byKey[key]++
	return sync.OnceFunc(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.used--
		if p.byKey[key]--; p.byKey[key] == 0 {
			delete(p.byKey, key)
		}
		close(p.freed)
		p.freed = make(chan struct{})
	}), nil
}

// wait takes a place as soon as there is one, and fails when ctx ends before.
func (p *places) wait(ctx context.Context, key string) (release func(), err error) {
	for {
		p.mu.Lock()
		freed := p.freed
		p.mu.Unlock()
		if release, err = p.take(key); err == nil {
			return release, nil
		}
		select {
		case <-freed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (p *places) taken() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.used
}
