// Package ruleworker turns stored batches into decisions: which rules match
// which events, and which notifications are now owed. A decision is one
// transaction; publishing the actions comes after it, and the ack last.
package ruleworker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.uber.org/zap"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/decision"
	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/pkg/fault"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
)

// Ledger is where decisions are committed.
type Ledger interface {
	// Decide commits decisions, each batch's once whoever else decides it, and
	// returns those that this call committed.
	Decide(ctx context.Context, at time.Time, batches []decision.Batch) (committed []decision.Batch, err error)
	// OwedNotifications lists those of the events that were never attempted.
	OwedNotifications(ctx context.Context, eventIDs []string) ([]notification.Notification, error)
	// MarkMatched notes that batches are decided and their actions published.
	MarkMatched(ctx context.Context, at time.Time, batchIDs ...string) error
}

// Publisher publishes with confirms.
type Publisher interface {
	Publish(ctx context.Context, msgs ...broker.Message) error
}

// Worker decides batches.
type Worker struct {
	Rules     *Rules
	Ledger    Ledger
	Windows   *windows
	Queues    Queues
	Storing   Storing
	Outbox    Outbox
	Groups    GroupStore
	Replays   Replays
	Holder    *holder
	Disabler  Disabler
	Publisher Publisher
	Topology  topology.Table
	Retention time.Duration // of notifications
	Log       *zap.Logger
	Metrics   *metrics
	Now       func() time.Time
	Instance  string // of the process, to say who works on something
}

// Handle decides several batches of ea.stored in one transaction and publishes
// what they owe. One that was decided before (its message came again)
// publishes what it still owes, marked as published again. One that is no
// batch fails them all; they then come one by one, and it alone is
// dead-lettered.
func (w *Worker) Handle(ctx context.Context, deliveries []*broker.Delivery) error {
	started := w.Now()
	set, stamp := w.Rules.Stamped()
	batches := make([]decision.Batch, 0, len(deliveries))
	ids := make([]string, 0, len(deliveries))
	events := 0
	var t touched
	var further []decision.Owed
	for _, d := range deliveries {
		b, err := w.Topology.Stored().Decode(d.Message)
		if err != nil {
			return err
		}
		if b.ID == "" || len(b.Events) == 0 {
			return broker.Permanent(&topology.Malformed{Err: fmt.Errorf("message %q names no batch or has no events", d.MessageID)})
		}
		if len(b.Rules) > 0 {
			owed, err := w.toRules(ctx, b, started)
			if err != nil {
				return err
			}
			further = append(further, owed...)
			continue
		}
		if !slices.Contains(ids, b.ID) { // the same message twice is one batch
			decided := decide(set, b, w.Retention, started, &t)
			decided.RulesStamp = stamp
			batches, ids = append(batches, decided), append(ids, b.ID)
			events += len(b.Events)
		}
	}
	alerts, err := w.Windows.find(ctx, set, &t, started)
	if err != nil {
		return err
	}
	alerts = append(alerts, further...)
	for _, b := range batches {
		w.Holder.hold(b.Owed)
	}
	w.Holder.hold(alerts)
	committed, alerts, err := w.commit(ctx, started, batches, alerts)
	if err != nil {
		return err
	}
	w.Metrics.decided(committed, alerts)
	fault.At(fault.RuleWorkerDecided)
	w.disableExcessive(ctx, committed)
	failed, err := w.publishOrLeave(ctx, append(decision.Messages(committed), decision.MessagesOf(alerts)...))
	if err != nil {
		return err
	}
	if len(committed) < len(batches) {
		if err := w.publishOwed(ctx, repeated(batches, committed)...); err != nil {
			return err
		}
	}
	fault.At(fault.RuleWorkerPublished)
	if err := w.Outbox.MarkPublished(ctx, toldOf(alerts, failed)...); err != nil {
		return err
	}
	if len(ids) > 0 { // only what was given to some rules belongs to no batch
		if err := w.Ledger.MarkMatched(ctx, w.Now(), ids...); err != nil {
			return err
		}
	}
	fault.At(fault.RuleWorkerMarked)
	w.Metrics.took(len(deliveries), w.Now().Sub(started))
	w.Log.Debug("batches decided", zap.Strings("batch_ids", ids), zap.Int("events", events), zap.Int("new", len(committed)))
	return nil
}

// commit decides the batches and the alerts that their events completed. The
// alerts are no batch's own: one that is found while its batch turns out to be
// decided already is due to other events, and must not be lost with it.
func (w *Worker) commit(ctx context.Context, at time.Time, batches []decision.Batch, alerts []decision.Owed) (committed []decision.Batch, stored []decision.Owed, err error) {
	if len(alerts) > 0 {
		batches = append(slices.Clone(batches), decision.Batch{Owed: alerts})
	}
	committed, err = w.Ledger.Decide(ctx, at, batches)
	if err != nil {
		return nil, nil, err
	}
	if last := len(committed) - 1; last >= 0 && committed[last].ID == "" {
		committed, stored = committed[:last], committed[last].Owed
	}
	w.Windows.remember(stored)
	return committed, stored, nil
}

// repeated are the batches that were not committed now.
func repeated(all, committed []decision.Batch) []event.Batch {
	var rest []event.Batch
	for _, b := range all {
		if !slices.ContainsFunc(committed, func(c decision.Batch) bool { return c.ID == b.ID }) {
			rest = append(rest, b.Batch)
		}
	}
	return rest
}

// publishOwed publishes the notifications of the batches that were never
// attempted: their first message may be lost or may still be under way, so the
// dispatcher is told to claim before it calls.
func (w *Worker) publishOwed(ctx context.Context, batches ...event.Batch) error {
	byID := map[string]bson.Raw{}
	var ids []string
	for _, b := range batches {
		for _, raw := range b.Events {
			ids = append(ids, eventID(raw))
			byID[eventID(raw)] = raw
		}
	}
	owed, err := w.Ledger.OwedNotifications(ctx, ids)
	if err != nil {
		return err
	}
	messages := make([]notification.Message, len(owed))
	for i, n := range owed {
		messages[i] = notification.Message{Notification: n, Event: byID[n.EventID], Attempt: 1, Republished: true}
	}
	w.Metrics.repeated.Add(float64(len(batches)))
	w.Metrics.republished.Add(float64(len(messages)))
	_, err = w.publishOrLeave(ctx, messages)
	return err
}

// publish gives messages to the dispatcher's queues and waits for every confirm.
func (w *Worker) publish(ctx context.Context, messages []notification.Message) error {
	if len(messages) == 0 {
		return nil
	}
	route := w.Topology.Actions()
	encoded := make([]broker.Message, len(messages))
	for i, m := range messages {
		var err error
		if encoded[i], err = route.Encode(m); err != nil {
			return err
		}
	}
	err := w.Publisher.Publish(ctx, encoded...)
	var unroutable *broker.UnroutableError
	if errors.As(err, &unroutable) {
		// A queue that a rule names is gone from the configuration of those who
		// declare it. The notification stays pending, and the sweep tries again.
		return fmt.Errorf("publish actions; declare the queue in dispatcher.queues of every process: %w", err)
	}
	return err
}
