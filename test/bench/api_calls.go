package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/url"
	"slices"
	"time"

	"github.com/events-aggregator/events-aggregator/test/bench/anchors/load"
)

// Goals, ms: of everything that an index serves, and of what reads raw events.
const (
	indexedGoal = 200
	rawGoal     = 2000
	rawEvents   = 50_000 // at most
	pageOf      = 50
)

// call is one kind of question.
type call struct {
	name string
	goal float64 // ms
	more int     // pages that are asked for behind the first
	ask  func(n int) question
}

// question is asked with other values each time.
type question struct {
	path  string
	query url.Values
	// check says what is wrong with a page of the answer, and where the next is.
	check func(body []byte, page int) (cursor string, err error)
}

// list is a call whose pages must have exactly these ids.
func list(name, path, id string, query func(n int) url.Values, want func(n int) iter.Seq[string]) call {
	return call{name: name, goal: indexedGoal, more: 1, ask: func(n int) question {
		return question{path, query(n), func(body []byte, page int) (string, error) { return checkPage(body, field(id), page, want(n)) }}
	}}
}

// checkPage compares a page with the part of a list that it must be; of says what an
// item is.
func checkPage(body []byte, of func(json.RawMessage) (string, error), page int, want iter.Seq[string]) (string, error) {
	var got listed
	if err := json.Unmarshal(body, &got); err != nil {
		return "", err
	}
	i, skip, more := 0, page*pageOf, false
	for expected := range want {
		if skip > 0 {
			skip--
			continue
		}
		if i == pageOf {
			more = true
			break
		}
		if i == len(got.Items) {
			return "", fmt.Errorf("%d items, %s and perhaps more are missing", i, expected)
		}
		found, err := of(got.Items[i])
		if err != nil {
			return "", err
		}
		if found != expected {
			return "", fmt.Errorf("item %d of page %d is %s, not %s", i, page, found, expected)
		}
		i++
	}
	switch {
	case i < len(got.Items):
		return "", fmt.Errorf("%d items, %d more than there are", len(got.Items), len(got.Items)-i)
	case more && got.NextCursor == "":
		return "", errNoCursor
	case i < pageOf && got.NextCursor != "":
		return "", errCursor
	}
	return got.NextCursor, nil
}

var (
	errNoCursor = errors.New("there are more, and no cursor")
	errCursor   = errors.New("a cursor, and there are no more")
)

// field is the text of an item under a name.
func field(name string) func(json.RawMessage) (string, error) {
	return func(raw json.RawMessage) (string, error) {
		var item map[string]json.RawMessage
		if err := json.Unmarshal(raw, &item); err != nil {
			return "", err
		}
		var text string
		err := json.Unmarshal(item[name], &text)
		return text, err
	}
}

func values(pairs ...string) url.Values {
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return v
}

func stamp(t time.Time) string { return t.Format(time.RFC3339Nano) }

// calls are everything that is asked.
func calls(h history) []call {
	all := h.eventLists()
	all = append(all, h.otherLists()...)
	all = append(all, h.metricLists()...)
	all = append(all, h.searches()...)
	return append(all, h.analyses()...)
}

// newest are the ids of the events [from, to) that match, the newest first.
func (h history) newest(from, to int, match func(i int, e historyEvent) bool) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := to - 1; i >= from; i-- {
			if match(i, h.event(i)) && !yield(load.ID(h.run, i)) {
				return
			}
		}
	}
}

