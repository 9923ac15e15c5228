package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/google/uuid"
)

const (
	history   = 120 // minutes
	requested = 500 // events of one request
	settled   = 5 * time.Minute
	asked     = time.Minute
)

type object = map[string]any

// city is where somebody signs in from.
type city struct {
	name                string
	longitude, latitude float64
}

var cities = []city{
	{"eu-central", 13.40, 52.52}, {"eu-central", 9.99, 53.55}, {"eu-central", 11.58, 48.14}, {"eu-central", 16.37, 48.21}, {"eu-central", 21.01, 52.23},
	{"eu-west", 2.35, 48.86}, {"eu-west", -0.13, 51.51}, {"eu-west", -3.70, 40.42}, {"eu-west", 4.90, 52.37}, {"eu-west", -9.14, 38.72}, {"eu-west", -6.26, 53.35},
}

// story is what the pictures tell: an order whose payment failed.
type story struct {
	order, payment object
	id             string // of the payment's event
}

// fill publishes the history and waits until all of it was decided and delivered.
func (p *product) fill(ctx context.Context) (story, error) {
	var s story
	if err := p.post(ctx, "silences", object{"condition": object{"source": "catalog-service"}, "for": "2h", "comment": "the cache is being rebuilt"}); err != nil {
		return s, err
	}
	random := rand.New(rand.NewPCG(7, 11)) // the same traffic each time
	events := sampled(random, time.Now().UTC())
	published := len(events)
	for len(events) > 0 {
		n := min(requested, len(events))
		if err := p.post(ctx, "events", events[:n]); err != nil {
			return s, err
		}
		events = events[n:]
	}
	if err := p.quiet(ctx, published); err != nil {
		return s, err
	}
	trace, now := uuid.NewString(), time.Now().UTC()
	s.order = event(now.Add(-900*time.Millisecond), "ORDER_CREATED", "order-service", 2, trace, object{"order": "o-20417", "total": 2480, "items": 3})
	s.payment = event(now.Add(-260*time.Millisecond), "PAYMENT_FAILED", "payment-service", 8, trace,
		object{"order": "o-20417", "amount": 2480, "currency": "EUR", "reason": "provider_timeout", "response_time_ms": 612})
	s.id = fmt.Sprint(s.payment["event_id"])
	return s, p.post(ctx, "events", []object{s.order, s.payment})
}

func event(at time.Time, kind, source string, severity int, trace string, payload object) object {
	return object{"event_id": uuid.NewString(), "type": kind, "source": source, "severity": severity, "timestamp": at.Format(time.RFC3339Nano),
		"trace_id": trace, "user_id": "user-1042", "session_id": "session-77", "payload": payload, "metadata": object{"region": "eu-central", "version": "1.4.2"}}
}

// sampled is a day's ordinary traffic, and half an hour ago the payment provider
// was slow for a while.
func sampled(r *rand.Rand, now time.Time) []object {
	var all []object
	for m := range history {
		minute := now.Add(time.Duration(m-history) * time.Minute)
		bad := m > history-35 && m < history-26
		for range 22 + int(10*math.Sin(float64(m)/13)) + r.IntN(7) {
			all = append(all, flow(r, minute.Add(time.Duration(r.IntN(60_000))*time.Millisecond), bad)...)
		}
	}
	return all
}

// flow is what one customer does.
func flow(r *rand.Rand, at time.Time, bad bool) []object {
	trace, took := uuid.NewString(), 40+r.IntN(260)
	user := func(e object) object {
		n := r.IntN(800)
		from := cities[n%len(cities)]
		e["user_id"], e["session_id"] = fmt.Sprintf("user-%d", n), fmt.Sprintf("session-%d", n)
		e["metadata"] = object{"region": from.name, "version": "1.4.2", "location": object{"type": "Point", "coordinates": []float64{from.longitude, from.latitude}}}
		return e
	}
	switch n := r.IntN(100); {
	case n < 38:
		return []object{user(event(at, "USER_LOGIN", "auth-service", 1+r.IntN(3), trace, object{"response_time_ms": took}))}
	case n < 44:
		return []object{user(event(at, "LOGIN_FAILED", "auth-service", 4+r.IntN(3), trace, object{"attempt": 1 + r.IntN(2), "reason": "wrong_password"}))}
	case n < 52:
		return []object{user(event(at, "CACHE_MISS", "catalog-service", 1+r.IntN(4), trace, object{"response_time_ms": took}))}
	case n < 53:
		return []object{user(event(at, "SYSTEM_ERROR", "inventory-service", 7+r.IntN(4), trace, object{"component": "database", "error": "connection pool exhausted", "response_time_ms": 4 * took}))}
	}
	total := float64(500+r.IntN(29_000)) / 100
	order := user(event(at, "ORDER_CREATED", "order-service", 1+r.IntN(2), trace, object{"order": fmt.Sprintf("o-%d", r.IntN(90_000)), "total": total, "items": 1 + r.IntN(5)}))
	kind, severity, payload := "PAYMENT_COMPLETED", 1+r.IntN(3), object{"amount": total, "currency": "EUR", "response_time_ms": 2 * took}
	if r.IntN(100) < 6 || bad && r.IntN(100) < 55 {
		kind, severity, payload = "PAYMENT_FAILED", 5+r.IntN(3), object{"amount": total, "currency": "EUR", "reason": "card_declined", "response_time_ms": 2 * took}
		if bad {
			severity, payload["reason"], payload["response_time_ms"] = 7+r.IntN(2), "provider_timeout", 10*took
		}
	}
	paid := event(at.Add(time.Duration(300+r.IntN(900))*time.Millisecond), kind, "payment-service", severity, trace, payload)
	paid["user_id"], paid["session_id"], paid["metadata"] = order["user_id"], order["session_id"], order["metadata"]
	return []object{order, paid}
}

func (p *product) post(ctx context.Context, path string, body any) error {
	raw, err := json.Marshal(body)
	if err != nil {
		return err
	}
	_, err = p.ask(ctx, http.MethodPost, path, raw)
	return err
}

func (p *product) ask(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, asked)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, p.base+"api/v1/"+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+p.key)
	r.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode >= http.StatusBadRequest {
		err = fmt.Errorf("%s %s: %s: %s", method, path, answer.Status, text)
	}
	return text, err
}

// quiet waits until so many events are stored and hardly anything is under way; the
// traffic of scripts/run goes on.
func (p *product) quiet(ctx context.Context, published int) error {
	ctx, cancel := context.WithTimeoutCause(ctx, settled, errors.New("the sample traffic was not through in time"))
	defer cancel()
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		text, err := p.ask(ctx, http.MethodGet, "status", nil)
		if err != nil {
			return errors.Join(err, context.Cause(ctx))
		}
		var now struct {
			Events struct {
				Stored      int `json:"stored"`
				Unprocessed int `json:"unprocessed"`
			} `json:"events"`
			Notifications map[string]int `json:"notifications"`
		}
		if err := json.Unmarshal(text, &now); err != nil {
			return err
		}
		const few = 20
		if now.Events.Stored >= published && now.Events.Unprocessed < few && now.Notifications["pending"] < few {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
