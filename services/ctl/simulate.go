package ctl

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/config"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
)

// simulation is what to publish, and the counts of what was confirmed.
type simulation struct {
	rate            float64
	duration        time.Duration
	bad, duplicates float64
	idsFile         string

	valid, again, refused int
	ids                   *bufio.Writer
}

// simulate publishes realistic traffic and says exactly what it published, so
// that the product's ledger can be held against it.
func (t *tool) simulate() *cobra.Command {
	var s simulation
	c := &cobra.Command{
		Use:   "simulate",
		Short: "Publish realistic traffic, with a share of bad and duplicate messages",
		Example: `  eactl simulate --rate 50 --duration 30s --bad 0.02 --duplicates 0.02
  eactl simulate --rate 500 --duration 1m --ids ids.txt -o json`,
		Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if s.rate <= 0 || s.duration <= 0 || s.bad < 0 || s.duplicates < 0 || s.bad+s.duplicates >= 1 {
				return &usageError{errors.New("--rate and --duration are above 0, --bad and --duplicates are shares that add up to less than 1")}
			}
			if s.idsFile != "" {
				f, err := os.Create(s.idsFile)
				if err != nil {
					return &usageError{err}
				}
				defer func() { _ = f.Close() }()
				s.ids = bufio.NewWriter(f)
			}
			err := t.withBroker(cmd.Context(), func(c config.Config, conn *broker.Connection) error {
				return s.run(cmd.Context(), topologyOf(c).Exchange(topology.ExchangeEvents), broker.NewPublisher(conn, broker.PublisherOptions{}))
			})
			if s.ids != nil {
				err = errors.Join(err, s.ids.Flush())
			}
			return errors.Join(err, s.report(t))
		},
	}
	f := c.Flags()
	f.Float64Var(&s.rate, "rate", 50, "messages per second")
	f.DurationVar(&s.duration, "duration", 10*time.Second, "how long")
	f.Float64Var(&s.bad, "bad", 0, "share of messages that break a rule")
	f.Float64Var(&s.duplicates, "duplicates", 0, "share of messages that repeat an event_id")
	f.StringVar(&s.idsFile, "ids", "", "file for the event_ids that must be stored, one a line")
	return c
}

func (s *simulation) report(t *tool) error {
	summary := map[string]any{"published": s.valid + s.again + s.refused, "valid": s.valid, "duplicates": s.again, "bad": s.refused}
	if s.idsFile != "" {
		summary["ids_file"] = s.idsFile
	}
	if t.output == "json" {
		return t.printLine(summary)
	}
	_, err := fmt.Fprintf(t.out, "published %d: %d valid, %d duplicates, %d bad\n", summary["published"], s.valid, s.again, s.refused)
	return err
}

// sent is one message with what it counts as once it is confirmed.
type sent struct {
	message broker.Message
	id      string // of a valid event
	count   *int
}

// tick is how often a group of messages is published together.
const tick = 20 * time.Millisecond

// run publishes at the rate until the time is over or ctx ends. What was begun
// is finished and counted in either case.
func (s *simulation) run(ctx context.Context, exchange string, p *broker.Publisher) error {
	finish, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.duration+time.Minute)
	defer cancel()
	started := time.Now()
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	var known []json.RawMessage // stored or about to be, for duplicates
	for n := 0; ; {
		elapsed := min(time.Since(started), s.duration)
		var group []sent
		for ; float64(n) < elapsed.Seconds()*s.rate; n++ {
			m, err := s.next(&known)
			if err != nil {
				return err
			}
			m.message.Exchange = exchange
			group = append(group, m)
		}
		if err := s.publish(finish, p, group); err != nil {
			return err
		}
		if elapsed >= s.duration {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func (s *simulation) publish(ctx context.Context, p *broker.Publisher, group []sent) error {
	if len(group) == 0 {
		return nil
	}
	messages := make([]broker.Message, len(group))
	for i, g := range group {
		messages[i] = g.message
	}
	if err := p.Publish(ctx, messages...); err != nil {
		return err
	}
	for _, g := range group {
		*g.count++
		if g.id != "" && s.ids != nil {
			if _, err := fmt.Fprintln(s.ids, g.id); err != nil {
				return err
			}
		}
	}
	return nil
}

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
