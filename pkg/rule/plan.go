package rule

import (
	"math"
	"slices"

	"go.mongodb.org/mongo-driver/bson"
)

// pathStats are the values that all rules ask of one path: the only hint at how
// its events are spread.
type pathStats struct {
	texts   map[string]struct{}
	numbers map[float64]struct{}
	bytes   map[string]struct{}
	order   [4][]float64
}

func (s *pathStats) finish() {
	for r := range s.order {
		slices.Sort(s.order[r])
	}
}

// count looks at the leaves that may find a rule.
func (b *builder) count(nodes []node) {
	for _, n := range nodes {
		switch n := n.(type) {
		case allOf:
			b.count(n)
		case anyOf:
			b.count(n)
		case *leaf:
			b.countLeaf(n)
			if i := implied(n); i != nil {
				b.implied[n] = i
				b.count([]node{i})
			}
		}
	}
}

func (b *builder) countLeaf(l *leaf) {
	s := b.stats[l.path.name]
	if s == nil {
		s = &pathStats{texts: map[string]struct{}{}, numbers: map[float64]struct{}{}, bytes: map[string]struct{}{}}
		b.stats[l.path.name] = s
	}
	switch p := l.pred.(type) {
	case *equal:
		s.add(p.operand)
	case *member:
		for _, v := range p.values {
			s.add(v)
		}
	case *ordered:
		if f, ok := plainNumber(p.operand); ok {
			s.order[p.relation] = append(s.order[p.relation], f)
		}
	}
}

func (s *pathStats) add(v value) {
	switch k := keyOf(v, nil); k.kind {
	case keyText:
		s.texts[view(k.text)] = struct{}{}
	case keyNumber:
		s.numbers[k.num] = struct{}{}
	case keyBytes:
		s.bytes[string(k.text)] = struct{}{}
	}
}

func (s *pathStats) values() int { return len(s.texts) + len(s.numbers) + len(s.bytes) }

// way finds a rule by a leaf; the rest is left to check.
type way struct {
	leaf *leaf
	rest []clause
}

// plan is how a conjunction is found, and the share of events for which that
// will be tried: a guess whose order matters, not its size.
type plan struct {
	ok   bool
	cost float64
	ways []way
	// keep: what finds the conjunction follows from one of its nodes and is
	// less than that, so the node itself is left to check, too.
	keep bool
}

// maxWays bounds the entries of one rule that $or makes.
const maxWays = 256

// plan is the best way to find a conjunction, and all of its clauses.
func (b *builder) plan(conj []node) (best plan, all []clause) {
	all = b.clauses(conj)
	best.cost = math.Inf(1)
	at := 0
	for i, n := range conj {
		if p := b.planNode(n); p.ok && p.cost < best.cost && len(p.ways) <= maxWays {
			best, at = p, i
		}
	}
	for w := range best.ways {
		if best.keep {
			best.ways[w].rest = all
			continue
		}
		best.ways[w].rest = slices.Concat(best.ways[w].rest, all[:at], all[at+1:])
	}
	best.keep = false
	return best, all
}

func (b *builder) planNode(n node) plan {
	switch n := n.(type) {
	case *leaf:
		if cost, ok := b.selectivity(n); ok {
			return plan{ok: true, cost: cost, ways: []way{{leaf: n}}}
		}
		return b.planImplied(n)
	case anyOf:
		p := plan{ok: true}
		for _, k := range n {
			kid, _ := b.plan(flatten([]node{k}))
			if !kid.ok {
				return plan{}
			}
			p.cost += kid.cost
			p.ways = append(p.ways, kid.ways...)
		}
		return p
	default:
		return plan{}
	}
}

// planImplied finds a leaf by what follows from it: that the field is there, or
// what an element of its array holds.
func (b *builder) planImplied(l *leaf) plan {
	if l.pred.test(value{}, nil) { // so does an event without the field
		return plan{}
	}
	best := plan{ok: true, cost: costPresent, ways: []way{{leaf: &leaf{path: l.path, pred: present{}}}}}
	if i := b.implied[l]; i != nil {
		if p, _ := b.plan(flatten([]node{i})); p.ok && p.cost < best.cost {
			best = p
		}
	}
	best.keep = true
	return best
}

// The guesses. A value out of many that rules tell apart is rare; of the
// thresholds, those that lie further out are passed less often.
const (
	costBool     = 0.5
	costRange    = 0.5
	costLeast    = 0.02
	costPrefix   = 0.1
	costRegex    = 0.6
	costPresent  = 0.7
	fewestValues = 3
)

// selectivity is the guessed share of events that fulfil a leaf; not ok: no
// event can be looked up by it.
func (b *builder) selectivity(l *leaf) (cost float64, ok bool) {
	s := b.stats[l.path.name]
	each := 1 / float64(fewestValues+s.values())
	switch p := l.pred.(type) {
	case *equal:
		if keyOf(p.operand, nil).kind == keyNone {
			return 0, false
		}
		if p.class == classBool {
			return costBool, true
		}
		return each, true
	case *member:
		if p.null || len(p.regexes) > 0 || slices.ContainsFunc(p.values, func(v value) bool { return keyOf(v, nil).kind == keyNone }) {
			return 0, false
		}
		return each * float64(len(p.values)), true
	case *ordered:
		return s.threshold(p)
	case *regex:
		if p.prefixes != nil {
			return costPrefix, true
		}
		return costRegex, true
	case present:
		return costPresent, true
	default:
		return 0, false
	}
}

func (s *pathStats) threshold(p *ordered) (cost float64, ok bool) {
	if t := p.operand.t; p.class == classString || t == bson.TypeDateTime {
		return costRange, true
	}
	f, ok := plainNumber(p.operand)
	if !ok {
		return 0, false
	}
	all := s.order[p.relation]
	i, _ := slices.BinarySearch(all, f)
	share := float64(i) / float64(len(all))
	if p.relation == greater || p.relation == greaterOrEqual {
		share = 1 - share
	}
	return costLeast + costRange*share, true
}
