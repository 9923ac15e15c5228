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
