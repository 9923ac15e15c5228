package window

// sliding are windows (t−timeframe, t] that end at events: each of an event's
// windows is evaluated as the event comes, also those that end after it.
type sliding struct{ timeframe int64 }

func (w sliding) length() int64 { return w.timeframe }
func (sliding) settled() bool   { return false }
func (sliding) perKey() bool    { return true }

// due are the slots in which a window may end that contains an event.
func (w sliding) due(at int64) []int64 {
	first, last := floor(at, w.timeframe), floor(at+w.timeframe-1, w.timeframe)
	if first == last {
		return []int64{first}
	}
	return []int64{first, last}
}

// slide hands over the window at each different time of a series that is asked
// for: series[first:end].
func (w sliding) slide(series []Observation, ask Ask, f func(first, end int)) {
	first := 0
	for i, o := range series {
		for series[first].At <= o.At-w.timeframe {
			first++
		}
		if i+1 < len(series) && series[i+1].At == o.At { // the window has that one too
			continue
		}
		if ask.From <= o.At && o.At < ask.To {
			f(first, i+1)
		}
	}
}
