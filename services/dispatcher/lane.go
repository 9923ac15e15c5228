package dispatcher

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
)

const (
	// PrefetchDefault of an action queue: room for what is being recorded while
	// calls go on (a bulk of 200 takes some tens of milliseconds), and for the
	// lines of slow targets without the others running dry.
	PrefetchDefault = 1000
	// lookEvery is how often lines are looked through for what waits too long.
	lookEvery = 50 * time.Millisecond
)

// Loop works on a queue (name without prefix): each message is read, gets a
// place in its target's line, is called when queue and target have room, and is
// recorded beside the calls that follow. It makes concurrency calls at a time.
func (d *Dispatcher) Loop(queue string, concurrency int) broker.Loop {
	return func(ctx context.Context, in <-chan *broker.Delivery) error {
		return newLane(d, queue, concurrency).run(ctx, in)
	}
}

// lane is the work on one queue. All of it but the deliveries themselves runs
// in one goroutine, so nothing here is locked.
type lane struct {
	d        *Dispatcher
	queue    string
	slots    int // calls of the queue at a time
	pressure int // waiting messages from which slow targets' are held back: half of the prefetch of the last delivery

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

func newLane(d *Dispatcher, queue string, concurrency int) *lane {
	slots := max(1, concurrency)
	return &lane{
		d: d, queue: queue, slots: slots,
		lines: map[string]*line{}, underWay: map[string]*order{},
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
	if l.d.breakers.open(line.target, time.Now()) {
		l.holdBack(ctx, o, &targetHeld{line.target}, l.d.o.BreakerWait)
		l.queueUp(line) // that it may be forgotten
		return
	}
	l.pressure = delivery.Prefetch() / 2
	if l.waiting >= l.pressure && line.full(l.limit(line)) &&
		line.expected(len(line.waiting)+1, l.limit(line), time.Now()) > patience {
		l.holdBack(ctx, o, &targetTooSlow{line.target}, min(line.nextTurn(l.limit(line), time.Now()), longestHold))
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
		if perSecond := l.d.rate(); !l.d.rates.allow(line.target, perSecond, time.Now()) {
			line.paced, line.apart = true, time.Duration(float64(time.Second)/perSecond)
			continue // looked at again when its next call is due
		}
		line.paced = false
		o := line.pop()
		l.waiting--
		l.waitingGauge.Dec()
		if o.delivery.Stale() {
			l.discard(o)
			l.queueUp(line)
			continue
		}
		if l.d.breakers.open(line.target, time.Now()) { // since it came
			delete(l.underWay, o.msg.Notification.ID)
			l.holdBack(ctx, o, &targetHeld{line.target}, l.d.o.BreakerWait)
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
	return shareOf(l.slots, l.d.perTarget(l.queue))
}

func (l *lane) lineOf(target string) *line {
	if found, ok := l.lines[target]; ok {
		return found
	}
	made := &line{target: target}
	l.lines[target] = made
	return made
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
