package browser_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"
	"go.uber.org/zap"

	"github.com/events-aggregator/events-aggregator/pkg/app"
	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/config"
	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/services/aggregator"
	"github.com/events-aggregator/events-aggregator/services/api"
	"github.com/events-aggregator/events-aggregator/services/dispatcher"
	"github.com/events-aggregator/events-aggregator/services/ingester"
	"github.com/events-aggregator/events-aggregator/services/ruleworker"
	"github.com/events-aggregator/events-aggregator/test/support/fleet"
)

const adminKey = "ea_specs-admin-key-0123456789"

// product is all five services, and the api's address.
type product struct {
	*fleet.Fleet
	api  *app.Running
	addr string
}

func start(ctx context.Context) *product {
	GinkgoHelper()
	p := &product{Fleet: fleet.New(ctx)}
	p.startAPI(ctx, "127.0.0.1:0")
	for _, s := range []struct {
		name string
		wire app.Wire
	}{
		{"ingester", ingester.Wire}, {"rule-worker", ruleworker.Wire},
		{"action-dispatcher", dispatcher.Wire}, {"aggregator", aggregator.Wire},
	} {
		p.Start(ctx, s.name, s.wire)
	}
	return p
}

func (p *product) startAPI(ctx context.Context, addr string) {
	GinkgoHelper()
	p.api = p.Start(ctx, "api", api.Wire, func(c *config.Config) { c.API.BootstrapAdminKey, c.API.Addr = adminKey, addr })
	p.addr = p.api.Addr()
}

func (p *product) base() string { return "http://" + p.addr + "/" }

// withoutSockets is a way to an api by which no WebSocket passes, as through some proxies.
func withoutSockets(addr string) string {
	proxy := &httputil.ReverseProxy{
		Rewrite:  func(r *httputil.ProxyRequest) { r.SetURL(&url.URL{Scheme: "http", Host: addr}) },
		ErrorLog: zap.NewStdLog(zap.NewNop()), // it would tell of those who left
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			http.Error(w, "no WebSocket passes here", http.StatusBadGateway)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	DeferCleanup(func() {
		server.CloseClientConnections() // streams do not end by themselves
		server.Close()
	})
	return server.URL + "/"
}

type object = map[string]any

// publish sends an event now and returns its id.
func (p *product) publish(ctx context.Context, eventType, source string, severity int, payload object, more ...object) string {
	GinkgoHelper()
	id := uuid.NewString()
	e := object{"event_id": id, "type": eventType, "source": source, "severity": severity, "payload": payload, "timestamp": time.Now().UTC().Format(time.RFC3339Nano)}
	for _, m := range more {
		for k, v := range m {
			e[k] = v
		}
	}
	body, err := json.Marshal(e)
	Expect(err).NotTo(HaveOccurred())
	p.Publish(ctx, broker.Message{RoutingKey: "events." + strings.ToLower(strings.ReplaceAll(eventType, "_", ".")), ContentType: "application/json", Body: body})
	return id
}

// storeLate stores an event that was taken some time ago, as an ingester does whose
// clock is behind, or that could not store it before.
func (p *product) storeLate(ctx context.Context, eventType, source string, severity int, ago time.Duration) {
	GinkgoHelper()
	now := time.Now().UTC().Truncate(time.Millisecond)
	first, _ := event.NewIDBlock(1)
	doc, err := bson.Marshal(bson.D{
		{Key: "_id", Value: first}, {Key: "event_id", Value: uuid.NewString()},
		{Key: "type", Value: eventType}, {Key: "source", Value: source}, {Key: "severity", Value: int32(severity)},
		{Key: "timestamp", Value: now}, {Key: "payload", Value: bson.D{}}, {Key: "metadata", Value: bson.D{}},
		{Key: "processed", Value: false}, {Key: "batch_id", Value: first.Hex()},
		{Key: "created_at", Value: now.Add(-ago)}, {Key: "expires_at", Value: now.Add(time.Hour)},
	})
	Expect(err).NotTo(HaveOccurred())
	batch := event.Batch{ID: first.Hex(), FirstID: first, LastID: first, MaxSeverity: severity, StoredAt: now, Events: []bson.Raw{doc}}
	Expect(p.Store.SaveBatch(ctx, batch, "spec")).To(Succeed())
}
