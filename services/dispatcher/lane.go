package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
)

const (
	// PrefetchDefault of an action queue: room for what is being recorded while
	// calls go on (a bulk of 200 takes some tens of milliseconds), and for the
	// lines of slow targets without the others running dry.
	PrefetchDefault = 1000
	// lookEvery is how often lines are looked through for what waits too long.
	lookEvery = 50 * time.Millisecond
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

// LaneOptions of one queue.
type LaneOptions struct {
	Concurrency int // calls at a time
	Prefetch    int // of its consumer; PrefetchDefault
}

// Loop works on a queue (name without prefix): each message is read, gets a
// place in its target's line, is called when queue and target have room, and is
// recorded beside the calls that follow.
func (d *Dispatcher) Loop(queue string, o LaneOptions) broker.Loop {
	return func(ctx context.Context, in <-chan *broker.Delivery) error {
		return newLane(d, queue, o).run(ctx, in)
	}
}

// lane is the work on one queue. All of it but the deliveries themselves runs
// in one goroutine, so nothing here is locked.
type lane struct {
	d        *Dispatcher
	queue    string
	tiers    []time.Duration
	slots    int // calls of the queue at a time
	share    int // calls of one target at a time
	pressure int // waiting messages from which slow targets' are held back

	lines    map[string]*line
	turn     []*line // those with a message to call and room for it, in turn
	underWay map[string]*order
	calling  int
	waiting  int

	called   chan calledOrder
	finished chan *order

	callingGauge, waitingGauge prometheus.Gauge
	heldBack                   prometheus.Counter
}

type calledOrder struct {
	o    *order
	took time.Duration
}

func newLane(d *Dispatcher, queue string, o LaneOptions) *lane {
	if o.Prefetch <= 0 {
		o.Prefetch = PrefetchDefault
	}
	slots := max(1, o.Concurrency)
	return &lane{
		d: d, queue: queue, tiers: d.topology.Work(queue).Tiers, slots: slots,
		share:    shareOf(slots, d.o.TargetConcurrency),
		pressure: o.Prefetch / 2,
		lines:    map[string]*line{}, underWay: map[string]*order{},
		called: make(chan calledOrder, slots), finished: make(chan *order, slots),
		callingGauge: d.metrics.calling.WithLabelValues(queue),
		waitingGauge: d.metrics.waiting.WithLabelValues(queue),
		heldBack:     d.metrics.heldBack.WithLabelValues(queue),
	}
}

// shareOf is how many calls one target may have at a time: what is configured,
// but never a queue's last quarter, so that a target that hangs leaves room for
// the others whatever the configuration.
func shareOf(slots, perTarget int) int {
	return max(1, min(perTarget, slots-(slots+3)/4))
}

func (l *lane) run(ctx context.Context, in <-chan *broker.Delivery) error {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		select {
		case delivery, open := <-in:
			if !open {
				return l.drain()
			}
			l.arrive(ctx, delivery)
		case c := <-l.called:
			l.release(c)
		case o := <-l.finished:
			delete(l.underWay, o.msg.Notification.ID)
		case now := <-look.C:
			l.lookThrough(ctx, now)
		}
		l.start(ctx)
	}
}

// drain gives back what waits and sees what is called through to its end; the
// deliveries' context ends that when the stop's bound has passed.
func (l *lane) drain() error {
	for _, line := range l.lines {
		for _, o := range line.waiting {
			l.forget(o)
			o.delivery.Done(broker.Interrupted(errStopping))
		}
		line.waiting = nil
	}
	l.turn = nil
	for len(l.underWay) > 0 {
		select {
		case c := <-l.called:
			l.release(c)
		case o := <-l.finished:
			delete(l.underWay, o.msg.Notification.ID)
		}
	}
	return nil
}

var (
	errStopping = errors.New("the dispatcher is stopping")
	errLost     = errors.New("the session was lost")
)

// arrive reads a delivery and puts it in its target's line.
func (l *lane) arrive(ctx context.Context, delivery *broker.Delivery) {
	o, err := l.d.open(l.queue, delivery)
	if err != nil {
		delivery.Done(err)
		return
	}
	id := o.msg.Notification.ID
	if other, busy := l.underWay[id]; busy {
		if other.waitingIn == nil || !other.delivery.Stale() {
			// The same notification is in our own hands: what comes of it will be in
			// the record when this message comes back.
			delivery.Done(broker.Uncounted(&claimedElsewhere{id}, time.Second))
			return
		}
		l.drop(other)
	}
	line := l.lineOf(o.call.target)
	if l.waiting >= l.pressure && line.calling >= l.limit(line) &&
		line.expected(len(line.waiting)+1, l.limit(line), time.Now()) > patience {
		l.holdBack(ctx, o, line)
		return
	}
	l.underWay[id] = o
	l.waiting++
	l.waitingGauge.Inc()
	line.push(o)
	l.queueUp(line)
}

