package window

import (
	"context"
	"slices"
	"sort"
)

// memory is a source of observations that were read already and are
// asked for again and again.
type memory struct {
	keys   []string
	series map[string][]Observation // each in the order of time
}

func newMemory(all []Observation) *memory {
	m := &memory{}
	m.keys, m.series = byKey(all)
	return m
}

func (m *memory) Observe(_ context.Context, q Query, f func(Observation) bool) error {
	keys := q.Keys
	if keys == nil {
		keys = m.keys
	}
	for _, key := range keys { // in an order, one key alone is asked for
		s := m.series[key]
		first := sort.Search(len(s), func(i int) bool { return s[i].At >= q.From })
		last := sort.Search(len(s), func(i int) bool { return s[i].At >= q.To })
		some := s[min(first, last):last]
		if q.Order == NewestFirst {
			some = slices.Clone(some)
			slices.Reverse(some)
		}
		for _, o := range some {
			if q.Value != "" && o.Value != q.Value || q.Present && o.Value == "" {
				continue
			}
			if !f(o) {
				return nil
			}
		}
	}
	return nil
}
