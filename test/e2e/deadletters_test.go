package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/config"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
	"github.com/events-aggregator/events-aggregator/pkg/user"
	"github.com/events-aggregator/events-aggregator/services/aggregator"
	"github.com/events-aggregator/events-aggregator/services/api"
	"github.com/events-aggregator/events-aggregator/test/support/fleet"
)

// shownDead is what these specs look at in the API's answers.
type shownDead struct {
	DeadID         string         `json:"dead_id"`
	Queue          string         `json:"queue"`
	NotificationID string         `json:"notification_id"`
	Cause          string         `json:"cause"`
	ReplayID       string         `json:"replay_id"`
	ReplayedAt     *time.Time     `json:"replayed_at"`
	Body           map[string]any `json:"body"`
}

type deadPage struct {
	Items      []shownDead `json:"items"`
	NextCursor string      `json:"next_cursor"`
}

func (p deadPage) notifications() []string {
	ids := []string{}
	for _, d := range p.Items {
		ids = append(ids, d.NotificationID)
	}
	return ids
}

// refusal is a problem+json.
type refusal struct {
	Code   string
	Errors []struct{ Pointer, Parameter, Message string }
}

func (r refusal) places() []string {
	places := []string{}
	for _, e := range r.Errors {
		places = append(places, e.Pointer+e.Parameter)
	}
	return places
}

// answered is the answer of a replay.
type answered struct {
	ReplayID string `json:"replay_id"`
	DryRun   bool   `json:"dry_run"`
	Matched  int
	Replayed int
	Failed   int
	Complete bool
	Detail   string
	DeadIDs  []string `json:"dead_ids"`
}

// withDead is the api over the dead letters of mixed, recorded.
func withDead(ctx context.Context, change ...func(*fleet.Fleet)) *product {
	GinkgoHelper()
	p := withUnrecorded(ctx, change...)
	p.record(ctx)
	return p
}

// withUnrecorded is the api over the dead letters of mixed, of which there is no
// record.
func withUnrecorded(ctx context.Context, change ...func(*fleet.Fleet)) *product {
	GinkgoHelper()
	f := mixed(ctx)
	for _, c := range change {
		c(f)
	}
	r := f.Start(ctx, "api", api.Wire, func(c *config.Config) {
		c.API.BootstrapAdminKey = adminKey
		c.API.RequestTimeout = 2 * time.Second
	})
	return &product{Fleet: f, base: "http://" + r.Addr()}
}

// record starts who records dead letters, until the eight are.
func (p *product) record(ctx context.Context) {
	GinkgoHelper()
	p.Start(ctx, "aggregator", aggregator.Wire)
	Eventually(ctx, func() []shownDead { return p.deadLetters(ctx, "").Items }).WithTimeout(20 * time.Second).Should(HaveLen(8))
}

func (p *product) deadLetters(ctx context.Context, query string) (page deadPage) {
	GinkgoHelper()
	Expect(p.call(ctx, http.MethodGet, "/api/v1/dead-letters?"+query, nil, &page)).To(Equal(http.StatusOK))
	return page
}

func (p *product) replay(ctx context.Context, body map[string]any) (a answered) {
	GinkgoHelper()
	Expect(p.call(ctx, http.MethodPost, "/api/v1/dead-letters/replay", body, &a)).To(Equal(http.StatusOK))
	return a
}

