package rule

// clause is a part of a condition that is left to check when an entry was
// found. The common comparisons are told apart by kind and need no call.
type clause struct {
	kind clauseKind
	slot int32
	num  float64
	text string
	more *clauseMore
}

type clauseKind uint8

// In the order in which they are checked: the cheap ones first.
const (
	clauseText clauseKind = iota
	clauseNumber
	clauseGreater
	clauseGreaterOrEqual
	clauseLess
	clauseLessOrEqual
	clausePredicate
	clauseNot
	clauseRegex
	clauseAny
	clauseAll
)

// clauseMore is what the rarer kinds need.
type clauseMore struct {
	pred predicate
	// whole: of an array the predicate looks at all of it only.
	whole bool
	memo  int32
	kids  []clause
}

func (m *scratch) all(clauses []clause) bool {
	for i := range clauses {
		if !m.holds(&clauses[i]) {
			return false
		}
	}
	return true
}

func (m *scratch) holds(c *clause) bool {
	s := &m.slots[c.slot]
	switch c.kind {
	case clauseText:
		if s.kind == slotText {
			return string(s.text) == c.text
		}
		return s.kind == slotMany && m.any(c.slot, c.more.pred, c.more.whole, &m.meter)
	case clauseNumber:
		if s.kind == slotNumber {
			return s.f == c.num
		}
		return s.kind == slotMany && m.any(c.slot, c.more.pred, c.more.whole, &m.meter)
	case clauseGreater:
		if s.kind == slotNumber {
			return s.f > c.num
		}
	case clauseGreaterOrEqual:
		if s.kind == slotNumber {
			return s.f >= c.num
		}
	case clauseLess:
		if s.kind == slotNumber {
			return s.f < c.num
		}
	case clauseLessOrEqual:
		if s.kind == slotNumber {
			return s.f <= c.num
		}
	case clausePredicate:
		return m.any(c.slot, c.more.pred, c.more.whole, &m.meter)
	case clauseRegex:
		return s.kind != slotMissing && m.regex(c.slot, c.more.pred.(*regex), c.more.memo) //nolint:forcetypeassert // the builder puts nothing else there
	case clauseNot:
		return !m.all(c.more.kids)
	case clauseAll:
		return m.all(c.more.kids)
	case clauseAny:
		for i := range c.more.kids {
			if m.holds(&c.more.kids[i]) {
				return true
			}
		}
		return false
	}
	// An ordered comparison with what is no plain number.
	return s.kind >= slotOther && m.any(c.slot, c.more.pred, c.more.whole, &m.meter)
}
