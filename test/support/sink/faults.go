package sink

import (
	"math/rand/v2"
	"net"
	"net/http"
	"time"
)

// Faults say how the receiver misbehaves. Latency comes first, then Reset, Hang
// or CutOff, then Statuses and Status.
type Faults struct {
	Status     int    `json:"status"`      // answer with this instead of 200
	Statuses   []int  `json:"statuses"`    // answer the n-th call of each webhook-id with the n-th, those after as without it
	RetryAfter string `json:"retry_after"` // header of 429 and 503 answers
	Body       string `json:"body"`        // of every answer
	LatencyMS  int    `json:"latency_ms"`  // before anything else
	Hang       bool   `json:"hang"`        // no answer until the caller leaves or the faults change
	Reset      bool   `json:"reset"`       // the connection is reset
	CutOff     bool   `json:"cut_off"`     // a 200 that breaks off in the middle of its body

	Share float64 `json:"share"` // part of the calls that meet the faults; 0 means all
	First int     `json:"first"` // only the first N calls of each webhook-id; 0 means all

	// Mix is several kinds of receivers in one: each call meets one of them, by
	// chance. The fields above are not heeded then.
	Mix []Faults `json:"mix"`
}

// of are the faults that the n-th call of an id meets.
func (f Faults) of(n int) Faults {
	if len(f.Mix) > 0 {
		return f.Mix[rand.IntN(len(f.Mix))].of(n)
	}
	if !f.meets(n) {
		return Faults{Body: f.Body, RetryAfter: f.RetryAfter}
	}
	return f
}

// unheard says whether a call that meets the faults has its effect, and its
// caller cannot know.
func (f Faults) unheard() bool { return f.Hang || f.Reset || f.CutOff }

// meets: does the n-th call of an id meet the faults.
func (f Faults) meets(n int) bool {
	if f.First > 0 && n > f.First {
		return false
	}
	return f.Share <= 0 || rand.Float64() < f.Share
}

// faulty says whether a call that meets the faults fails by them.
func (f Faults) faulty() bool {
	return f.Status != 0 || len(f.Statuses) > 0 || f.Hang || f.Reset || f.CutOff
}

// status of the n-th call of an id; 0 is 200.
func (f Faults) status(n int) int {
	if n > 0 && n <= len(f.Statuses) {
		return f.Statuses[n-1]
	}
	return f.Status
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

// misbehave hangs, breaks off or resets.
func (f Faults) misbehave(w http.ResponseWriter, r *http.Request, changed <-chan struct{}) {
	if f.Hang {
		select {
		case <-changed:
		case <-r.Context().Done():
		}
		// Let go without an answer: the caller sees a closed connection, as from a
		// process that was killed.
		panic(http.ErrAbortHandler)
	}
	if f.CutOff {
		w.Header().Set("Content-Length", "1000")
		w.WriteHeader(http.StatusOK)
		_, _ = w.Write([]byte("partial"))
		_ = http.NewResponseController(w).Flush() // else nothing has been sent at all
		panic(http.ErrAbortHandler)
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
}
