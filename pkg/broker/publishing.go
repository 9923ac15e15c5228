package broker

import (
	"bytes"
	"fmt"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"go.uber.org/zap"
)

const (
	// strikesOut: a message that was alone in flight so often when the broker
	// closed the channel is the reason for it.
	strikesOut = 2
	// Waiting after a nack, which says that a queue cannot take the message now.
	nackPauseFirst = 50 * time.Millisecond
	nackPauseMax   = 5 * time.Second
	// lateConfirm is longer than a confirm takes under load.
	lateConfirm = 100 * time.Millisecond
)

// serve publishes on one session until it is done, with a new channel when the
// broker closes the channel alone.
func (p *Publisher) serve(s *session) {
	for failures := 0; !s.ended(); failures++ {
		if failures > 0 {
			t := time.NewTimer(min(time.Duration(failures)*10*time.Millisecond, time.Second))
			select {
			case <-t.C:
			case <-s.done:
			}
			t.Stop()
		}
		pipe, err := openPipe(p, s)
		if err != nil {
			if !s.ended() {
				p.c.log.Warn("publishing channel cannot be opened", zap.Error(err))
			}
			continue
		}
		opened := time.Now()
		cause := pipe.send(s)
		p.judge(cause, pipe.finish())
		if time.Since(opened) > time.Second {
			failures = 0
		}
	}
}

// judge decides how what a closed channel left unconfirmed is sent again. When
// the broker closed it because of a message (its exchange does not exist, it is
// too large, …), the messages go one at a time until the culprit is found:
// otherwise it would take its neighbours with it for ever.
func (p *Publisher) judge(cause *amqp.Error, lost []*outgoing) {
	accused := cause != nil && cause.Server && cause.Code != amqp.ConnectionForced
	if accused && len(lost) > 0 {
		p.careful = len(lost)
	}
	if accused && len(lost) == 1 {
		culprit := lost[0]
		if culprit.strikes++; culprit.strikes >= strikesOut {
			p.metrics.returned.Inc()
			p.end(culprit, culprit.refused(cause))
			lost = nil
		}
	}
	p.metrics.resent.Add(float64(len(lost)))
	p.again = append(lost, p.again...)
}

func (o *outgoing) refused(cause *amqp.Error) error {
	switch cause.Code {
	case amqp.NotFound, amqp.AccessRefused:
		return &UnroutableError{Exchange: o.exchange, RoutingKey: o.routingKey, Reason: cause.Reason}
	default:
		return &RefusedError{Exchange: o.exchange, RoutingKey: o.routingKey, Reason: cause.Reason}
	}
}

// pipe is one channel in confirm mode. What was sent on it goes, in the order
// of sending, to collect, which waits for the confirms.
type pipe struct {
	p        *Publisher
	ch       *amqp.Channel
	closes   <-chan *amqp.Error
	returns  <-chan amqp.Return
	inflight chan *outgoing
	nacked   chan *outgoing
	lost     chan []*outgoing
}

func openPipe(p *Publisher, s *session) (*pipe, error) {
	ch, err := s.conn.Channel()
	if err != nil {
		return nil, fmt.Errorf("open channel: %w", err)
	}
	window := cap(p.slots)
	pipe := &pipe{
		p: p, ch: ch,
		closes: ch.NotifyClose(make(chan *amqp.Error, 1)),
		// A return comes before its message's confirm, and collect empties returns
		// with each confirm: more than a window of them cannot wait here, so the
		// client never waits for room.
		returns:  ch.NotifyReturn(make(chan amqp.Return, window)),
		inflight: make(chan *outgoing, window),
		nacked:   make(chan *outgoing, window),
		lost:     make(chan []*outgoing, 1),
	}
	if err := ch.Confirm(false); err != nil {
		_ = ch.Close()
		return nil, fmt.Errorf("confirm mode: %w", err)
	}
	go pipe.collect()
	return pipe, nil
}

// send sends until the channel is closed, and returns why it was.
func (pipe *pipe) send(s *session) (cause *amqp.Error) {
	p := pipe.p
	for {
		o, cause, open := pipe.next()
		if !open {
			return cause
		}
		if o.call.abandoned.Load() {
			p.end(o, nil)
			continue
		}
		if gate := s.gate(); gate != nil {
			select {
			case <-gate:
			case cause := <-pipe.closes:
				p.again = append([]*outgoing{o}, p.again...)
				return cause
			}
		}
		o.sentAt = time.Now()
		confirm, err := pipe.ch.PublishWithDeferredConfirm(o.exchange, o.routingKey, o.mandatory, false, o.publishing)
		if err != nil {
			p.again = append([]*outgoing{o}, p.again...)
			_ = pipe.ch.Close() // at the latest now
			return <-pipe.closes
		}
		o.confirm = confirm
		pipe.inflight <- o
		if p.careful > 0 {
			p.careful--
			<-confirm.Done() // also when the channel closes
		}
	}
}

