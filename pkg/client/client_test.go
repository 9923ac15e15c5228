package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/client"
	"github.com/events-aggregator/events-aggregator/test/support/contract"
)

var _ = Describe("a client", func() {
	It("says every mistake that the API names, and keeps its code and status", func(ctx SpecContext) {
		api, _ := answering(contract.Answer{Status: 422, Kind: "application/problem+json",
			Text: []byte(`{"type":"about:blank","title":"Unprocessable Entity","status":422,"code":"invalid_rule","detail":"the rule cannot be saved","request_id":"r","errors":[{"pointer":"/name","message":"is missing"},{"parameter":"limit","message":"is no number"}]}`)})
		_, err := api.GetRule(ctx, "a")
		Expect(err).To(MatchError("the rule cannot be saved\n  /name: is missing\n  limit: is no number"))
		var p *client.Problem
		Expect(errors.As(err, &p)).To(BeTrue())
		Expect(p).To(And(HaveField("Code", "invalid_rule"), HaveField("Status", int64(422)), HaveField("RequestID", "r")))
		Expect(p.Passing()).To(BeFalse())
	})

	DescribeTable("says what is no answer of this API", func(ctx SpecContext, a contract.Answer, want string) {
		api, _ := answering(a)
		_, err := api.GetStatus(ctx)
		Expect(err).To(MatchError(ContainSubstring(want)))
	},
		Entry("a proxy's page", contract.Answer{Status: 502, Kind: "text/html", Text: []byte("<h1>Bad Gateway</h1>")}, "502 Bad Gateway from http://api.test, which is not this API's way of answering"),
		Entry("somebody else's JSON", contract.Answer{Status: 404, Kind: "application/json", Text: []byte(`{"error":"no"}`)}, "404 Not Found from http://api.test"),
		Entry("a broken answer", contract.Answer{Status: 200, Kind: "application/json", Text: []byte(`{"events":`)}, "read the API's answer: unexpected EOF"),
	)

	It("knows which errors may pass", func() {
		for status, passing := range map[int64]bool{400: false, 401: false, 404: false, 409: false, 429: true, 500: true, 503: true} {
			Expect((&client.Problem{Status: status}).Passing()).To(Equal(passing), "%d", status)
		}
	})

	DescribeTable("says how long it is asked to wait", func(ctx SpecContext, said string, low, high time.Duration) {
		api := client.New("http://api.test", "k")
		api.HTTP = &http.Client{Transport: carrier(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusServiceUnavailable, Header: http.Header{"Retry-After": {said}},
				Body: io.NopCloser(strings.NewReader(`{"title":"Service Unavailable","code":"unavailable"}`))}, nil
		})}
		_, err := api.GetStatus(ctx)
		var p *client.Problem
		Expect(errors.As(err, &p)).To(BeTrue())
		Expect(p.RetryAfter).To(And(BeNumerically(">=", low), BeNumerically("<=", high)))
	},
		Entry("seconds", "7", 7*time.Second, 7*time.Second),
		Entry("a date, of a proxy", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat), 58*time.Minute, time.Hour),
		Entry("a date that is over", time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat), time.Duration(0), time.Duration(0)),
		Entry("seconds that are over", "-7", time.Duration(0), time.Duration(0)),
		Entry("what nobody understands", "soon", time.Duration(0), time.Duration(0)),
		Entry("nothing", "", time.Duration(0), time.Duration(0)),
	)

	It("says where nobody answers, without the question", func(ctx SpecContext) {
		api := client.New("http://127.0.0.1:1", "ea_key")
		_, err := api.ListEvents(ctx, client.ListEventsParams{UserID: "u-4711"})
		var u *client.Unreachable
		Expect(errors.As(err, &u)).To(BeTrue())
		Expect(err).To(MatchError(And(HavePrefix("the API at http://127.0.0.1:1 does not answer: "), Not(ContainSubstring("u-4711")))))
	})

	It("waits no longer for an answer than Timeout, and for a stream as long as its context", func(ctx SpecContext) {
		api := client.New("http://api.test", "k")
		api.Timeout = 20 * time.Millisecond
		api.HTTP = &http.Client{Transport: carrier(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})}
		_, err := api.GetStatus(ctx)
		Expect(err).To(MatchError(context.DeadlineExceeded))
		soon, cancel := context.WithCancelCause(ctx)
		cancel(errors.New("enough"))
		_, err = api.StreamEvents(soon, client.StreamEventsParams{})
		Expect(err).To(MatchError(context.Canceled))
	})

	It("goes through all pages, one at a time", func(ctx SpecContext) {
		api := client.New("http://api.test", "k")
		var asked []string
		api.HTTP = &http.Client{Transport: carrier(func(r *http.Request) (*http.Response, error) {
			asked = append(asked, r.URL.RawQuery)
			text := map[string]string{
				"":  `{"items":[{"name":"a"},{"name":"b"}],"next_cursor":"2"}`,
				"2": `{"items":[],"next_cursor":"3"}`,
				"3": `{"items":[{"name":"c"}],"next_cursor":"4"}`,
			}[r.URL.Query().Get("cursor")]
			if text == "" {
				return &http.Response{StatusCode: http.StatusServiceUnavailable, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(`{"title":"Service Unavailable","code":"unavailable"}`))}, nil
			}
			return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(text))}, nil
		})}
		var names []string
		var failed error
		for t, err := range api.AllTemplates(ctx, client.ListTemplatesParams{Limit: 2}) {
			if failed = err; err == nil {
				names = append(names, t.Name)
			}
		}
		Expect(names).To(Equal([]string{"a", "b", "c"}))
		Expect(failed).To(MatchError("Service Unavailable"))
		Expect(asked).To(Equal([]string{"limit=2", "cursor=2&limit=2", "cursor=3&limit=2", "cursor=4&limit=2"}))

		asked = nil
		for range api.AllTemplates(ctx, client.ListTemplatesParams{}) {
			break
		}
		Expect(asked).To(HaveLen(1), "who has enough asks no further")
	})

	It("sends a body as it was written, or none", func(ctx SpecContext) {
		template := contract.Answer{Status: 200, Kind: "application/json", Text: []byte(`{}`)}
		api, asked := answering(template)
		_, err := api.PutTemplateWith(ctx, "a/b", client.PutTemplateParams{IfMatch: client.ETag(3)}, client.Body{ContentType: "text/x", Data: []byte(`{"txt" : 1}`)})
		Expect(err).NotTo(HaveOccurred())
		Expect(asked.URL.EscapedPath()).To(Equal("/api/v1/templates/a%2Fb"))
		Expect(asked.Header).To(And(HaveKeyWithValue("Content-Type", []string{"text/x"}), HaveKeyWithValue("If-Match", []string{`"3"`})))
		Expect(io.ReadAll(asked.Body)).To(BeEquivalentTo(`{"txt" : 1}`))
		_, err = api.PreviewTemplate(ctx, "a", client.PreviewTemplateParams{EventID: "e"}, nil)
		Expect(err).NotTo(HaveOccurred())
		Expect(asked.Body).To(BeNil())
		Expect(asked.Header).NotTo(HaveKey("Content-Type"))
	})

	It("patches only what is to change, and removes what is to go", func() {
		Expect(json.Marshal(client.RulePatch{
			Enabled: client.To(false), Description: client.To(""), Actions: client.To([]client.NewAction{}), Window: client.Removed[client.Window](),
		})).To(MatchJSON(`{"enabled":false,"description":"","actions":[],"window":null}`))
	})

	It("takes no empty answer of a choice for one", func() {
		Expect(json.Unmarshal([]byte(`{}`), new(client.CreateSilenceAnswer))).To(MatchError("none of the objects that it may be"))
	})
})

