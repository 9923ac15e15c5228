package rule

// collector gathers the values that a path through arrays leads to.
type collector struct {
	m       *scratch
	x       *slotIndex
	present bool
	// The ends of the values of each ordered class: a threshold is passed by
	// some value if and only if it is passed by the greatest or the least.
	least, most [3]value
}

const (
	endNumber = iota
	endText
	endDate
)

// findMany looks up a field that has many values. A rule's clause holds if it
// does for any of them.
func (m *scratch) findMany(x *slotIndex, slot int32) {
	c := &m.many
	*c = collector{m: m, x: x}
	m.any(slot, c, false, nil) // for all rules, so nobody pays
	if c.present {
		m.scan(x.present)
	}
	for _, r := range [...]relation{greater, greaterOrEqual} {
		m.scanEnds(x, r, &c.most)
	}
	for _, r := range [...]relation{less, lessOrEqual} {
		m.scanEnds(x, r, &c.least)
	}
	for i := range x.regexes {
		m.findRegex(slot, &x.regexes[i])
	}
	*c = collector{m: m}
}

func (m *scratch) scanEnds(x *slotIndex, r relation, ends *[3]value) {
	if v := ends[endNumber]; v.t != missing {
		if f, ok := exactFloat(v); ok {
			m.scan(x.numberOrder.passed(r, f))
		} else {
			m.scan(passedExactly(&x.numberOrder, r, v))
		}
	}
	if v := ends[endText]; v.t != missing {
		m.scan(x.textOrder.passed(r, view(v.text())))
	}
	if v := ends[endDate]; v.t != missing {
		m.scan(x.dateOrder.passed(r, v.int64()))
	}
}

// test takes each value and asks for the next.
func (c *collector) test(v value, _ *meter) bool {
	if v.t == missing {
		return false
	}
	c.present = true
	c.m.findEqual(c.x, v)
	switch v.class() {
	case classNumber:
		if !isNaN(v) {
			c.end(endNumber, v)
		}
	case classString:
		c.end(endText, v)
	case classDate:
		c.end(endDate, v)
	}
	return false
}

func (c *collector) end(i int, v value) {
	if c.least[i].t == missing || compare(v, c.least[i]) < 0 {
		c.least[i] = v
	}
	if c.most[i].t == missing || compare(v, c.most[i]) > 0 {
		c.most[i] = v
	}
}
