package broker

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"maps"
	"strings"
	"time"

	"github.com/google/uuid"
	amqp "github.com/rabbitmq/amqp091-go"
)

// DeadLetter is one message of a Q.dead. Its Message is the original: the
// producer's exchange, routing key, headers and properties.
type DeadLetter struct {
	Message
	ID            string // x-ea-dead-id, or derived and stable when the broker made it
	Queue         string // the owner: Q, with prefix
	Reason        string // permanent, exhausted, expired, delivery-limit, …
	ErrorClass    string
	Error         string
	Attempts      int
	FirstFailedAt time.Time // zero when unknown
	DeadAt        time.Time
	ByBroker      bool // the broker dead-lettered it itself: there is no error
	Redelivered   bool // it was looked at before

	sub *subscription
	tag uint64
	cc  any
	raw []byte
}

// Replay is the message that gives the dead letter to its owner again: through
// the retry exchange, so that nobody else gets it, and as a first attempt.
func (d *DeadLetter) Replay(q WorkQueue) Message {
	m := d.Message
	m.Optional = false
	m.Exchange, m.RoutingKey = q.RetryExchange, q.Name
	h := make(map[string]any, len(d.Headers)+5)
	maps.Copy(h, d.Headers)
	h[headerExchange], h[headerRoutingKey] = d.Exchange, d.RoutingKey
	h[headerReplayed] = time.Now().UTC().Format(timeFormat) + " " + uuid.NewString()
	if d.ReplyTo != "" {
		h[headerReplyTo] = d.ReplyTo
	}
	if d.UserID != "" {
		h[headerUserID] = d.UserID
	}
	if d.cc != nil {
		h[headerCC] = d.cc
	}
	m.Headers = h
	return m
}

// deadLetter reads one message of q's dead letters. Headers are believed when
// the message was published to the dead-letter exchange, as only the product
// does. When the broker put it there (x-death, which the product never
// publishes), they are the ones the message died with: the producer's, or those
// of a retry tier.
func deadLetter(q WorkQueue, marker string, in *amqp.Delivery) *DeadLetter {
	d := &DeadLetter{Message: fromDelivery(in), Queue: q.Name, Redelivered: in.Redelivered}
	headers := fromTable(in.Headers)
	unreadable, raw := takeUnreadable(headers, marker)
	if unreadable != "" {
		d.raw, d.Error, d.ErrorClass, d.Reason = raw, (&unreadableError{unreadable}).Error(), (*unreadableError)(nil).Class(), "unknown"
		d.ByBroker = true
		d.ID = derivedID(q.Name, in, nil)
		return d
	}
	death := lastDeath(headers)
	d.ByBroker = death != nil
	trusted := death == nil || death.exchange == q.RetryExchange
	if trusted {
		o := takeOrigin(headers)
		d.Exchange, d.RoutingKey, d.ReplyTo, d.UserID = o.exchange, o.routingKey, o.replyTo, o.userID
		d.cc, d.raw, d.FirstFailedAt = o.cc, o.raw, o.firstFailedAt
		d.Attempts = o.attempt
	}
	if death != nil {
		if !trusted {
			d.Exchange, d.RoutingKey, d.cc = death.exchange, death.routingKey, headers["CC"]
			d.Attempts = 1
		}
		d.Attempts = max(1, d.Attempts)
		d.ID = derivedID(q.Name, in, death)
		d.Reason = strings.ReplaceAll(death.reason, "_", "-")
		d.ErrorClass = "broker"
		d.Error = "dead-lettered by the broker: " + death.reason
		d.DeadAt = death.at
	} else {
		d.ID = headerString(headers, headerDeadID)
		d.Reason = headerString(headers, headerReason)
		d.ErrorClass = headerString(headers, headerErrorClass)
		d.Error = headerString(headers, headerError)
		d.Attempts = headerInt(headers, headerAttempts)
		d.DeadAt = headerTime(headers, headerDeadAt)
		if d.ID == "" { // somebody else's publish
			d.ID = derivedID(q.Name, in, nil)
		}
	}
	d.Headers = producerHeaders(headers)
	return d
}

// death is the newest entry of x-death.
type death struct {
	exchange, routingKey, queue, reason string
	at                                  time.Time
	count                               int
}

func lastDeath(headers map[string]any) *death {
	entries, _ := headers["x-death"].([]any)
	if len(entries) == 0 {
		return nil
	}
	entry, ok := entries[0].(map[string]any)
	if !ok {
		return nil
	}
	d := &death{
		exchange: headerString(entry, "exchange"), queue: headerString(entry, "queue"),
		reason: headerString(entry, "reason"), at: headerTime(entry, "time"), count: headerInt(entry, "count"),
	}
	if keys, _ := entry["routing-keys"].([]any); len(keys) > 0 {
		d.routingKey, _ = keys[0].(string)
	}
	return d
}

// derivedID is the dead id of a message that carries none: the same each time
// it is read.
func derivedID(queue string, in *amqp.Delivery, last *death) string {
	h := sha256.New()
	part := func(b []byte) {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(b)))
		h.Write(n[:])
		h.Write(b)
	}
	part([]byte(queue))
	part([]byte(in.MessageId))
	part([]byte(in.CorrelationId))
	if last != nil {
		part([]byte(last.exchange))
		part([]byte(last.routingKey))
		part([]byte(last.reason))
		part(binary.BigEndian.AppendUint64(nil, uint64(last.at.Unix())))
		part(binary.BigEndian.AppendUint64(nil, uint64(last.count)))
	}
	part(in.Body)
	return "broker-" + hex.EncodeToString(h.Sum(nil)[:16])
}
