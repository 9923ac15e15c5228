package store

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/events-aggregator/events-aggregator/pkg/metric"
)

// VerifyOptions say what is recounted.
type VerifyOptions struct {
	From, To  time.Time     // widened to whole minutes
	Retention time.Duration // of counters, as Count has it
	Pause     time.Duration // before a difference is read again; 0: 2 s
	Repair    bool
	Now       func() time.Time // nil: time.Now
}

const (
	verifyPauseDefault = 2 * time.Second
	// verifyRounds bounds how often differences that come and go are read again.
	verifyRounds = 5
	// verifyPart is the range whose counters are held in memory together.
	verifyPart = time.Hour
	// recountEvents is about how many events one pipeline recounts.
	recountEvents = 200_000
	// expiryMargin allows for clocks that differ and for the server's sweep.
	expiryMargin = time.Minute
)

// Verify recounts the events of a range and compares the result with the
// counters, with the metrics of all windows that lie wholly in the range, and with
// what these add up to. Only a difference that two readings show alike is drift.
// What cannot be compared is left out and said: minutes with batches that are not
// counted yet or with events that may have expired, and windows not materialised yet.
//
// No clocks of other processes are compared: a part's counters are read, then
// its events, then the ledger's open batches, then the counters again. A batch
// that is counted between the two readings of the counters shows in their
// revisions, and one that is counted after them is still open in the ledger.
func (s *Store) Verify(ctx context.Context, o VerifyOptions) (metric.Report, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Pause == 0 {
		o.Pause = verifyPauseDefault
	}
	whole := metric.Range{From: o.From.UTC().Truncate(time.Minute), To: o.To.UTC().Add(time.Minute - 1).Truncate(time.Minute)}
	v := verification{
		store: s, o: o, whole: whole, out: map[unit]metric.LeftOut{}, once: map[metric.DriftKey]metric.Range{},
		twice: map[metric.DriftKey]metric.Drift{}, windows: map[unit]bool{},
	}
	again := []metric.Range{whole}
	for round := 0; round < verifyRounds && len(again) > 0; round++ {
		if round > 0 {
			if err := pause(ctx, o.Pause); err != nil {
				return metric.Report{}, err
			}
		}
		var err error
		if again, err = v.read(ctx, again); err != nil {
			return metric.Report{}, err
		}
	}
	report := v.report()
	if o.Repair {
		for i := range report.Drift {
			if err := s.repair(ctx, &report.Drift[i], o); err != nil {
				return report, err
			}
		}
	}
	return report, nil
}

// unit is one minute (period "") or one window.
type unit struct {
	period string
	start  int64
}

// verification is the state of one Verify over its rounds.
type verification struct {
	store   *Store
	o       VerifyOptions
	whole   metric.Range
	events  int64
	out     map[unit]metric.LeftOut          // by the last reading
	windows map[unit]bool                    // compared
	once    map[metric.DriftKey]metric.Range // differences of the last round that the one before did not show
	twice   map[metric.DriftKey]metric.Drift // differences of two rounds
}

// read compares the ranges and returns what must be read again: differences
// seen for the first time, and minutes that did not stand still.
func (v *verification) read(ctx context.Context, ranges []metric.Range) (again []metric.Range, err error) {
	once := map[metric.DriftKey]metric.Range{}
	for _, r := range ranges {
		c, err := v.compare(ctx, r)
		if err != nil {
			return nil, err
		}
		if r == v.whole {
			v.events = c.Events
		}
		maps.DeleteFunc(v.out, func(_ unit, l metric.LeftOut) bool { return !l.From.Before(r.From) && !l.To.After(r.To) })
		for _, l := range c.LeftOut {
			v.out[unit{l.Period, l.From.Unix()}] = l
			if l.Reason == metric.ReasonMoving {
				again = append(again, v.around(l.From))
			}
		}
		for period, starts := range c.Windows {
			for _, start := range starts {
				v.windows[unit{period, start.Unix()}] = true
			}
		}
		for _, d := range c.Drift {
			key := d.Key()
			_, seen := v.once[key]
			if _, known := v.twice[key]; known || seen {
				v.twice[key] = d
				continue
			}
			once[key] = d.Range()
			again = append(again, d.Range())
		}
	}
	v.once = once
	slices.SortFunc(again, func(a, b metric.Range) int { return a.From.Compare(b.From) })
	return metric.Join(again), nil
}

// around is the longest window in the whole range that holds the minute, so
// that it is compared when the minute is.
func (v *verification) around(minute time.Time) metric.Range {
	for _, p := range slices.Backward(metric.Periods) {
		start := p.Start(minute)
		if end := start.Add(p.Length); !start.Before(v.whole.From) && !end.After(v.whole.To) {
			return metric.Range{From: start, To: end}
		}
	}
	return metric.Range{From: minute, To: minute.Add(time.Minute)}
}

func (v *verification) report() metric.Report {
	r := metric.Report{From: v.whole.From, To: v.whole.To, Events: v.events, Windows: map[string]int{},
		Minutes: int(v.whole.To.Sub(v.whole.From) / time.Minute), Drift: []metric.Drift{}}
	for key, where := range v.once { // differed in another way at each reading
		v.out[unit{key.Period, key.Start}] = metric.LeftOut{Period: key.Period, From: where.From, To: where.To, Reason: metric.ReasonMoving}
	}
	for _, l := range v.out {
		r.LeftOut = append(r.LeftOut, l)
		if l.Period == "" {
			r.Minutes--
		}
	}
	r.LeftOut = metric.JoinLeftOut(r.LeftOut)
	for w := range v.windows {
		r.Windows[w.period]++
	}
	for _, d := range v.twice {
		r.Drift = append(r.Drift, d)
	}
	metric.SortDrift(r.Drift)
	return r
}

