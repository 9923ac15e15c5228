package ruleworker

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
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
	// first, after the last one that was listed (nil begins), without those of
	// some queues.
	UnpublishedNotifications(ctx context.Context, before time.Time, after *notification.Notification, limit int, without ...string) ([]notification.Notification, error)
	// MarkPublished notes that their messages are confirmed, of each the one that
	// it owed when it was read.
	MarkPublished(ctx context.Context, published ...notification.Notification) error
	// LeaveUnpublished leaves new ones of a batch to the sweep.
	LeaveUnpublished(ctx context.Context, ids ...string) error
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

// sweepOutbox returns how many it published: limit, or all that can be. It goes on
// past those that cannot, or they would be the oldest for ever and hold up every
// later one.
func (w *Worker) sweepOutbox(ctx context.Context, before time.Time, limit int) (published int, err error) {
	var after *notification.Notification
	var gone []string // queues
	for published < limit {
		waiting, err := w.Outbox.UnpublishedNotifications(ctx, before, after, limit, gone...)
		if err != nil || len(waiting) == 0 {
			return published, err
		}
		n, without, err := w.sweepPage(ctx, waiting)
		if published += n; err != nil || len(waiting) < limit {
			return published, err
		}
		after, gone = &waiting[len(waiting)-1], append(gone, without...)
	}
	return published, nil
}

// sweepPage publishes some, and names the queues that are gone.
func (w *Worker) sweepPage(ctx context.Context, waiting []notification.Notification) (published int, gone []string, err error) {
	eventIDs := make([]string, len(waiting))
	for i, n := range waiting {
		eventIDs[i] = n.EventID
	}
	events, err := w.Outbox.Events(ctx, eventIDs)
	if err != nil {
		return 0, nil, err
	}
	var settled []notification.Notification
	var messages []notification.Message
	for _, n := range waiting {
		if n.Status == notification.Suppressed && n.Reason == notification.Cancelled {
			if told, err := w.tellCancelled(ctx, n, events[n.EventID]); err != nil {
				return published, nil, err
			} else if !told {
				continue
			}
			published++
		}
		if !owesMessage(n) {
			settled = append(settled, n)
			continue
		}
		msg, err := decision.Again(n, events[n.EventID])
		if err != nil {
			w.notPublished(n, err)
			continue
		}
		messages = append(messages, msg)
	}
	failed, gone, err := w.publishEach(ctx, messages)
	if err != nil {
		return published, nil, err
	}
	for _, m := range messages {
		if !failed[m.Notification.ID] {
			settled, published = append(settled, m.Notification), published+1
		}
	}
	return published, gone, w.Outbox.MarkPublished(ctx, settled...)
}

// tellCancelled publishes the outcome event of one that somebody cancelled. An
// error is an outage.
func (w *Worker) tellCancelled(ctx context.Context, n notification.Notification, event bson.Raw) (told bool, err error) {
	m, err := w.Topology.Outcome(decision.Cancelled(n, event))
	if err == nil {
		err = w.Publisher.Publish(ctx, m)
	}
	if err == nil || isOutage(err) || ctx.Err() != nil {
		return err == nil, err
	}
	w.notPublished(n, err)
	return false, nil
}

// owesMessage: one that was attempted since or is held back needs no first
// message, unless somebody forces an attempt that was not made.
func owesMessage(n notification.Notification) bool {
	if n.Status == notification.Pending {
		return n.AttemptCount == n.Base
	}
	return n.Forced != nil && !n.Forced.Done
}

// tell publishes what notifications that belong to no batch owe, and lists those
// that are to be marked. What cannot be published stays unpublished, and the sweep
// tries it again, as it does after an error.
func (w *Worker) tell(ctx context.Context, committed []decision.Owed) (told []notification.Notification, err error) {
	failed, _, err := w.publishEach(ctx, decision.MessagesOf(committed))
	if err != nil {
		return nil, err
	}
	return toldOf(committed, failed), nil
}

// toldOf are those whose messages were published, or that owe none.
func toldOf(committed []decision.Owed, failed map[string]bool) []notification.Notification {
	told := make([]notification.Notification, 0, len(committed))
	for _, o := range committed {
		if !failed[o.ID] {
			told = append(told, o.Notification)
		}
	}
	return told
}

// publishOrLeave publishes what batches owe. What cannot be published is left to
// the sweep, so that the batch need not come again for it with all the others. An
// error is an outage, or the database's.
func (w *Worker) publishOrLeave(ctx context.Context, messages []notification.Message) (failed map[string]bool, err error) {
	if failed, _, err = w.publishEach(ctx, messages); err != nil || len(failed) == 0 {
		return nil, err
	}
	return failed, w.Outbox.LeaveUnpublished(ctx, slices.Collect(maps.Keys(failed))...)
}

// publishEach keeps messages that cannot be published from holding up the others:
// they are said and named, with the queues that are gone from the configuration.
// An error is an outage, and says nothing about any of them.
func (w *Worker) publishEach(ctx context.Context, messages []notification.Message) (failed map[string]bool, gone []string, err error) {
	failed = map[string]bool{}
	queues := byQueue(messages)
	errs := make([]error, len(queues))
	var all sync.WaitGroup
	for i, some := range queues { // with one wait for the confirms of all
		all.Go(func() { errs[i] = w.publish(ctx, some) })
	}
	all.Wait()
	for i, some := range queues {
		err := errs[i]
		var unroutable *broker.UnroutableError
		switch {
		case err == nil:
			continue
		case broker.IsOutage(err) || ctx.Err() != nil:
			return nil, nil, err
		case errors.As(err, &unroutable): // so are all of this queue
			gone = append(gone, some[0].Notification.Queue)
			w.Log.Warn("notifications not published, they are tried again", zap.String("queue", some[0].Notification.Queue),
				zap.Int("notifications", len(some)), zap.String("notification_id", some[0].Notification.ID), zap.Error(err))
			for _, m := range some {
				failed[m.Notification.ID] = true
			}
			continue
		}
		for _, m := range some {
			m.Republished = true // it may have been published with the others
			switch err := w.publish(ctx, []notification.Message{m}); {
			case broker.IsOutage(err) || ctx.Err() != nil:
				return nil, nil, errors.Join(err, ctx.Err())
			case err != nil:
				w.notPublished(m.Notification, err)
				failed[m.Notification.ID] = true
			}
		}
	}
	return failed, gone, nil
}

// byQueue sorts messages by their queues, which keep the order of their first.
func byQueue(messages []notification.Message) (queues [][]notification.Message) {
	place := map[string]int{}
	for _, m := range messages {
		at, known := place[m.Notification.Queue]
		if !known {
			at = len(queues)
			place[m.Notification.Queue], queues = at, append(queues, nil)
		}
		queues[at] = append(queues[at], m)
	}
	return queues
}

func (w *Worker) notPublished(n notification.Notification, err error) {
	w.Log.Warn("notification not published, it is tried again", zap.String("notification_id", n.ID), zap.Error(err))
}
