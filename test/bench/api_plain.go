package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/events-aggregator/events-aggregator/pkg/metric"
)

// plain is what a loop over events adds up.
type plain struct {
	count, errors, severity int64
	levels                  map[string]int64
	times                   []int // response times, ms
}

func (p *plain) add(e historyEvent) {
	p.count++
	p.severity += int64(e.severity)
	if e.failed() {
		p.errors++
	}
	if p.levels == nil {
		p.levels = map[string]int64{}
	}
	p.levels[e.level()]++
	if e.response > 0 {
		p.times = append(p.times, e.response)
	}
}

func (e historyEvent) failed() bool { return e.severity >= 7 }

func (e historyEvent) level() string {
	switch {
	case e.severity >= 9:
		return "critical"
	case e.failed():
		return "error"
	case e.severity >= 4:
		return "warning"
	default:
		return "info"
	}
}

// plainKey is a window's start, the zero time without windows, and what is counted
// by itself in it; "": everything.
type plainKey struct {
	start time.Time
	name  string
}

// addUp adds the events [from, to) that match up under their keys.
func (h history) addUp(from, to int, match func(historyEvent) bool, keys func(i int, e historyEvent) []plainKey) map[plainKey]*plain {
	sums := map[plainKey]*plain{}
	for i := from; i < to; i++ {
		e := h.event(i)
		if !match(e) {
			continue
		}
		for _, key := range keys(i, e) {
			if sums[key] == nil {
				sums[key] = &plain{}
			}
			sums[key].add(e)
		}
	}
	return sums
}

// Names of values by their dimensions.
const (
	byType   = "type "
	bySource = "source "
	byRegion = "region "
)

func everyDimension(_ int, e historyEvent) []plainKey {
	return []plainKey{{}, {name: byType + typeOf(e.typ)}, {name: bySource + sourceOf(e.source)}, {name: byRegion + regionOf(e.region)}}
}

// differ says in what an answer is wrong.
func differ(what string, got, want any) error {
	if got != want {
		return fmt.Errorf("%s: %v, not %v", what, got, want) //nolint:err113 // people read it, nobody asks which one it is
	}
	return nil
}

// about is differ for what was divided.
func about(what string, got, want, relative float64) error {
	if math.Abs(got-want) > relative*math.Abs(want)+1e-9 {
		return differ(what, got, want)
	}
	return nil
}

// answeredTimes are response times as a summary has them.
type answeredTimes struct {
	Count int64   `json:"count"`
	Mean  float64 `json:"mean"`
	Min   float64 `json:"min"`
	Max   float64 `json:"max"`
	P50   float64 `json:"p50"`
	P95   float64 `json:"p95"`
	P99   float64 `json:"p99"`
}

// are compares them with those that a loop found. Percentiles are as exact as is
// promised.
func (got answeredTimes) are(times []int) error {
	slices.Sort(times)
	total := 0
	for _, ms := range times {
		total += ms
	}
	n := len(times)
	if n == 0 {
		return differ("response times", got.Count, int64(0))
	}
	rank := func(q int) float64 { return float64(times[(n*q+99)/100-1]) }
	return errors.Join(
		differ("response times", got.Count, int64(n)), about("their mean", got.Mean, float64(total)/float64(n), 1e-9),
		differ("the least", got.Min, float64(times[0])), differ("the most", got.Max, float64(times[n-1])),
		about("p50", got.P50, rank(50), metric.ErrorMost), about("p95", got.P95, rank(95), metric.ErrorMost), about("p99", got.P99, rank(99), metric.ErrorMost))
}

// answeredGroup is one value of a dimension.
type answeredGroup struct {
	Value    string  `json:"value"`
	Count    int64   `json:"count"`
	Errors   int64   `json:"errors"`
	Severity float64 `json:"average_severity"`
	Previous *int64  `json:"previous_count"`
}

// checkSummary compares a summary with loops over its range and, unless that is nil,
// the one before.
func checkSummary(body []byte, now, before map[plainKey]*plain, timed bool) error {
	var got struct {
		Count    int64            `json:"count"`
		Errors   int64            `json:"errors"`
		Severity float64          `json:"average_severity"`
		Levels   map[string]int64 `json:"levels"`
		ByType   []answeredGroup  `json:"by_type"`
		BySource []answeredGroup  `json:"by_source"`
		ByRegion []answeredGroup  `json:"by_region"`
		Response *answeredTimes   `json:"response_time"`
		Previous *numbered        `json:"previous"`
	}
	if err := json.Unmarshal(body, &got); err != nil {
		return err
	}
	all := now[plainKey{}]
	err := errors.Join(differ("count", got.Count, all.count), differ("errors", got.Errors, all.errors),
		about("average severity", got.Severity, float64(all.severity)/float64(all.count), 1e-9))
	for level, n := range all.levels {
		err = errors.Join(err, differ(level, got.Levels[level], n))
	}
	switch {
	case timed && got.Response == nil:
		err = errors.Join(err, errors.New("no response times"))
	case timed:
		err = errors.Join(err, got.Response.are(all.times))
	}
	if before != nil && got.Previous != nil {
		err = errors.Join(err, differ("count before", got.Previous.Count, before[plainKey{}].count))
	} else if before != nil {
		err = errors.Join(err, errors.New("nothing is compared"))
	}
	for dimension, groups := range map[string][]answeredGroup{byType: got.ByType, bySource: got.BySource, byRegion: got.ByRegion} {
		known := 1 // the range itself
		for _, g := range groups {
			known++
			want := now[plainKey{name: dimension + g.Value}]
			if want == nil {
				return fmt.Errorf("%s%s is in no event", dimension, g.Value)
			}
			err = errors.Join(err, differ(dimension+g.Value, g.Count, want.count), differ(dimension+g.Value+" errors", g.Errors, want.errors),
				about(dimension+g.Value+" severity", g.Severity, float64(want.severity)/float64(want.count), 1e-9))
			if was := before[plainKey{name: dimension + g.Value}]; was != nil && (g.Previous == nil || *g.Previous != was.count) {
				err = errors.Join(err, fmt.Errorf("%s%s before is not %d", dimension, g.Value, was.count))
			}
		}
		err = errors.Join(err, differ(dimension+"values", len(groups), valuesOf(now, dimension)))
	}
	return err
}

