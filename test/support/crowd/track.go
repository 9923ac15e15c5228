package crowd

import (
	"encoding/json"
	"fmt"
	"sync"
	"time"
)

// heard is one thing that a stream told: an event, or a gap.
type heard struct {
	event string
	gap   *gap
}

// gap is what the API says that it did not tell.
type gap struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

// track is one stream over all its connections: what it told, and where it goes on.
type track struct {
	taste taste

	mu     sync.Mutex
	last   string
	calm   bool // it has told a position since the crowd is calm
	heard  []heard
	slow   int
	waited int
}

func (t *track) position() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.last
}

// hear takes a frame. What it says counts together with its id: a frame that
// broke off was not told.
func (t *track) hear(kind, id, data string) error {
	h, err := read(kind, data)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch kind {
	case "slow_consumer":
		t.slow++
	case "waiting":
		t.waited++
	}
	if h != nil {
		t.heard = append(t.heard, *h)
	}
	if id != "" {
		t.last, t.calm = id, true
	}
	return nil
}

func read(kind, data string) (*heard, error) {
	switch kind {
	case "event":
		var e struct {
			ID string `json:"event_id"`
		}
		err := json.Unmarshal([]byte(data), &e)
		if err == nil && e.ID == "" {
			err = fmt.Errorf("an event without an id: %s", data)
		}
		return &heard{event: e.ID}, err
	case "gap":
		var g gap
		err := json.Unmarshal([]byte(data), &g)
		return &heard{gap: &g}, err
	case "", "position", "subscribed", "slow_consumer", "waiting":
		return nil, nil
	}
	return nil, fmt.Errorf("an unknown frame %q: %s", kind, data)
}
