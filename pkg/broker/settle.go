package broker

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/google/uuid"
	"go.uber.org/zap"
)

// maxErrorText bounds x-ea-error.
const maxErrorText = 1024

// Waiting while a tier or dead letter cannot be published.
const (
	holdFirst = 100 * time.Millisecond
	holdMax   = 10 * time.Second
)

// settle carries a verdict out.
func (c *Consumer) settle(d *Delivery, err error) {
	now := time.Now()
	k := c.q.decide(err, d.Attempt, d.HeldSince, now)
	switch k.verdict {
	case verdictAck:
		err := d.sub.ack(d.tag)
		c.settled(d, k, err)
		if err == nil && d.receipt != "" {
			c.receipt(d)
		}
	case verdictRequeue:
		c.settled(d, k, d.sub.requeue(d.tag))
	default:
		c.settling.Add(1)
		go func() {
			defer c.settling.Done()
			c.publishThenAck(d, k, c.again(d, k, err, now))
		}()
	}
}

// AckAll is Done(nil) for many deliveries in any order, with few frames: what
// is contiguous in the queue's order is acked together.
func AckAll(batch []*Delivery) {
	batch = slices.Clone(batch)
	slices.SortStableFunc(batch, func(a, b *Delivery) int { return cmp.Compare(a.tag, b.tag) })
	settleAll(batch)
}

// settleAll acks many deliveries of one batch with few frames.
func settleAll(batch []*Delivery) {
	for len(batch) > 0 {
		// A batch may hold deliveries of two sessions.
		sub := batch[0].sub
		n := 0
		var tags []uint64
		var asked []*Delivery // for a receipt
		for n < len(batch) && batch[n].sub == sub && (len(tags) == 0 || batch[n].tag > tags[len(tags)-1]) {
			if d := batch[n]; !d.done.Swap(true) {
				tags = append(tags, d.tag)
				if d.receipt != "" {
					asked = append(asked, d)
				}
			}
			n++
		}
		if len(tags) > 0 {
			c := batch[0].consumer
			err := sub.ackSoon(tags...)
			c.counted(verdictAck, len(tags), err)
			if err == nil {
				c.receipt(asked...)
			}
		}
		batch = batch[n:]
	}
}

// settled counts one delivery by what became of it. An error of the ack means
// that the channel is closed: the broker has the message back.
func (c *Consumer) settled(d *Delivery, k consequence, err error) {
	c.counted(k.verdict, 1, err)
	switch k.verdict {
	case verdictDead:
		c.metrics.dead.WithLabelValues(c.q.Name, k.reason).Inc()
		c.log.Info("message dead-lettered", zap.String("reason", k.reason),
			zap.String("message_id", d.MessageID), zap.Int("attempt", d.Attempt))
	case verdictRetry, verdictUncounted:
		c.metrics.retries.WithLabelValues(c.q.Name, DelayLabel(k.tier)).Inc()
	}
}

func (c *Consumer) counted(verdict string, n int, err error) {
	if err != nil {
		verdict = verdictLost
	}
	c.metrics.deliveries.WithLabelValues(c.q.Name, verdict).Add(float64(n))
	c.metrics.unsettled.WithLabelValues(c.q.Name).Sub(float64(n))
}

// again is the message that carries d to its tier or to the dead letters.
func (c *Consumer) again(d *Delivery, k consequence, err error, now time.Time) Message {
	m := d.Message
	m.Optional = false
	h := make(map[string]any, len(d.Headers)+12)
	maps.Copy(h, d.Headers)
	set := func(name, value string) {
		if value != "" {
			h[name] = value
		}
	}
	set(headerReplyTo, d.ReplyTo)
	set(headerUserID, d.UserID)
	if d.cc != nil {
		h[headerCC] = d.cc
	}
	if d.raw != nil {
		h[headerRawHeaders] = d.raw
	}
	// Also when empty: the default exchange has that name.
	h[headerExchange], h[headerRoutingKey] = d.Exchange, d.RoutingKey
	first := d.FirstFailedAt
	if first.IsZero() {
		first = now
	}
	h[headerFirstFailedAt] = first.UTC().Format(timeFormat)
	if err != nil {
		h[headerError] = cut(err.Error(), maxErrorText)
	}

	if k.verdict == verdictUncounted {
		since := d.HeldSince
		if since.IsZero() {
			since = now
		}
		h[headerHeldSince] = since.UTC().Format(timeFormat)
	}
	if k.verdict != verdictDead {
		m.Exchange, m.RoutingKey = c.q.RetryExchange, c.q.Tier(k.tier)
		h[headerAttempt] = int64(k.attempt)
		if d.Replayed && k.attempt == d.Attempt {
			h[headerReplayed] = d.Replay
		}
		if d.Redelivered && k.attempt == d.Attempt {
			h[headerRedelivered] = true
		}
	} else {
		m.Exchange, m.RoutingKey = c.q.DeadExchange, c.q.Name
		h[headerDeadID] = uuid.NewString()
		h[headerReason] = k.reason
		h[headerErrorClass] = errorClass(err)
		h[headerAttempts] = int64(d.Attempt)
		h[headerDeadAt] = now.UTC().Format(timeFormat)
	}
	if t, err := toTable(h); err == nil && tableSize(t) > maxHeaderBytes {
		fitHeaders(t)
		h = t
	}
	m.Headers = h
	return m
}

// Again is the message that brings d back as its next attempt after delay,
// rounded up to the tier that is returned too: what RetryAfter publishes, for a
// handler that must know that it is safe (Publish) before it gives the verdict
// nil. The handler may replace its Body. why is for whoever looks at the message.
func (d *Delivery) Again(delay time.Duration, why error) (m Message, tier time.Duration) {
	c := d.consumer
	tier, _ = c.q.tierFor(delay)
	return c.again(d, consequence{verdict: verdictRetry, tier: tier, attempt: d.Attempt + 1}, why, time.Now()), tier
}

// publishThenAck gives d's consequence to the broker and then acks d. While
// that cannot be done it holds the delivery and tries again; when the channel
// closes meanwhile the broker gives the message out again, and there is nothing
// left to do.
func (c *Consumer) publishThenAck(d *Delivery, k consequence, m Message) {
	wait := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(holdFirst), backoff.WithMaxInterval(holdMax), backoff.WithMaxElapsedTime(0))
	for {
		err := c.pub.Publish(d.sub.ctx, m)
		var refused *RefusedError
		switch {
		case err == nil:
			c.settled(d, k, d.sub.ack(d.tag))
			return
		case d.sub.ctx.Err() != nil:
			c.counted(verdictLost, 1, nil)
			return
		case errors.As(err, &refused):
			// Not as it is, then as the broker has it: the queue's own dead-letter
			// exchange leads to the same place, without our headers.
			c.log.Error("message cannot be published again, rejected to the dead letters",
				zap.Error(err), zap.String("message_id", d.MessageID))
			c.settled(d, consequence{verdict: verdictDead, reason: "rejected"}, d.sub.reject(d.tag))
			return
		}
		c.log.Error("message held: its retry or dead letter cannot be published", zap.Error(err))
		var unroutable *UnroutableError
		if errors.As(err, &unroutable) {
			redeclare(d.sub.ctx, c.conn, c.pub.c)
		}
		pause(d.sub.ctx, wait.NextBackOff())
	}
}
