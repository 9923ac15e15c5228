package ingester_test

import (
	"context"
	"fmt"
	"math/rand"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/events-aggregator/events-aggregator/pkg/app"
	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/config"
	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
	"github.com/events-aggregator/events-aggregator/services/ingester"
	"github.com/events-aggregator/events-aggregator/test/support/faultproxy"
	"github.com/events-aggregator/events-aggregator/test/support/fleet"
)

func TestIngester(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Ingester")
}

// start runs one ingester of the fleet.
func start(ctx context.Context, f *fleet.Fleet, change ...func(*config.Config)) *app.Running {
	GinkgoHelper()
	return f.Start(ctx, "ingester", ingester.Wire, change...)
}

// native is an event in the native shape.
func native(id string, severity int) broker.Message {
	body := fmt.Sprintf(`{"event_id":%q,"type":"PAYMENT_FAILED","source":"payment-service","severity":%d,`+
		`"timestamp":"2026-01-02T03:04:05Z","user_id":"u-1","payload":{"amount":12.5,"n":9007199254740993},"metadata":{"region":"eu"}}`, id, severity)
	return broker.Message{RoutingKey: "events.payment.failed", ContentType: "application/json", Body: []byte(body)}
}

// natives makes n events with the ids of them.
func natives(n int) (messages []broker.Message, eventIDs []string) {
	for range n {
		id := uuid.NewString()
		messages, eventIDs = append(messages, native(id, 3)), append(eventIDs, id)
	}
	return messages, eventIDs
}

// books is the ledger with the events of its batches.
type books struct {
	rows     []store.LedgerRow
	batches  []event.Batch
	eventIDs []string
}

// readBooks reads all of the ledger; no rule-worker runs in these specs, so
// every row is open for it.
func readBooks(ctx context.Context, f *fleet.Fleet) books {
	GinkgoHelper()
	var b books
	for after := (store.LedgerRow{}); ; {
		rows, err := f.Store.OpenBatches(ctx, store.Matched, time.Now().Add(time.Hour), after, 500)
		Expect(err).NotTo(HaveOccurred())
		b.rows = append(b.rows, rows...)
		if len(rows) < 500 {
			break
		}
		after = rows[len(rows)-1]
	}
	for _, row := range b.rows {
		batch, err := f.Store.LoadBatch(ctx, row)
		Expect(err).NotTo(HaveOccurred())
		Expect(batch.Events).To(HaveLen(row.Count), "the ledger's count of batch %s", row.ID)
		b.batches = append(b.batches, batch)
		for _, e := range batch.Events {
			b.eventIDs = append(b.eventIDs, e.Lookup("event_id").StringValue())
		}
	}
	return b
}

// stored is the number of stored events; nothing writes when it matters that it is
// exact. Counting them by a query would read them all, while others wait.
func stored(ctx context.Context, f *fleet.Fleet) int {
	GinkgoHelper()
	n, _, err := f.Store.EventCounts(ctx)
	Expect(err).NotTo(HaveOccurred())
	return int(n)
}

// eventuallyDone waits until the ingester's queue and the queues that lead back
// to it hold nothing, delivered or not, and n events are stored: as long as it
// takes on a slow server, but never longer than still without one more event.
func eventuallyDone(ctx context.Context, f *fleet.Fleet, n int, still time.Duration, processes ...*app.Running) {
	GinkgoHelper()
	for now := stored(ctx, f); now < n; {
		Eventually(ctx, func() int { return stored(ctx, f) }).WithTimeout(still).WithPolling(250*time.Millisecond).
			Should(BeNumerically(">", now), "stored events, of %d", n)
		now = stored(ctx, f)
	}
	Eventually(ctx, func(g Gomega) {
		g.Expect(f.Depth(ctx, topology.Ingest)).To(BeZero())
		for _, p := range processes {
			g.Expect(metric(p, "ea_deliveries_unsettled")).To(BeZero(), "messages in the ingester's hands")
		}
		open, err := f.Store.OpenBatches(ctx, store.Published, time.Now().Add(time.Hour), store.LedgerRow{}, 10)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(open).To(BeEmpty(), "batches that are not published")
	}).WithTimeout(20 * time.Second).WithPolling(50 * time.Millisecond).Should(Succeed())
}

