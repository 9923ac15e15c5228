package process_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/creack/pty"
	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/fault"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
	"github.com/events-aggregator/events-aggregator/test/support/fleet"
	"github.com/events-aggregator/events-aggregator/test/support/sink"
)

// eactl starts the binary with MongoDB away: dead letters need RabbitMQ alone.
func eactl(f *fleet.Fleet, fault string, args ...string) (cmd *exec.Cmd, out, errOut *gbytes.Buffer) {
	GinkgoHelper()
	out, errOut = gbytes.NewBuffer(), gbytes.NewBuffer()
	cmd = eactlCommand(f, fault, args...)
	cmd.Stdout, cmd.Stderr = out, errOut
	Expect(cmd.Start()).To(Succeed())
	DeferCleanup(func() { _ = cmd.Process.Kill() })
	return cmd, out, errOut
}

func eactlCommand(f *fleet.Fleet, fault string, args ...string) *exec.Cmd {
	cmd := exec.Command(bin+"/eactl", args...)
	cmd.Env = append(cleanEnviron(), "EA_AMQP_URL="+f.AMQPURL, "EA_BROKER_PREFIX="+f.Prefix,
		"EA_MONGO_URI=mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=100", "EA_FAULT="+fault)
	return cmd
}

// replay runs eactl dlq replay to its end and returns how many it replayed;
// its exit code must be 0, or 3 for none.
func replay(f *fleet.Fleet) int {
	GinkgoHelper()
	cmd, out, errOut := eactl(f, "", "dlq", "replay", topology.WebhooksDefault, "-o", "json")
	_ = cmd.Wait()
	n := strings.Count(string(out.Contents()), `"replayed":true`)
	want := 0
	if n == 0 {
		want = 3
	}
	Expect(cmd.ProcessState.ExitCode()).To(Equal(want), "%s", errOut.Contents())
	return n
}

// refusedWebhooks makes n dead letters of a receiver that answers 404, with the
// pipeline running, and mends the receiver.
func refusedWebhooks(ctx context.Context, n int) (*fleet.Fleet, *sink.Running, []string) {
	GinkgoHelper()
	f, receiver := begin(ctx, "")
	receiver.SetFaults(sink.Faults{Status: http.StatusNotFound})
	ids := publish(ctx, f, n)
	Eventually(ctx, func() int { return f.Depth(ctx, topology.WebhooksDefault+".dead") }).WithTimeout(60 * time.Second).Should(Equal(n))
	receiver.SetFaults(sink.Faults{})
	return f, receiver, ids
}

// handledByOwner is what must hold when everything was replayed: each webhook
// delivered once, nothing lies anywhere, nothing went another way, and the
// records say what became of each.
func handledByOwner(ctx context.Context, f *fleet.Fleet, receiver *sink.Running, ids []string) {
	GinkgoHelper()
	n := int64(len(ids))
	yes := true
	Eventually(ctx, func(g Gomega) {
		counts, err := f.Store.CountNotifications(ctx, store.NotificationFilter{})
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(counts).To(Equal(map[notification.Status]int64{notification.Delivered: n,
			notification.Pending: 0, notification.Dead: 0, notification.Suppressed: 0}))
		for _, w := range f.Topology.Queues() {
			queues := []string{w.Name, w.Name + ".dead"}
			for _, tier := range w.Tiers {
				queues = append(queues, w.Name+".retry."+broker.DelayLabel(tier))
			}
			for _, queue := range queues {
				g.Expect(f.Depth(ctx, queue)).To(BeZero(), queue)
			}
		}
		outcomes, err := f.Store.CountEvents(ctx, store.EventFilter{Type: rule.DeliveryType, Processed: &yes}, 0)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(outcomes).To(BeEquivalentTo(2*n), "each died once and was delivered once")
		waiting, err := f.Store.FindDeadLetters(ctx, store.DeadLetterFilter{Waiting: true}, nil, 10)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(waiting).To(BeEmpty())
	}).WithTimeout(90 * time.Second).WithPolling(250 * time.Millisecond).Should(Succeed())

	records, err := f.Store.FindDeadLetters(ctx, store.DeadLetterFilter{Queue: topology.WebhooksDefault}, nil, 2*len(ids))
	Expect(err).NotTo(HaveOccurred())
	Expect(records).To(HaveLen(len(ids)), "one record for each dead letter, however often it was replayed")
	stats := receiver.Stats()
	Expect(stats.Accepted).To(Equal(len(ids)))
	Expect(stats.AcceptedAgain).To(BeZero(), "what was given back twice is called once")
	events, err := f.Store.CountEvents(ctx, store.EventFilter{Type: eventType}, 0)
	Expect(err).NotTo(HaveOccurred())
	Expect(events).To(Equal(n), "nothing reached another queue")
}

