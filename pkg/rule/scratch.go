package rule

import (
	"math/bits"

	"go.mongodb.org/mongo-driver/bson"
)

// scratch is what matching one event writes to. Marks are numbers of the event,
// so that most of it needs no clearing.
type scratch struct {
	set      *Set
	epoch    uint32
	slots    []slot
	filled   []int32  // the slots that the event fills
	seen     []uint32 // by node of the fields' tree
	listed   []uint32 // by a span's first entry: looked at already
	verdicts []verdict
	hits     []uint64 // a bit for each rank
	some     []uint64 // a bit for each word of hits that has one
	buf      [64]byte
	many     collector
	meter    meter
	spent    []spending // by rank
	slow     bool       // some rule of this event has spent
	over     []int32    // the ranks that spent all
}

type verdict struct {
	epoch uint32
	holds bool
	cost  int32
}

func newScratch(s *Set) *scratch {
	words := (len(s.rules) + 63) / 64
	m := &scratch{
		set:      s,
		slots:    make([]slot, len(s.fields.paths)),
		filled:   make([]int32, 0, len(s.fields.paths)),
		seen:     make([]uint32, len(s.fields.nodes)),
		listed:   make([]uint32, len(s.index.entries)+1),
		verdicts: make([]verdict, s.index.memos),
		hits:     make([]uint64, words),
		some:     make([]uint64, (words+63)/64),
		spent:    make([]spending, len(s.rules)),
	}
	m.many.m = m
	return m
}

// reset forgets the event, which may be freed.
func (m *scratch) reset() {
	for _, i := range m.filled {
		m.slots[i] = slot{}
	}
	m.filled = m.filled[:0]
	m.slow, m.over = false, m.over[:0]
}

// find marks the rules that match the event that was read.
func (m *scratch) find() {
	ix := &m.set.index
	m.scan(ix.always)
	for _, i := range m.filled {
		x := ix.slots[i]
		if x == nil {
			continue
		}
		s := &m.slots[i]
		if s.kind == slotMany {
			m.findMany(x, i)
			continue
		}
		m.scan(x.present)
		switch s.kind {
		case slotText:
			m.findText(x, i, s.text)
		case slotNumber:
			m.scan(x.numbers[s.f])
			for r := greater; r <= lessOrEqual; r++ {
				m.scan(x.numberOrder.passed(r, s.f))
			}
		default:
			m.findOther(x, i, s.v)
		}
	}
}

func (m *scratch) findText(x *slotIndex, slot int32, text []byte) {
	if x.texts != nil {
		m.scan(x.texts[view(text)])
	}
	for r := greater; r <= lessOrEqual; r++ {
		m.scan(x.textOrder.passed(r, view(text)))
	}
	for _, n := range x.lengths {
		if n > len(text) {
			break
		}
		m.findRegexes(x, slot, x.beginning[view(text[:n])])
	}
	m.findRegexes(x, slot, x.anywhere)
}

func (m *scratch) findRegexes(x *slotIndex, slot int32, which []int32) {
	for _, i := range which {
		m.findRegex(slot, &x.regexes[i])
	}
}

// findOther looks up what is neither text nor a number with a double.
func (m *scratch) findOther(x *slotIndex, slot int32, v value) {
	m.findEqual(x, v)
	switch v.t {
	case bson.TypeDateTime:
		for r := greater; r <= lessOrEqual; r++ {
			m.scan(x.dateOrder.passed(r, v.int64()))
		}
	case bson.TypeRegex: // equal to the expression itself
		for i := range x.regexes {
			m.findRegex(slot, &x.regexes[i])
		}
	case bson.TypeInt64, bson.TypeDecimal128:
		if isNaN(v) {
			return
		}
		for r := greater; r <= lessOrEqual; r++ {
			m.scan(passedExactly(&x.numberOrder, r, v))
		}
	}
}

func (m *scratch) findEqual(x *slotIndex, v value) {
	switch k := keyOf(v, m.buf[:0]); k.kind {
	case keyText:
		m.scanOnce(x.texts[view(k.text)])
	case keyNumber:
		m.scanOnce(x.numbers[k.num])
	case keyBytes:
		m.scanOnce(x.bytes[view(k.text)])
	}
}

// scan checks entries and marks the rules of those that match.
func (m *scratch) scan(s span) {
	entries := m.set.index.entries[s.from:s.to]
	for i := range entries {
		e := &entries[i]
		word, bit := e.rank>>6, uint64(1)<<(e.rank&63)
		if m.hits[word]&bit == 0 && m.allWithin(e) {
			m.hits[word] |= bit
			m.some[word>>6] |= 1 << (word & 63)
		}
	}
}

// scanOnce is scan for a list that an array may lead to several times.
func (m *scratch) scanOnce(s span) {
	if m.listed[s.from] != m.epoch && s.to > s.from {
		m.listed[s.from] = m.epoch
		m.scan(s)
	}
}

// take appends the marked rules in order and clears the marks.
func (m *scratch) take(dst []*Compiled) []*Compiled {
	t := &m.slots[slotType]
	delivery := t.kind == slotText && string(t.text) == DeliveryType
	for i, words := range m.some {
		m.some[i] = 0
		for ; words != 0; words &= words - 1 {
			w := i<<6 + bits.TrailingZeros64(words)
			hits := m.hits[w]
			m.hits[w] = 0
			for ; hits != 0; hits &= hits - 1 {
				rank := w<<6 + bits.TrailingZeros64(hits)
				if !delivery || m.set.delivery[rank] {
					dst = append(dst, &m.set.rules[rank])
				}
			}
		}
	}
	return dst
}
