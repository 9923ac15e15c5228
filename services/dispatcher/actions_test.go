package dispatcher_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
	"github.com/events-aggregator/events-aggregator/test/support/fleet"
)

// alertmanager answers with the statuses, one after the other, then with 200.
func alertmanager(statuses ...int) (url string, calls func() []*alertCall) {
	GinkgoHelper()
	var mu sync.Mutex
	var got []*alertCall
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		got = append(got, &alertCall{path: r.URL.Path, header: r.Header, body: body})
		if len(got) <= len(statuses) {
			http.Error(w, "bad label", statuses[len(got)-1])
		}
	}))
	DeferCleanup(server.Close)
	return server.URL, func() []*alertCall {
		mu.Lock()
		defer mu.Unlock()
		return got
	}
}

type alertCall struct {
	path   string
	header http.Header
	body   []byte
}

var _ = Describe("An ALERT", func() {
	It("reaches Alertmanager's API, again after a failure, and is delivered", func(ctx SpecContext) {
		f := fleet.New(ctx)
		url, calls := alertmanager(http.StatusServiceUnavailable)
		start(ctx, f, schedule(time.Second))
		owed := owe(ctx, f, "ALERT", bson.D{{Key: "url", Value: url}, {Key: "labels", Value: bson.D{{Key: "n", Value: "{{.Event.payload.n}}"}}},
			{Key: "headers", Value: bson.D{{Key: "X-Scope", Value: "{{.Event.source}}"}}}})
		send(ctx, f, owed...)
		n := becomes(ctx, f, owed[0], notification.Delivered)
		Expect(n.Attempts).To(HaveLen(2))
		call := calls()[1]
		Expect(call.path).To(Equal("/api/v2/alerts"))
		Expect(call.header.Get("X-Scope")).To(Equal("spec"))
		var alerts []struct {
			Labels map[string]string `json:"labels"`
			EndsAt time.Time         `json:"endsAt"`
		}
		Expect(json.Unmarshal(call.body, &alerts)).To(Succeed())
		Expect(alerts).To(HaveLen(1))
		Expect(alerts[0].Labels).To(HaveKeyWithValue("alertname", "failed payments"))
		Expect(alerts[0].Labels).To(HaveKeyWithValue("n", "0"))
		Expect(alerts[0].EndsAt).To(BeTemporally("~", time.Now().Add(5*time.Minute), time.Minute))
		empty(ctx, f)
	}, SpecTimeout(time.Minute))

	It("that Alertmanager refuses is dead at once, with what it said", func(ctx SpecContext) {
		f := fleet.New(ctx)
		url, _ := alertmanager(http.StatusBadRequest)
		start(ctx, f)
		owed := owe(ctx, f, "ALERT", bson.D{{Key: "url", Value: url}})
		send(ctx, f, owed...)
		n := becomes(ctx, f, owed[0], notification.Dead)
		Expect(n.Attempts).To(HaveLen(1))
		Expect(n.Attempts[0].ResponseExcerpt).To(ContainSubstring("bad label"))
	}, SpecTimeout(time.Minute))
})

