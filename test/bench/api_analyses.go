package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"time"
)

func (h history) analyses() []call {
	hour := h.at(h.n - 1).Truncate(time.Hour) // the end of the last closed one
	day := values("from", stamp(hour.Add(-24*time.Hour)), "to", stamp(hour))
	first, last := h.first(hour.Add(-24*time.Hour)), h.first(hour)
	// The newest events that may be read one by one.
	raw := max(0, h.n-rawEvents*19/20) // a trend begins up to five minutes earlier
	rawFrom := h.at(raw)
	raw = h.first(rawFrom)
	newest := values("from", stamp(rawFrom))
	mild := func(e historyEvent) bool { return e.severity <= 6 }
	with := func(base url.Values, more ...string) url.Values {
		v := values(more...)
		for name := range base {
			v.Set(name, base.Get(name))
		}
		return v
	}
	count := func(from, to int, match func(e historyEvent) bool) func() int64 {
		return func() (n int64) {
			for i := from; i < to; i++ {
				if match(h.event(i)) {
					n++
				}
			}
			return n
		}
	}
	// known is what the answer must say under a path of names; counted once.
	known := func(name string, goal float64, path string, query url.Values, want func() int64, under ...string) call {
		var counted *int64
		return call{name: name, goal: goal, ask: func(int) question {
			return question{path, query, func(body []byte, _ int) (string, error) {
				if counted == nil {
					n := want()
					counted = &n
				}
				got, err := numberAt(body, under...)
				if err == nil && got != *counted {
					err = fmt.Errorf("%v is %d, not %d", under, got, *counted)
				}
				return "", err
			}}
		}}
	}
	every := func(historyEvent) bool { return true }
	failed := func(e historyEvent) bool { return e.severity >= 7 }
	timed := func(e historyEvent) bool { return e.response > 0 }
	user := func() int {
		for i := h.n - 1; i > 0; i-- {
			if u := h.event(i).user; u >= 0 {
				return u
			}
		}
		return 0
	}()
	return []call{
		known("summary of a day", indexedGoal, "/analytics/summary", day, count(first, last, every), "count"),
		known("summary of a day, one type", indexedGoal, "/analytics/summary", with(day, "type", typeOf(7)), count(first, last, func(e historyEvent) bool { return e.typ == 7 }), "count"),
		known("summary of a day with response times", indexedGoal, "/analytics/summary", with(day, "response_times", "true"), count(first, last, timed), "response_time", "count"),
		known("trends of a day by 5 minutes", indexedGoal, "/analytics/trends", day, count(first, last, every), "total", "count"),
		known("trends of a day by hour and type", indexedGoal, "/analytics/trends", with(day, "period", "1h", "by", "type"), count(first, last, every), "total", "count"),
		known("trends of a day's error rate", indexedGoal, "/analytics/trends", with(day, "period", "1h", "metric_type", "ERROR_RATE"), count(first, last, every), "total", "count"),
		known("trends of a day's response times", indexedGoal, "/analytics/trends", with(day, "period", "1h", "metric_type", "RESPONSE_TIME"), count(first, last, timed), "total", "count"),
		known("summary of raw events", rawGoal, "/analytics/summary", with(newest, "severity_min", "1", "compare", "false"), count(raw, h.n, every), "count"),
		known("trends of raw events", rawGoal, "/analytics/trends", with(newest, "severity_max", "6", "period", "5m"), count(h.first(rawFrom.Truncate(5*time.Minute)), h.n, mild), "total", "count"),
		known("top errors of a day", rawGoal, "/analytics/top-errors", day, count(first, last, failed), "errors"),
		known("users of raw events", rawGoal, "/analytics/user-activity", newest, h.busiest(raw), "items", "0", "count"),
		known("what a user did in a day", rawGoal, "/analytics/user-activity", with(day, "user_id", userOf(user)), count(first, last, func(e historyEvent) bool { return e.user == user }), "count"),
	}
}

// busiest is how many of the events from some on the busiest user has.
func (h history) busiest(from int) func() int64 {
	return func() (most int64) {
		by := map[int]int64{}
		for i := from; i < h.n; i++ {
			if u := h.event(i).user; u >= 0 {
				by[u]++
				most = max(most, by[u])
			}
		}
		return most
	}
}

var errNoNumber = errors.New("no number")

// numberAt is the whole number under a path of names and places.
func numberAt(body []byte, path ...string) (int64, error) {
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		return 0, err
	}
	for _, name := range path {
		switch in := v.(type) {
		case map[string]any:
			v = in[name]
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i >= len(in) {
				return 0, fmt.Errorf("%v: %w", path, errNoNumber)
			}
			v = in[i]
		}
	}
	n, ok := v.(float64)
	if !ok {
		return 0, fmt.Errorf("%v: %w", path, errNoNumber)
	}
	return int64(n), nil
}
