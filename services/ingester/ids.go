package ingester

import (
	"hash/maphash"
	"sync"
)

// ids keeps this process from storing an event twice without asking the
// database: it knows the events that are under way here, exactly, and the ones
// stored lately, roughly. Both only save aborted transactions; the guard is the
// unique index. Safe for concurrent use.
type ids struct {
	mu       sync.Mutex
	underWay map[string]*item
	recent   recent
}

func newIDs(size int) *ids {
	return &ids{underWay: map[string]*item{}, recent: newRecent(size)}
}

// begin registers the event as under way, and notes on it whether it may have
// been stored lately. False: another message's event with the same id is under
// way, and this one waits for what becomes of that one.
func (k *ids) begin(it *item) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if first := k.underWay[it.doc.EventID]; first != nil {
		first.waiting = append(first.waiting, it)
		return false
	}
	k.underWay[it.doc.EventID] = it
	it.maybeKnown = it.maybeKnown || k.recent.has(it.doc.EventID)
	return true
}

// stored ends events that are in the ledger now and returns those that waited
// for them: they are duplicates.
func (k *ids) stored(items []*item) (duplicates []*item) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, it := range items {
		delete(k.underWay, it.doc.EventID)
		k.recent.add(it.doc.EventID)
		duplicates = append(duplicates, it.waiting...)
		it.waiting = nil
	}
	return duplicates
}

// refused ends an event that will never be stored. The first that waited for it
// takes its place, since the same id does not mean the same content; nil when
// none did.
func (k *ids) refused(it *item) (next *item) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(it.waiting) == 0 {
		delete(k.underWay, it.doc.EventID)
		return nil
	}
	next = it.waiting[0]
	next.waiting, it.waiting = append(next.waiting, it.waiting[1:]...), nil
	k.underWay[it.doc.EventID] = next
	return next
}

// returned ends an event that is not stored now, and returns those that waited.
func (k *ids) returned(it *item) (waiting []*item) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.underWay, it.doc.EventID)
	waiting, it.waiting = it.waiting, nil
	return waiting
}

// recent remembers the last ids as 64-bit hashes, without pointers, so that
// hundreds of thousands cost neither much memory nor the garbage collector's
// time. A false positive costs a look-up, nothing else.
type recent struct {
	seed maphash.Seed
	set  map[uint64]struct{}
	ring []uint64
	next int
	full bool
}

func newRecent(size int) recent {
	return recent{seed: maphash.MakeSeed(), set: make(map[uint64]struct{}), ring: make([]uint64, size)}
}

func (r *recent) has(id string) bool {
	_, ok := r.set[maphash.String(r.seed, id)]
	return ok
}

func (r *recent) add(id string) {
	if len(r.ring) == 0 {
		return
	}
	h := maphash.String(r.seed, id)
	if _, ok := r.set[h]; ok {
		return
	}
	if r.full {
		delete(r.set, r.ring[r.next])
	}
	r.ring[r.next] = h
	r.set[h] = struct{}{}
	if r.next++; r.next == len(r.ring) {
		r.next, r.full = 0, true
	}
}
