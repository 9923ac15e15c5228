package live

import "time"

// TellPositions sets how often a quiet client learns the position.
func (h *Hub) TellPositions(every time.Duration) { h.tell = every }

// BePatient sets how long a stream that catches up waits for its slowest client.
func (h *Hub) BePatient(most time.Duration) { h.most = most }
