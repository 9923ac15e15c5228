package dispatcher

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/fault"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
)

// deliverForced makes one attempt that somebody asked for although nothing is
// owed any more: once for each request, by its nonce, under the same webhook-id.
// It is not tried again, and a failure undoes no delivery.
func (d *Dispatcher) deliverForced(ctx context.Context, o *order, called func()) error {
	id, nonce, token := o.msg.Notification.ID, o.msg.Force, uuid.NewString()
	claimed, err := d.claimForced(ctx, o, token)
	n := claimed.Current
	switch {
	case err != nil:
		called()
		return err
	case !claimed.Found:
		called()
		return broker.Permanent(&unknownNotification{id})
	case !claimed.Granted && (n.Forced == nil || n.Forced.Nonce != nonce):
		called()
		return nil // replaced by another request
	case !claimed.Granted && n.Forced.Done:
		called()
		if !o.handledBefore() {
			return nil // a copy: the message that it was made for tells it
		}
		return d.announceForced(ctx, o, forcedAttempt(n, nonce))
	case !claimed.Granted:
		called()
		return broker.Uncounted(&claimedElsewhere{id}, claimWait(n.Claim, time.Now()))
	}
	o.msg.Receipts = nil // to everybody once more
	a, unmade := d.throughBreaker(ctx, o)
	called()
	if unmade != nil {
		d.giveUp(ctx, o, token)
		return unmade
	}
	a.Forced = nonce
	for {
		a.Number = n.AttemptCount + 1
		var recorded bool
		err := d.patiently(ctx, "record forced attempt", func() (err error) {
			recorded, err = d.ledger.RecordForced(ctx, id, nonce, a, time.Now())
			return err
		})
		if err != nil {
			return err
		}
		if recorded {
			break
		}
		// The number is taken, or the record was made after all.
		again, err := d.claimForced(ctx, o, token)
		if err != nil || !again.Granted {
			return err
		}
		n = again.Current
	}
	fault.At(fault.DispatcherRecorded)
	status := n.Status
	if a.Outcome == notification.OutcomeOK {
		status = notification.Delivered
	}
	d.audit(o, decision{attempt: a, status: status, reason: reasonForced})
	return d.announceForced(ctx, o, a)
}

const reasonForced = "forced"

// announceForced publishes the outcome of a forced attempt that succeeded; again,
// when the message comes again, since nobody knows whether that was done.
func (d *Dispatcher) announceForced(ctx context.Context, o *order, a notification.Attempt) error {
	if a.Outcome != notification.OutcomeOK {
		return nil
	}
	err := d.announce(ctx, o, decision{attempt: a, status: notification.Delivered, reason: reasonForced})
	if err == nil {
		fault.At(fault.DispatcherSettled)
	}
	return err
}

// forcedAttempt is the attempt that a nonce led to.
func forcedAttempt(n notification.Notification, nonce string) notification.Attempt {
	for _, a := range n.Attempts {
		if a.Forced == nonce {
			return a
		}
	}
	return notification.Attempt{}
}

func (d *Dispatcher) claimForced(ctx context.Context, o *order, token string) (claimed Claimed, err error) {
	err = d.patiently(ctx, "claim forced attempt", func() (err error) {
		now := time.Now()
		claimed, err = d.ledger.ClaimForced(ctx, o.msg.Notification.ID, o.msg.Force, token, now, now.Add(d.o.ClaimFor))
		return err
	})
	return claimed, err
}
