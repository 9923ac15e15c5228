package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/coder/websocket"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/config"
	"github.com/events-aggregator/events-aggregator/test/support/faultproxy"
	"github.com/events-aggregator/events-aggregator/test/support/fleet"
)

// heard is one message of a socket.
type heard struct {
	Type         string `json:"type"`
	Subscription string `json:"subscription"`
	ID           string `json:"id"`
	Code         string `json:"code"`
	Data         struct {
		EventID string         `json:"event_id"`
		Type    string         `json:"type"`
		Payload map[string]any `json:"payload"`
	} `json:"data"`
}

// ticket is one that the admin's key asked for.
func (p *product) ticket(ctx context.Context) string {
	GinkgoHelper()
	var t struct {
		Ticket string `json:"ticket"`
	}
	Expect(p.call(ctx, http.MethodPost, "/api/v1/stream/ticket", nil, &t)).To(Equal(http.StatusCreated))
	return t.Ticket
}

// socket opens one with a ticket; say and hear are its two directions.
func (p *product) socket(ctx context.Context, path string) (say func(object), hear func() heard) {
	GinkgoHelper()
	address := "ws" + strings.TrimPrefix(p.base, "http") + path + "?ticket=" + p.ticket(ctx)
	conn, _, err := websocket.Dial(ctx, address, &websocket.DialOptions{HTTPClient: &http.Client{Transport: &http.Transport{}}})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { _ = conn.CloseNow() })
	return func(what object) {
			GinkgoHelper()
			text, err := json.Marshal(what)
			Expect(err).NotTo(HaveOccurred())
			Expect(conn.Write(ctx, websocket.MessageText, text)).To(Succeed())
		}, func() heard {
			GinkgoHelper()
			_, text, err := conn.Read(ctx)
			Expect(err).NotTo(HaveOccurred())
			var h heard
			Expect(json.Unmarshal(text, &h)).To(Succeed(), "%s", text)
			return h
		}
}

