package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/config"
	"github.com/events-aggregator/events-aggregator/services/ingester"
	"github.com/events-aggregator/events-aggregator/test/support/fleet"
)

// postedEvents is the answer about events that were sent.
type postedEvents struct {
	Accepted []struct {
		Index   int    `json:"index"`
		EventID string `json:"event_id"`
	} `json:"accepted"`
	Rejected []struct {
		Index  int `json:"index"`
		Errors []struct {
			Line    int    `json:"line"`
			Pointer string `json:"pointer"`
		} `json:"errors"`
	} `json:"rejected"`
	problemBody
}

func (a postedEvents) ids() (ids []string) {
	for _, one := range a.Accepted {
		ids = append(ids, one.EventID)
	}
	return ids
}

// send posts a body as it is; headers are names and values in turns.
func (p *product) send(ctx context.Context, body string, headers ...string) (int, http.Header, postedEvents) {
	GinkgoHelper()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, p.base+"/api/v1/events", strings.NewReader(body))
	Expect(err).NotTo(HaveOccurred())
	r.Header.Set("Authorization", "Bearer "+adminKey)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	answer, err := http.DefaultClient.Do(r)
	Expect(err).NotTo(HaveOccurred())
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	Expect(err).NotTo(HaveOccurred())
	var got postedEvents
	Expect(json.Unmarshal(text, &got)).To(Succeed(), "%s", text)
	return answer.StatusCode, answer.Header, got
}

