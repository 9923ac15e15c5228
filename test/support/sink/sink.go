// Package sink is a webhook receiver that keeps a ledger: every call is counted
// by its webhook-id, so that what was delivered can be compared with what was
// owed. It can be told to misbehave.
//
//	POST /<anything>  a webhook
//	GET  /stats       Stats as JSON
//	GET  /ids         the distinct ids accepted, a line each, sorted
//	POST /faults      Faults as JSON; {} ends them
package sink

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// maxBody is more than a stored event (256 KiB) with its envelope can be.
const maxBody = 4 << 20

// Stats is what happened since the start. Accepted counts distinct ids that
// were answered with 2xx; a call whose caller died before the answer counts,
// since the outside effect has taken place.
type Stats struct {
	Calls         int `json:"calls"`
	Distinct      int `json:"distinct"`       // distinct webhook-ids that called
	Repeated      int `json:"repeated"`       // calls with an id that had called before
	Accepted      int `json:"accepted"`       // distinct ids answered 2xx
	AcceptedAgain int `json:"accepted_again"` // 2xx answers to an id accepted before
	Unidentified  int `json:"unidentified"`   // calls without webhook-id
	BadSignatures int `json:"bad_signatures"`
	Faulty        int `json:"faulty"` // calls that met a fault other than latency
	// Unheard are calls whose caller cannot know what came of them: reset, cut off,
	// or it had left before the answer. Like those answered with 2xx they had their
	// effect; Effects counts both, and EffectsAgain those of an id that had one.
	Unheard      int            `json:"unheard"`
	Effects      int            `json:"effects"`
	EffectsAgain int            `json:"effects_again"`
	Statuses     map[string]int `json:"statuses"`
	Paths        map[string]int `json:"paths"`
}

// Sink is the receiver; the zero value is not usable, see New.
type Sink struct {
	verifier *standardwebhooks.Webhook // nil: signatures are not looked at
	mux      *http.ServeMux

	mu       sync.Mutex
	faults   Faults
	changed  chan struct{} // closed when the faults change: what hangs is let go
	calls    map[string]int
	accepted map[string]int
	effects  map[string]int
	stats    Stats
	keep     bool
	kept     []Call
}

// Call is one call that was kept.
type Call struct {
	ID, Path, Method string
	At               time.Time
	Header           http.Header
	Body             []byte
}

// New makes a receiver. With a secret ("whsec_…" or plain base64) a call whose
// Standard Webhooks signature is missing, wrong or older than five minutes is
// answered 401.
func New(secret string) (*Sink, error) {
	s := &Sink{
		mux:      http.NewServeMux(),
		changed:  make(chan struct{}),
		calls:    map[string]int{},
		accepted: map[string]int{},
		effects:  map[string]int{},
		stats:    Stats{Statuses: map[string]int{}, Paths: map[string]int{}},
	}
	if secret != "" {
		verifier, err := standardwebhooks.NewWebhook(secret)
		if err != nil {
			return nil, fmt.Errorf("secret: %w", err)
		}
		s.verifier = verifier
	}
	s.mux.HandleFunc("GET /stats", s.serveStats)
	s.mux.HandleFunc("GET /ids", s.serveIDs)
	s.mux.HandleFunc("POST /faults", s.serveFaults)
	s.mux.HandleFunc("/", s.serveWebhook)
	return s, nil
}

func (s *Sink) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// Stats is a copy.
func (s *Sink) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.stats
	out.Distinct, out.Accepted = len(s.calls), len(s.accepted)
	out.Statuses, out.Paths = maps.Clone(s.stats.Statuses), maps.Clone(s.stats.Paths)
	return out
}

// IDs are the distinct webhook-ids accepted, sorted.
func (s *Sink) IDs() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := make([]string, 0, len(s.accepted))
	for id := range s.accepted {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// Of is how often an id called, and how many of its calls had their effect.
func (s *Sink) Of(id string) (calls, effects int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[id], s.effects[id]
}

// Keep keeps every call from now on, for specs that look at them.
func (s *Sink) Keep() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keep = true
}

// Calls are the calls that were kept, in the order of their arrival.
func (s *Sink) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.kept)
}

// SetFaults replaces the faults and lets go of the calls that hang.
func (s *Sink) SetFaults(f Faults) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = f
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *Sink) serveWebhook(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		s.answer(w, "", http.StatusBadRequest, Faults{})
		return
	}
	id := r.Header.Get(standardwebhooks.HeaderWebhookID)
	faults, n, changed := s.arrived(id, r, body)
	if !faults.wait(r, changed) {
		s.unheard(id)
		return
	}
	if faults.unheard() {
		s.unheard(id)
		faults.misbehave(w, r, changed)
		return
	}
	switch {
	case faults.status(n) != 0:
		s.answer(w, id, faults.status(n), faults)
	case id == "":
		s.answer(w, id, http.StatusBadRequest, faults)
	case s.verifier != nil && s.verifier.Verify(body, r.Header) != nil:
		s.mu.Lock()
		s.stats.BadSignatures++
		s.mu.Unlock()
		s.answer(w, id, http.StatusUnauthorized, faults)
	default:
		s.answer(w, id, http.StatusOK, faults)
	}
}

// unheard counts a call whose caller cannot know that it had its effect.
func (s *Sink) unheard(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Unheard++
	s.effect(id)
}

// effect is called with the lock held.
func (s *Sink) effect(id string) {
	s.stats.Effects++
	if s.effects[id]++; s.effects[id] > 1 {
		s.stats.EffectsAgain++
	}
}

// arrived counts the call and returns the faults that it meets, and which call
// of its id it is.
func (s *Sink) arrived(id string, r *http.Request, body []byte) (f Faults, n int, changed <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Calls++
	s.stats.Paths[r.URL.Path]++
	if s.keep {
		s.kept = append(s.kept, Call{
			ID: id, Path: r.URL.Path, Method: r.Method, At: time.Now(), Header: r.Header.Clone(), Body: body,
		})
	}
	if id == "" {
		s.stats.Unidentified++
	} else {
		s.calls[id]++
		if s.calls[id] > 1 {
			s.stats.Repeated++
		}
	}
	faults := s.faults.of(s.calls[id])
	if faults.faulty() {
		s.stats.Faulty++
	}
	return faults, s.calls[id], s.changed
}

// answer counts before it writes: a test that has seen the answer sees the count.
func (s *Sink) answer(w http.ResponseWriter, id string, status int, f Faults) {
	s.mu.Lock()
	s.stats.Statuses[fmt.Sprint(status)]++
	if status < http.StatusMultipleChoices && id != "" {
		s.effect(id)
		s.accepted[id]++
		if s.accepted[id] > 1 {
			s.stats.AcceptedAgain++
		}
	}
	s.mu.Unlock()
	if f.RetryAfter != "" && (status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable) {
		w.Header().Set("Retry-After", f.RetryAfter)
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, f.Body) // a caller that has left is nobody's concern
}

func (s *Sink) serveStats(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	// A caller that has gone away is nobody's concern here.
	_ = json.NewEncoder(w).Encode(s.Stats())
}

func (s *Sink) serveIDs(w http.ResponseWriter, _ *http.Request) {
	for _, id := range s.IDs() {
		if _, err := fmt.Fprintln(w, id); err != nil {
			return
		}
	}
}

func (s *Sink) serveFaults(w http.ResponseWriter, r *http.Request) {
	var f Faults
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&f); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.SetFaults(f)
	w.WriteHeader(http.StatusNoContent)
}

// Server with the limits that a receiver on loopback needs: a caller that
// sends nothing is not waited for.
func (s *Sink) Server() *http.Server {
	return &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
}
