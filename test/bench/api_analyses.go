package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

func (h history) analyses() []call {
	hour := h.at(h.n - 1).Truncate(time.Hour) // the end of the last closed one
	day := values("from", stamp(hour.Add(-24*time.Hour)), "to", stamp(hour))
	first, last := h.first(hour.Add(-24*time.Hour)), h.first(hour)
	before := h.first(hour.Add(-48 * time.Hour))
	// The newest events that may be read one by one.
	raw := max(0, h.n-rawEvents*19/20) // a trend begins up to five minutes earlier
	rawFrom := h.at(raw)
	raw = h.first(rawFrom)
	end := h.at(h.n - 1).Add(h.step)
	newest := values("from", stamp(rawFrom), "to", stamp(end))
	with := func(base url.Values, more ...string) url.Values {
		v := values(more...)
		for name := range base {
			v.Set(name, base.Get(name))
		}
		return v
	}
	asked := func(name string, goal float64, path string, query url.Values, check func(body []byte) error) call {
		return call{name: name, goal: goal, ask: func(int) question {
			return question{path, query, func(body []byte, _ int) (string, error) { return "", check(body) }}
		}}
	}
	every := func(historyEvent) bool { return true }
	// Loops go over the events once for all answers of a call.
	summary := func(from, to int, match func(historyEvent) bool) func() map[plainKey]*plain {
		return sync.OnceValue(func() map[plainKey]*plain { return h.addUp(from, to, match, everyDimension) })
	}
	summed := func(now, before func() map[plainKey]*plain, timed bool) func([]byte) error {
		return func(body []byte) error { return checkSummary(body, now(), before(), timed) }
	}
	none := func() map[plainKey]*plain { return nil }
	trend := func(from, to int, end time.Time, length time.Duration, kind, by string, match func(historyEvent) bool) func([]byte) error {
		sums := sync.OnceValue(func() map[plainKey]*plain {
			return h.addUp(from, to, match, func(i int, e historyEvent) []plainKey {
				start := h.at(i).UTC().Truncate(length)
				if by == "" {
					return []plainKey{{start, ""}}
				}
				return []plainKey{{start, ""}, {start, typeOf(e.typ)}}
			})
		})
		windows := int((end.Sub(h.at(from).Truncate(length)) + length - 1) / length)
		return func(body []byte) error { return checkTrend(body, kind, windows, sums()) }
	}
	ofType := func(e historyEvent) bool { return e.typ == 7 }
	today, yesterday := summary(first, last, every), summary(before, first, every)
	rawSums := summary(raw, h.n, every)
	mild := func(e historyEvent) bool { return e.severity <= 6 }
	mildFrom := h.first(rawFrom.Truncate(5 * time.Minute))
	user := func() int {
		for i := h.n - 1; i > 0; i-- {
			if u := h.event(i).user; u >= 0 {
				return u
			}
		}
		return 0
	}()
	return []call{
		asked("summary of a day", indexedGoal, "/analytics/summary", day, summed(today, yesterday, false)),
		asked("summary of a day, one type", indexedGoal, "/analytics/summary", with(day, "type", typeOf(7)), summed(summary(first, last, ofType), summary(before, first, ofType), false)),
		asked("summary of a day with response times", indexedGoal, "/analytics/summary", with(day, "response_times", "true"), summed(today, yesterday, true)),
		asked("trends of a day by 5 minutes", indexedGoal, "/analytics/trends", day, trend(first, last, hour, 5*time.Minute, "EVENTS_COUNT", "", every)),
		asked("trends of a day by 5 minutes, one type", indexedGoal, "/analytics/trends", with(day, "type", typeOf(7)), trend(first, last, hour, 5*time.Minute, "EVENTS_COUNT", "", ofType)),
		asked("trends of a day by hour and type", indexedGoal, "/analytics/trends", with(day, "period", "1h", "by", "type"), trend(first, last, hour, time.Hour, "EVENTS_COUNT", "type", every)),
		asked("trends of a day's error rate", indexedGoal, "/analytics/trends", with(day, "period", "1h", "metric_type", "ERROR_RATE"), trend(first, last, hour, time.Hour, "ERROR_RATE", "", every)),
		asked("trends of a day's response times", indexedGoal, "/analytics/trends", with(day, "period", "1h", "metric_type", "RESPONSE_TIME"), trend(first, last, hour, time.Hour, "RESPONSE_TIME", "", every)),
		asked("summary of raw events", rawGoal, "/analytics/summary", with(newest, "severity_min", "1", "compare", "false"), summed(rawSums, none, false)),
		asked("summary of raw events with response times", rawGoal, "/analytics/summary", with(newest, "severity_min", "1", "compare", "false", "response_times", "true"), summed(rawSums, none, true)),
		asked("trends of raw events", rawGoal, "/analytics/trends", with(newest, "severity_max", "6", "period", "5m"), trend(mildFrom, h.n, end, 5*time.Minute, "EVENTS_COUNT", "", mild)),
		asked("top errors of a day", rawGoal, "/analytics/top-errors", day, h.checkErrors(first, last)),
		asked("users of raw events", rawGoal, "/analytics/user-activity", newest, h.checkUsers(raw)),
		asked("what a user did in a day", rawGoal, "/analytics/user-activity", with(day, "user_id", userOf(user)), h.checkUser(first, last, user)),
	}
}

