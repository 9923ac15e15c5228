package rule

import (
	"cmp"
	"slices"
)

// layOut gives every list its run of entries, and each entry's clauses a place
// beside its neighbours', since they are read together.
func (b *builder) layOut() index {
	l := layout{}
	l.size(b)
	ix := index{memos: 0, always: l.list(b.always)}
	ix.slots = make([]*slotIndex, len(b.fields.paths))
	for i, s := range b.slots {
		if s != nil {
			ix.slots[i] = l.slot(b, int32(i), s)
		}
	}
	ix.entries, ix.memos = l.entries, len(b.memos)
	return ix
}

type layout struct {
	entries []entry
	clauses []clause
}

// size makes room at once, so that the clauses do not move while entries point
// at them.
func (l *layout) size(b *builder) {
	n := 0
	count := func(p *pending) {
		if !p.placed {
			p.placed = true
			n += len(p.clauses)
		}
	}
	b.each(count)
	l.clauses = make([]clause, 0, n)
	b.each(func(p *pending) { p.placed = false })
}

func (l *layout) list(ps []*pending) span {
	from := len(l.entries)
	for _, p := range ps {
		if !p.placed {
			p.placed = true
			at := len(l.clauses)
			l.clauses = append(l.clauses, p.clauses...)
			p.clauses = l.clauses[at:len(l.clauses):len(l.clauses)]
		}
		l.entries = append(l.entries, entry{rank: p.rank, clauses: p.clauses})
	}
	return span{int32(from), int32(len(l.entries))}
}

func (l *layout) slot(b *builder, slot int32, s *slotBuild) *slotIndex {
	x := &slotIndex{
		texts: lists(l, s.texts), numbers: lists(l, s.numbers), bytes: lists(l, s.bytes),
		present: l.list(s.present),
	}
	for r := range x.numberOrder {
		x.numberOrder[r] = sorted(l, s.number[r])
		x.textOrder[r] = sorted(l, s.text[r])
		x.dateOrder[r] = sorted(l, s.date[r])
	}
	for i, re := range s.order {
		x.regexes = append(x.regexes, regexEntries{re: re, memo: b.memo(slot, re), span: l.list(s.regexes[re])})
		if re.prefixes == nil {
			x.anywhere = append(x.anywhere, int32(i))
			continue
		}
		if x.beginning == nil {
			x.beginning = map[string][]int32{}
		}
		for _, p := range re.prefixes {
			x.beginning[p] = append(x.beginning[p], int32(i))
			x.lengths = append(x.lengths, len(p))
		}
	}
	slices.Sort(x.lengths)
	x.lengths = slices.Compact(x.lengths)
	return x
}

func lists[K cmp.Ordered](l *layout, from map[K][]*pending) map[K]span {
	if len(from) == 0 {
		return nil
	}
	to := make(map[K]span, len(from))
	for k, ps := range from {
		to[k] = l.list(ps)
	}
	return to
}

func sorted[T cmp.Ordered](l *layout, ks []keyed[T]) threshold[T] {
	slices.SortStableFunc(ks, func(a, b keyed[T]) int { return cmp.Compare(a.key, b.key) })
	var t threshold[T]
	for i, k := range ks {
		if i == 0 || ks[i-1].key != k.key {
			t.keys = append(t.keys, k.key)
			t.from = append(t.from, int32(len(l.entries)))
		}
		l.list([]*pending{k.pending})
	}
	t.from = append(t.from, int32(len(l.entries)))
	return t
}

// each goes through every list.
func (b *builder) each(f func(*pending)) {
	all := func(ps []*pending) {
		for _, p := range ps {
			f(p)
		}
	}
	all(b.always)
	for _, s := range b.slots {
		if s == nil {
			continue
		}
		all(s.present)
		eachList(s.texts, all)
		eachList(s.numbers, all)
		eachList(s.bytes, all)
		eachList(s.regexes, all)
		for r := range s.number {
			eachKeyed(s.number[r], f)
			eachKeyed(s.text[r], f)
			eachKeyed(s.date[r], f)
		}
	}
}

func eachList[K comparable](m map[K][]*pending, f func([]*pending)) {
	for _, ps := range m {
		f(ps)
	}
}

func eachKeyed[T cmp.Ordered](ks []keyed[T], f func(*pending)) {
	for _, k := range ks {
		f(k.pending)
	}
}
