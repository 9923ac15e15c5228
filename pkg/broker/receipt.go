package broker

import (
	"context"
	"strings"
	"time"

	"github.com/google/uuid"
)

const (
	// receiptPrefix begins the keys of receipts, as no queue's name does: what a
	// header says must not lead anywhere else.
	receiptPrefix = "receipt."
	// receiptTimeout bounds what only tells somebody.
	receiptTimeout = 10 * time.Second
)

// NewReceipt is a key of the retry exchange at which one message's ack can be
// heard, see Listen.
func NewReceipt() string { return receiptPrefix + uuid.NewString() }

// AskReceipt has whoever consumes the message tell at the key that it is done with
// it: when it is acked, and not when it goes to a tier, to the dead letters or back
// to the queue. Only a message that goes by the retry exchange, as a replay does,
// can ask.
func (m *Message) AskReceipt(key string) {
	if m.Headers == nil {
		m.Headers = map[string]any{}
	}
	m.Headers[headerReceipt] = key
}

// receipt tells who asked that deliveries were acked. It is lost when the process
// dies now; then nobody knows, which is the truth.
func (c *Consumer) receipt(asked ...*Delivery) {
	var told []Message
	for _, d := range asked {
		if strings.HasPrefix(d.receipt, receiptPrefix) {
			told = append(told, Message{Exchange: c.q.RetryExchange, RoutingKey: d.receipt, MessageID: d.MessageID, Optional: true})
		}
	}
	if told == nil {
		return
	}
	c.settling.Add(1)
	go func() {
		defer c.settling.Done()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(asked[0].sub.ctx), receiptTimeout)
		defer cancel()
		_ = c.pub.Publish(ctx, told...)
	}()
}
