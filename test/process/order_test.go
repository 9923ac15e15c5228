package process_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/test/support/faultproxy"
	"github.com/events-aggregator/events-aggregator/test/support/fleet"
)

// The two servers, as /readyz names them.
const (
	mongodb  = "mongodb"
	rabbitmq = "rabbitmq"
)

const (
	sampledOrders = 12
	orderLanes    = 3
	// firstDelivery is what is promised from the moment when the last of all is
	// up until an event is delivered. An order that takes longer is measured once
	// more, since a machine may have had something better to do; then it counts.
	firstDelivery = 5 * time.Second
)

// order is one in which five processes, broker and database start.
type order []string

func (o order) String() string { return strings.Join(o, ", ") }

// sample is some orders: two with both servers last, since those wait longest,
// and others by chance.
func sample(r *rand.Rand) []order {
	orders := []order{
		append(slices.Clone(names), rabbitmq, mongodb),
		append(slices.Clone(names), mongodb, rabbitmq),
	}
	for len(orders) < sampledOrders {
		o := append(slices.Clone(names), rabbitmq, mongodb)
		r.Shuffle(len(o), func(i, j int) { o[i], o[j] = o[j], o[i] })
		orders = append(orders, o)
	}
	return orders
}

var _ = Describe("any order of starting", measures, func() {
	It("works: who is early waits and says for what, and an event is delivered within 5 s of the last of all", func(ctx SpecContext) {
		seed := uint64(GinkgoRandomSeed())
		orders := sample(rand.New(rand.NewPCG(seed, 0)))
		var mu sync.Mutex
		var took []time.Duration
		lanes := make([]int, orderLanes)
		for i := range lanes {
			lanes[i] = i
		}
		inParallel(ctx, lanes, crewed(func(ctx context.Context, c *crew, lane int) {
			servers := map[string]*faultproxy.Proxy{mongodb: fleet.Through(&c.MongoURI), rabbitmq: fleet.Through(&c.AMQPURL)}
			r := rand.New(rand.NewPCG(seed, uint64(lane)+1))
			for i := lane; i < len(orders); i += orderLanes {
				By(orders[i].String())
				d := c.inOrder(ctx, orders[i], servers, r)
				if d > firstDelivery {
					AddReportEntry("measured once more", fmt.Sprintf("%s after the last of: %s", d, orders[i]))
					d = c.inOrder(ctx, orders[i], servers, r)
				}
				Expect(d).To(BeNumerically("<=", firstDelivery))
				GinkgoWriter.Printf("delivered %s after the last of: %s\n", d, orders[i])
				mu.Lock()
				took = append(took, d)
				mu.Unlock()
			}
		}))
		Expect(took).NotTo(BeEmpty())
		slices.Sort(took)
		AddReportEntry("from the last start to the delivery", fmt.Sprintf("%d orders (seed %d): median %s, longest %s", len(took), seed, took[len(took)/2], took[len(took)-1]))
		Expect(took).To(HaveLen(sampledOrders))
	}, SpecTimeout(4*time.Minute))
})

// inOrder starts all in this order and returns how long after the last of them
// an event was delivered.
func (c *crew) inOrder(ctx context.Context, o order, servers map[string]*faultproxy.Proxy, r *rand.Rand) time.Duration {
	GinkgoHelper()
	down := map[string]bool{}
	for name, s := range servers {
		s.Refuse(true)
		s.Cut()
		down[name] = true
	}
	var started []*running
	for i, name := range o {
		if s, ok := servers[name]; ok {
			s.Refuse(false)
			delete(down, name)
		} else {
			started = append(started, c.launch(name))
		}
		if i < len(o)-1 {
			passes(ctx, time.Duration(r.IntN(300))*time.Millisecond)
		}
		if len(down) > 0 && len(started) > 0 {
			started[r.IntN(len(started))].waitsFor(ctx, down)
		}
	}
	began := time.Now()
	id := publish(ctx, c.Fleet, 1)[0]
	Eventually(ctx, c.receiver.IDs).WithTimeout(time.Minute).WithPolling(5 * time.Millisecond).Should(ContainElement(notification.ID(id, "all", 1, 0)))
	d := time.Since(began).Round(time.Millisecond)
	for _, r := range started {
		r.waitReady(ctx)
	}
	stopAll(ctx, started...)
	return d
}

// waitsFor: the process is not ready and names exactly the servers that are
// down.
func (r *running) waitsFor(ctx context.Context, down map[string]bool) {
	GinkgoHelper()
	Eventually(ctx, func(g Gomega) {
		answer, err := r.ready(ctx)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(answer.Code).To(Equal(http.StatusServiceUnavailable))
		for _, server := range []string{mongodb, rabbitmq} {
			if down[server] {
				g.Expect(answer.Reasons).To(HaveKeyWithValue(server, Not(BeEmpty())), r.name)
			} else {
				g.Expect(answer.Reasons).NotTo(HaveKey(server), r.name)
			}
		}
	}).WithTimeout(15 * time.Second).WithPolling(20 * time.Millisecond).Should(Succeed())
}
