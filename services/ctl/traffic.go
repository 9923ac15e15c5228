package ctl

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
)

const rememberedForDuplicates = 1000

// next makes one message.
func (s *simulation) next(known *[]json.RawMessage) (sent, error) {
	m := broker.Message{ContentType: "application/json", MessageID: uuid.NewString(), AppID: "eactl simulate", Timestamp: time.Now(), RoutingKey: "events.simulated"}
	switch share := rand.Float64(); {
	case share < s.bad:
		m.Body = []byte(badBodies[rand.IntN(len(badBodies))])
		return sent{m, "", &s.refused}, nil
	case share < s.bad+s.duplicates && len(*known) > 0:
		m.Body = (*known)[rand.IntN(len(*known))]
		return sent{m, "", &s.again}, nil
	}
	e := simulated()
	body, err := json.Marshal(e)
	if err != nil {
		return sent{}, err
	}
	m.Body, m.RoutingKey = body, routingKey(e.Type)
	if *known = append(*known, body); len(*known) > rememberedForDuplicates {
		*known = (*known)[1:]
	}
	return sent{m, e.EventID, &s.valid}, nil
}

// badBodies each break a different rule.
var badBodies = []string{
	`{"type":"USER_LOGIN"`, `{"source":"auth"}`, `{"type":"USER_LOGIN","source":"auth","severity":99}`,
	`{"type":"not upper snake","source":"auth","timestamp":"2026-01-01T00:00:00Z"}`, `[]`, `{"type":"USER_LOGIN","source":"auth","event_id":"no uuid"}`,
}

// kind is one sort of simulated event; the weights add up to 100.
type kind struct {
	weight       int
	name, source string
	severity     [2]int
}

var kinds = []kind{
	{30, "USER_LOGIN", "auth-service", [2]int{1, 3}}, {8, "USER_LOGIN_FAILED", "auth-service", [2]int{4, 6}},
	{22, "ORDER_CREATED", "order-service", [2]int{1, 2}}, {18, "PAYMENT_COMPLETED", "payment-service", [2]int{1, 3}},
	{10, "PAYMENT_FAILED", "payment-service", [2]int{5, 8}}, {8, "CACHE_MISS", "catalog-service", [2]int{1, 4}},
	{3, "SYSTEM_ERROR", "inventory-service", [2]int{7, 8}}, {1, "SYSTEM_ERROR", "payment-service", [2]int{9, 10}},
}

// simulatedEvent is what a service would send.
type simulatedEvent struct {
	EventID   string         `json:"event_id"`
	Type      string         `json:"type"`
	Source    string         `json:"source"`
	Severity  int            `json:"severity"`
	Timestamp time.Time      `json:"timestamp"`
	UserID    string         `json:"user_id"`
	SessionID string         `json:"session_id"`
	TraceID   string         `json:"trace_id"`
	Payload   map[string]any `json:"payload"`
	Metadata  map[string]any `json:"metadata"`
}

func simulated() simulatedEvent {
	pick, k := rand.IntN(100), kinds[0]
	for _, candidate := range kinds {
		if pick -= candidate.weight; pick < 0 {
			k = candidate
			break
		}
	}
	return simulatedEvent{
		EventID: uuid.NewString(), Type: k.name, Source: k.source,
		Severity:  k.severity[0] + rand.IntN(k.severity[1]-k.severity[0]+1),
		Timestamp: time.Now().UTC(),
		UserID:    fmt.Sprintf("user-%d", rand.IntN(500)), SessionID: fmt.Sprintf("session-%d", rand.IntN(2000)), TraceID: uuid.NewString(),
		Payload:  map[string]any{"amount": float64(rand.IntN(500_000)) / 100, "currency": "EUR", "response_time_ms": 5 + rand.IntN(400), "attempt": 1 + rand.IntN(3)},
		Metadata: map[string]any{"region": []string{"eu-west-1", "us-east-1", "ap-south-1"}[rand.IntN(3)], "version": "1.4.2"},
	}
}