var _ = Describe("eactl dlq replay", func() {
	It("killed half-way again and again loses nothing, and running it again finishes the job", func(ctx SpecContext) {
		const n = 120
		f, receiver, ids := refusedWebhooks(ctx, n)
		replayed := 0
		// Three times, or fewer where a busy machine lets it come far each time.
		for round := 0; round < 3 && replayed < n/2; round++ {
			cmd, out, errOut := eactl(f, "", "dlq", "replay", topology.WebhooksDefault, "--rate", "15", "-o", "json")
			// Killed when it has replayed some, at a moment that nobody chose.
			enough := 2 + rand.IntN(20)
			Eventually(ctx, func() int { return strings.Count(string(out.Contents()), "\n") }).WithTimeout(30 * time.Second).
				WithPolling(time.Duration(1+rand.IntN(9)) * time.Millisecond).Should(BeNumerically(">=", enough))
			Expect(cmd.Process.Signal(syscall.SIGKILL)).To(Succeed())
			_ = cmd.Wait()
			Expect(cmd.ProcessState.Sys().(syscall.WaitStatus).Signal()).To(Equal(syscall.SIGKILL), "round %d: %s%s", round, out.Contents(), errOut.Contents())
			Eventually(ctx, func() int {
				replayed = receiver.Stats().Accepted
				return replayed + f.Depth(ctx, topology.WebhooksDefault+".dead")
			}).WithTimeout(60*time.Second).Should(BeNumerically(">=", n), "every one is delivered or still there")
		}
		// The broker may still be taking back what the last one held.
		Eventually(ctx, func() int { replay(f); return f.Depth(ctx, topology.WebhooksDefault+".dead") }).WithTimeout(60 * time.Second).Should(BeZero())
		handledByOwner(ctx, f, receiver, ids)
	}, SpecTimeout(4*time.Minute))

	It("killed between the confirm and the ack gives back twice what its owner recognises", func(ctx SpecContext) {
		const n = 60
		f, receiver, ids := refusedWebhooks(ctx, n)
		cmd, out, _ := eactl(f, string(fault.DeadLetterPublished)+":kill", "dlq", "replay", topology.WebhooksDefault, "-o", "json")
		dies(cmd)
		Expect(out.Contents()).To(BeEmpty(), "it died before the first ack")
		Eventually(ctx, func() int { return f.Depth(ctx, topology.WebhooksDefault+".dead") }).WithTimeout(20*time.Second).Should(Equal(n), "all are still there")
		Eventually(ctx, func() int { return receiver.Stats().Accepted }).WithTimeout(20*time.Second).Should(BeNumerically(">", 0), "though some are replayed")
		Expect(replay(f)).To(Equal(n))
		handledByOwner(ctx, f, receiver, ids)
	}, SpecTimeout(3*time.Minute))
})

var _ = Describe("eactl dlq replay that is paused between the confirm and the ack", func() {
	It("does no harm when it wakes after another has done its work", func(ctx SpecContext) {
		const n = 40
		f, receiver, ids := refusedWebhooks(ctx, n)
		// The broker takes back what the sleeper holds, as it does by itself after
		// a few missed heartbeats.
		address := *f
		proxy := fleet.Through(&address.AMQPURL)
		sleeper, _, errOut := eactl(&address, string(fault.DeadLetterPublished)+":stop", "dlq", "replay", topology.WebhooksDefault, "-o", "json")
		sleeps(ctx, sleeper)
		proxy.Cut()
		Eventually(ctx, func() int { replay(f); return f.Depth(ctx, topology.WebhooksDefault+".dead") }).WithTimeout(60 * time.Second).Should(BeZero())
		Expect(sleeper.Process.Signal(syscall.SIGCONT)).To(Succeed())
		_ = sleeper.Wait()
		Expect(sleeper.ProcessState.ExitCode()).NotTo(BeZero(), "%s", errOut.Contents())
		handledByOwner(ctx, f, receiver, ids)
	}, SpecTimeout(3*time.Minute))

	It("gives back only what it was asked for: killed half-way with --filter, and run again", func(ctx SpecContext) {
		const wanted, others = 60, 20
		c := newCrew(ctx, fleet.New(ctx))
		f := c.Fleet
		var all []broker.Message
		for i := range wanted + others {
			kind := eventType
			if i >= wanted {
				kind = "ANOTHER"
			}
			all = append(all, broker.Message{Exchange: f.Topology.Exchange(topology.ExchangeEvents), RoutingKey: "events.spec", ContentType: "application/json",
				Body: fmt.Appendf(nil, `{"event_id":%q,"type":%q,"source":"spec"}`, uuid.NewString(), kind)})
		}
		f.DeadByBroker(ctx, topology.Ingest, all...) // while no ingester runs
		c.launchOthers(ctx, "")
		args := []string{"dlq", "replay", topology.Ingest, "--filter", fmt.Sprintf(`{"type":%q}`, eventType), "-o", "json"}

		cmd, out, _ := eactl(f, "", append(args, "--rate", "30")...)
		Eventually(ctx, func() int { return strings.Count(string(out.Contents()), "\n") }).WithTimeout(30 * time.Second).WithPolling(5 * time.Millisecond).Should(BeNumerically(">=", wanted/4))
		Expect(cmd.Process.Signal(syscall.SIGKILL)).To(Succeed())
		_ = cmd.Wait()
		Eventually(ctx, func() int {
			again, _, _ := eactl(f, "", args...)
			_ = again.Wait()
			return f.Depth(ctx, topology.Ingest+".dead")
		}).WithTimeout(60*time.Second).Should(Equal(others), "the others are still there")
		yes := true
		Eventually(ctx, func() (int64, error) {
			return f.Store.CountEvents(ctx, store.EventFilter{Type: eventType, Processed: &yes}, 0)
		}).WithTimeout(60 * time.Second).Should(BeEquivalentTo(wanted))
	}, SpecTimeout(3*time.Minute))
})

