package ruleworker

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.uber.org/zap"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/decision"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
)

// Outbox is where notifications that belong to no batch wait for their first
// message to be confirmed.
type Outbox interface {
	// UnpublishedNotifications lists those created before the given time, oldest
	// first.
	UnpublishedNotifications(ctx context.Context, before time.Time, limit int) ([]notification.Notification, error)
	MarkPublished(ctx context.Context, ids ...string) error
	Events(ctx context.Context, eventIDs []string) (map[string]bson.Raw, error)
}

// SweepOutbox publishes again what whoever decided it died over. It is run by
// one process at a time; running it twice is harmless, since the dispatcher
// claims what is published again before it calls.
func (w *Worker) SweepOutbox(ctx context.Context, every, age time.Duration, limit int) error {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		n, err := w.sweepOutbox(ctx, w.Now().Add(-age), limit)
		if err != nil && ctx.Err() == nil {
			w.Log.Warn("sweep of unpublished notifications stopped early", zap.Error(err))
		}
		if n > 0 {
			w.Metrics.republished.Add(float64(n))
			w.Log.Info("notifications without a batch published again", zap.Int("notifications", n))
		}
	}
}

// sweepOutbox returns how many it published.
func (w *Worker) sweepOutbox(ctx context.Context, before time.Time, limit int) (int, error) {
	waiting, err := w.Outbox.UnpublishedNotifications(ctx, before, limit)
	if err != nil || len(waiting) == 0 {
		return 0, err
	}
	ids := make([]string, len(waiting))
	var eventIDs []string
	for i, n := range waiting {
		ids[i] = n.ID
		eventIDs = append(eventIDs, n.EventID)
	}
	events, err := w.Outbox.Events(ctx, eventIDs)
	if err != nil {
		return 0, err
	}
	var messages []notification.Message
	for _, n := range waiting {
		if !owesMessage(n) {
			continue
		}
		msg, err := decision.Again(n, events[n.EventID])
		if err != nil {
			return 0, err
		}
		messages = append(messages, msg)
	}
	err = w.publish(ctx, messages)
	if err == nil {
		return len(messages), w.Outbox.MarkPublished(ctx, ids...)
	}
	if broker.IsOutage(err) {
		return 0, err
	}
	return w.publishSingly(ctx, messages)
}

// owesMessage: one that was attempted since or is held back needs no first
// message, unless somebody forces an attempt that was not made.
func owesMessage(n notification.Notification) bool {
	if n.Status == notification.Pending {
		return n.AttemptCount == n.Base
	}
	return n.Forced != nil && !n.Forced.Done
}

// publishSingly keeps a message that cannot be published (its queue is gone from
// the configuration) from holding up the others; it waits, and is said.
func (w *Worker) publishSingly(ctx context.Context, messages []notification.Message) (published int, err error) {
	var ids []string
	for _, m := range messages {
		switch err := w.publish(ctx, []notification.Message{m}); {
		case broker.IsOutage(err) || ctx.Err() != nil:
			return 0, err
		case err != nil:
			w.Log.Warn("notification not published, it is tried again", zap.String("notification_id", m.Notification.ID), zap.Error(err))
		default:
			ids = append(ids, m.Notification.ID)
		}
	}
	return len(ids), w.Outbox.MarkPublished(ctx, ids...)
}
