package broker

import (
	"fmt"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Message is one message as a producer gives it and a consumer sees it. A
// published message is always persistent. Body and Headers belong to the
// broker package from Publish on, also when Publish ended with ctx's error:
// do not write into them afterwards.
type Message struct {
	Exchange, RoutingKey string

	ContentType     string
	ContentEncoding string
	MessageID       string
	CorrelationID   string
	Type            string
	AppID           string
	ReplyTo         string // as the producer set it; Publish does not send it
	UserID          string // likewise: the broker refuses a user id that is not the connection's own
	Priority        uint8
	Timestamp       time.Time // whole seconds travel; zero when absent
	Headers         map[string]any
	Body            []byte

	// Optional publishes without the mandatory flag: no queue has to take it.
	Optional bool
}

// publishing makes the client's form of m, or says why AMQP cannot carry it:
// the client would answer such a message by closing the connection. Reply-to,
// user id and expiration do not travel: each can make the broker refuse the
// message, or drop it from a queue where it must lie.
func (m *Message) publishing() (amqp.Publishing, error) {
	for _, field := range [...]struct{ name, value string }{
		{"exchange", m.Exchange}, {"routing key", m.RoutingKey}, {"content type", m.ContentType},
		{"content encoding", m.ContentEncoding}, {"message id", m.MessageID},
		{"correlation id", m.CorrelationID}, {"type", m.Type}, {"app id", m.AppID},
	} {
		if len(field.value) > maxShortString {
			return amqp.Publishing{}, m.refuse(fmt.Sprintf("its %s is longer than 255 bytes", field.name))
		}
	}
	headers, err := toTable(m.Headers)
	if err != nil {
		return amqp.Publishing{}, m.refuse(err.Error())
	}
	if size := tableSize(headers); size > maxHeaderBytes {
		return amqp.Publishing{}, m.refuse(fmt.Sprintf("its headers have %d bytes, more than %d", size, maxHeaderBytes))
	}
	return amqp.Publishing{
		Headers:         headers,
		ContentType:     m.ContentType,
		ContentEncoding: m.ContentEncoding,
		DeliveryMode:    amqp.Persistent,
		Priority:        m.Priority,
		CorrelationId:   m.CorrelationID,
		MessageId:       m.MessageID,
		Timestamp:       m.Timestamp,
		Type:            m.Type,
		AppId:           m.AppID,
		Body:            m.Body,
	}, nil
}

func (m *Message) refuse(reason string) error {
	return &RefusedError{Exchange: m.Exchange, RoutingKey: cut(m.RoutingKey, maxShortString), Reason: reason}
}

// fromDelivery takes over everything but headers, exchange and routing key.
func fromDelivery(d *amqp.Delivery) Message {
	at := d.Timestamp
	if !at.IsZero() {
		at = at.UTC()
	}
	return Message{
		Exchange: d.Exchange, RoutingKey: d.RoutingKey,
		ContentType: d.ContentType, ContentEncoding: d.ContentEncoding,
		MessageID: d.MessageId, CorrelationID: d.CorrelationId,
		Type: d.Type, AppID: d.AppId, ReplyTo: d.ReplyTo, UserID: d.UserId,
		Priority: d.Priority, Timestamp: at, Body: d.Body,
	}
}
