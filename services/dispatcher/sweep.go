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
	Events(ctx context.Context, eventIDs []string) (map[string]bson.Raw, error)
	// Postpone lets the next attempt be due again at a time, so that a message that
	// is only late is not published with every round.
	Postpone(ctx context.Context, ids []string, until time.Time) error
}

// overdueLimit bounds one round.
const overdueLimit = 500

// Sweep publishes the orders of attempts that are overdue for longer than age
// again: their messages are lost, as when somebody purged a queue, or held back
// by a breaker for so long. Publishing one that is only late is harmless, since
// it is claimed before it is called. It is run by one process at a time.
func (d *Dispatcher) Sweep(ctx context.Context, o Overdue, every, age time.Duration) error {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		for {
			n, err := d.sweep(ctx, o, time.Now(), age)
			if err != nil && ctx.Err() == nil {
				d.log.Warn("sweep of overdue attempts stopped early", zap.Error(err))
			}
			if n > 0 {
				d.log.Info("orders of overdue attempts published again", zap.Int("notifications", n))
			}
			if err != nil || n < overdueLimit || ctx.Err() != nil {
				break
			}
		}
	}
}

func (d *Dispatcher) sweep(ctx context.Context, o Overdue, now time.Time, age time.Duration) (int, error) {
	overdue, err := o.OverdueNotifications(ctx, now.Add(-age), overdueLimit)
	if err != nil || len(overdue) == 0 {
		return 0, err
	}
	ids, eventIDs := make([]string, len(overdue)), make([]string, len(overdue))
	for i, n := range overdue {
		ids[i], eventIDs[i] = n.ID, n.EventID
	}
	events, err := o.Events(ctx, eventIDs)
	if err != nil {
		return 0, err
	}
	for _, n := range overdue {
		msg, err := decisions.Again(n, events[n.EventID])
		if err != nil {
			return 0, err
		}
		if d.isHeld(msg) {
			continue // its message circles until the breaker closes
		}
		m, err := d.topology.Actions().Encode(msg)
		if err == nil {
			err = d.publish(ctx, m)
		}
		if broker.IsOutage(err) || ctx.Err() != nil {
			return 0, err
		}
		if err != nil { // its queue is gone from the configuration
			d.log.Warn("overdue attempt not published, it is tried again", zap.String(telemetry.FieldNotification, n.ID), zap.Error(err))
		}
	}
	return len(overdue), o.Postpone(ctx, ids, now)
}

// isHeld says whether the breaker of a message's target is not closed.
func (d *Dispatcher) isHeld(msg notification.Message) bool {
	config, err := d.o.Secrets.Open(msg.Notification.Action.Config)
	if err != nil {
		return false
	}
	msg.Notification.Action.Config = config
	_, held := d.breakers.of(d.prepare(msg, nil).target)
	return held
}
