package dispatcher

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/events-aggregator/events-aggregator/pkg/action/webhook"
	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/fault"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/telemetry"
)

// deliver takes one order from its claim to its verdict. called is told when
// the call is over (or will not be made): the order's place in its queue and
// target is then free, while the record and its consequence are still under way.
func (d *Dispatcher) deliver(ctx context.Context, o *order, called func()) (verdict error) {
	if o.missing != nil {
		if verdict := d.openRecorded(ctx, o); verdict != nil {
			called()
			return verdict
		}
	}
	if o.msg.Force != "" {
		return d.deliverForced(ctx, o, called)
	}
	started := time.Now()
	token := ""
	if o.mustClaim() {
		var proceed bool
		token, proceed, verdict = d.claim(ctx, o)
		if !proceed {
			called()
			return verdict
		}
		fault.At(fault.DispatcherClaimed)
	}
	if reason := d.breakers.disabled(o.call.endpoint); reason != "" {
		called()
		return d.suppress(ctx, o, token)
	}
	attempt, unmade := d.throughBreaker(ctx, o)
	called()
	if unmade != nil {
		d.giveUp(ctx, o, token)
		return unmade
	}
	fault.At(fault.DispatcherCalled)
	verdict = d.conclude(ctx, o, token, attempt)
	d.metrics.stage.Observe(telemetry.StageDeliver, time.Since(started))
	return verdict
}

// giveUp lets a claim go under which no call was made, so that the message need
// not wait for its end when it comes back.
func (d *Dispatcher) giveUp(ctx context.Context, o *order, token string) {
	if token == "" {
		return
	}
	// Also when the process stops, but not for long.
	bound, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	if err := d.ledger.Release(bound, o.msg.Notification.ID, token); err != nil {
		d.log.Info("a claim that was not used stays until it ends", zap.String(telemetry.FieldNotification, o.msg.Notification.ID), zap.Error(err))
	}
}

// releaseTimeout bounds what only saves time.
const releaseTimeout = 2 * time.Second

// throughBreaker makes the call if the target's breaker lets it pass, and tells
// the breaker what came of it.
func (d *Dispatcher) throughBreaker(ctx context.Context, o *order) (a notification.Attempt, unmade error) {
	if o.call.heldBack {
		a, _, unmade = d.call(ctx, o)
		return a, unmade
	}
	ok, probing, err := d.breakers.pass(ctx, o.call.target)
	// While MongoDB is away nobody can be given the probe. Such messages wait in a
	// tier: given back at once, each would go round until the queue's delivery limit
	// makes it a dead letter.
	outage := broker.IsOutage(err) && ctx.Err() == nil
	if err != nil && !outage {
		return a, verdictOf(ctx, err)
	}
	if !ok {
		return a, broker.Uncounted(&targetHeld{o.call.target}, d.o.BreakerWait)
	}
	a, said, unmade := d.call(ctx, o)
	if unmade == nil && (said != saysNothing || probing) {
		d.breakers.report(ctx, o.call.target, said.failing(a), probing)
	}
	return a, unmade
}

// suppress ends a notification whose endpoint is disabled; it can be retried
// when that is enabled again.
func (d *Dispatcher) suppress(ctx context.Context, o *order, token string) error {
	now := time.Now().UTC().Truncate(time.Millisecond)
	answer, err := d.recorder.Record(ctx, Record{ID: o.msg.Notification.ID, Token: token, Suppress: true,
		Status: notification.Suppressed, Reason: notification.TargetDisabled})
	if err != nil {
		return verdictOf(ctx, err)
	}
	fault.At(fault.DispatcherRecorded)
	if !answer.Accepted {
		return nil // somebody else settled it
	}
	return d.announceSuppressed(ctx, o, now)
}

func (d *Dispatcher) announceSuppressed(ctx context.Context, o *order, at time.Time) error {
	err := d.announce(ctx, o, decision{status: notification.Suppressed, reason: notification.TargetDisabled,
		attempt: notification.Attempt{Number: o.msg.Attempt, At: at}})
	if err == nil {
		fault.At(fault.DispatcherSettled)
	}
	return err
}

// postponed is how long a message waits whose call an outage of our own kept
// from being made.
const postponed = time.Second

// call carries the order's action out. unmade is the verdict on the message when
// there was no attempt: the process's stop cut it short, so nothing is known of
// it, or an outage of our own kept it from being made.
func (d *Dispatcher) call(ctx context.Context, o *order) (a notification.Attempt, said says, unmade error) {
	timeout := d.o.Timeout
	if o.call.timeout > 0 {
		timeout = min(timeout, o.call.timeout)
	}
	at := time.Now()
	bound, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var r result
	if failed := guarded(func() { r = o.call.carryOut(bound, o.msg) }); failed != nil {
		d.log.Error("carrying out an action panicked", zap.String("action", o.msg.Notification.Action.Type),
			zap.String(telemetry.FieldNotification, o.msg.Notification.ID), zap.Error(failed), zap.ByteString("stack", failed.stack))
		r = result{outcome: notification.OutcomeRetry, class: classPanic, err: failed.Error()}
	}
	if ctx.Err() != nil && r.outcome != notification.OutcomeOK {
		return notification.Attempt{}, r.says, broker.Interrupted(context.Cause(ctx))
	}
	if r.postpone != nil {
		return notification.Attempt{}, r.says, broker.Uncounted(r.postpone, postponed)
	}
	took := time.Since(at)
	d.metrics.attempted(o, r, took)
	return newAttempt(o, d.o.Instance, at, took, r), r.says, nil
}

