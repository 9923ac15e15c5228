package ctl

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/config"
	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
)

// publishAtOnce are so many that a healthy broker confirms them in a second.
const publishAtOnce = 10_000

// publish sends events as a producer would: to the broker, with confirms.
func (t *tool) publish() *cobra.Command {
	return &cobra.Command{
		Use:   "publish EVENT | -",
		Short: "Publish events to RabbitMQ, checked and confirmed",
		Long: `Publish events to RabbitMQ. All are checked first, and none is published when one cannot be stored;
each event_id is printed once the broker has confirmed its event.`,
		Example: `  eactl publish '{"type":"USER_LOGIN","source":"auth","severity":2}'
  eactl publish - < events.jsonl`,
		Args: exactly(1, "an event as JSON, or - to read JSON lines"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var input io.Reader = strings.NewReader(args[0])
			if args[0] == "-" {
				input = cmd.InOrStdin()
			}
			messages, ids, err := readMessages(input, time.Now().UTC())
			if err != nil {
				return &usageError{err}
			}
			return t.withBroker(cmd.Context(), func(c config.Config, conn *broker.Connection) error {
				exchange := topologyOf(c).Exchange(topology.ExchangeEvents)
				for i := range messages {
					messages[i].Exchange = exchange
				}
				publisher := broker.NewPublisher(conn, broker.PublisherOptions{})
				for some := range slices.Chunk(messages, publishAtOnce) { // each has a time-out of its own
					if err := publisher.Publish(cmd.Context(), some...); err != nil {
						return fmt.Errorf("%w\nSome may have been taken. Events with an event_id can be published again: they are stored once", err)
					}
				}
				for _, id := range ids {
					err := t.print(map[string]string{"event_id": id}, func() error {
						_, err := fmt.Fprintln(t.out, id)
						return err
					})
					if err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
}

// readMessages reads events as JSON values, one behind the other, and checks
// them as the ingester will.
func readMessages(input io.Reader, now time.Time) (messages []broker.Message, ids []string, err error) {
	decoder, err := event.NewDecoder(event.Options{})
	if err != nil {
		return nil, nil, err
	}
	source := json.NewDecoder(input)
	for n := 1; ; n++ {
		var body json.RawMessage
		if err := source.Decode(&body); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, nil, fmt.Errorf("event %d is not JSON: %w", n, err)
		}
		m := broker.Message{ContentType: "application/json", MessageID: uuid.NewString(), AppID: "eactl", Timestamp: now, Body: bytes.Clone(body)}
		docs, err := decoder.Decode(event.Input{Body: body, ContentType: m.ContentType, MessageID: m.MessageID, Timestamp: now, Now: now})
		if err != nil {
			return nil, nil, fmt.Errorf("event %d: %w", n, err)
		}
		m.RoutingKey = routingKey(docs[0].Type)
		messages, ids = append(messages, m), append(ids, docs[0].EventID)
	}
	if len(messages) == 0 {
		return nil, nil, errors.New("no events in the input")
	}
	return messages, ids, nil
}

// routingKey is the producers' form: PAYMENT_FAILED goes by events.payment.failed.
func routingKey(eventType string) string {
	return "events." + strings.ToLower(strings.ReplaceAll(eventType, "_", "."))
}