// compare reads and compares one range, part by part.
func (v *verification) compare(ctx context.Context, r metric.Range) (*metric.Comparison, error) {
	c := metric.NewComparison(r)
	for from := r.From; from.Before(r.To); {
		part := metric.Range{From: from, To: from.Truncate(verifyPart).Add(verifyPart)}
		if part.To.After(r.To) {
			part.To = r.To
		}
		if err := v.comparePart(ctx, c, part); err != nil {
			return nil, err
		}
		from = part.To
	}
	return c, nil
}

func (v *verification) comparePart(ctx context.Context, c *metric.Comparison, part metric.Range) error {
	s := v.store
	before, err := s.countersIn(ctx, part)
	if err != nil {
		return err
	}
	// Read after the counters: what they count is admitted by now.
	registry, err := s.Registry(ctx)
	if err != nil {
		return err
	}
	var recounted []metric.Increment
	for _, r := range cut(part, before) {
		some, err := s.recount(ctx, r, registry)
		if err != nil {
			return err
		}
		recounted = append(recounted, some...)
	}
	uncounted, err := s.uncountedMinutes(ctx, part)
	if err != nil {
		return err
	}
	after, err := s.countersIn(ctx, part)
	if err != nil {
		return err
	}
	now := v.o.Now()
	c.Minutes(part, after, recounted, v.leaveOut(part, before, after, uncounted, now))
	for _, p := range metric.Periods {
		if err := v.compareWindows(ctx, c, p, part.To, now); err != nil {
			return err
		}
	}
	return nil
}

// leaveOut says which minutes cannot be compared, and why.
func (v *verification) leaveOut(part metric.Range, before, after []metric.Counter, uncounted []time.Time, now time.Time) map[time.Time]string {
	out := map[time.Time]string{}
	type counter struct {
		minute int64
		series metric.Series
	}
	revisions := make(map[counter]int64, len(before))
	for _, c := range before {
		revisions[counter{c.Minute.Unix(), c.Series}] = c.Revision
	}
	for _, c := range after {
		if revisions[counter{c.Minute.Unix(), c.Series}] != c.Revision {
			out[c.Minute] = metric.ReasonMoving
		}
		if !c.EventsUntil.IsZero() && c.EventsUntil.Before(now.Add(expiryMargin)) {
			out[c.Minute] = metric.ReasonEventsExpired
		}
	}
	for _, minute := range uncounted {
		out[minute] = metric.ReasonUncounted
	}
	oldest := metric.Oldest(now.Add(time.Hour), v.o.Retention)
	for minute := part.From; minute.Before(part.To) && minute.Before(oldest); minute = minute.Add(time.Minute) {
		out[minute] = metric.ReasonTooOld
	}
	return out
}

// compareWindows compares the metrics of the windows that are complete.
func (v *verification) compareWindows(ctx context.Context, c *metric.Comparison, p metric.Period, until, now time.Time) error {
	windows, span := c.Complete(p, until)
	if len(windows) == 0 {
		return nil
	}
	// Which have changed is read before their metrics: a window that is not on
	// the list has metrics that are at least as new.
	changed, err := v.store.changedIn(ctx, p, span.From, span.To)
	if err != nil {
		return err
	}
	skip := map[int64]string{}
	for _, w := range changed {
		skip[w.Start.Unix()] = metric.ReasonNotMaterialised
	}
	found, err := v.store.FindMetrics(ctx, MetricFilter{Period: p.Name, From: span.From, To: span.To}, 0)
	if err != nil {
		return err
	}
	sums := map[int64]*metric.Apart{}
	if keepsSums(p) {
		// Read after the metrics, of which they are made: those of a window that is
		// not on the list are at least as new.
		ctx, cancel := bounded(ctx)
		defer cancel()
		_, err := v.store.readWindowSums(ctx, metric.Segment{Period: p, Range: span}, sumsWanted{all: true, responses: true, by: metric.Dimensions}, func(w *windowSums) {
			apart := w.apart()
			sums[w.Start.Unix()] = &apart
		})
		if err != nil {
			return classify("read the sums of windows", err)
		}
	}
	values := map[int64][]metric.Value{}
	for _, m := range found {
		at := m.Timestamp.Unix()
		values[at] = append(values[at], metric.Value{Kind: m.Type, Start: m.Timestamp, Series: m.Dimensions.Series(), Figures: m.figures()})
	}
	for _, w := range windows {
		at := w.Start.Unix()
		if skip[at] == "" && p.KeptUntil(w.Start).Before(now.Add(time.Hour)) {
			skip[at] = metric.ReasonMetricsExpired
		}
		c.Metrics(p, w, values[at], skip[at])
		if skip[at] == "" && keepsSums(p) {
			c.Sums(p, w, sums[at])
		}
	}
	return nil
}

// cut divides the range so that each piece holds about recountEvents events,
// by what the counters say.
func cut(part metric.Range, counters []metric.Counter) []metric.Range {
	perMinute := map[int64]int64{}
	for _, c := range counters {
		perMinute[c.Minute.Unix()] += c.Count
	}
	var pieces []metric.Range
	from, events := part.From, int64(0)
	for minute := part.From; minute.Before(part.To); minute = minute.Add(time.Minute) {
		n := perMinute[minute.Unix()]
		if events > 0 && events+n > recountEvents {
			pieces = append(pieces, metric.Range{From: from, To: minute})
			from, events = minute, 0
		}
		events += n
	}
	return append(pieces, metric.Range{From: from, To: part.To})
}
