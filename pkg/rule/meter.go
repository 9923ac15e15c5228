package rule

// Budget is how many steps one rule may take for one event. A step is a value
// that is looked at, or a byte that a regular expression searches. The largest
// event that is accepted has fewer than 300,000 of either, so a condition of a
// few clauses stays within it whatever the event; what exceeds it is a product
// of the two, and would hold up every other rule.
const Budget = 1 << 20

// meter counts steps. A nil meter counts nothing and never ends.
type meter struct{ left int }

// take says whether that many steps may be taken. Once one may not, none may:
// everything that is still to be looked at holds no longer, and the answer is
// thrown away.
func (m *meter) take(steps int) bool {
	if m == nil {
		return true
	}
	m.left -= steps
	return m.left >= 0
}
