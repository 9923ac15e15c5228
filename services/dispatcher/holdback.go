package dispatcher

import (
	"context"
	"fmt"
	"time"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
)

const (
	// patience is how long a message may be expected to wait for its target when
	// the lane is under pressure. A target that needs longer would fill the
	// prefetch with its line, and nobody else's messages would arrive any more.
	// With a full prefetch and eight calls at a time that is one which takes more
	// than 120 ms a call; one that hangs is found after half a second.
	patience = 15 * time.Second
	// maxWait bounds waiting also without pressure: with the call and its record
	// it stays below the 30 minutes after which the broker takes a delivery back.
	maxWait = 5 * time.Minute
	// longestHold is the longest tier for a message that is held back: a target
	// that recovers must not stay without its messages for long.
	longestHold = time.Minute
	// holdBackFor is how long a message may be held back at no cost; the broker
	// package ends it after 24 h from the message's first failure.
	holdBackFor = 23 * time.Hour
)

// lookThrough holds back what waits too long: under pressure, the ends of the
// lines of targets that are too slow for their messages; always, what has waited
// for maxWait.
func (l *lane) lookThrough(ctx context.Context, now time.Time) {
	for _, line := range l.lines {
		limit := l.limit(line)
		for len(line.waiting) > 0 && now.Sub(line.waiting[0].arrivedAt) > maxWait {
			l.holdBackWaiting(ctx, line.pop(), line)
		}
		for l.waiting >= l.pressure && line.full(limit) && len(line.waiting) > 0 &&
			line.expected(len(line.waiting), limit, now) > patience {
			l.holdBackWaiting(ctx, line.popLast(), line)
		}
		l.tidy(line)
	}
}

func (l *lane) holdBackWaiting(ctx context.Context, o *order, from *line) {
	l.forget(o)
	l.holdBack(ctx, o, &targetTooSlow{from.target}, min(from.nextTurn(l.limit(from), time.Now()), longestHold))
}

// classed is an error with a class for records.
type classed interface {
	error
	Class() string
}

// holdBack sends a message to a tier at no cost, for about as long as it would
// have to wait here. One that has been held back for a day pays for it: that is
// an attempt that failed.
func (l *lane) holdBack(ctx context.Context, o *order, why classed, wait time.Duration) {
	l.heldBack.Inc()
	if !o.heldForADay() {
		o.delivery.Done(broker.Uncounted(why, max(time.Second, wait)))
		return
	}
	o.call.carryOut = func(context.Context, notification.Message) result {
		return result{outcome: notification.OutcomeRetry, class: why.Class(), err: why.Error()}
	}
	o.call.heldBack = true
	o.startedAt, o.line = time.Now(), nil // it takes nobody's place
	l.underWay[o.msg.Notification.ID] = o
	go l.carry(ctx, o)
}

func (o *order) heldForADay() bool {
	since := o.delivery.HeldSince
	return !since.IsZero() && time.Since(since) >= holdBackFor
}

// targetTooSlow: more messages come for a target than it takes.
type targetTooSlow struct{ target string }

func (e *targetTooSlow) Error() string {
	return fmt.Sprintf("%s answers too slowly for its messages; held back", e.target)
}

// Class names the error for dead letters.
func (*targetTooSlow) Class() string { return classHeldBack }
