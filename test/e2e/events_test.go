package e2e_test

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/config"
	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/services/ingester"
	"github.com/events-aggregator/events-aggregator/test/support/fleet"
)

// seen is an event of the lists' corpus.
type seen struct {
	ID        string    `json:"event_id"`
	Type      string    `json:"type"`
	Source    string    `json:"source"`
	Severity  int       `json:"severity"`
	Timestamp time.Time `json:"timestamp"`
	User      string    `json:"user_id,omitempty"`
	Session   string    `json:"session_id,omitempty"`
	Trace     string    `json:"trace_id,omitempty"`
	Payload   object    `json:"payload"`
	Metadata  object    `json:"metadata"`
}

func sightings(until time.Time) []seen {
	var all []seen
	for i := range 60 {
		e := seen{ID: uuid.NewString(), Type: []string{"USER_LOGIN", "PAYMENT_FAILED", "SYSTEM_ERROR"}[i%3], Source: []string{"web", "shop"}[i%2],
			Severity: 1 + i%10, Timestamp: until.Add(-time.Duration(i/2) * time.Minute), // two at a time
			Payload: object{"n": i, "error": []string{"Card declined, again", "provider_timeout", "no route"}[i%3]}, Metadata: object{"region": "eu"}}
		if i%4 == 0 {
			e.User, e.Session, e.Trace = fmt.Sprint("user-", i%5), fmt.Sprint("session-", i%7), fmt.Sprint("trace-", i%3)
		}
		if i%10 == 0 {
			e.Metadata["location"] = object{"type": "Point", "coordinates": []float64{13.4 + float64(i)/100, 52.52}}
		}
		all = append(all, e)
	}
	return all
}

