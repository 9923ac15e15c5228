package dispatcher

import (
	"slices"
	"time"
)

// line is what waits for, and what calls, one target: a URL's host, a channel.
type line struct {
	target  string
	waiting []*order // oldest first
	calling int
	under   []*order // being called, oldest first
	pace    time.Duration
	inTurn  bool
	heldTo  time.Time     // when the last message that was held back should return
	paced   bool          // its rate, and not its calls under way, kept the last call from beginning
	apart   time.Duration // how far apart its rate keeps its calls; 0: there is no limit
}

func (t *line) push(o *order) {
	o.arrivedAt, o.line, o.waitingIn = time.Now(), t, t
	t.waiting = append(t.waiting, o)
}

func (t *line) pop() *order {
	o := t.waiting[0]
	t.waiting[0] = nil
	t.waiting = t.waiting[1:]
	o.waitingIn = nil
	return o
}

func (t *line) popLast() *order {
	last := len(t.waiting) - 1
	o := t.waiting[last]
	t.waiting[last] = nil
	t.waiting = t.waiting[:last]
	o.waitingIn = nil
	return o
}

func (t *line) remove(o *order) {
	if i := slices.Index(t.waiting, o); i >= 0 {
		t.waiting = slices.Delete(t.waiting, i, i+1)
	}
}

func (t *line) begin(o *order) {
	t.calling++
	t.under = append(t.under, o)
}

// end takes a finished call's time into the pace.
func (t *line) end(o *order, took time.Duration) {
	if i := slices.Index(t.under, o); i >= 0 {
		t.under = slices.Delete(t.under, i, i+1)
		t.calling--
	}
	// A quarter of each new time: some calls decide, and not one.
	if t.pace == 0 {
		t.pace = took
	} else {
		t.pace += (took - t.pace) / 4
	}
}

// expected is how long the n-th of the line has to wait for its call, by the
// time that calls took lately, or have taken already: of a target that hangs
// nothing comes back that could be measured.
func (t *line) expected(n, atATime int, now time.Time) time.Duration {
	pace := t.pace
	if len(t.under) > 0 {
		pace = max(pace, now.Sub(t.under[0].startedAt))
	}
	return max(pace*time.Duration(n)/time.Duration(atATime), t.apart*time.Duration(n))
}

// full says that no further call may begin: there is no room, or no rate.
func (t *line) full(atATime int) bool { return t.calling >= atATime || t.paced }

// nextTurn is when a message that is held back should return: after the line,
// and after those that were held back before it, each at the target's pace. So
// they come back as the target can take them, and not all at once.
func (t *line) nextTurn(atATime int, now time.Time) time.Duration {
	after := now.Add(t.expected(len(t.waiting), atATime, now))
	if t.heldTo.After(after) {
		after = t.heldTo
	}
	t.heldTo = after.Add(t.expected(1, atATime, now))
	if bound := now.Add(longestHold); t.heldTo.After(bound) {
		t.heldTo = bound
	}
	return t.heldTo.Sub(now)
}