// valuesOf is how many values of a dimension there are.
func valuesOf(sums map[plainKey]*plain, dimension string) (n int) {
	for key := range sums {
		if len(key.name) > len(dimension) && key.name[:len(dimension)] == dimension {
			n++
		}
	}
	return n
}

// answeredLine is a line of a trend.
type answeredLine struct {
	Name   string `json:"name"`
	Count  int64  `json:"count"`
	Points []struct {
		Timestamp time.Time `json:"timestamp"`
		Value     *float64  `json:"value"`
		Count     int64     `json:"count"`
		Errors    int64     `json:"errors"`
		P50       *float64  `json:"p50"`
		P95       *float64  `json:"p95"`
		P99       *float64  `json:"p99"`
	} `json:"points"`
}

// is compares the line with a loop's sums of its windows.
func (l answeredLine) is(kind string, of func(start time.Time) plain) error {
	var err error
	total := int64(0)
	for _, p := range l.Points {
		want, at := of(p.Timestamp), fmt.Sprintf("%s at %s", l.Name, p.Timestamp.Format(time.RFC3339))
		n := want.count
		if kind == "RESPONSE_TIME" {
			n = int64(len(want.times))
		}
		total += n
		err = errors.Join(err, differ(at, p.Count, n))
		switch {
		case n == 0:
		case p.Value == nil:
			return fmt.Errorf("%s has no value", at)
		case kind == "RESPONSE_TIME" && (p.P50 == nil || p.P95 == nil || p.P99 == nil):
			return fmt.Errorf("%s has no percentiles", at)
		case kind == "RESPONSE_TIME":
			slices.Sort(want.times)
			err = errors.Join(err, answeredTimes{n, *p.Value, float64(want.times[0]), float64(want.times[n-1]), *p.P50, *p.P95, *p.P99}.are(want.times))
		case kind == "ERROR_RATE":
			err = errors.Join(err, about(at, *p.Value, float64(want.errors)/float64(n), 1e-9))
		default:
			err = errors.Join(err, differ(at, *p.Value, float64(n)), differ(at+" errors", p.Errors, want.errors))
		}
	}
	return errors.Join(err, differ(l.Name+" in all", l.Count, total))
}

// seriesMost is how many series a trend has unless it is asked for more.
const seriesMost = 5

// checkTrend compares a trend of so many windows, by the names that are in sums
// besides "".
func checkTrend(body []byte, kind string, windows int, sums map[plainKey]*plain) error {
	var got struct {
		Total  answeredLine   `json:"total"`
		Series []answeredLine `json:"series"`
		Others *answeredLine  `json:"others"`
	}
	if err := json.Unmarshal(body, &got); err != nil {
		return err
	}
	of := func(name string) func(time.Time) plain {
		return func(start time.Time) plain {
			if p := sums[plainKey{start.UTC(), name}]; p != nil {
				return *p
			}
			return plain{}
		}
	}
	err := errors.Join(differ("points", len(got.Total.Points), windows), got.Total.is(kind, of("")))
	whole := map[string]int64{}
	for key, p := range sums {
		if key.name != "" {
			whole[key.name] += p.count
		}
	}
	largest := slices.SortedFunc(maps.Keys(whole), func(a, b string) int {
		if whole[a] != whole[b] {
			return int(whole[b] - whole[a])
		}
		return map[bool]int{true: -1, false: 1}[a < b]
	})
	if err := errors.Join(err, differ("series", len(got.Series), min(seriesMost, len(largest)))); err != nil {
		return err
	}
	for i, l := range got.Series {
		err = errors.Join(err, differ(fmt.Sprintf("series %d", i), l.Name, largest[i]), l.is(kind, of(l.Name)))
	}
	if len(largest) <= seriesMost {
		return err
	}
	if got.Others == nil {
		return errors.Join(err, errors.New("the other series are missing"))
	}
	return errors.Join(err, got.Others.is(kind, func(start time.Time) plain {
		rest := of("")(start)
		for _, l := range got.Series {
			one := of(l.Name)(start)
			rest.count, rest.errors = rest.count-one.count, rest.errors-one.errors
		}
		return rest
	}))
}
