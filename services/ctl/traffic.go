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

// kind is one sort of simulated event; the weights add up to 100. The sample
// rules in configs/rules each match some of it.
type kind struct {
	weight       int
	name, source string
	severity     [2]int
	payload      func() map[string]any
}

var kinds = []kind{
	{30, "USER_LOGIN", "auth-service", [2]int{1, 3}, request}, {8, "LOGIN_FAILED", "auth-service", [2]int{4, 6}, failedLogin},
	{20, "ORDER_CREATED", "order-service", [2]int{1, 2}, order}, {2, "ORDER_CANCELLED", "order-service", [2]int{2, 4}, order},
	{18, "PAYMENT_COMPLETED", "payment-service", [2]int{1, 3}, payment}, {10, "PAYMENT_FAILED", "payment-service", [2]int{5, 8}, failedPayment},
	{8, "CACHE_MISS", "catalog-service", [2]int{1, 4}, request},
	{3, "SYSTEM_ERROR", "inventory-service", [2]int{7, 8}, failure}, {1, "SYSTEM_ERROR", "payment-service", [2]int{9, 10}, failure},
}

// request takes milliseconds, and rarely seconds.
func request() map[string]any {
	took := 5 + rand.IntN(400)
	if seldom(100) {
		took *= 20
	}
	return map[string]any{"response_time_ms": took}
}

func failedLogin() map[string]any {
	return map[string]any{"attempt": 1 + rand.IntN(4), "reason": oneOf("wrong_password", "wrong_password", "locked")}
}

func order() map[string]any {
	return map[string]any{"total": cents(60_000), "items": 1 + rand.IntN(5), "status": oneOf("unpaid", "paid", "shipped")}
}

func payment() map[string]any {
	currency := oneOf("EUR", "EUR", "USD", "GBP")
	if seldom(30) {
		currency = oneOf("CHF", "SEK")
	}
	return map[string]any{"amount": cents(120_000), "currency": currency}
}

func failedPayment() map[string]any {
	p := payment()
	p["reason"] = oneOf("card_declined", "insufficient_funds", "insufficient_funds", "provider_timeout")
	return p
}

func failure() map[string]any {
	return map[string]any{"component": oneOf("database", "disk", "network", "memory"), "response_time_ms": 5 + rand.IntN(400)}
}

func cents(most int) float64 { return float64(rand.IntN(most)) / 100 }
func seldom(n int) bool      { return rand.IntN(n) == 0 }

func oneOf(values ...string) string { return values[rand.IntN(len(values))] }

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
	user, region := fmt.Sprintf("user-%d", rand.IntN(500)), oneOf("eu-west", "eu-central", "us-east", "us-west")
	if seldom(40) {
		user = fmt.Sprintf("admin-%d", rand.IntN(5))
	}
	if seldom(30) {
		region = oneOf("ap-south", "sa-east")
	}
	return simulatedEvent{
		EventID: uuid.NewString(), Type: k.name, Source: k.source,
		Severity:  k.severity[0] + rand.IntN(k.severity[1]-k.severity[0]+1),
		Timestamp: time.Now().UTC(),
		UserID:    user, SessionID: fmt.Sprintf("session-%d", rand.IntN(2000)), TraceID: uuid.NewString(),
		Payload:  k.payload(),
		Metadata: map[string]any{"region": region, "version": "1.4.2"},
	}
}
