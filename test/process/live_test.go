package process_test

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/test/support/crowd"
)

// audience is live clients that are cut at random. There are fewer than a key may
// have, and they come back more rarely than it may ask.
type audience struct{ *crowd.Crowd }

const (
	audienceSSE     = 24
	audienceSockets = 6
	audienceStays   = 4 * time.Second
	audienceAway    = 6 * time.Second
)

// watch has an audience follow all that is stored from now on.
func (c *crew) watch(ctx context.Context, seed uint64) *audience {
	GinkgoHelper()
	clients := crowd.Start(ctx, crowd.Options{Base: "http://" + c.api, Key: adminKey, SSE: audienceSSE, Sockets: audienceSockets,
		Types: []string{eventType, rule.DeliveryType}, Stays: audienceStays, Away: audienceAway, Seed: seed})
	DeferCleanup(clients.Stop)
	Expect(clients.Begin(ctx, c.Store)).To(Succeed())
	return &audience{clients}
}

// sawAll: what each was told is what is stored and what it asked for, in the
// order of the stream, once.
func (a *audience) sawAll(ctx context.Context, c *crew) {
	GinkgoHelper()
	a.Calm()
	report, err := a.Compare(ctx, c.Store)
	Expect(err).NotTo(HaveOccurred())
	AddReportEntry("live clients", report.String())
	Expect(report.Right()).To(BeTrue(), report.String())
	Expect(report.Cuts).To(BeNumerically(">", 0))
	Expect(report.Frames).To(BeNumerically(">", 0))
	a.Stop()
}
