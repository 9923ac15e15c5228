package backtest

import (
	"container/heap"
	"time"
)

// agenda says what comes next. An id is in it once.
type agenda struct {
	all  []*appointment // a heap
	byID map[string]*appointment
}

type appointment struct {
	id    string
	at    time.Time
	index int
}

func newAgenda() *agenda { return &agenda{byID: map[string]*appointment{}} }

// set puts an id in, or moves it.
func (a *agenda) set(id string, at time.Time) {
	if one, there := a.byID[id]; there {
		one.at = at
		heap.Fix(a, one.index)
		return
	}
	heap.Push(a, &appointment{id: id, at: at})
}

// next takes the first one out whose time is before the given one.
func (a *agenda) next(before time.Time) (id string, found bool) {
	if len(a.all) == 0 || !a.all[0].at.Before(before) {
		return "", false
	}
	return heap.Pop(a).(*appointment).id, true
}

func (a *agenda) Len() int           { return len(a.all) }
func (a *agenda) Less(i, j int) bool { return a.all[i].at.Before(a.all[j].at) }
func (a *agenda) Swap(i, j int) {
	a.all[i], a.all[j] = a.all[j], a.all[i]
	a.all[i].index, a.all[j].index = i, j
}

// Push is for the heap.
func (a *agenda) Push(x any) {
	one := x.(*appointment)
	one.index = len(a.all)
	a.all = append(a.all, one)
	a.byID[one.id] = one
}

// Pop is for the heap.
func (a *agenda) Pop() any {
	last := len(a.all) - 1
	one := a.all[last]
	a.all[last] = nil
	a.all = a.all[:last]
	delete(a.byID, one.id)
	return one
}
