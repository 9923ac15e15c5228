package ruleworker

import (
	"context"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
)

// Queues says how many messages of a queue are ready, and how many consumers
// take them.
type Queues interface {
	Depth(ctx context.Context, queue string) (messages, consumers int, err error)
}

// IngestReport is what an ingester says about what it holds.
type IngestReport struct {
	Ingester string
	Beat     int64         // of it; clocks of two machines are never compared
	Behind   time.Duration // since it took the oldest message that it has not stored
}

// Storing says what the ingesters have stored last, and what they hold.
type Storing interface {
	IngestReports(ctx context.Context) ([]IngestReport, error)
	// NewestBegin is when the first events of the newest batches happened.
	NewestBegin(ctx context.Context, limit int) ([]time.Time, error)
}

// ingest knows until when what happened is stored. What a rule says about a
// window that should be complete is wrong while its events wait before the
// ingester: after an outage every heartbeat would look silent.
//
// The queue is first in, first out. What was published before a moment at which
// nothing much was ready is stored soon after it, whatever comes since; when the
// queue stays like that, it is as good as stored at once. A queue that is never
// short moves on all the same: what the ingesters store now says how far they
// are, and windows that ended before that are complete.
type ingest struct {
	queues  Queues
	stored  Storing
	queue   broker.WorkQueue
	log     *zap.Logger
	metrics *metrics

	until time.Time // what was published before is stored
	calm  time.Time // since when nothing much is ready; zero: something is
	seen  time.Time // when nothing much was ready, and what was taken is not surely stored
	begun time.Time // the first question
	said  time.Time // when it was said that windows wait; zero: they do not

	reports map[string]report // of ingesters

	retrying int // messages in the queue's retry tiers,
	retried  time.Time
}

const (
	// readyMost is one batch of an ingester that keeps up.
	readyMost = 500
	// onItsWay is how long it takes to store what an ingester has taken, also when
	// the database was away: it tries again every second.
	onItsWay = 5 * time.Second
	// staleAfter: an ingester that is silent for so long holds what it held.
	staleAfter = 3 * time.Second
	// deadAfter: by then the broker has given it to others.
	deadAfter = time.Minute
	// newestBatches say how far the ingesters are: seconds' worth.
	newestBatches = 50
	// retriedEvery is how often the retry tiers are looked at.
	retriedEvery = time.Second
	// depthTimeout bounds a question; no answer is as good as a bad one.
	depthTimeout = 2 * time.Second
)

// storedUntil asks, and says until when what happened is stored; that is now
// when ingest keeps up.
func (i *ingest) storedUntil(ctx context.Context, now time.Time) time.Time {
	bound, cancel := context.WithTimeout(ctx, depthTimeout)
	defer cancel()
	ready, consumers, err := i.depth(bound, now)
	var held time.Duration
	if err == nil {
		held, err = i.held(bound, now)
	}
	var newest []time.Time
	if err == nil && (ready > readyMost || held > onItsWay) && consumers > 0 {
		newest, err = i.stored.NewestBegin(bound, newestBatches)
	}
	if ctx.Err() == nil {
		i.answered(now, ready, consumers, held, newest, err)
	}
	return i.until
}

// report is what an ingester said last, and when that was new.
type report struct {
	said IngestReport
	at   time.Time
}

// held is for how long the ingesters have held the oldest message that they have
// not stored: the broker does not count what they have taken. One that is paused
// or has died holds what it held, until the broker must have given that to others.
func (i *ingest) held(ctx context.Context, now time.Time) (held time.Duration, err error) {
	said, err := i.stored.IngestReports(ctx)
	if err != nil {
		return 0, err
	}
	return i.heldBy(said, now), nil
}