func (h history) eventLists() []call {
	every := func(int, historyEvent) bool { return true }
	of := func(name string, query func(n int) url.Values, match func(n int) func(i int, e historyEvent) bool) call {
		return list("events "+name, "/events", "event_id", query, func(n int) iter.Seq[string] { return h.newest(0, h.n, match(n)) })
	}
	// some is an event that has something, another one each time.
	some := func(n int, has func(e historyEvent) bool) int {
		i := int(mix(uint64(n)) % uint64(h.n))
		for !has(h.event(i)) {
			i = (i + 1) % h.n
		}
		return i
	}
	user := func(n int) int { return h.event(some(n, func(e historyEvent) bool { return e.user >= 0 })).user }
	session := func(n int) int { return h.event(some(n, func(e historyEvent) bool { return e.session >= 0 })).session }
	trace := func(n int) int { return some(n, func(historyEvent) bool { return true }) / 10 * 10 }
	retries := func(e historyEvent) int { return int(e.words % 6) }
	hour := func(n int) (from, to time.Time) {
		from = h.begin.Add(time.Duration(n*17%47) * time.Hour)
		return from, from.Add(time.Hour)
	}
	return []call{
		of("of all kinds", func(int) url.Values { return values() }, func(int) func(int, historyEvent) bool { return every }),
		of("by type", func(n int) url.Values { return values("type", typeOf(n%historyTypes)) },
			func(n int) func(int, historyEvent) bool {
				return func(_ int, e historyEvent) bool { return e.typ == n%historyTypes }
			}),
		of("by source", func(n int) url.Values { return values("source", sourceOf(n%historySources)) },
			func(n int) func(int, historyEvent) bool {
				return func(_ int, e historyEvent) bool { return e.source == n%historySources }
			}),
		of("by severity", func(int) url.Values { return values("severity_min", "7") },
			func(int) func(int, historyEvent) bool {
				return func(_ int, e historyEvent) bool { return e.severity >= 7 }
			}),
		of("by level", func(int) url.Values { return values("level", "critical") },
			func(int) func(int, historyEvent) bool {
				return func(_ int, e historyEvent) bool { return e.severity >= 9 }
			}),
		of("by type and severity", func(n int) url.Values { return values("type", typeOf(n%historyTypes), "severity_min", "9") },
			func(n int) func(int, historyEvent) bool {
				return func(_ int, e historyEvent) bool { return e.typ == n%historyTypes && e.severity >= 9 }
			}),
		of("by source and type", func(n int) url.Values {
			return values("source", sourceOf(n%historySources), "type", typeOf(n%historyTypes))
		},
			func(n int) func(int, historyEvent) bool {
				return func(_ int, e historyEvent) bool { return e.typ == n%historyTypes && e.source == n%historySources }
			}),
		of("by user", func(n int) url.Values { return values("user_id", userOf(user(n))) },
			func(n int) func(int, historyEvent) bool {
				u := user(n)
				return func(_ int, e historyEvent) bool { return e.user == u }
			}),
		of("by session", func(n int) url.Values { return values("session_id", sessionOf(session(n))) },
			func(n int) func(int, historyEvent) bool {
				u := session(n)
				return func(_ int, e historyEvent) bool { return e.session == u }
			}),
		of("by trace", func(n int) url.Values { return values("trace_id", traceOf(trace(n))) },
			func(n int) func(int, historyEvent) bool {
				first := trace(n)
				return func(i int, _ historyEvent) bool { return i/10*10 == first }
			}),
		of("by rule", func(n int) url.Values { return values("rule", ruleOf(n%historyRules)) },
			func(n int) func(int, historyEvent) bool {
				return func(_ int, e historyEvent) bool { return e.rule == n%historyRules }
			}),
		of("by condition and type", func(n int) url.Values {
			return values("filter", fmt.Sprintf(`{"type":%q,"payload.retries":3}`, typeOf(n%historyTypes)))
		}, func(n int) func(int, historyEvent) bool {
			return func(_ int, e historyEvent) bool { return e.typ == n%historyTypes && retries(e) == 3 }
		}),
		of("by condition and user", func(n int) url.Values {
			return values("filter", fmt.Sprintf(`{"user_id":%q,"severity":{"$gte":4}}`, userOf(user(n))))
		},
			func(n int) func(int, historyEvent) bool {
				u := user(n)
				return func(_ int, e historyEvent) bool { return e.user == u && e.severity >= 4 }
			}),
		list("events of an hour", "/events", "event_id", func(n int) url.Values { from, to := hour(n); return values("from", stamp(from), "to", stamp(to)) },
			func(n int) iter.Seq[string] { from, to := hour(n); return h.newest(h.first(from), h.first(to), every) }),
		list("events of an hour, processed, by condition", "/events", "event_id", func(n int) url.Values {
			from, to := hour(n)
			return values("from", stamp(from), "to", stamp(to), "processed", "true", "filter", `{"payload.retries":{"$gte":4}}`)
		}, func(n int) iter.Seq[string] {
			from, to := hour(n)
			return h.newest(h.first(from), h.first(to), func(_ int, e historyEvent) bool { return retries(e) >= 4 })
		}),
		list("events from a time on, the oldest first", "/events", "event_id",
			func(n int) url.Values {
				from, _ := hour(n)
				return values("from", stamp(from), "sort", "timestamp", "type", typeOf(n%historyTypes))
			},
			func(n int) iter.Seq[string] {
				from, _ := hour(n)
				return func(yield func(string) bool) {
					for i := h.first(from); i < h.n; i++ {
						if h.event(i).typ == n%historyTypes && !yield(load.ID(h.run, i)) {
							return
						}
					}
				}
			}),
		of("near a place", func(n int) url.Values {
			lon, lat := placeOf(aroundTheGlobe(n))
			return values("near", fmt.Sprintf("%g,%g,150000", lon, lat))
		},
			func(n int) func(int, historyEvent) bool {
				lon, lat := placeOf(aroundTheGlobe(n))
				return func(_ int, e historyEvent) bool {
					if !e.place {
						return false
					}
					x, y := placeOf(e.words)
					return metres(lon, lat, x, y) <= 150_000
				}
			}),
	}
}

// down are the ids of n items that match, the last first.
func down(n int, id func(int) string, match func(int) bool) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := n - 1; i >= 0; i-- {
			if match(i) && !yield(id(i)) {
				return
			}
		}
	}
}

// up are the ids of n items, the first first.
func up(n int, id func(int) string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := range n {
			if !yield(id(i)) {
				return
			}
		}
	}
}

