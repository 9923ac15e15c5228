package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/events-aggregator/events-aggregator/pkg/action/webhook"
	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/telemetry"
)

// Claim asks for a notification before a call that somebody else may be making.
type Claim struct {
	ID         string
	Attempt    int // that will be made
	Token      string
	Now, Until time.Time
}

// Claimed is the answer, with the record as it now is.
type Claimed struct {
	Granted, Found bool
	Current        notification.Notification
}

// claim asks for the order's notification. proceed means: it is ours, make the
// call (o.msg.Attempt is its number). Otherwise settled is the verdict on the
// message: what it asks for is done, or being done, by somebody.
func (d *Dispatcher) claim(ctx context.Context, o *order) (token string, proceed bool, settled error) {
	token = uuid.NewString()
	if o.delivery.Replayed {
		if settled := d.reopen(ctx, o); settled != nil {
			return "", false, settled
		}
	}
	for {
		now := time.Now()
		var answer Claimed
		err := d.patiently(ctx, "claim notification", func() (err error) {
			answer, err = d.ledger.Claim(ctx, Claim{
				ID: o.msg.Notification.ID, Attempt: o.msg.Attempt, Token: token, Now: now, Until: now.Add(d.o.ClaimFor),
			})
			return err
		})
		n := answer.Current
		o.failed = n.FirstFailedAt()
		switch {
		case err != nil:
			return "", false, err
		case answer.Granted:
			d.metrics.claims.WithLabelValues(claimGranted).Inc()
			o.msg.Receipts, o.msg.Notification.Base = n.Receipts(), n.Base
			return token, true, nil
		case !answer.Found:
			d.metrics.claims.WithLabelValues(claimUnknown).Inc()
			return "", false, broker.Permanent(&unknownNotification{o.msg.Notification.ID})
		case n.Status != notification.Pending || n.AttemptCount >= o.msg.Attempt:
			d.metrics.claims.WithLabelValues(claimRecorded).Inc()
			return "", false, d.follow(ctx, o, n)
		case n.AttemptCount < o.msg.Attempt-1:
			// The record is behind the message, as after a restore of the database:
			// attempts are numbered without gaps, so this is the next one.
			d.log.Warn("attempts of a notification are missing in its record",
				zap.String(telemetry.FieldNotification, n.ID), zap.Int("recorded", n.AttemptCount), zap.Int("asked_for", o.msg.Attempt))
			o.msg.Attempt = n.AttemptCount + 1
		default:
			d.metrics.claims.WithLabelValues(claimElsewhere).Inc()
			return "", false, broker.Uncounted(&claimedElsewhere{n.ID}, claimWait(n.Claim, now))
		}
	}
}

// reopen begins the schedule of a dead notification anew, for a message out of the
// dead letters, which asks for the attempt after; when the message comes again it
// asks for the same one.
func (d *Dispatcher) reopen(ctx context.Context, o *order) (settled error) {
	id, replay := o.msg.Notification.ID, o.delivery.Replay
	var n notification.Notification
	var found bool
	err := d.patiently(ctx, "reopen notification", func() (err error) {
		n, found, err = d.ledger.Reopen(ctx, id, replay, time.Now())
		return err
	})
	switch {
	case err != nil:
		return err
	case !found:
		d.metrics.claims.WithLabelValues(claimUnknown).Inc()
		return broker.Permanent(&unknownNotification{id})
	case n.ReopenedBy == replay:
		o.msg.Attempt = n.Base + 1
	case n.Status == notification.Dead:
		d.metrics.claims.WithLabelValues(claimElsewhere).Inc()
		return broker.Uncounted(&claimedElsewhere{id}, claimWait(n.Claim, time.Now()))
	default: // somebody else has begun it anew, or it needs no attempt
		o.msg.Attempt = n.AttemptCount + 1
	}
	return nil
}

// follow gives the verdict on a message whose attempt is in the record already.
// When this very message may have put it there it repeats the consequence, which
// may not have been published. Otherwise another message did, which does not
// leave the broker before its consequence has arrived there.
func (d *Dispatcher) follow(ctx context.Context, o *order, n notification.Notification) error {
	if o.handledBefore() && n.Status == notification.Suppressed && n.Reason == notification.TargetDisabled {
		d.metrics.repeats.WithLabelValues(string(n.Status)).Inc()
		return d.announceSuppressed(ctx, o, n.UpdatedAt)
	}
	if o.delivery.Replayed && (n.Status == notification.Delivered || n.Status == notification.Suppressed) {
		// Whoever had it replayed waits to hear what became of it.
		return d.announceSettled(ctx, o, n)
	}
	if !o.handledBefore() || n.AttemptCount != o.msg.Attempt {
		d.metrics.repeats.WithLabelValues(repeatNothing).Inc()
		return nil
	}
	last, ok := lastAttempt(n)
	if !ok {
		return nil // suppressed before any attempt
	}
	d.metrics.repeats.WithLabelValues(string(n.Status)).Inc()
	delay := time.Duration(0)
	if n.NextAttemptAt != nil {
		delay = time.Until(*n.NextAttemptAt)
	}
	o.msg.Attempt = last.Number
	if last.ErrorClass == webhook.ClassGone && !o.delivery.Replayed {
		d.disable(ctx, o) // whoever recorded it may have died before
	}
	return d.settle(ctx, o, decision{attempt: last, status: n.Status, reason: n.Reason, delay: delay, repeated: true})
}

// announceSettled tells once more how a notification ended. Its id makes the
// event a duplicate of the first.
func (d *Dispatcher) announceSettled(ctx context.Context, o *order, n notification.Notification) error {
	d.metrics.repeats.WithLabelValues(string(n.Status)).Inc()
	last, ok := lastAttempt(n)
	if !ok {
		last = notification.Attempt{Number: o.msg.Attempt, At: n.UpdatedAt}
	}
	return d.announce(ctx, o, decision{attempt: last, status: n.Status, reason: n.Reason})
}

// lastAttempt is the attempt that made the notification what it is.
func lastAttempt(n notification.Notification) (notification.Attempt, bool) {
	for _, a := range n.Attempts {
		if a.Number == n.AttemptCount {
			return a, true
		}
	}
	return notification.Attempt{}, false
}

// claimWait is how long a message waits for another's claim. The holder usually
// needs seconds and not the whole claim, so it looks again before that ends.
func claimWait(c *notification.Claim, now time.Time) time.Duration {
	const longest = 10 * time.Second
	if c == nil {
		return time.Second
	}
	return max(time.Second, min(c.Until.Sub(now), longest))
}

// claimedElsewhere: another dispatcher is calling for this notification.
type claimedElsewhere struct{ id string }

func (e *claimedElsewhere) Error() string {
	return fmt.Sprintf("notification %s is claimed by another dispatcher", e.id)
}

// Class names the error for dead letters.
func (*claimedElsewhere) Class() string { return "claimed_elsewhere" }

// unknownNotification: nothing is recorded under the message's id, as when its
// retention has passed.
type unknownNotification struct{ id string }

func (e *unknownNotification) Error() string {
	return fmt.Sprintf("there is no notification %s (has its retention passed?)", e.id)
}

// Class names the error for dead letters.
func (*unknownNotification) Class() string { return "unknown_notification" }

// errOutage ends what an outage of our own servers has held for too long.
var errOutage = errors.New("held for too long by an outage")
