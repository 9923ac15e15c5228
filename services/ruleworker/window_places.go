package ruleworker

import (
	"sync"
	"time"
)

const (
	// evaluationsTogether bounds what the timer asks of the database at a time for
	// rules that are not known to be slow, and as much again for those that are;
	// evaluationsEach what one rule may.
	evaluationsTogether = 8
	evaluationsEach     = 2
)

// places are those of evaluations. Rules that are known to be slow have their own,
// or a few of them would keep all others waiting until their queries are given up.
type places struct {
	quick, slow chan struct{}

	mu    sync.Mutex
	known map[string]bool // rules whose last evaluations took long
}

func newPlaces() *places {
	return &places{quick: make(chan struct{}, evaluationsTogether), slow: make(chan struct{}, evaluationsTogether), known: map[string]bool{}}
}

// place is one evaluation's.
type place struct {
	of   *places
	rule string

	mu    sync.Mutex
	in    chan struct{} // nil: it was given back
	moves *time.Timer
}

// take waits for a place. Whoever has one for long moves to the slow, as far as
// there is room, and so does its rule from then on.
func (p *places) take(ruleID string) *place {
	one := &place{of: p, rule: ruleID, in: p.quick}
	p.mu.Lock()
	if p.known[ruleID] {
		one.in = p.slow
	}
	p.mu.Unlock()
	one.in <- struct{}{}
	one.mu.Lock()
	defer one.mu.Unlock()
	one.moves = time.AfterFunc(roundPatience, one.move)
	return one
}

func (one *place) move() {
	one.of.know(one.rule, true)
	one.mu.Lock()
	defer one.mu.Unlock()
	if one.in != one.of.quick {
		return
	}
	select {
	case one.of.slow <- struct{}{}:
		<-one.in
		one.in = one.of.slow
	default:
	}
}

// give gives the place back, and says whether it was held for long.
func (one *place) give() (slow bool) {
	one.mu.Lock()
	defer one.mu.Unlock()
	slow = !one.moves.Stop()
	<-one.in
	one.in = nil
	return slow
}

func (p *places) know(ruleID string, slow bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if slow {
		p.known[ruleID] = true
	} else {
		delete(p.known, ruleID)
	}
}