func (i *ingest) heldBy(said []IngestReport, now time.Time) (held time.Duration) {
	known := make(map[string]report, len(said))
	for _, s := range said {
		r, there := i.reports[s.Ingester]
		if !there || r.said.Beat != s.Beat {
			r = report{s, now}
		}
		known[s.Ingester] = r
		switch silent := now.Sub(r.at); {
		case silent > deadAfter:
		case silent > staleAfter:
			held = max(held, s.Behind+silent)
		default:
			held = max(held, s.Behind)
		}
	}
	i.reports = known
	return held
}

// depth counts those as well that wait to be tried again, which is looked at now
// and then: they wait for a second at least.
func (i *ingest) depth(ctx context.Context, now time.Time) (ready, consumers int, err error) {
	ready, consumers, err = i.queues.Depth(ctx, i.queue.Name)
	if err != nil || now.Sub(i.retried) < retriedEvery {
		return ready + i.retrying, consumers, err
	}
	retrying := 0
	for _, delay := range i.queue.Tiers {
		waiting, _, err := i.queues.Depth(ctx, i.queue.Tier(delay))
		if err != nil {
			return 0, 0, err
		}
		retrying += waiting
	}
	i.retrying, i.retried = retrying, now
	return ready + retrying, consumers, nil
}

// answered notes an answer; held is for how long ingesters have held something,
// newest is when the first events of the newest batches happened.
func (i *ingest) answered(at time.Time, ready, consumers int, held time.Duration, newest []time.Time, err error) {
	if i.begun.IsZero() {
		i.begun = at
	}
	switch {
	case err != nil, ready > 0 && consumers == 0:
		i.forget() // what a consumer had taken is ready again, or nobody knows
	case held > onItsWay: // what they took long ago is not stored
		i.forget()
		i.moveOn(at.Add(-held), newest)
	case ready > readyMost:
		i.calm = time.Time{}
		i.moveOn(at, newest)
	case consumers == 0: // nobody has taken anything either
		i.until, i.calm, i.seen = at, at, time.Time{}
	default:
		if i.calm.IsZero() {
			i.calm = at
		}
		if i.seen.IsZero() {
			i.seen = at
		}
		if at.Sub(i.calm) >= onItsWay {
			i.until, i.seen = at, time.Time{}
		}
	}
	if !i.seen.IsZero() && at.Sub(i.seen) >= onItsWay {
		i.until, i.seen = i.seen, time.Time{}
	}
	i.tell(at, ready, consumers, err)
}

// moveOn takes what ingesters store now for how far they are. Half of the batches
// must begin after a time before it is over: a few old events, or a producer whose
// clock is fast, say nothing. Where most are old, as while a history is imported,
// nothing moves on; nor beyond latest, when what is held was taken.
func (i *ingest) moveOn(latest time.Time, newest []time.Time) {
	if len(newest) == 0 {
		return
	}
	slices.SortFunc(newest, time.Time.Compare)
	reached := newest[(len(newest)-1)/2]
	if reached.After(latest) {
		reached = latest
	}
	if reached = reached.Add(-onItsWay); reached.After(i.until) {
		i.until = reached
	}
}

// databaseAway says that the database was away: what the ingesters have taken
// may not be stored.
func (i *ingest) databaseAway() { i.forget() }

func (i *ingest) forget() { i.calm, i.seen = time.Time{}, time.Time{} }

// tell says once that windows wait, and once that they do not any more.
func (i *ingest) tell(at time.Time, ready, consumers int, err error) {
	if i.until.Equal(at) {
		i.metrics.windowsWait.Set(0)
		if !i.said.IsZero() {
			i.log.Info("ingest has caught up, windows that settle are decided again", zap.Duration("waited", at.Sub(i.said)))
			i.said = time.Time{}
		}
		return
	}
	since := i.until
	if since.IsZero() {
		since = i.begun
	}
	i.metrics.windowsWait.Set(at.Sub(since).Seconds())
	if i.said.IsZero() && i.calm.IsZero() {
		i.said = at
		i.log.Warn("windows that settle wait until ingest has caught up: their events may not be stored yet",
			zap.Int("ready", ready), zap.Int("consumers", consumers), zap.Error(err))
	}
}