var _ = Describe("eactl dlq purge", func() {
	DescribeTable("asks the person at the terminal", func(ctx SpecContext, answer string, exit, left int) {
		f := fleet.New(ctx)
		f.DeadByBroker(ctx, topology.Ingest, broker.Message{Exchange: f.Topology.Exchange(topology.ExchangeEvents), RoutingKey: "a", Body: []byte("{}")},
			broker.Message{Exchange: f.Topology.Exchange(topology.ExchangeEvents), RoutingKey: "b", Body: []byte("{}")})
		master, slave, err := pty.Open()
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func() { _, _ = master.Close(), slave.Close() })
		cmd := exec.CommandContext(ctx, bin+"/eactl", "dlq", "purge", topology.Ingest)
		cmd.Env = append(cleanEnviron(), "EA_AMQP_URL="+f.AMQPURL, "EA_BROKER_PREFIX="+f.Prefix)
		question := gbytes.NewBuffer()
		cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, question, question
		Expect(cmd.Start()).To(Succeed())
		Eventually(question).WithContext(ctx).WithTimeout(20 * time.Second).Should(gbytes.Say(`Throw away 2 dead letters of ingester\.events for good\? \[y/N\] `))
		_, err = master.WriteString(answer + "\n")
		Expect(err).NotTo(HaveOccurred())
		_ = cmd.Wait()
		Expect(cmd.ProcessState.ExitCode()).To(Equal(exit))
		Expect(f.Depth(ctx, topology.Ingest+".dead")).To(Equal(left))
	},
		Entry("who agrees", SpecTimeout(time.Minute), "y", 0, 0),
		Entry("who does not", SpecTimeout(time.Minute), "", 1, 2),
	)
})

var _ = Describe("an aggregator that is killed, or paused", func() {
	It("after "+string(fault.AggregatorRecorded)+", before its ack, has recorded each dead letter once", func(ctx SpecContext) {
		inParallel(ctx, []string{string(fault.AggregatorRecorded) + ":kill", string(fault.AggregatorRecorded) + ":stop"}, func(ctx context.Context, what string) {
			f := fleet.New(ctx)
			address := *f
			proxy := fleet.Through(&address.AMQPURL)
			victim := launch(&address, "aggregator", what)
			victim.waitReady(ctx)
			launch(f, "ingester", "").waitReady(ctx)
			f.Publish(ctx, badMessages(40)...)
			if strings.HasSuffix(what, ":kill") {
				victim.waitEnded(ctx, killed)
			} else {
				victim.waitPaused(ctx)
				proxy.Cut() // so that its successor is given what it holds
			}
			launch(f, "aggregator", "").waitReady(ctx)
			recordedOnce(ctx, f, 40)
			if strings.HasSuffix(what, ":stop") {
				victim.Signal(syscall.SIGCONT)
				victim.stop(ctx)
				recordedOnce(ctx, f, 40)
			}
		})
	}, SpecTimeout(4*time.Minute))
})

// badMessages are n that no ingester can store.
func badMessages(n int) (all []broker.Message) {
	for i := range n {
		all = append(all, broker.Message{RoutingKey: "events.bad", ContentType: "application/json", Body: fmt.Appendf(nil, `{"n":%d}`, i)})
	}
	return all
}

// recordedOnce is what must hold of n dead letters of ingester.events.
func recordedOnce(ctx context.Context, f *fleet.Fleet, n int) {
	GinkgoHelper()
	Eventually(ctx, func(g Gomega) {
		records, err := f.Store.FindDeadLetters(ctx, store.DeadLetterFilter{Queue: topology.Ingest, Waiting: true}, nil, 2*n)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(records).To(HaveLen(n))
		g.Expect(f.Depth(ctx, topology.DeadLetters)).To(BeZero())
	}).WithTimeout(90 * time.Second).WithPolling(200 * time.Millisecond).Should(Succeed())
	Expect(f.Depth(ctx, topology.DeadLetters+".dead")).To(BeZero())
	Expect(f.Depth(ctx, topology.Ingest+".dead")).To(Equal(n))
}
