package sink

import (
	"math/rand/v2"
	"net"
	"net/http"
	"time"
)

// Faults say how the receiver misbehaves. Latency comes first, then Reset or
// Hang, then Status.
type Faults struct {
	Status     int    `json:"status"`      // answer with this instead of 200
	RetryAfter string `json:"retry_after"` // header of 429 and 503 answers
	LatencyMS  int    `json:"latency_ms"`  // before anything else
	Hang       bool   `json:"hang"`        // no answer until the caller leaves or the faults change
	Reset      bool   `json:"reset"`       // the connection is reset

	Share float64 `json:"share"` // part of the calls that meet the faults; 0 means all
	First int     `json:"first"` // only the first N calls of each webhook-id; 0 means all
}

// meets: does the n-th call of an id meet the faults.
func (f Faults) meets(n int) bool {
	if f.First > 0 && n > f.First {
		return false
	}
	return f.Share <= 0 || rand.Float64() < f.Share
}

// wait passes the latency; false when the caller left meanwhile.
func (f Faults) wait(r *http.Request, changed <-chan struct{}) bool {
	if f.LatencyMS <= 0 {
		return true
	}
	timer := time.NewTimer(time.Duration(f.LatencyMS) * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-changed:
	case <-r.Context().Done():
		return false
	}
	return true
}

// misbehave hangs or resets; true when the call is over.
func (f Faults) misbehave(w http.ResponseWriter, r *http.Request, changed <-chan struct{}) bool {
	if f.Hang {
		select {
		case <-changed:
		case <-r.Context().Done():
		}
		// Let go without an answer: the caller sees a closed connection, as from a
		// process that was killed.
		panic(http.ErrAbortHandler)
	}
	if !f.Reset {
		return false
	}
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		// Linger 0 makes Close send RST instead of FIN.
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
	return true
}
