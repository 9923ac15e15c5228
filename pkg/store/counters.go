package store

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"
	"go.mongodb.org/mongo-driver/mongo"

	"github.com/events-aggregator/events-aggregator/pkg/fault"
	"github.com/events-aggregator/events-aggregator/pkg/metric"
)

const (
	// countersPerTransaction bounds a transaction's size, and so the time for
	// which it makes others wait: 200 counters take about 40 ms, and the server
	// ends transactions after 10 to 60 s.
	countersPerTransaction = 1_000
	// A duplicate key that no visible mark explains is looked at again for a
	// second, then it is an outage; see unexplained.
	duplicateAttempts = 20
	duplicatePause    = 50 * time.Millisecond
)

// Count adds batches to the counters, each exactly once whoever else counts
// it: a batch's mark is inserted in the transaction that adds its increments,
// and batches whose mark exists are left out. The windows that the batches
// touch are recorded as changed in the same transaction, for Materialise.
// Counters are kept for retention (see metric.Oldest). counted names the
// batches that this call added, also when it ends with an error; the same
// batches may be given again.
func (s *Store) Count(ctx context.Context, at time.Time, retention time.Duration, batches []metric.Batch) (counted map[string]bool, err error) {
	counted = make(map[string]bool, len(batches))
	for _, part := range parts(batches) {
		added, err := s.countTogether(ctx, at, retention, part)
		if err != nil {
			return counted, err
		}
		for _, b := range added {
			counted[b.ID] = true
		}
	}
	return counted, nil
}

// parts are the batches without repeats, in groups for one transaction each.
func parts(batches []metric.Batch) [][]metric.Batch {
	var parts [][]metric.Batch
	size, seen := 0, map[string]bool{}
	for _, b := range batches {
		if seen[b.ID] {
			continue
		}
		seen[b.ID] = true
		if len(parts) == 0 || size+len(b.Increments) > countersPerTransaction {
			parts, size = append(parts, nil), 0
		}
		last := len(parts) - 1
		parts[last] = append(parts[last], b)
		size += len(b.Increments)
	}
	return parts
}

// countTogether adds the batches in one transaction, without those that are
// marked already, and returns those it added.
func (s *Store) countTogether(ctx context.Context, at time.Time, retention time.Duration, batches []metric.Batch) ([]metric.Batch, error) {
	for looks := 0; len(batches) > 0; {
		err := s.addToCounters(ctx, at, retention, batches)
		if err == nil {
			return batches, nil
		}
		doing := fmt.Sprintf("count %d batches", len(batches))
		if !isDuplicateKey(err) {
			return nil, classify(doing, err)
		}
		if looks == duplicateAttempts {
			return nil, unexplained(doing, err)
		}
		// Which of them is the duplicate is not said, and there may be several.
		rest, err := s.uncounted(ctx, batches)
		if err != nil {
			return nil, err
		}
		if len(rest) == len(batches) {
			// The mark that was met is not majority-committed yet.
			looks++
			if err := pause(ctx, duplicatePause); err != nil {
				return nil, err
			}
		}
		batches = rest
	}
	return nil, nil
}

// uncounted leaves out the batches that are marked.
func (s *Store) uncounted(ctx context.Context, batches []metric.Batch) ([]metric.Batch, error) {
	ids := make([]string, len(batches))
	for i, b := range batches {
		ids[i] = b.ID
	}
	done, err := s.marked(ctx, markCount, ids)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(batches), func(b metric.Batch) bool { return done[b.ID] }), nil
}

// pause waits for d or until ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Store) addToCounters(ctx context.Context, at time.Time, retention time.Duration, batches []metric.Batch) error {
	marks := make([]any, len(batches))
	sets := make([][]metric.Increment, len(batches))
	for i, b := range batches {
		marks[i] = newMark(b.ID, markCount, at)
		sets[i] = b.Increments
	}
	increments := metric.Merge(sets...)
	windows := touch(increments, at)
	counters := make([]mongo.WriteModel, len(increments))
	for i, inc := range increments {
		counters[i] = mongo.NewUpdateOneModel().SetUpsert(true).
			SetFilter(bson.D{field("_id", counterID(inc.Minute, inc.Series))}).
			SetUpdate(incrementUpdate(inc, retention))
	}
	return s.transaction(ctx, func(sc mongo.SessionContext) error {
		if _, err := s.marks.InsertMany(sc, marks); err != nil {
			return err
		}
		if len(counters) == 0 {
			return nil
		}
		// Windows before counters: two processes that count at the same moment
		// meet at the day's window, and it is cheaper to meet early.
		if len(windows) > 0 {
			if _, err := s.metricWindows.BulkWrite(sc, windows); err != nil {
				return err
			}
		}
		_, err := s.counters.BulkWrite(sc, counters)
		fault.At(fault.AggregatorCounting)
		return err
	})
}

