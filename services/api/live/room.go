package live

import (
	"context"
	"time"
)

const (
	// patience is how long a stream that catches up waits for its slowest client:
	// in all when that holds others, otherwise each time. It comes back while the
	// stream reads, so that the others need twice the time at most.
	patience = 2 * time.Second
	// toRead is what the quick ones get to read what is there, without patience.
	toRead = 10 * time.Millisecond
)

// awaitRoom waits until n more changes of so many bytes push out nobody, or the
// patience ends.
func (h *Hub) awaitRoom(ctx context.Context, l *line, n int, bytes int64) error {
	if !l.crowded(n, bytes) {
		return nil
	}
	begun := time.Now()
	l.left = min(h.most, l.left+begun.Sub(l.went))
	timer := time.NewTimer(max(l.left, toRead))
	defer timer.Stop()
	for late := false; !late && l.crowded(n, bytes); {
		h.mu.Unlock()
		var rang bool
		select {
		case <-l.room:
		case <-timer.C:
			rang = true
		case <-ctx.Done():
		}
		h.mu.Lock()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if more := h.most - time.Since(begun); rang && (more <= 0 || h.holds(l)) {
			late = true
		} else if rang {
			timer.Reset(more)
		}
	}
	l.went = time.Now()
	if h.holds(l) {
		l.left = max(0, l.left-l.went.Sub(begun))
	}
	return nil
}

// holds says whether others wait while the line waits for its slowest member:
// those that have read all of it, and those that wait for a line.
func (h *Hub) holds(l *line) bool {
	if len(h.waiting) > 0 {
		return true
	}
	for m := range l.members {
		if m.cursor == l.next {
			return true
		}
	}
	return false
}

// crowded says whether n more changes would push out what a member needs; when
// memory is short, what any member has not read yet.
func (l *line) crowded(n int, bytes int64) bool {
	most := uint64(len(l.log))
	if l.heavy(bytes) {
		most = uint64(n)
	}
	for m := range l.members {
		if m.cursor >= l.first && l.next+uint64(n)-m.cursor > most {
			return true
		}
	}
	return false
}