var _ = Describe("events that are sent by HTTP", Ordered, func() {
	var p *product
	BeforeAll(func(ctx SpecContext) {
		p = start(ctx, unlimited)
		p.Start(ctx, "ingester", ingester.Wire)
	}, NodeTimeout(time.Minute))

	// found is the stored event of an id.
	found := func(ctx context.Context, id string) object {
		GinkgoHelper()
		var e object
		Eventually(ctx, func() int { return p.call(ctx, http.MethodGet, "/api/v1/events/"+id, nil, &e) }).WithTimeout(20 * time.Second).Should(Equal(http.StatusOK))
		return e
	}

	It("are JSON lines, of which the bad ones are named by line", func(ctx SpecContext) {
		status, _, got := p.send(ctx, `{"type":"LINE_SPEC","source":"a"}`+"\n\n{\"type\":\"low\",\"source\":\"a\"}\r\nnonsense\n"+`{"type":"LINE_SPEC","source":"b"}`, "Content-Type", "application/x-ndjson")
		Expect(status).To(Equal(http.StatusAccepted))
		Expect(got.Accepted).To(HaveLen(2))
		Expect(got.Accepted[1].Index).To(Equal(3))
		Expect(got.Rejected).To(HaveLen(2))
		Expect(got.Rejected[0].Errors[0]).To(And(HaveField("Line", 3), HaveField("Pointer", "/type")))
		Expect(got.Rejected[1].Errors[0].Line).To(Equal(4))
		for i, id := range got.ids() {
			Expect(found(ctx, id)).To(HaveKeyWithValue("source", []string{"a", "b"}[i]))
		}
	}, SpecTimeout(time.Minute))

	It("are CloudEvents, structured, several or binary, with ids of their own", func(ctx SpecContext) {
		one := func(id string) string {
			return fmt.Sprintf(`{"specversion":"1.0","id":%q,"source":"cloud","type":"com.example.payment.failed","severity":8,"data":{"amount":7}}`, id)
		}
		status, _, structured := p.send(ctx, one("a-1"), "Content-Type", "application/cloudevents+json; charset=utf-8")
		Expect(status).To(Equal(http.StatusAccepted))
		status, _, several := p.send(ctx, "["+one("a-1")+","+one("a-2")+`,{"specversion":"1.0","id":"a-3","source":"cloud"}]`, "Content-Type", "application/cloudevents-batch+json")
		Expect(status).To(Equal(http.StatusAccepted))
		Expect(several.ids()[0]).To(Equal(structured.ids()[0]), "it is the same event")
		Expect(several.Rejected).To(HaveLen(1))
		Expect(several.Rejected[0].Errors[0].Pointer).To(Equal("/type"))
		status, _, binary := p.send(ctx, `{"amount":7}`, "Content-Type", "application/json", "Ce-Specversion", "1.0", "Ce-Id", "a-4", "Ce-Source", "cloud", "Ce-Type", "com.example.payment.failed", "Ce-Subject", "gr%C3%B6%C3%9Fe")
		Expect(status).To(Equal(http.StatusAccepted))
		for _, id := range append(several.ids(), binary.ids()...) {
			Expect(found(ctx, id)).To(And(HaveKeyWithValue("type", "COM_EXAMPLE_PAYMENT_FAILED"), HaveKeyWithValue("payload", HaveKeyWithValue("amount", 7.0))))
		}
		Expect(found(ctx, binary.ids()[0])["metadata"]).To(HaveKeyWithValue("subject", "größe"))
	}, SpecTimeout(time.Minute))

	It("are stored once under a key, and answered the same", func(ctx SpecContext) {
		key := uuid.NewString()
		// Two equal events of one request are two; one is bad.
		body := `[{"type":"KEY_SPEC","source":"a"},{"type":"KEY_SPEC","source":"a"},{"type":"bad","source":"a"}]`
		_, _, first := p.send(ctx, body, "Idempotency-Key", key)
		_, _, again := p.send(ctx, body, "Idempotency-Key", key)
		Expect(again).To(Equal(first))
		Expect(first.Accepted).To(HaveLen(2))
		Expect(first.ids()[0]).NotTo(Equal(first.ids()[1]))
		_, _, mended := p.send(ctx, `[{"type":"KEY_SPEC","source":"b"},{"type":"KEY_SPEC","source":"a"},{"type":"KEY_SPEC","source":"a"}]`, "Idempotency-Key", key)
		Expect(mended.ids()).To(HaveLen(3))
		Expect(mended.ids()[1:]).To(Equal(first.ids()))
		_, _, other := p.send(ctx, body, "Idempotency-Key", key+"-other")
		Expect(other.ids()).NotTo(ContainElement(BeElementOf(first.ids())))
		for _, id := range append(mended.ids(), other.ids()...) {
			found(ctx, id)
		}
		var page struct{ Items []object }
		Expect(p.call(ctx, http.MethodGet, "/api/v1/events?type=KEY_SPEC", nil, &page)).To(Equal(http.StatusOK))
		Expect(page.Items).To(HaveLen(5))
	}, SpecTimeout(time.Minute))

	DescribeTable("are refused as a whole when they cannot be taken apart",
		func(ctx SpecContext, body, contentType, key string, status int, code string) {
			headers := []string{"Content-Type", contentType}
			if key != "" {
				headers = append(headers, "Idempotency-Key", key)
			}
			got, _, answer := p.send(ctx, body, headers...)
			Expect(got).To(Equal(status))
			Expect(answer.Code).To(Equal(code))
		},
		Entry("of another kind", "<a/>", "text/xml", "", http.StatusUnsupportedMediaType, "unsupported_media_type"),
		Entry("of no kind", "{}", "nonsense/", "", http.StatusUnsupportedMediaType, "unsupported_media_type"),
		Entry("nothing", "", "application/json", "", http.StatusBadRequest, "empty_body"),
		Entry("no lines", "\n\n", "application/x-ndjson", "", http.StatusBadRequest, "wrong_count"),
		Entry("too many lines", strings.Repeat("{}\n", 1001), "application/x-ndjson", "", http.StatusBadRequest, "wrong_count"),
		Entry("too many lines, and more behind them that nobody looks at", strings.Repeat("1\n", 2_000_000), "application/x-ndjson", "", http.StatusBadRequest, "wrong_count"),
		Entry("too many elements, and more behind them that nobody looks at", "["+strings.Repeat("{},", 1001)+"nonsense", "application/json", "", http.StatusBadRequest, "wrong_count"),
		Entry("something behind the array", "[{}] {}", "application/json", "", http.StatusBadRequest, "invalid_json"),
		Entry("no array", "[{", "application/json", "", http.StatusBadRequest, "invalid_json"),
		Entry("no batch", "{}", "application/cloudevents-batch+json", "", http.StatusBadRequest, "invalid_json"),
		Entry("a key that is none", `{"type":"A","source":"b"}`, "application/json", strings.Repeat("k", 256), http.StatusBadRequest, "invalid_parameter"),
	)

	It("are not taken while the broker is away, and it is said when to come again", func(ctx SpecContext) {
		cut := *p.Fleet
		proxy := fleet.Through(&cut.AMQPURL)
		alone := (&product{Fleet: &cut}).another(ctx, func(c *config.Config) { c.API.PublishTimeout = 300 * time.Millisecond })
		proxy.Refuse(true)
		proxy.Cut()
		status, header, answer := alone.send(ctx, `{"type":"AWAY_SPEC","source":"a"}`)
		Expect(status).To(Equal(http.StatusServiceUnavailable))
		Expect(answer.Code).To(Equal("unavailable"))
		Expect(header.Get("Retry-After")).To(MatchRegexp(`^[1-9]\d*$`))
		proxy.Refuse(false)
		Eventually(ctx, func() int {
			status, _, _ := alone.send(ctx, `{"type":"AWAY_SPEC","source":"a"}`)
			return status
		}).WithTimeout(20 * time.Second).Should(Equal(http.StatusAccepted))
	}, SpecTimeout(time.Minute))
})