// expectStoredOnce compares the stored events with those that were published.
func expectStoredOnce(ctx context.Context, f *fleet.Fleet, eventIDs []string) {
	GinkgoHelper()
	b := readBooks(ctx, f)
	Expect(stored(ctx, f)).To(Equal(len(b.eventIDs)), "events outside of the ledger's batches")
	want := make(map[string]bool, len(eventIDs))
	for _, id := range eventIDs {
		want[id] = true
	}
	var twice, foreign []string
	seen := make(map[string]bool, len(b.eventIDs))
	for _, id := range b.eventIDs {
		switch {
		case seen[id]:
			twice = append(twice, id)
		case !want[id]:
			foreign = append(foreign, id)
		}
		seen[id] = true
	}
	Expect(twice).To(BeEmpty(), "stored twice")
	Expect(foreign).To(BeEmpty(), "stored and never published")
	Expect(seen).To(HaveLen(len(want)), "published and never stored")
}

// expectNothingFailed looks where messages lie that cost an attempt or died.
func expectNothingFailed(ctx context.Context, f *fleet.Fleet) {
	GinkgoHelper()
	Expect(f.Depth(ctx, topology.Ingest+".dead")).To(BeZero())
	for _, tier := range f.Topology.Work(topology.Ingest).Tiers {
		Expect(f.Depth(ctx, topology.Ingest+".retry."+broker.DelayLabel(tier))).To(BeZero())
	}
}

// metric sums a metric of a process over the series that have the labels
// (name, value, …).
func metric(p *app.Running, name string, labels ...string) float64 {
	GinkgoHelper()
	families, err := p.Process().Metrics.Gather()
	Expect(err).NotTo(HaveOccurred())
	sum := 0.0
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			has := 0
			for _, l := range m.GetLabel() {
				for i := 0; i < len(labels); i += 2 {
					if l.GetName() == labels[i] && l.GetValue() == labels[i+1] {
						has += 2
					}
				}
			}
			if has == len(labels) {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return sum
}

// listener hears what the ingester tells the other stages.
type listener struct {
	mu      sync.Mutex
	batches map[string][]broker.Message // by batch id
	events  map[string]event.Batch
}

// listen consumes the aggregator's queue.
func listen(ctx context.Context, f *fleet.Fleet) *listener {
	GinkgoHelper()
	l := &listener{batches: map[string][]broker.Message{}, events: map[string]event.Batch{}}
	c := broker.NewConsumer(f.Connection, f.Publisher, f.Topology.Work(topology.Aggregate),
		broker.ConsumerOptions{Log: f.Log, Registerer: prometheus.NewRegistry()})
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() {
		defer GinkgoRecover()
		defer close(ended)
		Expect(c.Run(run, broker.Each(1, func(_ context.Context, d *broker.Delivery) error {
			b, err := f.Topology.Stored().Decode(d.Message)
			if err != nil {
				return err
			}
			l.mu.Lock()
			defer l.mu.Unlock()
			l.batches[b.ID] = append(l.batches[b.ID], d.Message)
			l.events[b.ID] = b
			return nil
		}))).To(Succeed())
	}()
	DeferCleanup(func(ctx SpecContext) {
		stop()
		Eventually(ctx, ended).Should(BeClosed())
	}, NodeTimeout(30*time.Second))
	return l
}

// heard is what came so far.
func (l *listener) heard() map[string]event.Batch {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make(map[string]event.Batch, len(l.events))
	for id, b := range l.events {
		all[id] = b
	}
	return all
}

// throughProxy puts a proxy before the server of a URL and returns the URL that
// leads through it.
func throughProxy(server, options string) (*faultproxy.Proxy, string) {
	GinkgoHelper()
	u, err := url.Parse(server)
	Expect(err).NotTo(HaveOccurred())
	p, err := faultproxy.Start(u.Host)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(p.Close)
	u.Host = p.Addr()
	if options != "" {
		u.RawQuery = options
	}
	if u.Path == "" {
		u.Path = "/"
	}
	return p, u.String()
}

// direct keeps the driver on the proxy's address: otherwise it asks the server
// for the members' own and connects there.
const direct = "directConnection=true"

// often is how often every does what it does, at most: each cut has all that is in
// the ingester's hands come again, which on a slow machine would take longer than
// the next cut is away.
const often = 20

// every calls do again and again, at random moments, but not too often, until the returned
// function is called.
func every(least, most time.Duration, do func()) (stop func()) {
	random := rand.New(rand.NewSource(GinkgoRandomSeed()))
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for range often {
			wait := least + time.Duration(random.Int63n(int64(most-least)))
			select {
			case <-time.After(wait):
				do()
			case <-done:
				return
			}
		}
	}()
	return func() { close(done); <-ended }
}