var _ = Describe("the events that are stored", Ordered, func() {
	var (
		p      *product
		events []seen
		now    time.Time
	)
	BeforeAll(func(ctx SpecContext) {
		now = time.Now().UTC().Truncate(time.Second)
		p = start(ctx)
		p.Start(ctx, "ingester", ingester.Wire)
		events = sightings(now)
		Expect(p.call(ctx, http.MethodPost, "/api/v1/events", events, nil)).To(Equal(http.StatusAccepted))
		p.stored(ctx, len(events))
	}, NodeTimeout(2*time.Minute))

	// get is the answer to a question that is right.
	get := func(ctx context.Context, path string, result any) {
		GinkgoHelper()
		var raw json.RawMessage
		status := p.call(ctx, http.MethodGet, "/api/v1"+path, nil, &raw)
		Expect(status).To(Equal(http.StatusOK), "%s: %s", path, raw)
		Expect(json.Unmarshal(raw, result)).To(Succeed())
	}
	type listed struct {
		Items      []seen
		NextCursor string `json:"next_cursor"`
	}
	// pages are the ids of a list, a few at a time.
	pages := func(ctx context.Context, query url.Values) (ids []string) {
		GinkgoHelper()
		query.Set("limit", "7")
		for range 20 {
			var page listed
			get(ctx, "/events?"+query.Encode(), &page)
			for _, e := range page.Items {
				ids = append(ids, e.ID)
			}
			if page.NextCursor == "" {
				break
			}
			query.Set("cursor", page.NextCursor)
		}
		return ids
	}
	idsOf := func(of func(seen) bool) (ids []string) {
		for _, e := range events {
			if of(e) {
				ids = append(ids, e.ID)
			}
		}
		return ids
	}
	minute := func(n int) string { return now.Add(-time.Duration(n) * time.Minute).Format(time.RFC3339) }

	It("are found by each filter, alone and together, as a loop finds them", func(ctx SpecContext) {
		for _, c := range []struct {
			query url.Values
			of    func(seen) bool
		}{
			{url.Values{}, func(seen) bool { return true }},
			{url.Values{"type": {"PAYMENT_FAILED"}}, func(e seen) bool { return e.Type == "PAYMENT_FAILED" }},
			{url.Values{"source": {"shop"}, "severity_min": {"4"}, "severity_max": {"8"}}, func(e seen) bool { return e.Source == "shop" && e.Severity >= 4 && e.Severity <= 8 }},
			{url.Values{"level": {"critical"}}, func(e seen) bool { return e.Severity >= 9 }},
			{url.Values{"user_id": {"user-4"}}, func(e seen) bool { return e.User == "user-4" }},
			{url.Values{"session_id": {"session-4"}, "type": {"USER_LOGIN"}}, func(e seen) bool { return e.Session == "session-4" && e.Type == "USER_LOGIN" }},
			{url.Values{"trace_id": {"trace-0"}}, func(e seen) bool { return e.Trace == "trace-0" }},
			{url.Values{"from": {minute(20)}, "to": {minute(10)}}, func(e seen) bool {
				return !e.Timestamp.Before(now.Add(-20*time.Minute)) && e.Timestamp.Before(now.Add(-10*time.Minute))
			}},
			{url.Values{"processed": {"false"}, "from": {minute(60)}}, func(seen) bool { return true }},
			{url.Values{"processed": {"true"}, "from": {minute(60)}}, func(seen) bool { return false }},
			{url.Values{"rule": {"none"}}, func(seen) bool { return false }},
			{url.Values{"filter": {`{"payload.n": {"$mod": [4, 1]}}`}, "from": {minute(60)}}, func(e seen) bool { return e.Payload["n"].(int)%4 == 1 }},
			{url.Values{"filter": {`{"type": "SYSTEM_ERROR", "$or": [{"severity": 3}, {"severity": 9}]}`}, "source": {"web"}}, func(e seen) bool {
				return e.Type == "SYSTEM_ERROR" && e.Source == "web" && (e.Severity == 3 || e.Severity == 9)
			}},
			{url.Values{"filter": {`{"created_at": {"$gte": {"$date": "` + minute(60) + `"}}}`}, "from": {minute(60)}, "source": {"web"}}, func(e seen) bool { return e.Source == "web" }},
			{url.Values{"filter": {`{"created_at": {"$lt": {"$date": "` + minute(60) + `"}}}`}, "from": {minute(60)}}, func(seen) bool { return false }},
			{url.Values{"near": {"13.4,52.52,8000"}}, func(e seen) bool { n := e.Payload["n"].(int); return n == 0 || n == 10 }},
			{url.Values{"near": {"13.4, 52.52, 1e6"}, "type": {"PAYMENT_FAILED"}}, func(e seen) bool { n := e.Payload["n"].(int); return n%10 == 0 && n%3 == 1 }},
		} {
			want := idsOf(c.of)
			found := pages(ctx, c.query)
			Expect(found).To(ConsistOf(anys(want)...), "%v", c.query)
		}
	}, SpecTimeout(2*time.Minute))

	It("come in order, and only with the fields that were asked for", func(ctx SpecContext) {
		newest := pages(ctx, url.Values{})
		oldest := pages(ctx, url.Values{"sort": {"timestamp"}})
		slices.Reverse(oldest)
		Expect(newest).To(Equal(oldest))
		var page struct{ Items []object }
		get(ctx, "/events?limit=1&fields=payload.n,payload,severity", &page)
		Expect(page.Items[0]).To(And(HaveLen(4), HaveKey("event_id"), HaveKey("timestamp"), HaveKey("severity"), HaveKeyWithValue("payload", HaveKey("error"))))
	}, SpecTimeout(time.Minute))

	It("are not read whole for a filter that no index serves, and it says what to do", func(ctx SpecContext) {
		for _, query := range []string{
			"filter=" + url.QueryEscape(`{"payload.n":7}`), "severity_min=3", "level=warning", "processed=false", "filter=" + url.QueryEscape(`{"payload.n":7}`) + "&to=2026-01-01T00:00:00Z",
		} {
			for _, path := range []string{"", "/export"} {
				var bad problemBody
				Expect(p.call(ctx, http.MethodGet, "/api/v1/events"+path+"?"+query, nil, &bad)).To(Equal(http.StatusBadRequest), query)
				Expect(bad.Code).To(Equal("needs_time_range"))
				Expect(bad.Detail).To(And(ContainSubstring("from="), ContainSubstring("user_id")))
			}
		}
	}, SpecTimeout(time.Minute))

	DescribeTable("are asked for with parameters that are checked",
		func(ctx SpecContext, query, parameter string) {
			var bad struct {
				Code   string
				Errors []struct{ Parameter, Message string }
			}
			Expect(p.call(ctx, http.MethodGet, "/api/v1/events"+query, nil, &bad)).To(Equal(http.StatusBadRequest))
			Expect(bad.Code).To(Equal("invalid_parameter"))
			Expect(bad.Errors).To(ContainElement(HaveField("Parameter", parameter)))
		},
		Entry(nil, "?near=1,2", "near"), Entry(nil, "?near=181,0,1", "near"), Entry(nil, "?near=NaN,0,1", "near"), Entry(nil, "?near=0,0,-1", "near"),
		Entry(nil, "?sort=-severity", "sort"), Entry(nil, "?fields=$where", "fields"), Entry(nil, "?fields=a.$b", "fields"), Entry(nil, "?fields=a,,b", "fields"),
		Entry(nil, "?fields=_id", "fields"), Entry(nil, "/search", "q"), Entry(nil, "/search?q=-only", "q"), Entry(nil, "/search?q=x&fields=type", "fields"),
		Entry(nil, "/export?format=xml", "format"), Entry(nil, "/export?limit=0", "limit"), Entry(nil, "?cursor=x", "cursor"),
	)

	It("are searched by their text, with the words marked", func(ctx SpecContext) {
		var found struct {
			Mode  string
			Items []struct {
				Event      seen
				Score      float64
				Highlights []struct {
					Path, Text string
					Marks      []struct{ Start, End int }
				}
			}
			NextCursor string `json:"next_cursor"`
		}
		get(ctx, "/events/search?"+url.Values{"q": {`"card declined" -nothing`}, "source": {"shop"}, "from": {minute(60)}}.Encode(), &found)
		Expect(found.Mode).To(BeElementOf("text_index", "term_match"))
		var ids []string
		for _, hit := range found.Items {
			ids = append(ids, hit.Event.ID)
			Expect(hit.Score).To(BeNumerically(">", 0))
			Expect(hit.Highlights).To(HaveLen(1))
			Expect(hit.Highlights[0]).To(And(HaveField("Path", "payload.error"), HaveField("Text", "Card declined, again")))
			Expect(hit.Highlights[0].Marks).To(HaveExactElements(struct{ Start, End int }{0, 4}, struct{ Start, End int }{5, 13}))
		}
		Expect(ids).To(ConsistOf(anys(idsOf(func(e seen) bool { return e.Type == "USER_LOGIN" && e.Source == "shop" }))...))
		ids = nil
		query := url.Values{"q": {"provider_timeout"}, "from": {minute(60)}, "limit": {"6"}}
		for range 20 {
			found.NextCursor = ""
			get(ctx, "/events/search?"+query.Encode(), &found)
			for _, hit := range found.Items {
				ids = append(ids, hit.Event.ID)
			}
			if found.NextCursor == "" {
				break
			}
			query.Set("cursor", found.NextCursor)
		}
		Expect(ids).To(ConsistOf(anys(idsOf(func(e seen) bool { return e.Type == "PAYMENT_FAILED" }))...))
		if found.Mode == "term_match" {
			Expect(p.call(ctx, http.MethodGet, "/api/v1/events/search?q=card", nil, nil)).To(Equal(http.StatusBadRequest))
		}
	}, SpecTimeout(time.Minute))

	It("are exported whole, as lines and as CSV", func(ctx SpecContext) {
		body, trailer, err := p.export(ctx, "?source=shop")
		Expect(err).NotTo(HaveOccurred())
		shop := idsOf(func(e seen) bool { return e.Source == "shop" })
		var ids []string
		for line := range strings.Lines(body) {
			var e object
			Expect(json.Unmarshal([]byte(line), &e)).To(Succeed())
			Expect(e).NotTo(HaveKey("search_text"))
			ids = append(ids, e["event_id"].(string))
		}
		Expect(ids).To(ConsistOf(anys(shop)...))
		Expect(trailer.Get("X-Export-Events")).To(Equal(fmt.Sprint(len(shop))))

		body, trailer, err = p.export(ctx, "?format=csv&sort=timestamp&limit=3&fields=payload.n,event_id,payload,user_id,timestamp")
		Expect(err).NotTo(HaveOccurred())
		rows, err := csv.NewReader(strings.NewReader(body)).ReadAll()
		Expect(err).NotTo(HaveOccurred())
		Expect(rows).To(HaveLen(4))
		Expect(rows[0]).To(Equal([]string{"payload.n", "event_id", "payload", "user_id", "timestamp"}))
		Expect(rows[1][0]).To(BeElementOf("58", "59"))
		Expect(rows[1][2]).To(MatchJSON(fmt.Sprintf(`{"n":%s,"error":%q}`, rows[1][0], map[string]string{"58": "provider_timeout", "59": "no route"}[rows[1][0]])))
		Expect(rows[1][4]).To(Equal(events[len(events)-1].Timestamp.Format("2006-01-02T15:04:05.000Z")))
		Expect(trailer.Get("X-Export-Events")).To(Equal("3"))
	}, SpecTimeout(time.Minute))

	It("say that a question takes too long, and what to do", func(ctx SpecContext) {
		slow := *p.Fleet
		proxy := fleet.Through(&slow.MongoURI)
		hasty := (&product{Fleet: &slow}).another(ctx, func(c *config.Config) { c.API.SearchTimeout = 100 * time.Millisecond })
		proxy.Delay(300 * time.Millisecond)
		for _, path := range []string{"?type=A", "/search?type=A&q=card", "/export?type=A"} {
			var bad problemBody
			Expect(hasty.call(ctx, http.MethodGet, "/api/v1/events"+path, nil, &bad)).To(Equal(http.StatusGatewayTimeout), path)
			Expect(bad.Code).To(Equal("too_slow"))
			Expect(bad.Detail).To(ContainSubstring("shorter range"))
		}
	}, SpecTimeout(time.Minute))

	It("are shown by eactl, as a table and as data", func(ctx SpecContext) {
		s := p.eactl(ctx, "events", "list", "--source", "shop", "--limit", "3", "-o", "csv", "--fields", "type,payload.n")
		Expect(s).To(done, s.Err)
		rows, err := csv.NewReader(strings.NewReader(s.Out)).ReadAll()
		Expect(err).NotTo(HaveOccurred())
		Expect(rows).To(HaveLen(4))
		Expect(rows[0]).To(Equal([]string{"timestamp", "event_id", "type", "payload.n"}))
		Expect(p.eactl(ctx, "events", "list", "--oldest-first", "--limit", "1", "-o", "json").lines()[0]["payload"]).To(HaveKeyWithValue("n", BeNumerically(">=", 58)))
		s = p.eactl(ctx, "events", "search", `"card declined"`, "--source", "shop", "--last", "1h")
		Expect(s).To(done, s.Err)
		Expect(s.Out).To(ContainSubstring("payload.error: Card declined, again"))
		Expect(p.eactl(ctx, "events", "search", "nothing_such").Code).To(Equal(3))
		Expect(p.eactl(ctx, "events", "search", "-o", "json", "--", "card", "-again").Code).To(Equal(3))
		Expect(p.eactl(ctx, "events", "get", events[0].ID, "-o", "csv").Code).To(Equal(2))
		s = p.eactl(ctx, "events", "list", "--filter", `{"payload.n":7}`)
		Expect(s.Code).To(Equal(2))
		Expect(s.Err).To(ContainSubstring("no index serves"))
		s = p.eactl(ctx, "events", "export", "--source", "shop")
		Expect(s).To(done, s.Err)
		Expect(s.lines()).To(HaveLen(30))
		Expect(p.eactl(ctx, "events", "export", "--source", "nobody").Code).To(Equal(3))
	}, SpecTimeout(time.Minute))
})

// anys hands values to a matcher that takes any number.
func anys[T any](values []T) []any {
	all := make([]any, len(values))
	for i, v := range values {
		all[i] = v
	}
	return all
}

// stored waits until so many events are stored.
func (p *product) stored(ctx context.Context, n int) {
	GinkgoHelper()
	Eventually(ctx, func() (int64, error) { return p.Store.CountEvents(ctx, store.EventFilter{}, 0) }).
		WithTimeout(time.Minute).WithPolling(100 * time.Millisecond).Should(BeEquivalentTo(n))
}

// export reads an export to its end, with the trailer; the error is that of a
// connection that was broken off.
func (p *product) export(ctx context.Context, query string) (string, http.Header, error) {
	GinkgoHelper()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.base+"/api/v1/events/export"+query, nil)
	Expect(err).NotTo(HaveOccurred())
	r.Header.Set("Authorization", "Bearer "+adminKey)
	answer, err := http.DefaultClient.Do(r)
	Expect(err).NotTo(HaveOccurred())
	defer func() { _ = answer.Body.Close() }()
	Expect(answer.StatusCode).To(Equal(http.StatusOK))
	body, err := io.ReadAll(answer.Body)
	return string(body), answer.Trailer, err
}
