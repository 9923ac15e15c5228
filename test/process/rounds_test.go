package process_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/metric"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/test/support/fleet"
	"github.com/events-aggregator/events-aggregator/test/support/servers"
)

const rounds = 10

var _ = Describe("a whole life: servers away at first, ten rounds of sudden death, both servers restarted and killed, a stop", func() {
	It("loses nothing that was accepted, counts it once, delivers each notification under its id, and tells live clients each event once, in order", func(ctx SpecContext) {
		seed := uint64(GinkgoRandomSeed())
		AddReportEntry("seed of the deaths", seed)
		pair := servers.Private(ctx, "../..")
		c := newCrew(ctx, fleet.NewOn(ctx, pair.MongoURI, pair.AMQPURL))

		By("both servers away: all wait, and say so")
		pair.Infra(ctx, "stop", "mongo")
		pair.Infra(ctx, "stop", "rabbitmq")
		var all []*running
		for _, name := range names {
			all = append(all, c.launch(name))
		}
		awaited := func(down map[string]bool) {
			GinkgoHelper()
			inParallel(ctx, all, func(ctx context.Context, r *running) { r.waitsFor(ctx, down) })
		}
		awaited(map[string]bool{mongodb: true, rabbitmq: true})
		pair.Infra(ctx, "start", "rabbitmq")
		awaited(map[string]bool{mongodb: true})
		pair.Infra(ctx, "start", "mongo")
		began := time.Now()
		accepted := publish(ctx, c.Fleet, 1)
		Eventually(ctx, c.receiver.IDs).WithTimeout(time.Minute).WithPolling(5 * time.Millisecond).Should(ContainElement(notification.ID(accepted[0], "all", 1, 0)))
		first := time.Since(began).Round(time.Millisecond)
		AddReportEntry("from the last server's start to the delivery", first) // order_test.go bounds it

		live := c.watch(ctx, seed)
		load := c.startLoad(ctx, seed)
		for round := range rounds {
			By(fmt.Sprintf("round %d", round+1))
			load.wave(ctx, c, seed, uint64(round))
			c.strike(ctx, all, seed, uint64(round))
		}
		ready := func() {
			GinkgoHelper()
			for _, r := range all {
				r.waitReady(ctx)
			}
		}
		for _, how := range []string{"restart", "kill"} {
			for _, server := range []string{"rabbitmq", "mongo"} {
				By(how + " " + server)
				pair.Infra(ctx, how, server)
				if how == "kill" {
					pair.Infra(ctx, "start", server)
				}
				ready()
			}
		}
		By("all stop, and start again")
		stopAll(ctx, all...)
		for i, name := range names {
			all[i] = c.launch(name)
		}
		ready()
		load.stop(ctx)
		accepted = append(append(accepted, load.published...), load.posted...)
		Expect(len(load.posted)).To(BeNumerically(">=", 10*rounds), "the api was in use")
		stored := load.storedOf(ctx, c, accepted)
		balanced(ctx, c, stored)
		live.sawAll(ctx, c)
		c.verify(ctx, int64(2*len(stored)))
		stats := c.receiver.Stats()
		AddReportEntry("what became of it", fmt.Sprintf("%d events accepted, %d of them by the api; of %d that it did not answer %d are stored; %d calls, %d repeated",
			len(accepted), len(load.posted), len(load.unknown), len(stored)-len(accepted), stats.Calls, stats.Repeated))
		stopAll(ctx, all...)
	}, SpecTimeout(8*time.Minute))
})

// strike kills each of the five once, each at a moment of its own, and starts
// it again.
func (c *crew) strike(ctx context.Context, all []*running, seed, round uint64) {
	GinkgoHelper()
	var struck sync.WaitGroup
	for i := range all {
		r := rand.New(rand.NewPCG(seed, round<<8|uint64(i)))
		before, away := time.Duration(r.IntN(1200))*time.Millisecond, time.Duration(r.IntN(200))*time.Millisecond
		struck.Go(func() {
			defer GinkgoRecover()
			passes(ctx, before)
			all[i].kill(ctx)
			passes(ctx, away)
			all[i] = c.launch(names[i])
			all[i].waitReady(ctx)
		})
	}
	struck.Wait()
}

// verify runs the binary: it must find all events, and no drift.
func (c *crew) verify(ctx context.Context, events int64) {
	GinkgoHelper()
	from := time.Now().UTC().Add(-time.Hour).Truncate(time.Hour)
	cmd := exec.CommandContext(ctx, bin+"/aggregator", "verify", "-o", "json", "--wait", "60s",
		"--from", from.Format(time.RFC3339), "--to", from.Add(3*time.Hour).Format(time.RFC3339))
	cmd.Env = append(cleanEnviron(), settings(c.Fleet)...)
	cmd.Stderr = GinkgoWriter
	out, err := cmd.Output()
	Expect(err).NotTo(HaveOccurred(), "%s", out)
	var report metric.Report
	Expect(json.Unmarshal(out, &report)).To(Succeed(), "%s", out)
	Expect(report.Drift).To(BeEmpty())
	Expect(report.LeftOut).To(BeEmpty())
	Expect(report.Events).To(Equal(events))
}
