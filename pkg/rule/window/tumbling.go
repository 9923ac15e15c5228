package window

// tumbling are windows [k·timeframe, (k+1)·timeframe), one for each slot: they
// are decided some time after their end, since a late event can undo what they
// say.
type tumbling struct{ timeframe int64 }

func (w tumbling) length() int64 { return w.timeframe }
func (tumbling) settled() bool   { return true }
func (tumbling) perKey() bool    { return false }

// due is the window that an event lies in.
func (w tumbling) due(at int64) []int64 { return []int64{floor(at, w.timeframe)} }

// asked are the slots whose last instant is asked for: from the first one on and
// before the last one.
func (w tumbling) asked(ask Ask) (from, to int64) {
	return floor(ask.From, w.timeframe), floor(ask.To, w.timeframe)
}

// eachSlot hands over the windows of a series, each with the one before it.
func (w tumbling) eachSlot(series []Observation, from, to int64, f func(slot int64, before, window []Observation) error) error {
	at := 0
	take := func(until int64) []Observation {
		first := at
		for at < len(series) && series[at].At < until {
			at++
		}
		return series[first:at]
	}
	take((from - 1) * w.timeframe)
	before := take(from * w.timeframe)
	for slot := from; slot < to; slot++ {
		window := take((slot + 1) * w.timeframe)
		if len(window)+len(before) > 0 {
			if err := f(slot, before, window); err != nil {
				return err
			}
		}
		before = window
	}
	return nil
}
