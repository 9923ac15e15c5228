package rule

import (
	"cmp"
	"slices"
)

// builder makes the index of a set.
type builder struct {
	fields  *fields
	stats   map[string]*pathStats
	implied map[*leaf]node // what follows from a leaf that cannot be looked up itself
	rules   []allOf        // by rank
	memos   map[memoKey]int32
	slots   []*slotBuild
	always  []*pending
}

type memoKey struct {
	slot int32
	re   *regex
}

// pending is an entry before its list has a place.
type pending struct {
	rank    int32
	clauses []clause
	placed  bool
}

// slotBuild is a slotIndex before its lists have a place.
type slotBuild struct {
	texts   map[string][]*pending
	numbers map[float64][]*pending
	bytes   map[string][]*pending
	present []*pending
	number  [4][]keyed[float64]
	text    [4][]keyed[string]
	date    [4][]keyed[int64]
	regexes map[*regex][]*pending
	order   []*regex
}

type keyed[T cmp.Ordered] struct {
	key T
	*pending
}

func newBuilder(rules int) *builder {
	return &builder{
		fields: newFields(), rules: make([]allOf, 0, rules),
		stats: map[string]*pathStats{}, implied: map[*leaf]node{}, memos: map[memoKey]int32{},
	}
}

// add takes the next rule; all are taken before any is placed, since which
// clause is selective depends on the others.
func (b *builder) add(root node) {
	conj := flatten([]node{root})
	b.rules = append(b.rules, conj)
	b.count(conj)
}

func (b *builder) build() (fields, index) {
	for _, s := range b.stats {
		s.finish()
	}
	for rank, conj := range b.rules {
		plan, all := b.plan(conj)
		if !plan.ok {
			b.always = append(b.always, &pending{rank: int32(rank), clauses: cheapFirst(all)})
			continue
		}
		for _, w := range plan.ways {
			b.place(w.leaf, &pending{rank: int32(rank), clauses: cheapFirst(w.rest)})
		}
	}
	return *b.fields, b.layOut()
}

// place puts an entry under the values that its leaf asks for.
func (b *builder) place(l *leaf, p *pending) {
	s := b.at(b.fields.slot(l.path.name))
	switch pred := l.pred.(type) {
	case *equal:
		s.equal(pred.operand, p)
	case *member:
		for _, v := range pred.values {
			s.equal(v, p)
		}
	case *ordered:
		r := pred.relation
		switch v := pred.operand; v.class() {
		case classNumber:
			f, _ := exactFloat(v)
			s.number[r] = append(s.number[r], keyed[float64]{f, p})
		case classDate:
			s.date[r] = append(s.date[r], keyed[int64]{v.int64(), p})
		default:
			s.text[r] = append(s.text[r], keyed[string]{view(v.text()), p})
		}
	case *regex:
		if s.regexes == nil {
			s.regexes = map[*regex][]*pending{}
		}
		if s.regexes[pred] == nil {
			s.order = append(s.order, pred)
		}
		s.regexes[pred] = append(s.regexes[pred], p)
	default:
		s.present = append(s.present, p)
	}
}

func (b *builder) at(slot int32) *slotBuild {
	for int(slot) >= len(b.slots) {
		b.slots = append(b.slots, nil)
	}
	if b.slots[slot] == nil {
		b.slots[slot] = &slotBuild{texts: map[string][]*pending{}, numbers: map[float64][]*pending{}, bytes: map[string][]*pending{}}
	}
	return b.slots[slot]
}

func (s *slotBuild) equal(v value, p *pending) {
	switch k := keyOf(v, nil); k.kind {
	case keyText:
		s.texts[view(k.text)] = append(s.texts[view(k.text)], p)
	case keyNumber:
		s.numbers[k.num] = append(s.numbers[k.num], p)
	case keyBytes:
		s.bytes[string(k.text)] = append(s.bytes[string(k.text)], p)
	}
}

// clauses turns nodes into what is checked on an entry, in their order.
func (b *builder) clauses(nodes []node) []clause {
	cs := make([]clause, 0, len(nodes))
	for _, n := range nodes {
		cs = append(cs, b.clause(n))
	}
	return cs
}

// cheapFirst sorts clauses by what they cost to check.
func cheapFirst(cs []clause) []clause {
	slices.SortStableFunc(cs, func(x, y clause) int { return cmp.Compare(x.kind, y.kind) })
	return cs
}

func (b *builder) clause(n node) clause {
	switch n := n.(type) {
	case *leaf:
		return b.leafClause(n)
	case negate:
		return clause{kind: clauseNot, more: &clauseMore{kids: cheapFirst(b.clauses(flatten([]node{n.node})))}}
	case anyOf:
		return clause{kind: clauseAny, more: &clauseMore{kids: cheapFirst(b.clauses(n))}}
	default:
		return clause{kind: clauseAll, more: &clauseMore{kids: cheapFirst(b.clauses(flatten([]node{n})))}}
	}
}

func (b *builder) leafClause(l *leaf) clause {
	c := clause{kind: clausePredicate, slot: b.fields.slot(l.path.name), more: &clauseMore{pred: l.pred, whole: l.whole}}
	switch p := l.pred.(type) {
	case *equal:
		if p.class == classString {
			c.kind, c.text = clauseText, view(p.operand.text())
		} else if f, ok := plainNumber(p.operand); ok {
			c.kind, c.num = clauseNumber, f
		}
	case *ordered:
		if f, ok := plainNumber(p.operand); ok {
			c.kind, c.num = clauseGreater+clauseKind(p.relation), f
		}
	case *regex:
		c.kind, c.more.memo = clauseRegex, b.memo(c.slot, p)
	}
	return c
}

func (b *builder) memo(slot int32, re *regex) int32 {
	k := memoKey{slot, re}
	i, ok := b.memos[k]
	if !ok {
		i = int32(len(b.memos))
		b.memos[k] = i
	}
	return i
}

// plainNumber is a number's double, when there is an equal one.
func plainNumber(v value) (float64, bool) {
	if v.class() != classNumber {
		return 0, false
	}
	return exactFloat(v)
}
