package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/types"

	"github.com/events-aggregator/events-aggregator/pkg/app"
	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/client"
	"github.com/events-aggregator/events-aggregator/pkg/config"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
	"github.com/events-aggregator/events-aggregator/services/aggregator"
	"github.com/events-aggregator/events-aggregator/services/api"
	"github.com/events-aggregator/events-aggregator/services/dispatcher"
	"github.com/events-aggregator/events-aggregator/services/ingester"
	"github.com/events-aggregator/events-aggregator/services/ruleworker"
	"github.com/events-aggregator/events-aggregator/test/support/fleet"
	"github.com/events-aggregator/events-aggregator/test/support/sink"
)

const adminKey = "ea_specs-admin-key-0123456789"

// product is all five services of one fleet.
type product struct {
	*fleet.Fleet
	base, admin string
}

// start begins with the api alone, so that a spec's rules are there before
// the workers load them.
func start(ctx context.Context, change ...func(*config.Config)) *product {
	GinkgoHelper()
	return (&product{Fleet: fleet.New(ctx)}).another(ctx, change...)
}

// another is the same product through an api process of its own.
func (p *product) another(ctx context.Context, change ...func(*config.Config)) *product {
	GinkgoHelper()
	change = append(change, func(c *config.Config) { c.API.BootstrapAdminKey = adminKey })
	r := p.Start(ctx, "api", api.Wire, change...)
	return &product{Fleet: p.Fleet, base: "http://" + r.Addr(), admin: "http://" + r.AdminAddr()}
}

// startWorkers runs the other four.
func (p *product) startWorkers(ctx context.Context) {
	GinkgoHelper()
	for _, s := range []struct {
		name string
		wire app.Wire
	}{
		{"ingester", ingester.Wire}, {"rule-worker", ruleworker.Wire},
		{"action-dispatcher", dispatcher.Wire}, {"aggregator", aggregator.Wire},
	} {
		p.Start(ctx, s.name, s.wire)
	}
}

// call makes a request with the admin's key and decodes the answer.
func (p *product) call(ctx context.Context, method, path string, body any, result any) int {
	GinkgoHelper()
	var reader io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		Expect(err).NotTo(HaveOccurred())
		reader = bytes.NewReader(raw)
	}
	return p.request(ctx, method, path, adminKey, reader, result)
}

func (p *product) request(ctx context.Context, method, path, key string, body io.Reader, result any) int {
	GinkgoHelper()
	r, err := http.NewRequestWithContext(ctx, method, p.base+path, body)
	Expect(err).NotTo(HaveOccurred())
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	answer, err := http.DefaultClient.Do(r)
	Expect(err).NotTo(HaveOccurred())
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	Expect(err).NotTo(HaveOccurred())
	if result != nil {
		Expect(json.Unmarshal(text, result)).To(Succeed(), "%s", text)
	}
	return answer.StatusCode
}

