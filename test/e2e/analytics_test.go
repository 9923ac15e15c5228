package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/config"
	"github.com/events-aggregator/events-aggregator/pkg/deadletter"
	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/services/aggregator"
	"github.com/events-aggregator/events-aggregator/services/ingester"
	"github.com/events-aggregator/events-aggregator/test/support/fleet"
)

// happened is an event of the analyses' corpus.
type happened struct {
	ID        string         `json:"event_id"`
	Type      string         `json:"type"`
	Source    string         `json:"source"`
	Severity  int            `json:"severity"`
	Timestamp time.Time      `json:"timestamp"`
	User      string         `json:"user_id,omitempty"`
	Session   string         `json:"session_id,omitempty"`
	Payload   object         `json:"payload"`
	Metadata  map[string]any `json:"metadata"`
}

func (h happened) isError() bool { return h.Severity >= 7 }

func (h happened) region() string {
	region, _ := h.Metadata["region"].(string)
	return region
}

// corpus are events of the last hours; what they say is a plain loop's business.
func corpus(until time.Time) []happened {
	var all []happened
	for i := range 120 {
		h := happened{ID: uuid.NewString(), Type: []string{"USER_LOGIN", "PAYMENT_FAILED", "SYSTEM_ERROR", "ORDER_CREATED"}[i%4],
			Source: []string{"web", "shop", "billing"}[i%3], Severity: 1 + i*7%10,
			Timestamp: until.Add(-time.Duration(i*11%28)*time.Hour - time.Duration(i%2)*time.Minute - time.Duration(i)*100*time.Millisecond).Truncate(time.Second),
			Payload:   object{"duration_ms": 3 + i*i%997}, Metadata: object{}}
		if i%5 > 0 { // the others have none
			h.Metadata["region"] = []string{"eu", "us"}[i%2]
		}
		if i%3 > 0 {
			h.User, h.Session = fmt.Sprint("user-", i%5), fmt.Sprint("session-", i%9)
		}
		if h.isError() {
			h.Payload["error"] = fmt.Sprintf([]string{"timeout after %d ms", "order %d is unknown", "no route to 10.0.0.%d"}[i%3], 100+i)
		}
		all = append(all, h)
	}
	return all
}

