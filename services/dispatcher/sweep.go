package dispatcher

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.uber.org/zap"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	decisions "github.com/events-aggregator/events-aggregator/pkg/decision"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/telemetry"
)

// Overdue finds notifications whose next attempt is overdue, and their events.
type Overdue interface {
	OverdueNotifications(ctx context.Context, before time.Time, limit int) ([]notification.Notification, error)
	// LeftAlone are those of some queues that wait for no time, and that nobody has
	// called for, or changed, since before.
	LeftAlone(ctx context.Context, before time.Time, queues []string, limit int) ([]notification.Notification, error)
	Events(ctx context.Context, eventIDs []string) (map[string]bson.Raw, error)
	// Postpone lets the next attempt be due again at a time, so that a message that
	// is only late is not published with every round.
	Postpone(ctx context.Context, ids []string, until time.Time) error
}

const (
	// overdueLimit bounds one round.
	overdueLimit = 500
	// firstsEvery is how often first attempts are looked for: each look may read
	// much that waits in other queues.
	firstsEvery = time.Minute
	// inHand is how long a message may be with a dispatcher before it is called or
	// goes to a tier.
	inHand = 2 * maxWait
)

// Ages are those of what the sweep takes for lost.
type Ages struct {
	Attempts time.Duration // how late a further attempt is
	Firsts   time.Duration // how long ago a notification that waits for no time was changed last
}

// Sweep publishes the orders of attempts that are overdue again: their messages
// are lost, as when somebody purged a queue, or held back by a breaker for so
// long that it is due for a probe. Publishing one that is only late is harmless,
// since it is claimed before it is called. First messages are called without a
// claim, so they must be lost for certain: after a day of being held back they
// would have paid with an attempt, and nothing may have waited in the queue for
// as long as a dispatcher may have one in hand. depth asks the broker for a
// queue's ready messages. It is run by one process at a time.
func (d *Dispatcher) Sweep(ctx context.Context, o Overdue, every time.Duration, after Ages, depth func(ctx context.Context, queue string) (int, error)) error {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	idle := idleQueues{since: map[string]time.Time{}}
	firsts := time.Now()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		d.sweepAll(ctx, o, func(limit int) ([]notification.Notification, error) {
			return o.OverdueNotifications(ctx, time.Now().Add(-after.Attempts), limit)
		})
		idle.look(ctx, d.topology.DispatchQueues(), depth, time.Now())
		queues := idle.longer(min(inHand, after.Firsts), time.Now())
		if time.Since(firsts) < min(firstsEvery, after.Firsts) || len(queues) == 0 {
			continue
		}
		firsts = time.Now()
		d.sweepAll(ctx, o, func(limit int) ([]notification.Notification, error) {
			return o.LeftAlone(ctx, time.Now().Add(-after.Firsts), queues, limit)
		})
	}
}

// idleQueues are those in which nothing was seen to wait, and since when.
type idleQueues struct{ since map[string]time.Time }

// look asks for each queue. What cannot be asked is not idle.
func (i idleQueues) look(ctx context.Context, queues []string, depth func(ctx context.Context, queue string) (int, error), now time.Time) {
	for _, queue := range queues {
		n, err := depth(ctx, queue)
		_, known := i.since[queue]
		switch {
		case err != nil || n > 0:
			delete(i.since, queue)
		case !known:
			i.since[queue] = now
		}
	}
}

func (i idleQueues) longer(than time.Duration, now time.Time) (queues []string) {
	for queue, since := range i.since {
		if now.Sub(since) >= than {
			queues = append(queues, queue)
		}
	}
	return queues
}

// sweepAll publishes what find finds, round by round.
func (d *Dispatcher) sweepAll(ctx context.Context, o Overdue, find func(limit int) ([]notification.Notification, error)) {
	for ctx.Err() == nil {
		overdue, err := find(overdueLimit)
		if err == nil && len(overdue) > 0 {
			err = d.publishAgain(ctx, o, overdue, time.Now())
		}
		switch {
		case err != nil && ctx.Err() == nil:
			d.log.Warn("sweep of overdue attempts stopped early", zap.Error(err))
		case err == nil && len(overdue) > 0:
			d.log.Info("orders of overdue attempts published again", zap.Int("notifications", len(overdue)))
		}
		if err != nil || len(overdue) < overdueLimit {
			return
		}
	}
}

// publishAgain publishes their orders, and lets them be due again from now.
func (d *Dispatcher) publishAgain(ctx context.Context, o Overdue, overdue []notification.Notification, now time.Time) error {
	ids, eventIDs := make([]string, len(overdue)), make([]string, len(overdue))
	for i, n := range overdue {
		ids[i], eventIDs[i] = n.ID, n.EventID
	}
	events, err := o.Events(ctx, eventIDs)
	if err != nil {
		return err
	}
	for _, n := range overdue {
		msg, err := decisions.Again(n, events[n.EventID])
		if err != nil {
			return err
		}
		if d.isHeld(msg) {
			continue // its message circles until the breaker may be probed
		}
		m, err := d.topology.Actions().Encode(msg)
		if err == nil {
			err = d.publish(ctx, m)
		}
		if broker.IsOutage(err) || ctx.Err() != nil {
			return err
		}
		if err != nil { // its queue is gone from the configuration
			d.log.Warn("overdue attempt not published, it is tried again", zap.String(telemetry.FieldNotification, n.ID), zap.Error(err))
		}
	}
	return o.Postpone(ctx, ids, now)
}

// isHeld says whether the breaker of a message's target holds it back now. When a
// probe is due it does not: should all that circled for the target be lost, as when
// somebody purged its tiers, nothing else would ever probe it.
func (d *Dispatcher) isHeld(msg notification.Message) bool {
	config, err := d.o.Secrets.Open(msg.Notification.Action.Config)
	if err != nil {
		return false
	}
	msg.Notification.Action.Config = config
	return d.breakers.open(d.prepare(msg, nil).target, time.Now())
}