var _ = Describe("a time", func() {
	It("is written as it was read, until it is set to another", func() {
		var t client.Time
		Expect(json.Unmarshal([]byte(`"2026-03-01T12:00:00.000Z"`), &t)).To(Succeed())
		Expect(json.Marshal(t)).To(BeEquivalentTo(`"2026-03-01T12:00:00.000Z"`))
		t.Time = t.Add(time.Second)
		Expect(json.Marshal(t)).To(BeEquivalentTo(`"2026-03-01T12:00:01Z"`))
		Expect(json.Unmarshal([]byte(`"yesterday"`), &t)).NotTo(Succeed())
	})
})

var _ = Describe("a stream's frames", func() {
	It("come one by one, with what they hold", func() {
		var all []client.Frame
		for f, err := range client.Frames(strings.NewReader(": hello\n\nid: 1\n\nevent: event\ndata: {\"a\":\ndata:  1}\nid: 2\n\nevent: gap\ndata: {}\n\nevent: event\ndata: cut off")) {
			Expect(err).NotTo(HaveOccurred())
			all = append(all, f)
		}
		Expect(all).To(Equal([]client.Frame{{ID: "1"}, {Event: "event", Data: "{\"a\":\n 1}", ID: "2"}, {Event: "gap", Data: "{}"}}))
	})

	It("end with what ended them", func() {
		broken := io.MultiReader(strings.NewReader("id: 1\n\n"), failing{})
		var last error
		for _, err := range client.Frames(broken) {
			last = err
		}
		Expect(last).To(MatchError("cut"))
	})
})

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("cut") }
