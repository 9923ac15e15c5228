package live

import "time"

// TellPositions sets how often a quiet client learns the position.
func (h *Hub) TellPositions(every time.Duration) { h.tell = every }