var _ = Describe("the API of dead letters", func() {
	It("lists them by filters and pages, and shows one without secrets", func(ctx SpecContext) {
		p := withDead(ctx)
		for query, want := range map[string][]string{
			"queue=webhooks.default&error_class=timeout": {"ntf_4", "ntf_5"},
			"rule=r-1&target=b.example.com":              {"ntf_3"},
			"event_id=e-2":                               {"ntf_2"},
			"event_type=PAYMENT_FAILED&rule=r-3":         {"ntf_5"},
			"queue=webhooks.default&reason=exhausted":    {},
			"to=2020-01-01T00:00:00Z":                    {},
		} {
			Expect(p.deadLetters(ctx, query).notifications()).To(ConsistOf(want), query)
		}
		var paged []string
		for query := "queue=webhooks.default&limit=2"; ; {
			page := p.deadLetters(ctx, query)
			paged = append(paged, page.notifications()...)
			if page.NextCursor == "" {
				break
			}
			Expect(page.Items).To(HaveLen(2))
			query = "queue=webhooks.default&limit=2&cursor=" + url.QueryEscape(page.NextCursor)
		}
		Expect(paged).To(ConsistOf("ntf_0", "ntf_1", "ntf_2", "ntf_3", "ntf_4", "ntf_5"))

		one := p.deadLetters(ctx, "rule=r-3").Items[0]
		Expect(p.deadLetters(ctx, "cause="+one.Cause).notifications()).To(ConsistOf("ntf_4", "ntf_5"))
		var shown shownDead
		Expect(p.call(ctx, http.MethodGet, "/api/v1/dead-letters/"+one.DeadID, nil, &shown)).To(Equal(http.StatusOK))
		Expect(shown.Body).To(HaveKeyWithValue("event", HaveKeyWithValue("type", "PAYMENT_FAILED")))
		Expect(fmt.Sprint(shown.Body)).To(And(ContainSubstring("c.example.com"), Not(ContainSubstring("hidden-secret"))))
		var missing refusal
		Expect(p.call(ctx, http.MethodGet, "/api/v1/dead-letters/none", nil, &missing)).To(Equal(http.StatusNotFound))
		Expect(missing.Code).To(Equal("not_found"))
		Expect(p.call(ctx, http.MethodGet, "/api/v1/dead-letters?queues=x&waiting=perhaps", nil, &missing)).To(Equal(http.StatusBadRequest))
		Expect(missing.places()).To(Equal([]string{"queues", "waiting"}))
	}, SpecTimeout(2*time.Minute))

	It("groups what waits by cause, and adds up", func(ctx SpecContext) {
		p := withDead(ctx)
		type groups struct {
			Causes, Messages int
			Since            *time.Time
			Items            []struct {
				Cause, Queue, Fingerprint string
				Messages                  int
			}
		}
		var g groups
		Expect(p.call(ctx, http.MethodGet, "/api/v1/dead-letters/groups?queue=webhooks.default", nil, &g)).To(Equal(http.StatusOK))
		Expect([]int{g.Causes, g.Messages, len(g.Items)}).To(Equal([]int{2, 6, 2}))
		Expect(g.Since).To(HaveValue(BeTemporally("~", time.Now(), time.Minute)))
		Expect(g.Items[0].Fingerprint).To(Equal("answered <number>"))
		Expect([]int{g.Items[0].Messages, g.Items[1].Messages}).To(Equal([]int{4, 2}))
		recorded := p.eactl(ctx, "dlq", "groups", "webhooks.default", "--recorded", "-o", "json")
		Expect(recorded).To(done)
		for i, line := range recorded.lines() {
			Expect(line).To(And(HaveKeyWithValue("cause", g.Items[i].Cause), HaveKeyWithValue("messages", float64(g.Items[i].Messages))))
		}
		Expect(recorded.Out).To(Equal(p.eactl(ctx, "dlq", "groups", "webhooks.default", "-o", "json").Out), "as the messages themselves")
		Expect(p.eactl(ctx, "dlq", "groups", "--recorded", "--limit", "1").Code).To(Equal(2))

		Expect(p.replay(ctx, map[string]any{"queue": "webhooks.default", "filter": map[string]any{"cause": g.Items[0].Cause}}).Replayed).To(Equal(4))
		Eventually(ctx, func() int {
			g = groups{}
			Expect(p.call(ctx, http.MethodGet, "/api/v1/dead-letters/groups?limit=1", nil, &g)).To(Equal(http.StatusOK))
			return g.Messages
		}).WithTimeout(20 * time.Second).Should(Equal(4))
		Expect([]int{g.Causes, len(g.Items)}).To(Equal([]int{3, 1}), "the sums are of all")
		var balance object
		Expect(p.call(ctx, http.MethodGet, "/api/v1/status", nil, &balance)).To(Equal(http.StatusOK))
		Expect(balance).To(And(HaveKeyWithValue("dead_letters_waiting", 4.0), Not(HaveKey("dead_letters_at_least"))))
		Expect(p.call(ctx, http.MethodGet, "/api/v1/dead-letters/groups?waiting=false", nil, &g)).To(Equal(http.StatusOK))
		Expect(g.Messages).To(Equal(8))
		g = groups{}
		Expect(p.call(ctx, http.MethodGet, "/api/v1/dead-letters/groups?queue=none", nil, &g)).To(Equal(http.StatusOK))
		Expect(g.Items).To(And(BeEmpty(), Not(BeNil())))
	}, SpecTimeout(2*time.Minute))

	It("groups the messages that there are, recorded or not; grouped by their records, says when these are not all, or too many", func(ctx SpecContext) {
		p := withUnrecorded(ctx)
		groups := func(more ...string) said {
			return p.eactl(ctx, append([]string{"dlq", "groups", "-o", "json"}, more...)...)
		}
		lying, recorded := groups(), groups("--recorded")
		Expect(lying).To(done)
		Expect(lying.each("messages")).To(Equal([]any{4.0, 2.0, 1.0, 1.0}))
		Expect(recorded).To(Equal(said{3, "", "warning: recorded: 0; in the queues: 8, which it groups without --recorded\neactl: nothing matched\n"}))

		p.record(ctx)
		Expect(groups("--recorded")).To(Equal(lying), "each cause, count, time and example")

		p.Foreign().Purge(p.Topology.Work(topology.WebhooksDefault).Dead())
		Expect(groups().each("messages")).To(Equal([]any{1.0, 1.0}))
		Expect(groups("webhooks.default").Code).To(Equal(3))
		recorded = groups("--recorded")
		Expect(recorded.Out).To(Equal(lying.Out))
		Expect(recorded.Err).To(Equal("warning: recorded: 8; in the queues: 2, which it groups without --recorded\n"))
	}, SpecTimeout(2*time.Minute))

	It("replays what is asked for, and the records say so", func(ctx SpecContext) {
		p := withDead(ctx)
		chosen := map[string]any{"error_class": "http_5xx", "condition": map[string]any{"event.severity": map[string]any{"$gte": 9}}}
		a := p.replay(ctx, map[string]any{"queue": "webhooks.default", "filter": chosen, "dry_run": true})
		Expect(a.DeadIDs).To(HaveLen(2))
		Expect(a).To(Equal(answered{DryRun: true, Matched: 2, Complete: true, DeadIDs: a.DeadIDs}))
		Expect(p.Depth(ctx, topology.WebhooksDefault+".dead")).To(Equal(6))

		a = p.replay(ctx, map[string]any{"queue": "webhooks.default", "filter": chosen, "limit": 1})
		Expect(a.ReplayID).NotTo(BeEmpty())
		Expect(a).To(Equal(answered{ReplayID: a.ReplayID, Matched: 1, Replayed: 1, DeadIDs: a.DeadIDs}))
		Expect(p.Depth(ctx, topology.WebhooksDefault)).To(Equal(1))
		var shown shownDead
		Eventually(ctx, func() string {
			Expect(p.call(ctx, http.MethodGet, "/api/v1/dead-letters/"+a.DeadIDs[0], nil, &shown)).To(Equal(http.StatusOK))
			return shown.ReplayID
		}).WithTimeout(20 * time.Second).Should(Equal(a.ReplayID))
		Expect(p.deadLetters(ctx, "queue=webhooks.default&waiting=true").Items).To(HaveLen(5))
		Expect(p.replay(ctx, map[string]any{"queue": "webhooks.default"}).Replayed).To(Equal(5))
		Expect(p.replay(ctx, map[string]any{"queue": "webhooks.default"})).To(Equal(answered{ReplayID: "", Complete: true, DeadIDs: []string{}}))
		Expect(p.Depth(ctx, topology.Ingest+".dead")).To(Equal(2), "another queue's")
	}, SpecTimeout(2*time.Minute))

	It("is not for everybody, and names every mistake", func(ctx SpecContext) {
		p := withDead(ctx)
		body := `{"queue":"webhooks.default"}`
		var r refusal
		post := func(key, body string) int {
			GinkgoHelper()
			return p.request(ctx, http.MethodPost, "/api/v1/dead-letters/replay", key, strings.NewReader(body), &r)
		}
		now := time.Now().UTC()
		plain, key, err := user.NewKey(now)
		Expect(err).NotTo(HaveOccurred())
		Expect(p.Store.CreateUser(ctx, user.User{ID: "u", Email: "u@example.com", Role: user.Plain, APIKeys: []user.APIKey{key}, CreatedAt: now, UpdatedAt: now})).To(Succeed())
		Expect(post("", body)).To(Equal(http.StatusUnauthorized))
		Expect(post(plain, body)).To(Equal(http.StatusForbidden))
		Expect(p.request(ctx, http.MethodGet, "/api/v1/dead-letters/groups", plain, nil, nil)).To(Equal(http.StatusOK))

		for _, bad := range []string{`{"queue":`, `{"queue":"a","filters":{}}`, `{"queue":"a"} x`, `[]`, ``} {
			Expect(post(adminKey, bad)).To(Equal(http.StatusBadRequest), bad)
			Expect(r.Code).To(Equal("invalid_json"), bad)
		}
		Expect(post(adminKey, `{"limit":0,"rate":-1,"filter":{"from":"2026-01-02T00:00:00Z","to":"2026-01-01T00:00:00Z","condition":{"a":{"$where":1}}}}`)).To(Equal(http.StatusUnprocessableEntity))
		Expect(r.Code).To(Equal("invalid_replay"))
		Expect(r.places()).To(Equal([]string{"/queue", "/limit", "/rate", "/filter/from", "/filter/condition"}))
		for _, queue := range []string{"nobody", topology.DeadLetters} {
			r = refusal{}
			Expect(post(adminKey, `{"queue":"`+queue+`"}`)).To(Equal(http.StatusUnprocessableEntity), queue)
			Expect(r.places()).To(Equal([]string{"/queue"}), queue)
		}
		Expect(p.request(ctx, http.MethodPost, "/api/v1/dead-letters/replay?dry_run=true", adminKey, strings.NewReader(body), &r)).To(Equal(http.StatusBadRequest))
		Expect(p.Depth(ctx, topology.WebhooksDefault+".dead")).To(Equal(6), "nothing was replayed")
	}, SpecTimeout(2*time.Minute))

	It("ends a long replay with the request's time, says so, and goes on with the next", func(ctx SpecContext) {
		p := withDead(ctx)
		var bad []broker.Message
		for range 60 {
			bad = append(bad, broker.Message{Exchange: p.Topology.Exchange(topology.ExchangeEvents), RoutingKey: "events.x", Body: []byte("{")})
		}
		p.DeadByBroker(ctx, topology.Ingest, bad...)
		a := p.replay(ctx, map[string]any{"queue": "ingester.events", "rate": 15})
		Expect(a.Replayed).To(And(BeNumerically(">", 5), BeNumerically("<", 62)))
		Expect(a.Complete).To(BeFalse())
		Expect(a.Detail).To(ContainSubstring("nothing is lost"))
		total := a.Replayed
		for !a.Complete {
			a = p.replay(ctx, map[string]any{"queue": "ingester.events"})
			total += a.Replayed
		}
		Expect(total).To(Equal(62))
		Expect(p.Depth(ctx, topology.Ingest)).To(Equal(62))
	}, SpecTimeout(2*time.Minute))

	It("answers 503 while RabbitMQ is away, and lists all the same", func(ctx SpecContext) {
		var cut func()
		p := withDead(ctx, func(f *fleet.Fleet) {
			proxy := fleet.Through(&f.AMQPURL)
			cut = func() { proxy.Refuse(true); proxy.Cut() }
		})
		cut()
		var r refusal
		Expect(p.call(ctx, http.MethodPost, "/api/v1/dead-letters/replay", map[string]any{"queue": "webhooks.default"}, &r)).To(Equal(http.StatusServiceUnavailable))
		Expect(r.Code).To(Equal("unavailable"))
		Expect(p.deadLetters(ctx, "").Items).To(HaveLen(8))
		var noted struct {
			Items []struct {
				After map[string]any
			}
		}
		Expect(p.call(ctx, http.MethodGet, "/api/v1/audit?action=dead_letter.replay", nil, &noted)).To(Equal(http.StatusOK))
		Expect(noted.Items).To(HaveExactElements(HaveField("After", HaveKeyWithValue("outcome", "unknown"))), "what went back before it broke off is not known")
	}, SpecTimeout(2*time.Minute))
})