var _ = Describe("an export that cannot go on", func() {
	It("says so in its last line, breaks off, and goes on with the cursor", func(ctx SpecContext) {
		p := start(ctx)
		// Pages of 4 MiB, and more of them than lie between the two sides while one
		// does not read. A connection that was read from quickly may be given room for
		// all of them, so these are new ones, whose room does not grow.
		large, all := strings.Repeat("x", 200_000), 100
		for range 2 {
			var some []object
			for range all / 2 {
				some = append(some, object{"type": "LARGE_SPEC", "source": "a", "payload": object{"text": large}})
			}
			p.keep(ctx, some...)
		}
		var page struct {
			Items      []json.RawMessage
			NextCursor string `json:"next_cursor"`
		}
		Expect(p.call(ctx, http.MethodGet, "/api/v1/events?type=LARGE_SPEC&limit=100", nil, &page)).To(Equal(http.StatusOK))
		Expect(len(page.Items)).To(And(BeNumerically(">", 1), BeNumerically("<", 60)), "a page has 8 MiB")
		Expect(page.NextCursor).NotTo(BeEmpty())

		var reader struct {
			Key  string                `json:"api_key"`
			Keys []struct{ ID string } `json:"api_keys"`
		}
		Expect(p.call(ctx, http.MethodPost, "/api/v1/users", map[string]any{"email": "reader@example.com", "role": "user", "key": map[string]any{}}, &reader)).To(Equal(http.StatusCreated))
		narrow := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := new(net.Dialer).DialContext(ctx, network, address)
			if err == nil {
				err = c.(*net.TCPConn).SetReadBuffer(64 << 10)
			}
			return c, err
		}}}
		DeferCleanup(narrow.CloseIdleConnections)
		begun := func(key string) *http.Response {
			GinkgoHelper()
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.base+"/api/v1/events/export?type=LARGE_SPEC", nil)
			Expect(err).NotTo(HaveOccurred())
			r.Header.Set("Authorization", "Bearer "+key)
			answer, err := narrow.Do(r)
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(answer.Body.Close)
			return answer
		}
		first, second, third := begun(reader.Key), begun(reader.Key), begun(reader.Key)
		Expect([]int{first.StatusCode, second.StatusCode, third.StatusCode}).To(Equal([]int{200, 200, 503}), "two for each key")
		Expect(begun(adminKey).StatusCode).To(Equal(http.StatusOK), "others have their own")
		Expect(p.call(ctx, http.MethodDelete, "/api/v1/api-keys/"+reader.Keys[0].ID, nil, nil)).To(Equal(http.StatusNoContent))
		revoked, err := io.ReadAll(first.Body)
		Expect(err).To(MatchError(io.ErrUnexpectedEOF))
		Expect(string(revoked)).To(ContainSubstring(`{"error":{"code":"wrong_key"`))

		slow := *p.Fleet
		proxy := fleet.Through(&slow.MongoURI)
		hasty := (&product{Fleet: &slow}).another(ctx, func(c *config.Config) { c.API.SearchTimeout = 10 * time.Second })
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, hasty.base+"/api/v1/events/export?type=LARGE_SPEC", nil)
		Expect(err).NotTo(HaveOccurred())
		r.Header.Set("Authorization", "Bearer "+adminKey)
		answer, err := narrow.Do(r)
		Expect(err).NotTo(HaveOccurred())
		defer func() { _ = answer.Body.Close() }()
		proxy.Delay(30 * time.Second)
		body, err := io.ReadAll(answer.Body)
		Expect(err).To(MatchError(io.ErrUnexpectedEOF))
		proxy.Delay(0)
		lines := strings.Split(strings.TrimSpace(string(body)), "\n")
		var last struct {
			Error struct {
				Code   string `json:"code"`
				Cursor string `json:"cursor"`
				Events int    `json:"events"`
			} `json:"error"`
		}
		Expect(json.Unmarshal([]byte(lines[len(lines)-1]), &last)).To(Succeed())
		Expect(last.Error.Code).To(Equal("too_slow"))
		Expect(last.Error.Events).To(And(Equal(len(lines)-1), BeNumerically("<", all)))
		rest, trailer, err := p.export(ctx, "?type=LARGE_SPEC&fields=event_id&cursor="+last.Error.Cursor)
		Expect(err).NotTo(HaveOccurred())
		Expect(strings.Count(rest, "\n")).To(Equal(all - last.Error.Events))
		Expect(trailer.Get("X-Export-Events")).To(Equal(fmt.Sprint(all - last.Error.Events)))
	}, SpecTimeout(3*time.Minute))
})