var _ = Describe("live streams", func() {
	It("follow on a socket with several subscriptions, a changed filter, parts of events, and resume", func(ctx SpecContext) {
		p := start(ctx)
		say, hear := p.socket(ctx, "/ws/events")
		say(object{"type": "subscribe", "subscription": "a", "filter": object{"type": "A_KIND"}, "fields": []string{"type", "payload.n"}})
		Expect(hear()).To(HaveField("Type", "subscribed"))
		Expect(hear()).To(HaveField("Type", "position"))
		say(object{"type": "subscribe", "subscription": "b", "parameters": object{"severity_min": "8"}})
		Expect(hear()).To(HaveField("Type", "subscribed"))
		Expect(hear()).To(HaveField("Type", "position"))
		p.keep(ctx, object{"type": "A_KIND", "source": "shop", "severity": 2, "payload": object{"n": 1, "secret": "x"}})
		first := hear()
		Expect(first).To(And(HaveField("Type", "event"), HaveField("Subscription", "a"), HaveField("Data.EventID", Not(BeEmpty()))))
		Expect(first.Data.Payload).To(Equal(map[string]any{"n": 1.0}))
		p.keep(ctx, object{"type": "B_KIND", "source": "shop", "severity": 9})
		Expect(hear()).To(And(HaveField("Subscription", "b"), HaveField("Data.Type", "B_KIND")))
		say(object{"type": "filter", "subscription": "a", "filter": object{"type": "B_KIND"}})
		Expect(hear()).To(HaveField("Type", "subscribed"))
		p.keep(ctx, object{"type": "B_KIND", "source": "shop", "severity": 1})
		Expect(hear()).To(And(HaveField("Subscription", "a"), HaveField("Data.Type", "B_KIND")))
		say(object{"type": "unsubscribe", "subscription": "a"})
		Expect(hear()).To(And(HaveField("Type", "unsubscribed"), HaveField("Subscription", "a")))
		again := "once \"more\" <é>\n"
		say(object{"type": "subscribe", "subscription": again, "resume": first.ID})
		Expect(hear()).To(HaveField("Type", "subscribed"))
		Expect(hear()).To(HaveField("Type", "position"))
		for range 2 {
			Expect(hear()).To(And(HaveField("Data.Type", "B_KIND"), HaveField("Subscription", again), HaveField("ID", Not(BeEmpty()))))
		}
		say(object{"type": "ping"})
		Expect(hear()).To(HaveField("Type", "pong"))
		for _, wrong := range []struct {
			what object
			code string
		}{
			{object{"type": "sing"}, "unknown_message"},
			{object{"type": "subscribe", "subscription": "c", "filter": object{"a": object{"$where": 1}}}, "invalid_parameter"},
			{object{"type": "subscribe", "subscription": "b"}, "known_subscription"},
			{object{"type": "subscribe", "subscription": "c", "resume": "nonsense"}, "invalid_parameter"},
			{object{"type": "subscribe", "subscription": "c", "stream": "rules"}, "unknown_stream"},
			{object{"type": "filter", "subscription": "none"}, "unknown_subscription"},
			{object{"type": "subscribe", "more": 1}, "invalid_json"},
		} {
			say(wrong.what)
			Expect(hear()).To(And(HaveField("Type", "error"), HaveField("Code", wrong.code)), "%v", wrong.what)
		}
	}, SpecTimeout(time.Minute))

	It("say in the metrics how far each is behind, and how many clients there are", func(ctx SpecContext) {
		p := start(ctx)
		p.listen(ctx, "/api/v1/stream/events")
		p.listen(ctx, "/api/v1/stream/metrics")
		answer, err := http.Get(p.admin + "/metrics")
		Expect(err).NotTo(HaveOccurred())
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		Expect(err).NotTo(HaveOccurred())
		for _, kind := range []string{"events", "metrics", "notifications"} {
			Expect(string(text)).To(MatchRegexp(`(?m)^ea_stream_lag_seconds\{stream="%s"\} [0-9.e-]+$`, kind))
		}
		Expect(string(text)).To(MatchRegexp(`(?m)^ea_stream_clients 2$`))
	}, SpecTimeout(time.Minute))

	It("are named by /health with how far they are behind, when that is more than may be", func(ctx SpecContext) {
		var db *faultproxy.Proxy
		p := start(ctx, func(c *config.Config) {
			c.Health.LagBudget = time.Second
			db = fleet.Through(&c.Mongo.URI)
		})
		p.listen(ctx, "/api/v1/stream/events?type=NONE")
		type component struct {
			Status string `json:"status"`
			Reason string `json:"reason"`
		}
		streams := func() component {
			GinkgoHelper()
			answer, err := http.Get(p.admin + "/health")
			Expect(err).NotTo(HaveOccurred())
			defer answer.Body.Close()
			var health struct {
				Components map[string]component `json:"components"`
			}
			Expect(json.NewDecoder(answer.Body).Decode(&health)).To(Succeed())
			Expect(health.Components).To(HaveKey("streams"))
			return health.Components["streams"]
		}
		Expect(streams().Status).To(Equal("ok"))
		db.Delay(1200 * time.Millisecond) // longer than the budget; a check takes two seconds at most
		storing, stop := context.WithCancel(ctx)
		stored := make(chan struct{})
		go func() {
			defer GinkgoRecover()
			defer close(stored)
			for storing.Err() == nil {
				p.keep(ctx, object{"type": "SOME", "source": "spec", "severity": 1})
			}
		}()
		Eventually(ctx, streams).Should(And(HaveField("Status", "degraded"),
			HaveField("Reason", MatchRegexp(`^stream of events: [0-9.]+s behind, may be 1s$`))))
		stop()
		<-stored
		db.Delay(0)
		Eventually(ctx, streams).Should(HaveField("Status", "ok"))
	}, SpecTimeout(time.Minute))

	It("let in who has a ticket, once, and no page of another host; and not more than fit", func(ctx SpecContext) {
		p := start(ctx, func(c *config.Config) {
			c.API.StreamClients, c.API.StreamKeyClients, c.API.PublicURL = 3, 2, "https://events.example.com"
		})
		used := p.ticket(ctx)
		get := func(path string, header http.Header) (int, string) {
			GinkgoHelper()
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.base+path, nil)
			Expect(err).NotTo(HaveOccurred())
			r.Header = header
			answer, err := http.DefaultClient.Do(r)
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(func() { _ = answer.Body.Close() })
			if answer.StatusCode == http.StatusOK {
				return answer.StatusCode, ""
			}
			var problem struct {
				Code string `json:"code"`
			}
			Expect(json.NewDecoder(answer.Body).Decode(&problem)).To(Succeed())
			return answer.StatusCode, problem.Code
		}
		refused := func(status int, code string, path string, header http.Header) {
			GinkgoHelper()
			got, said := get(path, header)
			Expect(fmt.Sprint(got, said)).To(Equal(fmt.Sprint(status, code)), path)
		}
		refused(401, "no_key", "/api/v1/events?ticket="+used, http.Header{})
		refused(200, "", "/api/v1/stream/lag?ticket="+used, http.Header{})
		refused(401, "wrong_ticket", "/api/v1/stream/events?ticket="+used, http.Header{})
		refused(426, "upgrade_required", "/api/v1/ws/events?ticket="+p.ticket(ctx), http.Header{})
		refused(403, "wrong_origin", "/api/v1/ws/events?ticket="+p.ticket(ctx),
			http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Origin": {"https://elsewhere.example"}})
		key := http.Header{"Authorization": {"Bearer " + adminKey}}
		conn, _, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(p.base, "http")+"/ws/events", &websocket.DialOptions{
			HTTPHeader: http.Header{"Authorization": key["Authorization"], "Origin": {"https://events.example.com"}}})
		Expect(err).NotTo(HaveOccurred(), "a page of the host that people know")
		DeferCleanup(func() { _ = conn.CloseNow() })
		refused(429, "too_many_streams", "/api/v1/stream/notifications", key)
		other := http.Header{"Authorization": {"Bearer " + p.plainUser(ctx)}}
		refused(200, "", "/api/v1/stream/notifications", other)
		refused(503, "too_many_clients", "/api/v1/stream/events", other)
	}, SpecTimeout(time.Minute))
})