// start makes the calls that queue and targets have room for, target by target.
// While MongoDB is away it makes none: a call whose result cannot be recorded
// is one that may be repeated.
func (l *lane) start(ctx context.Context) {
	for l.calling < l.slots && len(l.turn) > 0 && !l.d.recorder.Held() {
		line := l.turn[0]
		l.turn = l.turn[1:]
		line.inTurn = false
		o := line.pop()
		l.waiting--
		l.waitingGauge.Dec()
		if o.delivery.Stale() {
			l.discard(o)
			l.queueUp(line)
			continue
		}
		o.startedAt = time.Now()
		line.begin(o)
		l.calling++
		l.callingGauge.Inc()
		l.queueUp(line)
		go l.carry(ctx, o)
	}
}

// carry sees one order through.
func (l *lane) carry(ctx context.Context, o *order) {
	told := false
	called := func() {
		if !told {
			told = true
			l.called <- calledOrder{o, time.Since(o.startedAt)}
		}
	}
	var verdict error
	if failed := guarded(func() { verdict = l.d.deliver(ctx, o, called) }); failed != nil {
		l.d.panicked(o, failed)
		verdict = broker.Permanent(failed)
	}
	called()
	o.delivery.Done(verdict)
	l.finished <- o
}

// release gives a call's places back.
func (l *lane) release(c calledOrder) {
	line := c.o.line
	if line == nil {
		return
	}
	line.end(c.o, c.took)
	l.calling--
	l.callingGauge.Dec()
	l.queueUp(line)
}

// queueUp puts a line in turn when it has something to call and room for it,
// and forgets it when it has nothing at all.
func (l *lane) queueUp(line *line) {
	switch {
	case line.inTurn:
	case len(line.waiting) > 0 && line.calling < l.limit(line):
		line.inTurn = true
		l.turn = append(l.turn, line)
	case len(line.waiting) == 0 && line.calling == 0:
		delete(l.lines, line.target)
	}
}

// limit of a target's calls; actions that call nobody have the queue's.
func (l *lane) limit(line *line) int {
	if line.target == "" {
		return l.slots
	}
	return l.share
}

func (l *lane) lineOf(target string) *line {
	if found, ok := l.lines[target]; ok {
		return found
	}
	made := &line{target: target}
	l.lines[target] = made
	return made
}

// lookThrough holds back what waits too long: under pressure, the ends of the
// lines of targets that are too slow for their messages; always, what has waited
// for maxWait.
func (l *lane) lookThrough(ctx context.Context, now time.Time) {
	for _, line := range l.lines {
		limit := l.limit(line)
		for len(line.waiting) > 0 && now.Sub(line.waiting[0].arrivedAt) > maxWait {
			l.holdBackWaiting(ctx, line.pop(), line)
		}
		for l.waiting >= l.pressure && line.calling >= limit && len(line.waiting) > 0 &&
			line.expected(len(line.waiting), limit, now) > patience {
			l.holdBackWaiting(ctx, line.popLast(), line)
		}
		l.tidy(line)
	}
}

// tidy settles a line that may have lost what it had.
func (l *lane) tidy(line *line) {
	if line.inTurn && len(line.waiting) == 0 {
		l.leaveTurn(line)
	}
	l.queueUp(line)
}

func (l *lane) leaveTurn(line *line) {
	for i, other := range l.turn {
		if other == line {
			l.turn = append(l.turn[:i:i], l.turn[i+1:]...)
			break
		}
	}
	line.inTurn = false
}

func (l *lane) holdBackWaiting(ctx context.Context, o *order, from *line) {
	l.forget(o)
	l.holdBack(ctx, o, from)
}

// holdBack sends a message to a tier at no cost, for about as long as it would
// have to wait here. One that has been held back for a day pays for it: that is
// an attempt that failed.
func (l *lane) holdBack(ctx context.Context, o *order, from *line) {
	l.heldBack.Inc()
	wait := from.nextTurn(l.limit(from), time.Now())
	tooSlow := &targetTooSlow{o.call.target}
	if since := o.delivery.FirstFailedAt; since.IsZero() || time.Since(since) < holdBackFor {
		o.delivery.Done(broker.Uncounted(tooSlow, max(time.Second, min(wait, longestHold))))
		return
	}
	o.call.carryOut = func(context.Context, notification.Message) result {
		return result{outcome: notification.OutcomeRetry, class: tooSlow.Class(), err: tooSlow.Error()}
	}
	o.startedAt, o.line = time.Now(), nil // it takes nobody's place
	l.underWay[o.msg.Notification.ID] = o
	go l.carry(ctx, o)
}

// forget takes a waiting order, which its line has let go, out of the account.
func (l *lane) forget(o *order) {
	delete(l.underWay, o.msg.Notification.ID)
	o.waitingIn = nil
	l.waiting--
	l.waitingGauge.Dec()
}

// discard ends an order whose session was lost: the broker gives its message
// out again.
func (l *lane) discard(o *order) {
	delete(l.underWay, o.msg.Notification.ID)
	o.delivery.Done(broker.Interrupted(errLost))
}

// drop is discard for an order that waits.
func (l *lane) drop(o *order) {
	line := o.waitingIn
	line.remove(o)
	l.forget(o)
	o.delivery.Done(broker.Interrupted(errLost))
	l.tidy(line)
}

// targetTooSlow: more messages come for a target than it takes.
type targetTooSlow struct{ target string }

func (e *targetTooSlow) Error() string {
	return fmt.Sprintf("%s answers too slowly for its messages; held back", e.target)
}

// Class names the error for dead letters.
func (*targetTooSlow) Class() string { return classHeldBack }