var _ = Describe("one event through all five processes", func() {
	It("is stored, matched, delivered, counted, shown and streamed; its neighbours are dead or duplicate", func(ctx SpecContext) {
		p := start(ctx)
		receiver, err := sink.Start("")
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(receiver.Close)
		Expect(p.call(ctx, http.MethodPost, "/api/v1/rules", map[string]any{
			"name": "large failed payments", "conditions": map[string]any{"type": "PAYMENT_FAILED", "payload.amount": map[string]any{"$gte": 100}},
			"actions": []any{
				map[string]any{"type": "WEBHOOK", "config": map[string]any{"url": receiver.URL + "/hook", "method": "POST"}},
				map[string]any{"type": "LOG", "config": map[string]any{"level": "info", "message": "large payment failed"}},
			},
		}, nil)).To(Equal(http.StatusCreated))

		seen := p.follow(ctx, url.Values{"type": {"PAYMENT_FAILED"}})
		notifications := p.listen(ctx, "/api/v1/stream/notifications?status=delivered")
		metrics := p.listen(ctx, "/api/v1/stream/metrics?metric_type=EVENTS_COUNT&period=1m&type=PAYMENT_FAILED")
		id := uuid.NewString()
		minute := time.Now().UTC().Truncate(time.Minute)
		body := fmt.Sprintf(`{"event_id":%q,"type":"PAYMENT_FAILED","source":"shop","severity":8,"timestamp":%q,"payload":{"amount":250}}`, id, minute.Format(time.RFC3339))
		p.startWorkers(ctx)
		good := broker.Message{RoutingKey: "events.payment.failed", ContentType: "application/json", Body: []byte(body)}
		bad := broker.Message{RoutingKey: "events.payment.failed", ContentType: "application/json", Body: []byte(`{"source":"shop"}`)}
		p.Publish(ctx, good, bad, good)

		var stored map[string]any
		Eventually(ctx, func() int { return p.call(ctx, http.MethodGet, "/api/v1/events/"+id, nil, &stored) }).Should(Equal(http.StatusOK))
		Eventually(ctx, func(g Gomega) {
			counts, err := p.Store.CountNotifications(ctx, store.NotificationFilter{EventID: id})
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(counts[notification.Delivered]).To(BeEquivalentTo(2))
		}).WithTimeout(20 * time.Second).Should(Succeed())
		Eventually(ctx, func() map[string]any {
			p.call(ctx, http.MethodGet, "/api/v1/events/"+id, nil, &stored)
			return stored
		}).Should(HaveKeyWithValue("processed", true))
		Eventually(ctx, seen).Should(Receive(Equal(id)))
		Consistently(ctx, seen, time.Second).ShouldNot(Receive())

		By("the streams of notifications and metrics: what is made, and what is changed")
		told := map[string]bool{}
		Eventually(ctx, func(g Gomega) {
			var n client.Notification
			g.Expect(notifications).To(Receive(unmarshal("notification", &n)))
			g.Expect(n.Status).To(Equal(client.NotificationStatusDelivered))
			g.Expect(n.EventID).To(Equal(id))
			told[n.NotificationID] = true
			g.Expect(told).To(HaveLen(2))
		}).WithTimeout(20 * time.Second).Should(Succeed())
		count := func(n float64) {
			GinkgoHelper()
			Eventually(ctx, func(g Gomega) {
				var m client.Metric
				g.Expect(metrics).To(Receive(unmarshal("metric", &m)))
				g.Expect(m.Timestamp.Equal(minute)).To(BeTrue())
				g.Expect(m.Value).To(Equal(n))
			}).WithTimeout(20 * time.Second).Should(Succeed())
		}
		count(1)
		p.Publish(ctx, broker.Message{RoutingKey: "events.payment.failed", ContentType: "application/json", Body: []byte(
			fmt.Sprintf(`{"event_id":%q,"type":"PAYMENT_FAILED","source":"shop","timestamp":%q}`, uuid.NewString(), minute.Format(time.RFC3339)))})
		count(2)

		Eventually(ctx, func(g Gomega) {
			var summary struct {
				ByType []struct {
					Value string `json:"value"`
					Count int    `json:"count"`
				} `json:"by_type"`
			}
			g.Expect(p.call(ctx, http.MethodGet, "/api/v1/analytics/summary", nil, &summary)).To(Equal(http.StatusOK))
			g.Expect(summary.ByType).To(ContainElement(And(HaveField("Value", "PAYMENT_FAILED"), HaveField("Count", 2))))
			g.Expect(summary.ByType).To(ContainElement(And(HaveField("Value", "NOTIFICATION_DELIVERY"), HaveField("Count", 2))))
		}).WithTimeout(20 * time.Second).Should(Succeed())
		dead := p.DeadLetters(ctx, topology.Ingest)
		Expect(dead).To(HaveLen(1))
		Expect(dead[0].Error).To(ContainSubstring("/type"))
	}, SpecTimeout(2*time.Minute))

	It("lets nobody in without a key, refuses what a rule cannot be, and never loses an update", func(ctx SpecContext) {
		p := start(ctx)
		Expect(p.request(ctx, http.MethodGet, "/api/v1/events", "", nil, nil)).To(Equal(http.StatusUnauthorized))
		Expect(p.request(ctx, http.MethodGet, "/api/v1/events", "ea_wrong-key-0123456789", nil, nil)).To(Equal(http.StatusUnauthorized))
		Expect(p.request(ctx, http.MethodGet, "/livez", "", nil, nil)).To(Equal(http.StatusOK))
		Expect(p.request(ctx, http.MethodGet, "/health/redis", "", nil, nil)).To(Equal(http.StatusNotFound))
		Expect(p.request(ctx, http.MethodGet, "/", "", nil, nil)).To(Equal(http.StatusOK))

		rule := map[string]any{"name": "r", "conditions": map[string]any{"type": map[string]any{"$where": "1"}}, "actions": []any{}}
		var problem struct {
			Code   string                              `json:"code"`
			Errors []struct{ Pointer, Message string } `json:"errors"`
		}
		Expect(p.call(ctx, http.MethodPost, "/api/v1/rules", rule, &problem)).To(Equal(http.StatusUnprocessableEntity))
		Expect(problem.Code).To(Equal("invalid_rule"))
		Expect(problem.Errors).To(ContainElement(HaveField("Message", ContainSubstring("$where"))))

		rule["conditions"] = map[string]any{"type": "A_TYPE"}
		rule["actions"] = []any{map[string]any{"type": "LOG", "config": map[string]any{"level": "info", "message": "m"}}}
		var saved map[string]any
		Expect(p.call(ctx, http.MethodPost, "/api/v1/rules", rule, &saved)).To(Equal(http.StatusCreated))
		path := "/api/v1/rules/" + saved["rule_id"].(string)
		put := func(match string) int { return p.withMatch(ctx, http.MethodPut, path, match, rule) }
		Expect(put(`"1"`)).To(Equal(http.StatusOK))
		Expect(put(`"1"`)).To(Equal(http.StatusPreconditionFailed), "somebody else has saved version 2")
		Expect(p.call(ctx, http.MethodDelete, path, nil, nil)).To(Equal(http.StatusNoContent))
		Expect(p.call(ctx, http.MethodGet, "/api/v1/events?typ=A", nil, &problem)).To(Equal(http.StatusBadRequest))
	}, SpecTimeout(2*time.Minute))
})

