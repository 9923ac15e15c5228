package process_test

import (
	"bufio"
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
	"github.com/events-aggregator/events-aggregator/test/support/fleet"
)

// watched knows when events were published, and when ea.stored told of them.
type watched struct {
	mu           sync.Mutex
	sent, stored map[string]time.Time
}

// watchStored listens on ea.stored until the spec ends.
func watchStored(ctx context.Context, f *fleet.Fleet) *watched {
	GinkgoHelper()
	w := &watched{sent: map[string]time.Time{}, stored: map[string]time.Time{}}
	route := f.Topology.Stored()
	listening, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = broker.Broadcasts(f.Connection, f.Topology.Exchange(topology.ExchangeStored), "stored.#", func(m broker.Message) {
			batch, err := route.Decode(m)
			if err != nil {
				return // garbage of the spec's own
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			for _, e := range batch.Events {
				id, _ := e.Lookup("event_id").StringValueOK()
				w.stored[id] = time.Now()
			}
		})(listening)
	}()
	DeferCleanup(func() { stop(); <-ended })
	// It listens as soon as it hears of an event.
	Eventually(ctx, func(g Gomega) {
		id := w.publish(ctx, f, 1)[0]
		g.Eventually(ctx, func() bool { return w.has(id) }).WithTimeout(time.Second).WithPolling(10 * time.Millisecond).Should(BeTrue())
	}).WithTimeout(30 * time.Second).Should(Succeed())
	return w
}

func (w *watched) has(id string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, ok := w.stored[id]
	return ok
}

// goodMessage is an event that no rule matches, and its id.
func goodMessage() (broker.Message, string) {
	id := uuid.NewString()
	return broker.Message{RoutingKey: "events.good", ContentType: "application/json",
		Body: fmt.Appendf(nil, `{"event_id":%q,"type":"GOOD","source":"spec","severity":3}`, id)}, id
}

// published are the ids of all that was sent.
func (w *watched) published() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Collect(maps.Keys(w.sent))
}

// publish sends n good events.
func (w *watched) publish(ctx context.Context, f *fleet.Fleet, n int) []string {
	GinkgoHelper()
	ids, messages := make([]string, n), make([]broker.Message, n)
	w.mu.Lock()
	for i := range n {
		messages[i], ids[i] = goodMessage()
		w.sent[ids[i]] = time.Now()
	}
	w.mu.Unlock()
	f.Publish(ctx, messages...)
	return ids
}

// steady publishes groups of good events, ten groups a second, with something
// beside each.
func (c *crew) steady(ctx context.Context, w *watched, groups int, beside func(i int)) (ids []string) {
	GinkgoHelper()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for i := range groups {
		ids = append(ids, w.publish(ctx, c.Fleet, goodEach)...)
		beside(i)
		select {
		case <-ticker.C:
		case <-ctx.Done():
			Fail("out of time")
		}
	}
	return ids
}

// delays from the publish to the news that an event is stored.
type delays struct{ p50, p99, longest time.Duration }

func (d delays) String() string {
	round := func(d time.Duration) time.Duration { return d.Round(100 * time.Microsecond) }
	return fmt.Sprintf("p50 %s, p99 %s, max %s", round(d.p50), round(d.p99), round(d.longest))
}

func (w *watched) delays(ctx context.Context, ids []string) delays {
	GinkgoHelper()
	for _, id := range ids {
		Eventually(ctx, func() bool { return w.has(id) }).WithTimeout(30 * time.Second).WithPolling(10 * time.Millisecond).Should(BeTrue())
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	all := make([]time.Duration, len(ids))
	for i, id := range ids {
		all[i] = w.stored[id].Sub(w.sent[id])
	}
	slices.Sort(all)
	return delays{p50: all[len(all)/2], p99: all[len(all)*99/100], longest: all[len(all)-1]}
}

// metric is the sum of a metric's series.
func (r *running) metric(ctx context.Context, name string) float64 {
	GinkgoHelper()
	return r.metricOf(ctx, name, "")
}

// metricOf is the sum of the series with that label.
func (r *running) metricOf(ctx context.Context, name, label string) (sum float64) {
	GinkgoHelper()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.admin+"/metrics", nil)
	Expect(err).NotTo(HaveOccurred())
	response, err := http.DefaultClient.Do(request)
	Expect(err).NotTo(HaveOccurred())
	defer response.Body.Close()
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), name); ok && (rest[0] == '{' || rest[0] == ' ') && strings.Contains(rest, label) {
			value, err := strconv.ParseFloat(rest[strings.LastIndexByte(rest, ' ')+1:], 64)
			Expect(err).NotTo(HaveOccurred())
			sum += value
		}
	}
	return sum
}