var _ = Describe("analytics", Ordered, func() {
	var (
		p      *product
		events []happened
		now    time.Time
	)
	BeforeAll(func(ctx SpecContext) {
		now = time.Now().UTC()
		p = start(ctx, func(c *config.Config) { c.API.AnalyticsTimeout = 20 * time.Second })
		p.Start(ctx, "ingester", ingester.Wire)
		p.Start(ctx, "aggregator", aggregator.Wire, func(c *config.Config) { c.Aggregator.MaterialiseEvery = 500 * time.Millisecond })
		events = corpus(now)
		Expect(p.call(ctx, http.MethodPost, "/api/v1/events", events, nil)).To(Equal(http.StatusAccepted))
		Eventually(ctx, func() (int64, error) {
			return p.Store.CountEvents(ctx, store.EventFilter{From: now.Add(-48 * time.Hour)}, 0)
		}).
			WithTimeout(time.Minute).WithPolling(200 * time.Millisecond).Should(BeEquivalentTo(len(events)))
		Eventually(ctx, func() (bool, error) { return p.Store.Pending(ctx, now.Add(-48*time.Hour), now.Add(time.Hour)) }).
			WithTimeout(90 * time.Second).WithPolling(500 * time.Millisecond).Should(BeFalse())
	}, NodeTimeout(3*time.Minute))

	get := func(ctx context.Context, path string, result any) {
		GinkgoHelper()
		var raw json.RawMessage
		status := p.call(ctx, http.MethodGet, "/api/v1"+path, nil, &raw)
		Expect(status).To(Equal(http.StatusOK), "%s: %s", path, raw)
		Expect(json.Unmarshal(raw, result)).To(Succeed())
	}
	within := func(from, to time.Time) []happened {
		return slices.DeleteFunc(slices.Clone(events), func(h happened) bool { return h.Timestamp.Before(from) || !h.Timestamp.Before(to) })
	}

	It("counts events by type with their average severity, as a loop does, and compares with the range before", func(ctx SpecContext) {
		type group struct {
			Value           string  `json:"value"`
			Count           int     `json:"count"`
			Errors          int     `json:"errors"`
			AverageSeverity float64 `json:"average_severity"`
			Previous        int     `json:"previous_count"`
		}
		var answers [2]struct {
			From, To        time.Time
			Count, Errors   int
			ErrorRate       float64 `json:"error_rate"`
			AverageSeverity float64 `json:"average_severity"`
			Source          string  `json:"answered_from"`
			Levels          map[string]int
			ByType          []group `json:"by_type"`
			BySource        []group `json:"by_source"`
			ByRegion        []group `json:"by_region"`
			Previous        struct{ Count int }
			Response        struct {
				Count int
				P95   float64
			} `json:"response_time"`
		}
		get(ctx, "/analytics/summary?response_times=true&"+query("from", now.Add(-12*time.Hour).Truncate(time.Minute)), &answers[0])
		// A condition that is true of all: the events themselves answer.
		get(ctx, "/analytics/summary?response_times=true&severity_min=1&"+query("from", answers[0].From, "to", answers[0].To), &answers[1])
		Expect([]string{answers[0].Source, answers[1].Source}).To(Equal([]string{"metrics", "events"}))
		for _, a := range answers {
			in, before := within(a.From, a.To), within(a.From.Add(a.From.Sub(a.To)), a.From)
			Expect(a.Count).To(Equal(len(in)))
			Expect(a.Previous.Count).To(Equal(len(before)))
			for got, of := range map[*[]group]func(happened) string{
				&a.ByType: func(h happened) string { return h.Type }, &a.BySource: func(h happened) string { return h.Source },
				&a.ByRegion: happened.region,
			} {
				want := map[string]*group{}
				for _, h := range in {
					g := want[of(h)]
					if g == nil {
						g = &group{Value: of(h)}
						want[g.Value] = g
					}
					g.Count++
					g.AverageSeverity += float64(h.Severity)
					if h.isError() {
						g.Errors++
					}
				}
				for _, h := range before {
					if g := want[of(h)]; g != nil {
						g.Previous++
					}
				}
				Expect(*got).To(HaveLen(len(want)))
				for _, g := range *got {
					w := want[g.Value]
					Expect(g.AverageSeverity).To(BeNumerically("~", w.AverageSeverity/float64(w.Count), 1e-9), g.Value)
					g.AverageSeverity = w.AverageSeverity
					Expect(g).To(Equal(*w))
				}
				Expect(slices.IsSortedFunc(*got, func(a, b group) int { return b.Count - a.Count })).To(BeTrue())
			}
			levels, errors, ms := map[string]int{"info": 0, "warning": 0, "error": 0, "critical": 0}, 0, []int{}
			for _, h := range in {
				levels[[]string{"info", "info", "info", "warning", "warning", "warning", "error", "error", "critical", "critical"}[h.Severity-1]]++
				if h.isError() {
					errors++
				}
				ms = append(ms, h.Payload["duration_ms"].(int))
			}
			Expect(a.Levels).To(Equal(levels))
			Expect(a.ErrorRate).To(BeNumerically("~", float64(errors)/float64(len(in)), 1e-9))
			slices.Sort(ms)
			exact := float64(ms[int(math.Ceil(0.95*float64(len(ms))))-1])
			Expect(a.Response.Count).To(Equal(len(ms)))
			Expect(a.Response.P95).To(BeNumerically("~", exact, 0.02*exact))
		}
	}, SpecTimeout(time.Minute))

	It("draws lines without gaps, in several series, as a loop does", func(ctx SpecContext) {
		type point struct {
			Timestamp time.Time
			Value     *float64
			Count     int
			Errors    int
			Open      bool
		}
		type line struct {
			Name   string
			Count  int
			Points []point
		}
		for _, c := range []struct {
			period string
			length time.Duration
			span   time.Duration
			more   string
		}{
			{"1m", time.Minute, 20 * time.Hour, ""}, {"5m", 5 * time.Minute, 24 * time.Hour, ""},
			{"1h", time.Hour, 28 * time.Hour, ""}, {"1d", 24 * time.Hour, 28 * time.Hour, ""}, {"1h", time.Hour, 28 * time.Hour, "severity_min=1&"},
		} {
			var a struct {
				From, To time.Time
				Period   string
				Total    line
				Series   []line
				Others   *line
			}
			get(ctx, "/analytics/trends?by=type&series=3&period="+c.period+"&"+c.more+query("from", now.Add(-c.span)), &a)
			Expect(a.Period).To(Equal(c.period))
			in := within(a.From, a.To)
			Expect(a.Total.Count).To(Equal(len(in)))
			Expect(a.Total.Points).To(HaveLen(int(a.To.Sub(a.From) / c.length)))
			Expect(a.Series).To(HaveLen(3))
			counts, errors := map[string]map[time.Time]int{}, map[string]map[time.Time]int{}
			for _, h := range in {
				for _, name := range []string{"", h.Type} {
					if counts[name] == nil {
						counts[name], errors[name] = map[time.Time]int{}, map[time.Time]int{}
					}
					counts[name][h.Timestamp.Truncate(c.length)]++
					if h.isError() {
						errors[name][h.Timestamp.Truncate(c.length)]++
					}
				}
			}
			rest := a.Total.Count
			for _, l := range append([]line{a.Total}, a.Series...) {
				for i, at := range l.Points {
					Expect(at.Timestamp).To(BeTemporally("==", a.From.Add(time.Duration(i)*c.length)))
					Expect(at.Count).To(Equal(counts[l.Name][at.Timestamp]), "%s %s", l.Name, at.Timestamp)
					Expect(*at.Value).To(BeEquivalentTo(at.Count))
					Expect(at.Errors).To(Equal(errors[l.Name][at.Timestamp]))
				}
				if l.Name != "" {
					rest -= l.Count
				}
			}
			Expect(a.Total.Points[len(a.Total.Points)-1].Open).To(BeTrue())
			Expect(a.Others.Count).To(Equal(rest))
		}
		var rates, times struct {
			Total struct {
				Points []struct {
					Timestamp       time.Time
					Value, P50, P99 *float64
					Count, Errors   int
				}
			}
			Series []line
		}
		get(ctx, "/analytics/trends?metric_type=ERROR_RATE&by=level&period=1h&"+query("from", now.Add(-28*time.Hour)), &rates)
		Expect(rates.Series).To(HaveLen(4))
		get(ctx, "/analytics/trends?metric_type=RESPONSE_TIME&period=1h&source=shop&"+query("from", now.Add(-28*time.Hour)), &times)
		empty, full := 0, 0
		for i, at := range rates.Total.Points {
			in := within(at.Timestamp, at.Timestamp.Add(time.Hour))
			if len(in) == 0 {
				Expect(at.Value).To(BeNil())
				empty++
				continue
			}
			Expect(*at.Value).To(BeNumerically("~", float64(at.Errors)/float64(len(in)), 1e-9))
			ms := []float64{}
			for _, h := range in {
				if h.Source == "shop" {
					ms = append(ms, float64(h.Payload["duration_ms"].(int)))
				}
			}
			if t := times.Total.Points[i]; len(ms) > 0 {
				slices.Sort(ms)
				full++
				Expect(t.Count).To(Equal(len(ms)))
				Expect(*t.P50).To(BeNumerically("~", ms[int(math.Ceil(0.5*float64(len(ms))))-1], 0.02*ms[len(ms)-1]))
				Expect(*t.P99).To(BeNumerically("~", ms[len(ms)-1], 0.02*ms[len(ms)-1]))
			}
		}
		Expect(full).To(BeNumerically(">", 5))
		Expect(empty + full).To(BeNumerically(">", 5))
	}, SpecTimeout(time.Minute))

	It("finds the top errors by type and cause, as a loop does", func(ctx SpecContext) {
		type cause struct {
			Type, Error string
			Count       int
			FirstSeen   time.Time `json:"first_seen"`
			LastSeen    time.Time `json:"last_seen"`
			Users       int       `json:"affected_users"`
			Sample      string    `json:"sample_event_id"`
			Sparkline   []int
		}
		var a struct {
			From, To time.Time
			Slot     float64 `json:"slot_seconds"`
			Errors   int
			Causes   int
			Items    []cause
		}
		get(ctx, "/analytics/top-errors?limit=100&slots=10&"+query("from", now.Add(-20*time.Hour), "to", now.Add(time.Minute)), &a)
		want, users, ids := map[[2]string]*cause{}, map[[2]string]map[string]bool{}, map[[2]string][]string{}
		errors := 0
		for _, h := range within(a.From, a.To) {
			if !h.isError() {
				continue
			}
			errors++
			k := [2]string{h.Type, deadletter.Fingerprint(h.Payload["error"].(string))}
			c := want[k]
			if c == nil {
				c = &cause{Type: k[0], Error: k[1], FirstSeen: h.Timestamp, LastSeen: h.Timestamp, Sparkline: make([]int, 10)}
				want[k], users[k] = c, map[string]bool{}
			}
			c.Count++
			c.Sparkline[int(h.Timestamp.Sub(a.From).Seconds()/a.Slot)]++
			if h.Timestamp.Before(c.FirstSeen) {
				c.FirstSeen = h.Timestamp
			}
			if h.Timestamp.After(c.LastSeen) {
				c.LastSeen = h.Timestamp
			}
			if h.User != "" {
				users[k][h.User] = true
			}
			ids[k] = append(ids[k], h.ID)
		}
		Expect(a.Errors).To(Equal(errors))
		Expect(a.Causes).To(Equal(len(want)))
		Expect(a.Items).To(HaveLen(len(want)))
		Expect(slices.IsSortedFunc(a.Items, func(x, y cause) int { return y.Count - x.Count })).To(BeTrue())
		for _, c := range a.Items {
			k := [2]string{c.Type, c.Error}
			w := want[k]
			Expect(w).NotTo(BeNil(), "%v", k)
			Expect(ids[k]).To(ContainElement(c.Sample))
			w.Users, w.Sample = len(users[k]), c.Sample
			Expect(c).To(Equal(*w))
		}
		var few struct{ Items []cause }
		get(ctx, "/analytics/top-errors?limit=2&type=SYSTEM_ERROR", &few)
		Expect(few.Items).To(And(HaveLen(2), HaveEach(HaveField("Type", "SYSTEM_ERROR"))))
	}, SpecTimeout(time.Minute))

	It("tells what users did: the most active ones, and one with timeline and sessions, as a loop does", func(ctx SpecContext) {
		var most struct {
			From, To time.Time
			Items    []struct {
				UserID   string `json:"user_id"`
				Count    int
				Errors   int
				Sessions int
			}
		}
		get(ctx, "/analytics/user-activity?"+query("from", now.Add(-20*time.Hour), "to", now.Add(time.Minute)), &most)
		counts := map[string]int{}
		for _, h := range within(most.From, most.To) {
			if h.User != "" {
				counts[h.User]++
			}
		}
		Expect(most.Items).To(HaveLen(len(counts)))
		for _, u := range most.Items {
			Expect(u.Count).To(Equal(counts[u.UserID]))
		}
		var one struct {
			From, To time.Time
			Period   string
			Count    int
			Errors   int
			ByType   []struct {
				Value string
				Count int
			} `json:"by_type"`
			Timeline []struct {
				Timestamp time.Time
				Count     int
			}
			Sessions []struct {
				ID       string    `json:"session_id"`
				Started  time.Time `json:"started_at"`
				Ended    time.Time `json:"ended_at"`
				Duration float64   `json:"duration_seconds"`
				Count    int
			}
			SessionsN int `json:"sessions_count"`
		}
		get(ctx, "/analytics/user-activity?user_id=user-2&period=1h&"+query("from", now.Add(-20*time.Hour)), &one)
		types, slots, sessions, n := map[string]int{}, map[time.Time]int{}, map[string][]time.Time{}, 0
		for _, h := range within(one.From, one.To) {
			if h.User == "user-2" {
				n++
				types[h.Type]++
				slots[h.Timestamp.Truncate(time.Hour)]++
				sessions[h.Session] = append(sessions[h.Session], h.Timestamp)
			}
		}
		Expect(one.Count).To(Equal(n))
		Expect(one.Timeline).To(HaveLen(int(one.To.Sub(one.From) / time.Hour)))
		for _, s := range one.Timeline {
			Expect(s.Count).To(Equal(slots[s.Timestamp]))
		}
		for _, t := range one.ByType {
			Expect(t.Count).To(Equal(types[t.Value]))
		}
		Expect(one.SessionsN).To(Equal(len(sessions)))
		for _, s := range one.Sessions {
			at := sessions[s.ID]
			slices.SortFunc(at, time.Time.Compare)
			Expect(s.Count).To(Equal(len(at)))
			Expect(s.Started).To(BeTemporally("==", at[0]))
			Expect(s.Ended).To(BeTemporally("==", at[len(at)-1]))
			Expect(s.Duration).To(Equal(s.Ended.Sub(s.Started).Seconds()))
		}
	}, SpecTimeout(time.Minute))

	It("lists metrics page by page, each once, the newest first", func(ctx SpecContext) {
		type entry struct {
			Type       string `json:"metric_type"`
			Dimensions map[string]string
			Period     string
			Timestamp  time.Time
			Value      float64
			P95        *float64
		}
		pages := func(filter string) (all []entry) {
			cursor := ""
			for range 100 {
				var a struct {
					Items []entry
					Next  string `json:"next_cursor"`
				}
				get(ctx, "/metrics?limit=500&"+filter+cursor, &a)
				all = append(all, a.Items...)
				if a.Next == "" {
					return all
				}
				cursor = "&cursor=" + url.QueryEscape(a.Next)
			}
			Fail("no end")
			return nil
		}
		hours := pages("period=1h&metric_type=RESPONSE_TIME")
		days := pages("period=1d")
		sum := 0.0
		for _, m := range days {
			if m.Type == "EVENTS_COUNT" {
				sum += m.Value
			}
		}
		Expect(sum).To(BeEquivalentTo(len(events)))
		seen := map[string]bool{}
		for _, m := range hours {
			Expect(m.P95).NotTo(BeNil())
			key := fmt.Sprint(m.Timestamp, m.Dimensions)
			Expect(seen).NotTo(HaveKey(key))
			seen[key] = true
		}
		Expect(slices.IsSortedFunc(hours, func(a, b entry) int { return b.Timestamp.Compare(a.Timestamp) })).To(BeTrue())
		some := pages("period=1h&metric_type=EVENTS_COUNT&type=USER_LOGIN&source=web&region=eu")
		Expect(some).To(And(Not(BeEmpty()), HaveEach(HaveField("Dimensions", Equal(map[string]string{"event_type": "USER_LOGIN", "source": "web", "region": "eu"})))))
		Expect(pages("period=1d&metric_type=EVENTS_COUNT&region=")).To(And(Not(BeEmpty()), HaveEach(HaveField("Dimensions", HaveKeyWithValue("region", "")))))
	}, SpecTimeout(time.Minute))

	It("answers of the events without a region when none is named, from metrics and from events", func(ctx SpecContext) {
		for _, more := range []string{"", "severity_min=1&"} {
			var a struct {
				From, To time.Time
				Count    int
				ByRegion []struct {
					Value string
					Count int
				} `json:"by_region"`
			}
			get(ctx, "/analytics/summary?region=&"+more+query("from", now.Add(-12*time.Hour)), &a)
			n := 0
			for _, h := range within(a.From, a.To) {
				if h.region() == "" {
					n++
				}
			}
			Expect(n).To(BeNumerically(">", 0))
			Expect(a.Count).To(Equal(n))
			Expect(a.ByRegion).To(HaveExactElements(And(HaveField("Value", ""), HaveField("Count", n))))
		}
	}, SpecTimeout(time.Minute))

	DescribeTable("refuses what cannot be answered, by name", func(ctx SpecContext, path, parameter string) {
		var problem struct {
			Code   string
			Errors []struct{ Parameter, Message string }
		}
		// What a fast clock takes for a moment ago, in the minute after that to which ranges are widened.
		path = strings.ReplaceAll(path, "AHEAD", time.Now().UTC().Add(time.Minute).Format(time.RFC3339))
		Expect(p.call(ctx, http.MethodGet, "/api/v1"+path, nil, &problem)).To(Equal(http.StatusBadRequest))
		Expect(problem.Code).To(Equal("invalid_parameter"))
		Expect(problem.Errors).To(ContainElement(HaveField("Parameter", parameter)))
	},
		Entry("too many windows", "/analytics/trends?period=1m&from=2026-01-01T00:00:00Z&to=2026-01-09T00:00:00Z", "period"),
		Entry("all of time by minutes", "/analytics/trends?period=1m&from=0002-01-01T00:00:00Z&to=9999-12-31T00:00:00Z", "period"),
		Entry("all of a user's time by minutes", "/analytics/user-activity?user_id=u&period=1m&from=0002-01-01T00:00:00Z&to=9999-12-31T00:00:00Z", "from"),
		Entry("too long a range of events", "/analytics/summary?level=error&from=2024-01-01T00:00:00Z", "from"),
		Entry("a time that no metric is kept of", "/analytics/summary?from=2019-01-01T00:00:00Z&to=2019-02-01T00:00:00Z", "from"),
		Entry("a range that begins after now", "/analytics/summary?from=AHEAD", "from"),
		Entry("a line that begins after now", "/analytics/trends?from=AHEAD", "from"),
		Entry("errors from after now on", "/analytics/top-errors?from=AHEAD", "from"),
		Entry("users from after now on", "/analytics/user-activity?from=AHEAD", "from"),
		Entry("a user from after now on", "/analytics/user-activity?user_id=u&from=2099-01-01T00:00:00Z", "from"),
		Entry("matches from after now on", "/rules/matches?rules=r&from=AHEAD", "from"),
		Entry("a time before all that JSON can tell", "/analytics/top-errors?to=0000-01-01T12:00:00Z", "to"),
		Entry("windows that end behind it", "/analytics/trends?period=1d&from=9999-12-30T00:00:00Z&to=9999-12-31T12:00:00Z", "to"),
		Entry("too many series", "/analytics/trends?by=type&series=21", "series"),
		Entry("an unknown period of a user", "/analytics/user-activity?user_id=u&period=2h", "period"),
		Entry("an unknown period", "/analytics/trends?period=2h", "period"),
		Entry("a period without a value", "/metrics?period=", "period"),
		Entry("a stream of a period without a value", "/stream/metrics?period=", "period"),
		Entry("an unknown kind", "/metrics?metric_type=NOISE", "metric_type"),
		Entry("response times by level", "/analytics/trends?metric_type=RESPONSE_TIME&by=level", "by"),
		Entry("errors that are none", "/analytics/top-errors?level=info", "level"),
		Entry("a misspelt filter", "/analytics/summary?soucre=x", "soucre"),
		Entry("a timeline of everybody", "/analytics/user-activity?period=1h", "period"),
	)

	It("is shown by eactl, as a table and as data", func(ctx SpecContext) {
		s := p.eactl(ctx, "analytics", "summary", "--last", "24h")
		Expect(s).To(done, s.Err)
		Expect(s.Out).To(And(MatchRegexp(`events +\d+, .* a minute, average severity`), ContainSubstring("PAYMENT_FAILED"), ContainSubstring("p95"), ContainSubstring("#")))
		s = p.eactl(ctx, "analytics", "trends", "--by", "source", "--period", "1h")
		Expect(s.Out).To(And(HavePrefix("EVENTS_COUNT of 1h"), ContainSubstring("billing"), ContainSubstring("all")))
		s = p.eactl(ctx, "analytics", "top-errors", "--last", "30h")
		Expect(s.Out).To(And(MatchRegexp(`^\d+ errors of \d+ causes`), ContainSubstring("timeout after <number>")))
		s = p.eactl(ctx, "analytics", "users", "--last", "30h")
		Expect(s.Out).To(ContainSubstring("user-2"))
		s = p.eactl(ctx, "analytics", "users", "--user-id", "user-2", "--last", "30h")
		Expect(s.Out).To(And(HavePrefix("user-2: "), ContainSubstring("SESSION")))
		Expect(p.eactl(ctx, "analytics", "users", "--user-id", "nobody").Code).To(Equal(3))
		Expect(p.eactl(ctx, "analytics", "trends", "--period", "2h").Code).To(Equal(2))
		Expect(p.eactl(ctx, "analytics", "summary", "--last", "1h", "--to", "2026-01-01T00:00:00Z").Code).To(Equal(2))
		data := p.eactl(ctx, "analytics", "top-errors", "-o", "json").lines()
		Expect(data).To(ConsistOf(HaveKey("items")))
		Expect(p.eactl(ctx, "analytics", "summary", "-o", "yaml").Out).To(ContainSubstring("by_type:"))
	}, SpecTimeout(time.Minute))

	It("says that a question takes too long, and what to do", func(ctx SpecContext) {
		slow := *p.Fleet
		proxy := fleet.Through(&slow.MongoURI)
		hasty := (&product{Fleet: &slow}).another(ctx, func(c *config.Config) { c.API.AnalyticsTimeout = 100 * time.Millisecond })
		proxy.Delay(300 * time.Millisecond)
		for _, path := range []string{"summary", "trends", "top-errors", "user-activity", "user-activity?user_id=u"} {
			var problem problemBody
			Expect(hasty.call(ctx, http.MethodGet, "/api/v1/analytics/"+path, nil, &problem)).To(Equal(http.StatusGatewayTimeout), path)
			Expect(problem.Code).To(Equal("too_slow"))
			Expect(problem.Detail).To(ContainSubstring("shorter range"))
		}
		codes := make(chan string) // each question has a tenth of a second, and so long waits who has no place: two have one
		for range 40 {
			go func() {
				defer GinkgoRecover()
				var problem problemBody
				hasty.call(ctx, http.MethodGet, "/api/v1/analytics/summary?severity_min=1", nil, &problem)
				codes <- problem.Code
			}()
		}
		all := map[string]int{}
		for range 40 {
			select {
			case code := <-codes:
				all[code]++
			case <-ctx.Done():
			}
		}
		Expect(all).To(And(HaveLen(2), HaveKey("too_slow"), HaveKey("busy")))
	}, SpecTimeout(time.Minute))
})

// query is times as parameters.
func query(kv ...any) string {
	q := url.Values{}
	for i := 0; i < len(kv); i += 2 {
		q.Set(kv[i].(string), kv[i+1].(time.Time).Format(time.RFC3339Nano))
	}
	return q.Encode()
}
