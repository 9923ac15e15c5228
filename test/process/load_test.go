package process_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
)

const (
	// loadEvery and loadGroup, with one event by the api, make 30 events a second:
	// what the slowest database can take beside everything else.
	loadEvery = 100 * time.Millisecond
	loadGroup = 2
	// A wave is more than a batch of each process: those that die meet work.
	waveSize = 60
	// postPatience is more than the api's own.
	postPatience = 15 * time.Second
	adminKey     = "the-key-of-the-specs"
)

// load is two producers, one that publishes and one that posts to the api, all
// the time, and know what was accepted. The lists are valid when both have ended.
type load struct {
	end       func() // asks them to
	producers sync.WaitGroup
	ended     chan struct{}
	mu        sync.Mutex // of published, to which waves add
	published []string   // ids of confirmed events
	posted    []string   // ids that the api has answered with 202
	unknown   []string   // ids that it has not: they may be stored or not
}

// startLoad produces until stop. One event in ten is critical, and one message
// in fifty comes twice.
func (c *crew) startLoad(ctx context.Context, seed uint64) *load {
	halt, ended := context.WithCancel(ctx)
	l := &load{end: ended, ended: make(chan struct{})}
	produce := func(stream uint64, tick func(r *rand.Rand)) {
		r := rand.New(rand.NewPCG(seed, stream))
		l.producers.Go(func() {
			defer GinkgoRecover()
			ticker := time.NewTicker(loadEvery)
			defer ticker.Stop()
			for {
				select {
				case <-halt.Done():
					return
				case <-ticker.C:
					tick(r)
				}
			}
		})
	}
	produce(99, func(r *rand.Rand) { l.publish(ctx, c, r, loadGroup) })
	client := &http.Client{Timeout: postPatience}
	produce(98, func(r *rand.Rand) { l.post(ctx, c, client, r) })
	go func() {
		defer close(l.ended)
		l.producers.Wait()
	}()
	DeferCleanup(func() { l.end(); <-l.ended; client.CloseIdleConnections() })
	return l
}

func anySeverity(r *rand.Rand) int {
	if r.IntN(10) == 0 {
		return 9
	}
	return 1 + r.IntN(8)
}

// publish sees a broker's restart through; what it returns from is confirmed.
func (l *load) publish(ctx context.Context, c *crew, r *rand.Rand, n int) {
	GinkgoHelper()
	var messages []broker.Message
	var ids []string
	for range n {
		m, id := newMessage(anySeverity(r))
		m.Exchange = c.Topology.Exchange(topology.ExchangeEvents)
		messages, ids = append(messages, m), append(ids, id)
		if r.IntN(50) == 0 {
			messages = append(messages, m)
		}
	}
	Expect(c.Publisher.Publish(ctx, messages...)).To(Succeed())
	l.mu.Lock()
	defer l.mu.Unlock()
	l.published = append(l.published, ids...)
}

// wave publishes more than is done at once.
func (l *load) wave(ctx context.Context, c *crew, seed, round uint64) {
	GinkgoHelper()
	r := rand.New(rand.NewPCG(seed, 1000+round))
	l.publish(ctx, c, r, waveSize)
}

// post sends an event to the api once: what is not answered with 202 is not
// accepted.
func (l *load) post(ctx context.Context, c *crew, client *http.Client, r *rand.Rand) {
	GinkgoHelper()
	m, id := newMessage(anySeverity(r))
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+c.api+"/api/v1/events", bytes.NewReader(m.Body))
	Expect(err).NotTo(HaveOccurred())
	request.Header.Set("Content-Type", m.ContentType)
	request.Header.Set("Authorization", "Bearer "+adminKey)
	response, err := client.Do(request)
	if err != nil {
		l.unknown = append(l.unknown, id)
		return
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusAccepted {
		// Nothing but an outage is a reason to refuse it.
		Expect(response.StatusCode).To(Equal(http.StatusServiceUnavailable))
		l.unknown = append(l.unknown, id)
		return
	}
	l.posted = append(l.posted, id)
}

// stop ends the load.
func (l *load) stop(ctx context.Context) {
	GinkgoHelper()
	l.end()
	Eventually(ctx, l.ended).WithTimeout(time.Minute).Should(BeClosed())
}

// storedOf waits until everything is stored that was accepted, and returns it
// with what is stored without having been accepted.
func (l *load) storedOf(ctx context.Context, c *crew, accepted []string) (ids []string) {
	GinkgoHelper()
	Eventually(ctx, func(g Gomega) {
		known, err := c.Store.KnownEvents(ctx, l.unknown)
		g.Expect(err).NotTo(HaveOccurred())
		ids = append([]string(nil), accepted...)
		for id := range known {
			ids = append(ids, id)
		}
		g.Expect(c.Depth(ctx, topology.Ingest)).To(BeZero())
		stored, err := c.Store.CountEvents(ctx, store.EventFilter{Type: eventType}, 0)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(stored).To(BeEquivalentTo(len(ids)))
	}).WithTimeout(2 * time.Minute).WithPolling(200 * time.Millisecond).Should(Succeed())
	return ids
}