var _ = Describe("A PUBLISH", func() {
	var f *fleet.Fleet
	BeforeEach(func(ctx SpecContext) { f = fleet.New(ctx) }, NodeTimeout(30*time.Second))

	to := func(exchange, key string, more ...bson.E) bson.D {
		return append(bson.D{{Key: "exchange", Value: exchange}, {Key: "routing_key", Value: key}}, more...)
	}
	body := func(text string) bson.E { return bson.E{Key: "body", Value: text} }

	// heard are the messages that were published for a notification.
	heard := func(ctx context.Context) func(id string) []broker.Message {
		GinkgoHelper()
		var mu sync.Mutex
		got := map[string][]broker.Message{}
		c := broker.NewConsumer(f.Connection, f.Publisher, f.Topology.Work(topology.Ingest), broker.ConsumerOptions{Log: f.Log})
		run, stop := context.WithCancel(context.WithoutCancel(ctx))
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_ = c.Run(run, broker.Each(1, func(_ context.Context, d *broker.Delivery) error {
				mu.Lock()
				defer mu.Unlock()
				got[d.MessageID] = append(got[d.MessageID], d.Message)
				return nil
			}))
		}()
		DeferCleanup(func() { stop(); <-ended })
		return func(id string) []broker.Message {
			mu.Lock()
			defer mu.Unlock()
			return got[id]
		}
	}

	// foreign is the exchange of another service. What has one of the keys, any by
	// default, is heard.
	foreign := func(ctx context.Context, keys ...string) string {
		GinkgoHelper()
		t := broker.Topology{Exchanges: []broker.Exchange{{Name: f.Prefix + "orders", Kind: "topic"}}}
		bound := t
		for _, key := range append(keys, "#")[:max(1, len(keys))] {
			bound.Bindings = append(bound.Bindings, broker.Binding{Exchange: f.Prefix + "orders", Key: key, Queue: f.Topology.Work(topology.Ingest).Name})
		}
		Expect(f.Connection.Declare(ctx, bound)).To(Succeed())
		DeferCleanup(func(ctx SpecContext) { Expect(f.Connection.Remove(ctx, t)).To(Succeed()) }, NodeTimeout(10*time.Second))
		return f.Prefix + "orders"
	}

	It("to another exchange carries the notification's id, hops, cause and trace", func(ctx SpecContext) {
		messages := heard(ctx)
		start(ctx, f)
		owed := owe(ctx, f, "PUBLISH", to(foreign(ctx), "orders.{{.Event.source}}", body("n={{.Event.payload.n}}")))
		send(ctx, f, owed...)
		n := becomes(ctx, f, owed[0], notification.Delivered)
		Eventually(ctx, func() []broker.Message { return messages(n.ID) }).Should(HaveLen(1))
		m := messages(n.ID)[0]
		Expect(m.RoutingKey).To(Equal("orders.spec"))
		Expect(string(m.Body)).To(Equal("n=0"))
		Expect(m.Headers).To(HaveKeyWithValue("hops", BeNumerically("==", 3)))
		Expect(m.Headers).To(HaveKeyWithValue("caused-by", n.EventID))
		Expect(m.Headers).To(HaveKeyWithValue("traceparent", HavePrefix(trace[:36])))
	}, SpecTimeout(time.Minute))

	It("to events is a new event that says what caused it", func(ctx SpecContext) {
		messages := heard(ctx)
		start(ctx, f)
		review := body(`{"type":"PAYMENT_REVIEW","source":"rules","payload":{"n":{{.Event.payload.n}}}}`)
		owed := owe(ctx, f, "PUBLISH", to("events", "events.payment.review", review),
			to(f.Topology.Exchange(topology.ExchangeEvents), "events.payment.review", review)) // by its full name
		send(ctx, f, owed...)
		decoder, err := event.NewDecoder(event.Options{})
		Expect(err).NotTo(HaveOccurred())
		for _, m := range owed {
			n := becomes(ctx, f, m, notification.Delivered)
			Eventually(ctx, func() []broker.Message { return messages(n.ID) }).Should(HaveLen(1))
			docs, err := decoder.Decode(event.Input{Body: messages(n.ID)[0].Body, ContentType: "application/json", MessageID: n.ID, Now: time.Now()})
			Expect(err).NotTo(HaveOccurred())
			Expect(docs).To(HaveLen(1))
			Expect(docs[0].Raw.Lookup("metadata", "hops").AsInt64()).To(BeEquivalentTo(3))
			Expect(docs[0].Raw.Lookup("metadata", "caused_by").StringValue()).To(Equal(n.EventID))
		}
	}, SpecTimeout(time.Minute))

	It("to an exchange of our own is dead, whatever the prefix", func(ctx SpecContext) {
		start(ctx, f)
		owed := owe(ctx, f, "PUBLISH", to(f.Topology.Exchange(topology.ExchangeControl), "k"), to(topology.ExchangeControl, "k"))
		send(ctx, f, owed...)
		for _, m := range owed {
			Expect(becomes(ctx, f, m, notification.Dead).Attempts[0]).To(And(HaveField("ErrorClass", "invalid_config"), HaveField("Error", ContainSubstring("one of our own"))))
		}
	}, SpecTimeout(time.Minute))

	It("to an exchange that does not exist is tried again, and holds nobody up", func(ctx SpecContext) {
		receiver := receive()
		start(ctx, f, schedule(time.Second))
		lost := owe(ctx, f, "PUBLISH", to(f.Prefix+"nowhere", "k"), to(f.Prefix+"nowhere", "k"))
		exchange := foreign(ctx)
		good := owe(ctx, f, "PUBLISH", to(exchange, "k"), to(exchange, "k"))
		hooks := oweHooks(ctx, f, 2, receiver.URL)
		send(ctx, f, lost[0], good[0], hooks[0], lost[1], good[1], hooks[1])
		for _, m := range append(good, hooks...) {
			Expect(becomes(ctx, f, m, notification.Delivered).Attempts).To(HaveLen(1))
		}
		for _, m := range lost {
			n := becomes(ctx, f, m, notification.Dead)
			Expect(n.Attempts).To(HaveLen(2))
			Expect(n.Attempts[0].ErrorClass).To(Equal("unroutable"))
			Expect(n.Attempts[0].Error).To(ContainSubstring("nowhere"))
		}
	}, SpecTimeout(time.Minute))

	It("that no queue takes is tried again, unless nobody has to", func(ctx SpecContext) {
		start(ctx, f, schedule(time.Second))
		exchange := foreign(ctx, "k")
		owed := owe(ctx, f, "PUBLISH", to(exchange, "nobody"), to(exchange, "nobody", bson.E{Key: "mandatory", Value: false}))
		send(ctx, f, owed...)
		Expect(becomes(ctx, f, owed[1], notification.Delivered).Attempts).To(HaveLen(1))
		Expect(becomes(ctx, f, owed[0], notification.Dead).Attempts).To(HaveLen(2))
	}, SpecTimeout(time.Minute))

	It("whose template does not fit its event is dead, with the reason", func(ctx SpecContext) {
		start(ctx, f)
		owed := owe(ctx, f, "PUBLISH", to("events", "k", body("no event")))
		send(ctx, f, owed...)
		n := becomes(ctx, f, owed[0], notification.Dead)
		Expect(n.Attempts[0].ErrorClass).To(Equal("template"))
		Expect(n.Attempts[0].Error).To(ContainSubstring("must be an event"))
	}, SpecTimeout(time.Minute))
})
