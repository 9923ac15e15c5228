package main

import (
	"fmt"
	"math"
	"time"

	"github.com/events-aggregator/events-aggregator/test/bench/anchors/load"
)

// history is events of two days that are stored already. Everything about event i
// follows from i, so that what the API must answer is known without asking it.
// Two neighbours share their time, but the first and the last event are alone: pages
// of an even number end between two that do.
type history struct {
	n     int
	run   uint32
	begin time.Time
	step  time.Duration
}

const (
	historyFor   = 48 * time.Hour
	storedMost   = 1 << 24 // that have ids of one block
	historyTypes = 40
	// Each type has one source and comes from all regions: 200 series.
	historySources, historyRegions = 10, 5
	historyUsers                   = 5000
	historyRules                   = 100 // that matched something
)

// historyEvent is what filters look at.
type historyEvent struct {
	typ, source, region, user, session int
	severity                           int
	response                           int // ms; 0: none
	rule                               int // that matched it; -1: none
	place                              bool
	words                              uint64 // of its message
}

func newHistory(n int, run uint32, end time.Time) history {
	step := historyFor / time.Duration(n) * 2
	return history{n: n, run: run, begin: end.Add(-historyFor).Truncate(time.Millisecond), step: step.Truncate(time.Millisecond)}
}

// at is when event i happened.
func (h history) at(i int) time.Time { return h.begin.Add(time.Duration((i+1)/2) * h.step) }

// first is the first event at that time or later.
func (h history) first(at time.Time) int {
	if !at.After(h.begin) {
		return 0
	}
	return min(h.n, 2*int((at.Sub(h.begin)+h.step-1)/h.step)-1)
}

// mix is splitmix64: as good as random, and the same for the same i.
func mix(i uint64) uint64 {
	i += 0x9e3779b97f4a7c15
	i = (i ^ i>>30) * 0xbf58476d1ce4e5b9
	i = (i ^ i>>27) * 0x94d049bb133111eb
	return i ^ i>>31
}

// event draws what an event has: 8 % are errors, 70 % have a user, 40 % a session,
// 30 % a response time, 5 % a place; a rule matched 2 %.
func (h history) event(i int) historyEvent {
	r := mix(uint64(i))
	draw := func(n uint64) int { // the next bits of it
		v := int(r % n)
		r /= n
		return v
	}
	e := historyEvent{typ: draw(historyTypes), region: draw(historyRegions), user: draw(historyUsers), session: -1, rule: -1}
	e.source = e.typ % historySources
	share := draw(100)
	switch {
	case share < 60:
		e.severity = 1 + share%3
	case share < 92:
		e.severity = 4 + share%3
	case share < 98:
		e.severity = 7 + share%2
	default:
		e.severity = 9 + share%2
	}
	r = mix(r + uint64(i))
	if draw(10) >= 7 {
		e.user = -1
	} else if draw(7) < 4 {
		e.session = e.user*10 + draw(10)
	}
	if draw(10) < 3 {
		e.response = 1 + draw(2000)
	}
	e.place = draw(20) == 0
	if draw(50) == 0 {
		e.rule = draw(historyRules)
	}
	e.words = mix(r)
	return e
}

var (
	historyErrors = []string{"card declined by issuer", "upstream timed out", "connection reset by peer", "quota exceeded", "invalid signature", "stock is gone", "address unknown", "session expired"}
	historyText   = []string{"checkout", "gateway", "customer", "retry", "batch", "scheduled", "partner", "settlement", "mobile", "backoff", "review", "phase", "storage", "worker", "replica", "window"}
)

// errorText is what an error's text begins with.
func (e historyEvent) errorText() string { return historyErrors[e.words%uint64(len(historyErrors))] }

func typeOf(n int) string    { return fmt.Sprintf("BENCH_TYPE_%02d", n) }
func sourceOf(n int) string  { return fmt.Sprintf("bench-service-%d", n) }
func regionOf(n int) string  { return fmt.Sprintf("region-%d", n) }
func userOf(n int) string    { return fmt.Sprintf("user-%04d", n) }
func sessionOf(n int) string { return fmt.Sprintf("s-%05d", n) }
func ruleOf(n int) string    { return fmt.Sprintf("rule-%03d", n) }

// traceOf: ten neighbours are one trace.
func traceOf(i int) string { return fmt.Sprintf("%032x", mix(uint64(i/10))) }

// placeOf is a place of an event with such words, on a grid of a tenth of a degree.
func placeOf(words uint64) (lon, lat float64) {
	return float64(words%3600)/10 - 180, float64(words>>16%1400)/10 - 70
}

// aroundTheGlobe are words of places that follow each other far apart.
func aroundTheGlobe(n int) uint64 { return uint64(n) * 0x9E3779B97F4A7C15 }

// metres are as the crow flies, on MongoDB's globe.
func metres(lon1, lat1, lon2, lat2 float64) float64 {
	const degree = math.Pi / 180
	a := math.Pow(math.Sin((lat2-lat1)*degree/2), 2) + math.Cos(lat1*degree)*math.Cos(lat2*degree)*math.Pow(math.Sin((lon2-lon1)*degree/2), 2)
	return 2 * 6_378_100 * math.Asin(math.Sqrt(a))
}

// body is event i as it is published.
func (h history) body(i int) []byte {
	e := h.event(i)
	b := make([]byte, 0, 1024)
	b = fmt.Appendf(b, `{"event_id":%q,"type":%q,"source":%q,"severity":%d,"timestamp":%q,"trace_id":%q`,
		load.ID(h.run, i), typeOf(e.typ), sourceOf(e.source), e.severity, h.at(i).Format(time.RFC3339Nano), traceOf(i))
	if e.user >= 0 {
		b = fmt.Appendf(b, `,"user_id":%q`, userOf(e.user))
	}
	if e.session >= 0 {
		b = fmt.Appendf(b, `,"session_id":%q`, sessionOf(e.session))
	}
	w := e.words
	b = fmt.Appendf(b, `,"payload":{"amount":%d.%02d,"currency":"EUR","order_id":"ord_%014x","customer_id":"cus_%014x","retries":%d,"host":"ip-10-%d-%d-%d"`,
		w%5000, w%100, w&0xffffffffffff, w>>8&0xffffffffffff, w%6, w%256, w>>8%256, w>>16%256)
	if e.response > 0 {
		b = fmt.Appendf(b, `,"response_time_ms":%d`, e.response)
	}
	if e.severity >= 7 {
		b = fmt.Appendf(b, `,"error":"%s after %d ms"`, e.errorText(), w%10_000)
	}
	b = append(b, `,"message":"`...)
	for range 10 {
		b = fmt.Appendf(b, "%s ", historyText[w%uint64(len(historyText))])
		w = mix(w)
	}
	b = fmt.Appendf(b, `order %d","tags":["prod","web"]},"metadata":{"region":%q,"ip_address":"198.51.100.%d","user_agent":"Go-http-client/2.0","version":"2.%d.%d"`,
		i, regionOf(e.region), w%254+1, w%40, w%20)
	if e.place {
		lon, lat := placeOf(e.words)
		b = fmt.Appendf(b, `,"location":{"type":"Point","coordinates":[%g,%g]}`, lon, lat)
	}
	return append(b, "}}"...)
}