func (h history) otherLists() []call {
	every := func(int) bool { return true }
	of := func(name, path, id string, count int, idOf func(int) string, query func(n int) url.Values, match func(n int) func(int) bool) call {
		return list(name, path, id, query, func(n int) iter.Seq[string] { return down(count, idOf, match(n)) })
	}
	notifications := func(name string, query func(n int) url.Values, match func(n int) func(int) bool) call {
		return of("notifications "+name, "/notifications", "notification_id", h.n/eventsPerNotification, h.notificationID, query, match)
	}
	letters := func(name string, query func(n int) url.Values, match func(n int) func(int) bool) call {
		return of("dead letters "+name, "/dead-letters", "dead_id", h.n/eventsPerLetter, h.letterID, query, match)
	}
	audit := func(name string, query func(n int) url.Values, match func(n int) func(int) bool) call {
		return of("audit "+name, "/audit", "subject", h.n/eventsPerAudit, silenceOf, query, match)
	}
	rules, _ := load.Rules() // of none, the answers are wrong
	names := make([]string, len(rules))
	for i, r := range rules {
		names[i] = r.ID
	}
	slices.Sort(names)
	none := func(int) url.Values { return values() }
	all := func(int) func(int) bool { return every }
	return []call{
		notifications("of all kinds", none, all),
		notifications("by status", func(int) url.Values { return values("status", "dead") },
			func(int) func(int) bool { return func(i int) bool { return i%20 == 0 } }),
		notifications("by rule", func(n int) url.Values { return values("rule", ruleOf(n%historyRules)) },
			func(n int) func(int) bool { return func(i int) bool { return i%historyRules == n%historyRules } }),
		notifications("by event", func(n int) url.Values { return values("event_id", load.ID(h.run, n*eventsPerNotification)) },
			func(n int) func(int) bool { return func(i int) bool { return i == n } }),
		letters("of all kinds", none, all),
		letters("by queue", func(n int) url.Values { return values("queue", letterQueue(n)) },
			func(n int) func(int) bool { return func(i int) bool { return i%3 == n%3 } }),
		letters("by cause", func(n int) url.Values { return values("cause", fmt.Sprintf("cause-%d", n%len(historyErrors))) },
			func(n int) func(int) bool {
				return func(i int) bool { return i%len(historyErrors) == n%len(historyErrors) }
			}),
		letters("that wait", func(int) url.Values { return values("waiting", "true") }, all),
		audit("of all kinds", func(int) url.Values { return values("kind", "bench") }, all),
		audit("by user", func(n int) url.Values { return values("by", auditor(n)) },
			func(n int) func(int) bool { return func(i int) bool { return i%20 == n%20 } }),
		list("rules", "/rules", "rule_id", none, func(int) iter.Seq[string] { return slices.Values(names) }),
		list("silences", "/silences", "silence_id", none, func(int) iter.Seq[string] { return down(historySilences, silenceOf, every) }),
		list("users", "/users", "email", none, func(int) iter.Seq[string] { return up(historyPeople, emailOf) }),
	}
}

func (h history) searches() []call {
	last := h.first(h.at(h.n - 1).Add(-time.Hour))
	from := h.at(last)
	check := func(want func(got []string) error) func([]byte, int) (string, error) {
		return func(body []byte, _ int) (string, error) {
			var got struct {
				Items []struct {
					Event struct {
						ID string `json:"event_id"`
					} `json:"event"`
				} `json:"items"`
			}
			if err := json.Unmarshal(body, &got); err != nil {
				return "", err
			}
			var ids []string
			for _, i := range got.Items {
				ids = append(ids, i.Event.ID)
			}
			return "", want(ids)
		}
	}
	return []call{
		{name: "search of an hour for what one event has", goal: indexedGoal, ask: func(n int) question {
			i := last + int(mix(uint64(n))%uint64(h.n-last))
			return question{"/events/search", values("q", fmt.Sprintf(`"order %d"`, i), "from", stamp(from)), check(func(got []string) error {
				if len(got) != 1 || got[0] != load.ID(h.run, i) {
					return fmt.Errorf("found %v, not %s", got, load.ID(h.run, i))
				}
				return nil
			})}
		}},
		{name: "search of an hour and a type for two words", goal: indexedGoal, ask: func(n int) question {
			typ := n % historyTypes
			return question{"/events/search", values("q", "customer order", "type", typeOf(typ), "from", stamp(from)), check(func(got []string) error {
				want := map[string]bool{}
				for i := last; i < h.n; i++ {
					if e := h.event(i); e.typ == typ && e.says("customer") {
						want[load.ID(h.run, i)] = true
					}
				}
				if len(got) != min(len(want), pageOf) {
					return fmt.Errorf("found %d of %d", len(got), len(want))
				}
				for _, id := range got {
					if !want[id] {
						return fmt.Errorf("found %s, which does not say so, or twice", id)
					}
					delete(want, id)
				}
				return nil
			})}
		}},
	}
}

// says whether a word is in the message.
func (e historyEvent) says(word string) bool {
	w := e.words
	for range 10 {
		if historyText[w%uint64(len(historyText))] == word {
			return true
		}
		w = mix(w)
	}
	return false
}
