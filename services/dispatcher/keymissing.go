package dispatcher

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.uber.org/zap"

	"github.com/events-aggregator/events-aggregator/pkg/action/seal"
	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
)

const (
	// keyMissingWait is the tier for messages that this process cannot read. It
	// is a mistake in the configuration of a process, not of the notification:
	// whoever starts the process with the key finds nothing lost.
	keyMissingWait = time.Minute
	// sayMissing: one line a minute is seen and does not fill the disk.
	sayMissing = time.Minute
)

// openRecorded finds a call for a message whose secrets this process cannot open:
// its key was replaced while it was on its way, and the record has them under the
// present one. Where it has not, the verdict is withoutKey's.
func (d *Dispatcher) openRecorded(ctx context.Context, o *order) (verdict error) {
	var config bson.Raw
	verdict = d.patiently(ctx, "read the action of a notification", func() (err error) {
		config, err = d.ledger.Config(ctx, o.msg.Notification.ID)
		return err
	})
	if verdict != nil {
		return verdict
	}
	opened, err := d.o.Secrets.Open(config)
	if config == nil || err != nil {
		o.call, verdict = d.withoutKey(o.delivery, o.missing)
		return verdict
	}
	msg := o.msg // which may be published again, and stays as it is
	msg.Notification.Action.Config = opened
	o.call = d.prepare(msg, nil)
	return nil
}

// withoutKey is the verdict for a message whose secrets this process cannot
// open: it comes back and costs no attempt. After a day it does, as for a target
// that is held back, so that it ends as a dead notification with its reason.
func (d *Dispatcher) withoutKey(delivery *broker.Delivery, missing *seal.MissingKeyError) (call, error) {
	d.metrics.keyMissing.Inc()
	now := time.Now()
	if last := d.missingSaid.Load(); now.UnixNano()-last >= int64(sayMissing) && d.missingSaid.CompareAndSwap(last, now.UnixNano()) {
		d.log.Error("notifications wait for the key of their secrets", zap.String("key_id", missing.KeyID), zap.Error(missing))
	}
	if since := delivery.HeldSince; since.IsZero() || time.Since(since) < holdBackFor {
		return call{}, broker.Uncounted(&keyMissing{missing}, keyMissingWait)
	}
	return call{carryOut: func(context.Context, notification.Message) result {
		return result{outcome: notification.OutcomeRetry, class: classKeyMissing, err: missing.Error()}
	}}, nil
}

// keyMissing is seal.MissingKeyError with its class.
type keyMissing struct{ *seal.MissingKeyError }

// Class names the error for dead letters.
func (*keyMissing) Class() string { return classKeyMissing }