// checkErrors compares the top errors of the events [from, to) with a loop. Texts differ
// by the number at their end.
func (h history) checkErrors(from, to int) func([]byte) error {
	type cause struct{ typ, text string }
	type sum struct {
		count int64
		users map[int]bool
	}
	causes := sync.OnceValue(func() map[cause]*sum {
		all := map[cause]*sum{}
		for i := from; i < to; i++ {
			e := h.event(i)
			if !e.failed() {
				continue
			}
			key := cause{typeOf(e.typ), e.errorText()}
			if all[key] == nil {
				all[key] = &sum{users: map[int]bool{}}
			}
			all[key].count++
			if e.user >= 0 {
				all[key].users[e.user] = true
			}
		}
		return all
	})
	return func(body []byte) error {
		var got struct {
			Errors int64 `json:"errors"`
			Causes int   `json:"causes"`
			Items  []struct {
				Type      string  `json:"type"`
				Example   string  `json:"example"`
				Count     int64   `json:"count"`
				Users     int     `json:"affected_users"`
				Sparkline []int64 `json:"sparkline"`
			} `json:"items"`
		}
		if err := json.Unmarshal(body, &got); err != nil {
			return err
		}
		var counts []int64
		errorsInAll := int64(0)
		for _, s := range causes() {
			counts = append(counts, s.count)
			errorsInAll += s.count
		}
		slices.SortFunc(counts, func(a, b int64) int { return int(b - a) })
		counts = counts[:min(len(counts), 20)]
		err := errors.Join(differ("errors", got.Errors, errorsInAll), differ("causes", got.Causes, len(causes())), differ("items", len(got.Items), len(counts)))
		if err != nil {
			return err
		}
		for n, item := range got.Items {
			text, _, _ := strings.Cut(item.Example, " after")
			want := causes()[cause{item.Type, text}]
			if want == nil {
				return fmt.Errorf("no error of %s says %s", item.Type, item.Example)
			}
			drawn := int64(0)
			for _, slot := range item.Sparkline {
				drawn += slot
			}
			err = errors.Join(err, differ("the next largest cause", item.Count, counts[n]), differ(item.Example, item.Count, want.count),
				differ("its users", item.Users, len(want.users)), differ("its sparkline", drawn, want.count))
		}
		return err
	}
}

// did is what a loop finds of a user.
type did struct {
	user            string
	count, errors   int64
	types, sessions map[int]bool
}

func (d *did) add(e historyEvent) {
	d.count++
	if e.failed() {
		d.errors++
	}
	d.types[e.typ] = true
	if e.session >= 0 {
		d.sessions[e.session] = true
	}
}

func newDid(user int) *did {
	return &did{user: userOf(user), types: map[int]bool{}, sessions: map[int]bool{}}
}

// checkUsers compares the most active users of the events from some on.
func (h history) checkUsers(from int) func([]byte) error {
	most := sync.OnceValue(func() []*did {
		all := map[int]*did{}
		for i := from; i < h.n; i++ {
			e := h.event(i)
			if e.user < 0 {
				continue
			}
			if all[e.user] == nil {
				all[e.user] = newDid(e.user)
			}
			all[e.user].add(e)
		}
		var sorted []*did
		for _, d := range all {
			sorted = append(sorted, d)
		}
		slices.SortFunc(sorted, func(a, b *did) int { return cmp.Or(cmp.Compare(b.count, a.count), cmp.Compare(a.user, b.user)) })
		return sorted[:min(len(sorted), 20)]
	})
	return func(body []byte) error {
		var got struct {
			Items []struct {
				User     string   `json:"user_id"`
				Count    int64    `json:"count"`
				Errors   int64    `json:"errors"`
				Sessions int64    `json:"sessions"`
				Types    []string `json:"types"`
			} `json:"items"`
		}
		if err := json.Unmarshal(body, &got); err != nil {
			return err
		}
		if err := differ("users", len(got.Items), len(most())); err != nil {
			return err
		}
		var err error
		for i, want := range most() {
			item := got.Items[i]
			err = errors.Join(err, differ(fmt.Sprintf("user %d", i), item.User, want.user), differ("count", item.Count, want.count), differ("errors", item.Errors, want.errors),
				differ("sessions", item.Sessions, int64(len(want.sessions))), differ("types", len(item.Types), len(want.types)))
		}
		return err
	}
}

// numbered is how many there are of something.
type numbered struct {
	Count int64 `json:"count"`
}

// checkUser compares what one user did in the events [from, to).
func (h history) checkUser(from, to, user int) func([]byte) error {
	done := sync.OnceValue(func() *did {
		d := newDid(user)
		for i := from; i < to; i++ {
			if e := h.event(i); e.user == user {
				d.add(e)
			}
		}
		return d
	})
	return func(body []byte) error {
		var got struct {
			Count    int64      `json:"count"`
			Errors   int64      `json:"errors"`
			Sessions int        `json:"sessions_count"`
			ByType   []numbered `json:"by_type"`
			Timeline []numbered `json:"timeline"`
		}
		if err := json.Unmarshal(body, &got); err != nil {
			return err
		}
		typed, drawn := int64(0), int64(0)
		for _, t := range got.ByType {
			typed += t.Count
		}
		for _, slot := range got.Timeline {
			drawn += slot.Count
		}
		want := done()
		return errors.Join(differ("count", got.Count, want.count), differ("errors", got.Errors, want.errors), differ("sessions", got.Sessions, len(want.sessions)),
			differ("types", len(got.ByType), len(want.types)), differ("of all types", typed, want.count), differ("timeline", drawn, want.count))
	}
}
