package deadletter

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/fault"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
)

// CanaryError: the one that was replayed first did not succeed, so the others
// were left where they are.
type CanaryError struct {
	ID     string // of the dead letter
	Reason string
}

func (e *CanaryError) Error() string {
	return fmt.Sprintf("the canary %s did not succeed: %s; the others stay where they are", e.ID, e.Reason)
}

// afterCanary replays the first dead letter that f selects, and the others when
// that has succeeded: its notification is delivered, or (of a queue whose messages
// are no notifications) its owner says that it is done with it. It has not when it
// dies again, goes to a retry tier, or nothing is known in time, as of one that its
// owner holds in an outage. It needs RabbitMQ alone.
func (q *Queue) afterCanary(ctx context.Context, f Filter, o Options) (Result, error) {
	first, err := q.first(ctx, f)
	if err != nil || first == nil {
		return Result{Complete: err == nil}, err
	}
	w := &canary{letter: first, body: first.message.Body, told: make(chan struct{})}
	if first.NotificationID == "" { // an order is acked also when its attempt failed: its outcome is heard instead
		w.receipt = broker.NewReceipt()
	}
	if o.Edit != nil {
		if w.body, err = o.Edit(first.ID, w.body); err != nil {
			return Result{}, &CanaryError{first.ID, err.Error()}
		}
	}
	lost, stop, err := broker.Listen(ctx, q.conn, q.fates(w.receipt), w.hear)
	if err != nil {
		return Result{}, err
	}
	defer stop()
	one := f
	one.ID = first.ID
	done, err := q.Replay(ctx, one, Options{Limit: 1, Edit: o.Edit, Done: o.Done, receipt: w.receipt})
	switch {
	case err != nil:
		return done, err
	case done.Done == 0:
		return done, &CanaryError{first.ID, "it cannot be published, or somebody else took it"}
	}
	fault.At(fault.DeadLetterCanary)
	if err := q.await(ctx, w, lost, o.Canary); err != nil || o.Limit == 1 {
		return done, err
	}
	o.Canary = 0
	if o.Limit > 0 {
		o.Limit--
	}
	rest, err := q.Replay(ctx, f, o)
	rest.Matched, rest.Done, rest.Failed = rest.Matched+done.Matched, rest.Done+done.Done, rest.Failed+done.Failed
	return rest, err
}

// first is the first dead letter that f selects, nil when there is none.
func (q *Queue) first(ctx context.Context, f Filter) (*Letter, error) {
	var first *Letter
	enough := errors.New("enough")
	err := q.Each(ctx, f, func(l *Letter) error { first = l; return enough })
	if errors.Is(err, enough) {
		err = nil
	}
	return first, err
}

// fates are where a message of the queue can be met again, or its ack.
func (q *Queue) fates(receipt string) []broker.Heard {
	all := []broker.Heard{{Exchange: q.owner.DeadExchange, Key: q.owner.Name}}
	for _, tier := range q.owner.Tiers {
		all = append(all, broker.Heard{Exchange: q.owner.RetryExchange, Key: q.owner.Tier(tier)})
	}
	if receipt != "" {
		return append(all, broker.Heard{Exchange: q.owner.RetryExchange, Key: receipt})
	}
	return append(all, broker.Heard{Exchange: q.table.Exchange(topology.ExchangeEvents), Key: topology.KeyDelivery})
}

// canary is one replayed dead letter on its way.
type canary struct {
	letter  *Letter
	body    []byte // as it was replayed
	receipt string // where its ack is heard, "" when its outcome is
	once    sync.Once
	told    chan struct{} // closed when its fate is known
	fate    string        // "" is success
}

func (w *canary) ends(fate string) { w.once.Do(func() { w.fate = fate; close(w.told) }) }

// hear looks at one message that one of the fates brought.
func (w *canary) hear(m broker.Message) {
	if w.receipt != "" && m.RoutingKey == w.receipt {
		w.ends("")
		return
	}
	if m.Type == rule.DeliveryType {
		var outcome struct {
			Payload struct {
				ID     string              `json:"notification_id"`
				Status notification.Status `json:"status"`
				Error  string              `json:"error"`
			} `json:"payload"`
		}
		if json.Unmarshal(m.Body, &outcome) != nil || w.letter.NotificationID == "" || outcome.Payload.ID != w.letter.NotificationID {
			return
		}
		if outcome.Payload.Status == notification.Delivered {
			w.ends("")
			return
		}
		w.ends(fmt.Sprintf("%s again: %s", outcome.Payload.Status, outcome.Payload.Error))
		return
	}
	if !w.isIt(m) {
		return
	}
	why, _ := m.Headers["x-ea-error"].(string)
	w.ends("it failed again: " + why)
}

// isIt: a delivery order by its notification, since its attempt's number changes;
// any other message by its id and bytes.
func (w *canary) isIt(m broker.Message) bool {
	if m.MessageID != w.letter.message.MessageID {
		return false
	}
	return w.letter.NotificationID != "" || bytes.Equal(m.Body, w.body)
}

// await waits for the canary's fate.
func (q *Queue) await(ctx context.Context, w *canary, lost <-chan struct{}, wait time.Duration) error {
	bound, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	why := ""
	select {
	case <-w.told:
	case <-lost:
		why = "the connection was lost, so nobody knows what became of it"
	case <-bound.Done():
	}
	select {
	case <-w.told: // also when it was before the others
		if w.fate == "" {
			return nil
		}
		return &CanaryError{w.letter.ID, w.fate}
	default:
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if why == "" {
		why = fmt.Sprintf("nothing is known of it after %s", wait)
		if _, consumers, err := q.conn.Depth(ctx, q.owner.Name); err == nil && consumers == 0 {
			why += ", since nobody consumes " + q.Name
		}
	}
	return &CanaryError{w.letter.ID, why}
}
