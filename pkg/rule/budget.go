package rule

import "math"

// costly is from where on the steps of one check are charged to its rule: what
// takes less cannot become much.
const costly = 4 << 10

// spending is what a rule spent on the event of that number.
type spending struct {
	epoch uint32
	steps int32
}

// allWithin says whether an entry's clauses hold and its rule stays within its
// budget.
func (m *scratch) allWithin(e *entry) bool {
	m.meter.left = Budget
	if m.slow {
		m.meter.left -= m.spentBy(e.rank)
	}
	holds := m.all(e.clauses)
	if m.meter.left >= Budget-costly {
		return holds
	}
	m.spend(e.rank, Budget-m.meter.left)
	return holds && m.meter.left >= 0
}

// findRegex looks up the rules of one expression.
func (m *scratch) findRegex(slot int32, r *regexEntries) {
	if m.slow && m.allSpent(r.span) {
		return
	}
	m.meter.left = Budget
	holds := m.regex(slot, r.re, r.memo)
	if cost := Budget - m.meter.left; cost > costly {
		for _, e := range m.set.index.entries[r.span.from:r.span.to] {
			m.spend(e.rank, m.spentBy(e.rank)+cost)
		}
	}
	if holds {
		m.scan(r.span)
	}
}

// regex says whether the field matches the expression. It is run once an event,
// and everybody who asks pays for it: what a rule costs must not depend on the
// others.
func (m *scratch) regex(slot int32, re *regex, memo int32) bool {
	v := &m.verdicts[memo]
	if v.epoch == m.epoch {
		return m.meter.take(int(v.cost)) && v.holds
	}
	before := m.meter.left
	holds := m.any(slot, re, false, &m.meter)
	if m.meter.left >= 0 {
		*v = verdict{epoch: m.epoch, holds: holds, cost: int32(before - m.meter.left)}
	}
	return holds
}

func (m *scratch) spentBy(rank int32) int {
	if s := &m.spent[rank]; s.epoch == m.epoch {
		return int(s.steps)
	}
	return 0
}

func (m *scratch) spend(rank int32, steps int) {
	if steps > Budget && m.spentBy(rank) <= Budget {
		m.over = append(m.over, rank)
	}
	m.spent[rank] = spending{epoch: m.epoch, steps: int32(min(steps, math.MaxInt32))}
	m.slow = true
}

// allSpent says whether no rule of a list may spend more.
func (m *scratch) allSpent(s span) bool {
	for _, e := range m.set.index.entries[s.from:s.to] {
		if m.spentBy(e.rank) <= Budget {
			return false
		}
	}
	return true
}
