package process_test

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/test/support/fleet"
	"github.com/events-aggregator/events-aggregator/test/support/sink"
)

var _ = Describe("signals", func() {
	It("end each of the five with exit 0, by SIGTERM and by SIGINT, working or still waiting for its servers", func(ctx SpecContext) {
		c := newCrew(ctx, fleet.New(ctx))
		var all []*running
		for _, name := range names {
			all = append(all, c.launch(name), c.launch(name, "EA_API_ADDR="+freeAddress(), "EA_MONGO_URI=mongodb://"+freeAddress()+"/"))
		}
		for i, r := range all {
			if i%2 == 0 {
				r.waitReady(ctx)
			}
		}
		for i, r := range all {
			r.Signal([]os.Signal{syscall.SIGTERM, syscall.SIGINT}[(i/2)%2])
		}
		for _, r := range all {
			r.waitEnded(ctx, 0)
			Expect(r.log()).To(HaveSuffix("\n"))
			Expect(r.log()).To(ContainSubstring(`"message":"stopped"`), r.name)
		}
	}, SpecTimeout(time.Minute))

	It("end a drain that takes too long at the second one, with exit 1, and the work goes back", func(ctx SpecContext) {
		c := newCrew(ctx, fleet.New(ctx))
		c.receiver.SetFaults(sink.Faults{Hang: true})
		c.launchOthers(ctx, "action-dispatcher")
		slow := c.launch("action-dispatcher", "EA_DISPATCHER_TIMEOUT=30s", "EA_DISPATCHER_CLAIM_FOR=40s")
		slow.waitReady(ctx)
		ids := publish(ctx, c.Fleet, 3)
		Eventually(ctx, func() int { return c.receiver.Stats().Calls }).WithTimeout(20 * time.Second).Should(BeNumerically(">=", 1))
		slow.Signal(syscall.SIGTERM)
		Consistently(ctx, slow.Exited).WithTimeout(time.Second).ShouldNot(BeClosed(), "calls are under way")
		Expect(slow.ready(ctx)).To(HaveField("Reasons", HaveKeyWithValue("workers", "stopping")))
		slow.Signal(syscall.SIGTERM)
		slow.waitEnded(ctx, 1)
		Expect(slow.log()).To(ContainSubstring("second signal: stopped without finishing"))

		c.receiver.SetFaults(sink.Faults{})
		c.launch("action-dispatcher").waitReady(ctx)
		balanced(ctx, c, ids)
	}, SpecTimeout(2*time.Minute))

	It("end a drain at its bound, and the work goes back", func(ctx SpecContext) {
		c := newCrew(ctx, fleet.New(ctx))
		c.receiver.SetFaults(sink.Faults{Hang: true})
		c.launchOthers(ctx, "action-dispatcher")
		slow := c.launch("action-dispatcher", "EA_DISPATCHER_TIMEOUT=30s", "EA_DISPATCHER_CLAIM_FOR=40s", "EA_SHUTDOWN_DRAIN_TIMEOUT=1s")
		slow.waitReady(ctx)
		ids := publish(ctx, c.Fleet, 3)
		Eventually(ctx, func() int { return c.receiver.Stats().Calls }).WithTimeout(20 * time.Second).Should(BeNumerically(">=", 1))
		slow.stop(ctx)
		c.receiver.SetFaults(sink.Faults{})
		c.launch("action-dispatcher").waitReady(ctx)
		balanced(ctx, c, ids)
	}, SpecTimeout(2*time.Minute))

	It("make each of the five read its configuration again by SIGHUP, and keep the old one when the new one is bad", func(ctx SpecContext) {
		c := newCrew(ctx, fleet.New(ctx))
		file := filepath.Join(GinkgoT().TempDir(), "ea.yaml")
		write := func(text string) {
			GinkgoHelper()
			Expect(os.WriteFile(file, []byte(text), 0o600)).To(Succeed())
		}
		write("log: {level: info}\n")
		var all []*running
		for _, name := range names {
			all = append(all, c.launch(name, "EA_CONFIG="+file))
		}
		reload := func(text string, said ...string) {
			GinkgoHelper()
			write(text)
			inParallel(ctx, all, func(ctx context.Context, r *running) {
				before := len(r.log())
				r.Signal(syscall.SIGHUP)
				for _, s := range said {
					Eventually(ctx, func() string { return r.log()[before:] }).WithTimeout(10*time.Second).Should(ContainSubstring(s), r.name)
				}
				r.waitReady(ctx)
			})
		}
		for _, r := range all {
			r.waitReady(ctx)
		}
		reload("log: {level: loud}\nnonsense: 1\n", `"configuration refused, the running one is kept"`,
			`\"loud\": expected one of debug, info, warn, error`, `nonsense (`+file+`:2): unknown key`)
		reload("log: {level: debug}\ningester: {writers: 3}\n", `"configuration read again"`, `"applied":["log.level"]`, `"need_restart":["ingester.writers"]`)
		ids := publish(ctx, c.Fleet, 10)
		balanced(ctx, c, ids)
		Expect(all[0].log()).To(ContainSubstring(`"level":"debug"`))
		stopAll(ctx, all...)
	}, SpecTimeout(2*time.Minute))
})
