package window

import (
	"crypto/sha256"
	"encoding/binary"
	"sync"
)

// Terms remembers when values were seen last, so that a value which comes again
// and again is not looked up each time. What it forgets costs a query, nothing
// else. The zero Terms knows nothing; it is safe for concurrent use.
type Terms struct {
	mu          sync.Mutex
	recent, old map[hashedTerm]int64
}

// hashedTerm is of the rule's version, the key and the value: values may be long.
// Two that were one by chance would be one alert lost, so it is 128 bits.
type hashedTerm [16]byte

// termsEach bounds each of the two generations: with both full, about 8 MB.
const termsEach = 100_000

// RuleTerms are the terms of a version of a rule.
type RuleTerms struct {
	all  *Terms
	name string
}

// Of are a rule's.
func (t *Terms) Of(ruleID string, version int) *RuleTerms {
	return &RuleTerms{t, string(binary.LittleEndian.AppendUint64(append([]byte(ruleID), 0), uint64(version)))}
}

func (r *RuleTerms) hash(t term) hashedTerm {
	b := make([]byte, 0, 256)
	b = append(b, r.name...)
	b = binary.LittleEndian.AppendUint64(b, uint64(len(t.key)))
	b = append(append(b, t.key...), t.value...)
	sum := sha256.Sum256(b)
	return hashedTerm(sum[:16])
}

// within says whether a value is known to have been seen from a time on and
// before another.
func (r *RuleTerms) within(t term, from, before int64) bool {
	if r == nil {
		return false
	}
	h := r.hash(t)
	r.all.mu.Lock()
	defer r.all.mu.Unlock()
	at, there := r.all.recent[h]
	if !there {
		at, there = r.all.old[h]
	}
	return there && from <= at && at < before
}

// saw notes that a stored event has a value.
func (r *RuleTerms) saw(t term, at int64) {
	if r == nil {
		return
	}
	h := r.hash(t)
	r.all.mu.Lock()
	defer r.all.mu.Unlock()
	before, there := r.all.recent[h]
	if !there {
		if len(r.all.recent) >= termsEach {
			r.all.old, r.all.recent = r.all.recent, nil
		}
		if r.all.recent == nil {
			r.all.recent = map[hashedTerm]int64{}
		}
		if before, there = r.all.old[h]; !there {
			before = at
		}
	}
	r.all.recent[h] = max(before, at)
}
