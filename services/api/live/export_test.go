package live

import "time"

// TellPositions sets how often a quiet client learns the position.
func (h *Hub) TellPositions(every time.Duration) { h.tell = every }

// BePatient sets how long a stream that catches up waits for its slowest client.
func (h *Hub) BePatient(most time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.most = most
}

// CatchingUp is how many streams catch up.
func (h *Hub) CatchingUp() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.lines)
}

// Logs is how many logs share the memory.
func (m *Memory) Logs() int64 { return m.lines.Load() }
