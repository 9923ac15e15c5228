package process_test

import (
	"context"
	"math/rand/v2"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
)

const (
	// loadEvery and loadGroup make 30 events a second: what the slowest database
	// can take beside everything else.
	loadEvery = 100 * time.Millisecond
	loadGroup = 3
)

// load is a producer that publishes all the time and knows what was accepted.
type load struct {
	end      func() // asks it to
	ended    chan struct{}
	accepted []string // ids of confirmed events; valid when it has ended
}

// startLoad publishes until stop. One event in ten is critical, and one message
// in fifty comes twice.
func (c *crew) startLoad(ctx context.Context, seed uint64) *load {
	halt, ended := context.WithCancel(ctx)
	l := &load{end: ended, ended: make(chan struct{})}
	r := rand.New(rand.NewPCG(seed, 99))
	go func() {
		defer GinkgoRecover()
		defer close(l.ended)
		ticker := time.NewTicker(loadEvery)
		defer ticker.Stop()
		for {
			select {
			case <-halt.Done():
				return
			case <-ticker.C:
			}
			var messages []broker.Message
			var ids []string
			for range loadGroup {
				severity := 1 + r.IntN(8)
				if r.IntN(10) == 0 {
					severity = 9
				}
				m, id := newMessage(severity)
				m.Exchange = c.Topology.Exchange(topology.ExchangeEvents)
				messages, ids = append(messages, m), append(ids, id)
				if r.IntN(50) == 0 {
					messages = append(messages, m)
				}
			}
			// It sees a broker's restart through; what it returns from is confirmed.
			Expect(c.Publisher.Publish(ctx, messages...)).To(Succeed())
			l.accepted = append(l.accepted, ids...)
		}
	}()
	DeferCleanup(func() { l.end(); <-l.ended })
	return l
}

// stop ends the load and returns what was accepted.
func (l *load) stop(ctx context.Context) []string {
	GinkgoHelper()
	l.end()
	Eventually(ctx, l.ended).WithTimeout(time.Minute).Should(BeClosed())
	return l.accepted
}