func newAttempt(o *order, worker string, at time.Time, took time.Duration, r result) notification.Attempt {
	return notification.Attempt{
		Number: o.msg.Attempt, At: at.UTC().Truncate(time.Millisecond), DurationMS: took.Milliseconds(),
		Outcome: r.outcome, StatusCode: r.statusCode, ErrorClass: r.class, Error: cut(r.err, maxErrorText),
		ResponseExcerpt: r.excerpt, RetryAfterMS: r.retryAfter.Milliseconds(), Receipts: r.receipts, Worker: worker,
	}
}

// conclude records an attempt and carries out what it means.
func (d *Dispatcher) conclude(ctx context.Context, o *order, token string, a notification.Attempt) error {
	for {
		decided := d.decide(o, a)
		record := Record{ID: o.msg.Notification.ID, Token: token, Attempt: a, Status: decided.status, Reason: decided.reason}
		if decided.status == notification.Pending {
			next := time.Now().Add(decided.delay).UTC().Truncate(time.Millisecond)
			record.NextAttemptAt = &next
		}
		answer, err := d.recorder.Record(ctx, record)
		if err != nil {
			return verdictOf(ctx, err)
		}
		fault.At(fault.DispatcherRecorded)
		if answer.Accepted {
			d.audit(o, decided)
			if a.ErrorClass == webhook.ClassGone {
				d.disable(ctx, o)
			}
			return d.settle(ctx, o, decided)
		}
		n := answer.Current
		if answer.Found && n.Status == notification.Pending && n.AttemptCount < a.Number-1 {
			// The record is behind (as after a restore): this is its next attempt.
			a.Number = n.AttemptCount + 1
			o.msg.Attempt = a.Number
			continue
		}
		return d.unaccepted(o, a, answer)
	}
}

// disable ends the calls of an endpoint that wants no more. A failure costs one
// more call, which says so again.
func (d *Dispatcher) disable(ctx context.Context, o *order) {
	n := o.msg.Notification
	reason := fmt.Sprintf("answered 410 Gone to notification %s of rule %s", n.ID, n.RuleName)
	if err := d.breakers.disable(ctx, o.call.endpoint, o.call.target, reason); err != nil {
		d.log.Warn("endpoint that is gone not disabled, it is called again", zap.String("target", o.call.target), zap.Error(err))
		return
	}
	fault.At(fault.DispatcherDisabled)
}

// unaccepted is a call that is not in the record. Somebody else's attempt is, and
// their message answers for it; or it is being made under a claim, and whoever has
// that may be dead, so this message waits for it.
func (d *Dispatcher) unaccepted(o *order, a notification.Attempt, answer Recorded) error {
	d.metrics.unaccepted.Inc()
	d.log.Info("a call was made beside another dispatcher's and is not recorded",
		zap.String(telemetry.FieldNotification, o.msg.Notification.ID), zap.Int("attempt", a.Number),
		zap.String("outcome", string(a.Outcome)), zap.Bool("known", answer.Found),
		zap.String("status", string(answer.Current.Status)))
	if !answer.Found && a.Outcome != notification.OutcomeOK {
		return broker.Permanent(&unknownNotification{o.msg.Notification.ID})
	}
	if n := answer.Current; answer.Found && n.Status == notification.Pending && n.AttemptCount < a.Number {
		return broker.Uncounted(&claimedElsewhere{n.ID}, claimWait(n.Claim, time.Now()))
	}
	return nil
}

// audit is the one line about an attempt, beside those of LOG actions.
func (d *Dispatcher) audit(o *order, decided decision) {
	a := decided.attempt
	entry := d.auditLog.Check(zap.InfoLevel, "delivery attempt")
	if entry == nil {
		return
	}
	entry.Write(zap.String(telemetry.FieldNotification, o.msg.Notification.ID),
		zap.String(telemetry.FieldEvent, o.msg.Notification.EventID), zap.String(telemetry.FieldRule, o.msg.Notification.RuleID),
		zap.String("action", o.msg.Notification.Action.Type), zap.String("target", o.call.target), zap.String("queue", o.queue),
		zap.Int("attempt", a.Number), zap.String("outcome", string(a.Outcome)), zap.String("status", string(decided.status)),
		zap.Int("status_code", a.StatusCode), zap.String("error_class", a.ErrorClass), zap.String("error", a.Error),
		zap.Int64("duration_ms", a.DurationMS), zap.Duration("next_in", decided.delay))
}
