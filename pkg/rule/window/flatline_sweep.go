package window

import (
	"context"
	"errors"
	"slices"
)

// Past is what a back-test of one part knows of the slots that it has behind it,
// so that the next piece of its range need not read them again. Only flatline
// looks back far enough to need it. The zero Past knows nothing.
type Past struct {
	next int64 // the slot after them
	keys map[string]seen
}

// seen is what matters of a key's slots.
type seen struct {
	last   int64 // the last one that had events
	few    int64 // how many up to now had some, but too few
	enough bool  // the one before these had enough; otherwise it had none
}

// ErrTooManyKeys: of a rule's keys more have to be remembered than may be.
var ErrTooManyKeys = errors.New("it watches more keys than one evaluation may remember; a narrower condition, or a group_by with fewer values, is needed")

// sweep decides all keys' slots one after the other. What it holds in memory are
// counts and the keys that are remembered, whatever the number of events; where
// even that is too much, it reads fewer slots at a time.
func (s silence) sweep(ctx context.Context, r *reader, ask Ask, tell tell) (Found, error) {
	past, limit := ask.Past, r.left
	if past == nil {
		past = &Past{}
	}
	r = &reader{source: r.source, left: -1}
	from, to := s.asked(ask)
	at := from
	if s.grouped {
		at = past.from(from, s.remembered/s.timeframe)
	}
	var found Found
	for length := to - at; at < to; {
		end := min(at+length, to)
		counts, err := s.countAll(ctx, r, at, end, limit)
		switch {
		case errors.Is(err, errFull) && end-at > 1:
			length = (end - at) / 2
			continue
		case errors.Is(err, errFull):
			return found, ErrTooManyKeys
		case err != nil:
			return found, err
		}
		for ; at < end; at++ {
			silent := s.pass(past, at, counts[at])
			if at >= from {
				for _, key := range silent {
					if !ask.known(tell, key, at) {
						found.Alerts = append(found.Alerts, tell(at, s.alert(key, at, counts[at][key])))
					}
				}
			}
			if len(past.keys) > limit {
				return found, ErrTooManyKeys
			}
		}
	}
	return found, nil
}

// from is the slot to go on from in order to know everything that is remembered
// when a slot begins.
func (p *Past) from(slot, remembered int64) int64 {
	if p.keys == nil || p.next > slot || p.next < slot-remembered {
		*p = Past{next: slot - remembered, keys: map[string]seen{}}
	}
	return p.next
}

// countAll counts each key's events in each slot; more than limit counts are
// errFull.
func (s silence) countAll(ctx context.Context, r *reader, from, to int64, limit int) (map[int64]map[string]int, error) {
	counts := map[int64]map[string]int{}
	held := 0
	var full error
	err := r.each(ctx, Query{From: from * s.timeframe, To: to * s.timeframe}, func(o Observation) bool {
		slot := floor(o.At, s.timeframe)
		of := counts[slot]
		if of == nil {
			of = map[string]int{}
			counts[slot] = of
		}
		if of[o.Key]++; of[o.Key] == 1 {
			held++
		}
		if held > limit {
			full = errFull
			return false
		}
		return true
	})
	if err == nil {
		err = full
	}
	return counts, err
}

// pass goes past a slot, and says which keys have an alert in it. It says what
// judge does, which reads it from the events.
func (s silence) pass(p *Past, slot int64, counts map[string]int) (silent []string) {
	if !s.grouped {
		if counts[""] < s.threshold {
			return []string{""}
		}
		return nil
	}
	for key, k := range p.keys {
		n := counts[key]
		if n < s.threshold && s.remembers(k, slot) {
			silent = append(silent, key)
		}
		if n == 0 && (s.forget || !s.remembers(k, slot+1)) {
			delete(p.keys, key)
		}
	}
	for key, n := range counts {
		k := p.keys[key]
		k.last = slot
		if n < s.threshold {
			k.few++
		} else {
			k.few, k.enough = 0, true
		}
		p.keys[key] = k
	}
	p.next = slot + 1
	slices.Sort(silent)
	return silent
}

// remembers says whether a key is watched in a slot; see watched.
func (s silence) remembers(k seen, slot int64) bool {
	slots := s.remembered / s.timeframe
	if !s.forget {
		return k.last >= slot-slots
	}
	if k.few >= slots { // what was before these is not remembered
		return slots%2 == 1
	}
	return k.enough != (k.few%2 == 1)
}