// follow tells the ids that the live stream shows.
func (p *product) follow(ctx context.Context, query url.Values) <-chan string {
	GinkgoHelper()
	ids := make(chan string, 100)
	frames := p.listen(ctx, "/api/v1/stream/events?"+query.Encode())
	go func() {
		for frame := range frames {
			var e client.Event
			if json.Unmarshal([]byte(frame.Data), &e) == nil {
				ids <- e.EventID
			}
		}
	}()
	return ids
}

// listen tells the frames of a live stream that say something. It returns when
// the stream has told its position, so nothing stored afterwards is missed.
func (p *product) listen(ctx context.Context, path string) <-chan client.Frame {
	GinkgoHelper()
	frames, ready := make(chan client.Frame, 100), make(chan struct{})
	streaming, stop := context.WithCancel(ctx)
	r, err := http.NewRequestWithContext(streaming, http.MethodGet, p.base+path, nil)
	Expect(err).NotTo(HaveOccurred())
	r.Header.Set("Authorization", "Bearer "+adminKey)
	answer, err := http.DefaultClient.Do(r)
	Expect(err).NotTo(HaveOccurred())
	go func() {
		defer close(frames)
		defer answer.Body.Close()
		told := false
		for frame, err := range client.Frames(answer.Body) {
			if err != nil {
				return
			}
			if frame.ID != "" && !told {
				told = true
				close(ready)
			}
			if frame.Data != "" {
				frames <- frame
			}
		}
	}()
	DeferCleanup(func() {
		stop()
		for range frames { // until it has ended
		}
	})
	Eventually(ctx, ready).Should(BeClosed())
	return frames
}

// unmarshal matches a frame of a kind and reads what it says.
func unmarshal(kind string, into any) types.GomegaMatcher {
	return WithTransform(func(f client.Frame) (string, error) { return f.Event, json.Unmarshal([]byte(f.Data), into) }, Equal(kind))
}