// next waits for the message to send next; open is false when the channel is
// closed.
func (pipe *pipe) next() (o *outgoing, cause *amqp.Error, open bool) {
	p := pipe.p
	for {
		if len(p.again) > 0 {
			o, p.again = p.again[0], p.again[1:]
			return o, nil, true
		}
		var due <-chan time.Time
		if i := p.earliest(); i >= 0 {
			wait := time.Until(p.delayed[i].notBefore)
			if wait <= 0 {
				o = p.delayed[i]
				p.delayed = append(p.delayed[:i], p.delayed[i+1:]...)
				return o, nil, true
			}
			due = time.After(wait)
		}
		select {
		case o := <-p.queue:
			return o, nil, true
		case o := <-pipe.nacked:
			p.delayed = append(p.delayed, o)
		case <-due:
		case cause := <-pipe.closes:
			return nil, cause, false
		}
	}
}

// earliest is the index of the delayed message that is due first, or -1.
func (p *Publisher) earliest() int {
	first := -1
	for i, o := range p.delayed {
		if first < 0 || o.notBefore.Before(p.delayed[first].notBefore) {
			first = i
		}
	}
	return first
}

// finish ends collect and returns what the channel left unconfirmed, in order.
func (pipe *pipe) finish() []*outgoing {
	close(pipe.inflight)
	lost := <-pipe.lost
	for {
		select {
		case o := <-pipe.nacked:
			pipe.p.delayed = append(pipe.p.delayed, o)
		default:
			return lost
		}
	}
}

// collect waits for the confirms, which mostly come in the order of sending. One
// that does not come, because its queue has no quorum, must not keep the others
// from their callers, so then it looks past it.
func (pipe *pipe) collect() {
	var pending, lost []*outgoing
	var returned []amqp.Return
	conclude := func(o *outgoing) {
		returned = pipe.takeReturns(returned)
		if unconfirmed := pipe.conclude(o, &returned); unconfirmed {
			lost = append(lost, o)
		}
	}
	late := time.NewTimer(time.Hour)
	defer late.Stop()
	for {
		if len(pending) == 0 {
			o, ok := <-pipe.inflight
			if !ok {
				break
			}
			pending = append(pending, o)
		}
		if !pending[0].settled() {
			late.Reset(lateConfirm)
			select {
			case <-pending[0].confirm.Done(): // when the channel closes, too
			case <-late.C:
				pending = concludeSettled(pipe.takeInflight(pending), conclude)
				continue
			}
		}
		conclude(pending[0])
		pending = pending[1:]
	}
	pipe.lost <- lost
}

// concludeSettled leaves those that wait on.
func concludeSettled(pending []*outgoing, conclude func(*outgoing)) (left []*outgoing) {
	for _, o := range pending {
		if o.settled() {
			conclude(o)
		} else {
			left = append(left, o)
		}
	}
	return left
}

// takeInflight adds what was sent meanwhile.
func (pipe *pipe) takeInflight(pending []*outgoing) []*outgoing {
	for {
		select {
		case o, ok := <-pipe.inflight:
			if !ok {
				return pending
			}
			pending = append(pending, o)
		default:
			return pending
		}
	}
}

// settled says whether the confirm or nack is here, or the channel closed.
func (o *outgoing) settled() bool {
	select {
	case <-o.confirm.Done():
		return true
	default:
		return false
	}
}

// conclude ends a message that is settled, or has it sent again after a nack;
// unconfirmed is true when the channel closed first.
func (pipe *pipe) conclude(o *outgoing, returned *[]amqp.Return) (unconfirmed bool) {
	p := pipe.p
	switch {
	case o.confirm.Acked():
		p.metrics.confirm.Observe(time.Since(o.sentAt).Seconds())
		if i := o.find(*returned); i >= 0 {
			reason := (*returned)[i].ReplyText
			*returned = append((*returned)[:i], (*returned)[i+1:]...)
			p.metrics.returned.Inc()
			p.end(o, &UnroutableError{Exchange: o.exchange, RoutingKey: o.routingKey, Reason: reason})
			return false
		}
		p.metrics.confirmed.Inc()
		p.end(o, nil)
	case pipe.ch.IsClosed():
		return true
	default:
		p.metrics.nacked.Inc()
		o.notBefore = time.Now().Add(min(nackPauseFirst<<min(o.refusals, 10), nackPauseMax))
		o.refusals++
		pipe.nacked <- o
	}
	return false
}

func (pipe *pipe) takeReturns(returned []amqp.Return) []amqp.Return {
	for {
		select {
		case r, ok := <-pipe.returns:
			if !ok {
				pipe.returns = nil
				return returned
			}
			returned = append(returned, r)
		default:
			return returned
		}
	}
}

// find looks for o's return. A return does not say which message it is about;
// equal messages are as good as one another.
func (o *outgoing) find(returned []amqp.Return) int {
	if !o.mandatory {
		return -1
	}
	for i := range returned {
		r := &returned[i]
		if r.Exchange == o.exchange && r.RoutingKey == o.routingKey &&
			r.MessageId == o.publishing.MessageId && r.CorrelationId == o.publishing.CorrelationId &&
			bytes.Equal(r.Body, o.publishing.Body) {
			return i
		}
	}
	return -1
}