// counterID is unambiguous, since a series' name is.
func counterID(minute time.Time, series metric.Series) string {
	return strconv.FormatInt(minute.Unix()/60, 10) + ":" + series.Name()
}

func incrementUpdate(inc metric.Increment, retention time.Duration) bson.D {
	add := bson.D{
		field("count", inc.Count), field("errors", inc.Errors), field("severity_sum", inc.Severity),
		field("levels.info", inc.Levels.Info), field("levels.warning", inc.Levels.Warning),
		field("levels.error", inc.Levels.Error), field("levels.critical", inc.Levels.Critical),
		field("revision", int64(1)),
	}
	least, most := bson.D{}, bson.D{}
	if r := inc.Response; r.Count > 0 {
		add = append(add, field("rt_count", r.Count), field("rt_sum_us", r.SumMicros))
		for _, b := range r.Histogram {
			add = append(add, field("rt_hist."+b.Name(), b.N))
		}
		least = append(least, field("rt_min_ms", r.MinMS))
		most = append(most, field("rt_max_ms", r.MaxMS))
	}
	if !inc.EventsUntil.IsZero() {
		least = append(least, field("events_until", inc.EventsUntil))
	}
	update := bson.D{field("$inc", add), field("$setOnInsert", counterIdentity(inc.Minute, inc.Series, retention))}
	if len(least) > 0 {
		update = append(update, field("$min", least))
	}
	if len(most) > 0 {
		update = append(update, field("$max", most))
	}
	return update
}

// counterIdentity are the fields of a counter that never change.
func counterIdentity(minute time.Time, series metric.Series, retention time.Duration) bson.D {
	return bson.D{
		field("minute", minute), field("series", series.Name()),
		field("type", series.Type), field("source", series.Source), field("region", series.Region),
		field("expires_at", metric.CounterExpiry(minute, retention)),
	}
}

// touch upserts the window documents that say what has changed since it was
// materialised. A window whose metrics would be expired already is left alone.
func touch(increments []metric.Increment, at time.Time) []mongo.WriteModel {
	minutes := make([]time.Time, 0, len(increments))
	for _, inc := range increments {
		minutes = append(minutes, inc.Minute)
	}
	return touchMinutes(minutes, at)
}

func touchMinutes(minutes []time.Time, at time.Time) []mongo.WriteModel {
	// The token is what Materialise removes a window by. It must never be the
	// same twice, as a revision that starts anew with each window would: an
	// owner that was paused could remove a change that it has not seen.
	token := primitive.NewObjectID()
	seen := map[string]bool{}
	var models []mongo.WriteModel
	// Longest first, so that all who count meet at the same document.
	for i := len(metric.Periods) - 1; i >= 0; i-- {
		p := metric.Periods[i]
		for _, minute := range minutes {
			start := p.Start(minute)
			id := p.WindowID(start)
			if seen[id] || !p.KeptUntil(start).After(at) {
				continue
			}
			seen[id] = true
			models = append(models, mongo.NewUpdateOneModel().SetUpsert(true).
				SetFilter(bson.D{field("_id", id)}).
				SetUpdate(bson.D{
					field("$set", bson.D{field("token", token)}),
					field("$setOnInsert", bson.D{field("period", p.Name), field("start", start), field("since", at)}),
				}))
		}
	}
	return models
}

// sumTotals are the accumulators over counters; $group takes no nested names,
// so nestedLevels puts the levels back together.
func sumTotals() bson.D {
	d := bson.D{}
	for _, name := range []string{"count", "errors", "severity_sum"} {
		d = append(d, field(name, bson.D{field("$sum", "$"+name)}))
	}
	for _, level := range levelNames {
		d = append(d, field(level, bson.D{field("$sum", "$levels."+level)}))
	}
	return d
}

var levelNames = []string{"info", "warning", "error", "critical"}

var nestedLevels = bson.D{
	field("info", "$info"), field("warning", "$warning"), field("error", "$error"), field("critical", "$critical"),
}
