// Package ruleworker turns stored batches into decisions: which rules match
// which events, and which notifications are now owed. A decision is one
// transaction; publishing the actions comes after it, and the ack last.
package ruleworker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/pkg/fault"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
	"go.uber.org/zap"
)

// Ledger is where decisions are committed.
type Ledger interface {
	// Decide commits a decision once; first is false when the batch was decided before.
	Decide(ctx context.Context, b event.Batch, matches []event.Match, owed []notification.Notification, at time.Time) (first bool, err error)
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
	Publisher Publisher
	Topology  topology.Table
	Retention time.Duration // of notifications
	Log       *zap.Logger
	Metrics   *metrics
	Now       func() time.Time
}

// Handle decides one batch of ea.stored and publishes what it owes. A batch
// that was decided before (the message came again) publishes what is still
// owed, marked as published again.
func (w *Worker) Handle(ctx context.Context, d *broker.Delivery) error {
	started := w.Now()
	batch, err := w.Topology.Stored().Decode(d.Message)
	if err != nil {
		return err
	}
	if batch.ID == "" || len(batch.Events) == 0 {
		return broker.Permanent(fmt.Errorf("message %q names no batch or has no events", d.MessageID))
	}
	decision := decide(w.Rules.Current(), batch, w.Retention, started)
	first, err := w.Ledger.Decide(ctx, batch, decision.matches, decision.owed, started)
	if err != nil {
		return err
	}
	if first {
		w.Metrics.decided(batch, decision)
		fault.At(fault.RuleWorkerDecided)
		err = w.publish(ctx, decision.messages())
	} else {
		w.Metrics.repeated.Inc()
		err = w.publishOwed(ctx, batch)
	}
	if err != nil {
		return err
	}
	fault.At(fault.RuleWorkerPublished)
	if err := w.Ledger.MarkMatched(ctx, w.Now(), batch.ID); err != nil {
		return err
	}
	fault.At(fault.RuleWorkerMarked)
	w.Metrics.took(w.Now().Sub(started))
	w.Log.Debug("batch decided", zap.String("batch_id", batch.ID), zap.Int("events", len(batch.Events)),
		zap.Int("matches", len(decision.matches)), zap.Int("notifications", len(decision.owed)), zap.Bool("first", first))
	return nil
}

// publishOwed publishes the notifications of the batch that were never
// attempted: their first message may be lost or may still be under way, so the
// dispatcher is told to claim before it calls.
func (w *Worker) publishOwed(ctx context.Context, batch event.Batch) error {
	byID := make(map[string]int, len(batch.Events))
	ids := make([]string, len(batch.Events))
	for i, raw := range batch.Events {
		ids[i] = eventID(raw)
		byID[ids[i]] = i
	}
	owed, err := w.Ledger.OwedNotifications(ctx, ids)
	if err != nil {
		return err
	}
	messages := make([]notification.Message, len(owed))
	for i, n := range owed {
		messages[i] = notification.Message{Notification: n, Event: batch.Events[byID[n.EventID]], Attempt: 1, Republished: true}
	}
	w.Metrics.republished.Add(float64(len(messages)))
	return w.publish(ctx, messages)
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
		// declare it. The notification stays pending and the message comes again.
		return fmt.Errorf("publish actions; declare the queue in dispatcher.queues of every process: %w", err)
	}
	return err
}
