package process_test

import (
	"context"
	"net/http"
	"strings"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/fault"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
	"github.com/events-aggregator/events-aggregator/test/support/fleet"
	"github.com/events-aggregator/events-aggregator/test/support/sink"
)

// step is a point that a dispatcher passes only when its receiver has failed, and
// what happens to it there.
type step struct {
	point fault.Point
	stop  bool // it stands still there, instead of dying
	// givenUp: its connections to the broker are lost meanwhile.
	givenUp bool
}

func (s step) String() string {
	text := string(s.point)
	if s.stop {
		text += ", paused"
	}
	if s.givenUp {
		text += ", given up by the broker"
	}
	return text
}

// launchFor starts the dispatcher that dies or stands still at the step; cut makes
// the broker give up what it holds, if it is to do so.
func (c *crew) launchFor(s step) (victim *running, cut func()) {
	GinkgoHelper()
	address := c.AMQPURL
	broker := fleet.Through(&address)
	cut = func() {
		if s.givenUp {
			broker.Cut()
		}
	}
	what := ":kill"
	if s.stop {
		what = ":stop"
	}
	return c.launch("action-dispatcher", "EA_AMQP_URL="+address, "EA_FAULT="+string(s.point)+what), cut
}

// waitThere waits until it is dead, or stands still.
func (s step) waitThere(ctx context.Context, victim *running) {
	GinkgoHelper()
	if s.stop {
		victim.waitPaused(ctx)
	} else {
		victim.waitEnded(ctx, killed)
	}
}

var _ = Describe("a dispatcher that is killed or paused while it opens, probes or closes a breaker", func() {
	It("loses nothing, and its successor closes it", func(ctx SpecContext) {
		steps := []step{
			{point: fault.DispatcherProbing, stop: true}, {point: fault.DispatcherProbing, stop: true, givenUp: true},
			{point: fault.DispatcherProbed, stop: true}, {point: fault.DispatcherOpened, stop: true, givenUp: true}, {point: fault.DispatcherClosed, stop: true, givenUp: true},
			{point: fault.DispatcherProbing}, {point: fault.DispatcherProbed}, {point: fault.DispatcherOpened}, {point: fault.DispatcherClosed},
		}
		inParallel(ctx, steps, crewed(func(ctx context.Context, c *crew, of step) {
			c.receiver.SetFaults(sink.Faults{Status: http.StatusInternalServerError})
			c.launchOthers(ctx, "action-dispatcher")
			victim, cut := c.launchFor(of)
			victim.waitReady(ctx)
			ids := publish(ctx, c.Fleet, eventsEach/2)
			target := func() (store.Target, error) { return c.Store.Target(ctx, c.receiver.Host) }
			Eventually(ctx, target).WithTimeout(patience).WithPolling(10 * time.Millisecond).Should(HaveField("Opened", BeNumerically(">", 0)))
			c.receiver.SetFaults(sink.Faults{})
			of.waitThere(ctx, victim)
			cut()
			successor := c.launch("action-dispatcher")
			successor.waitReady(ctx)
			ids = append(ids, publish(ctx, c.Fleet, eventsEach/2)...)
			if of.stop {
				passes(ctx, pauseForDispatcher)
				wake([]*running{victim})
			}
			// Who wakes has failures in hand that are not reported, and may open it once
			// more; the next call after the wait closes it.
			Eventually(ctx, func() (store.Target, error) {
				ids = append(ids, publish(ctx, c.Fleet, 1)...)
				return target()
			}).WithTimeout(patience).WithPolling(time.Second).Should(HaveField("State", store.TargetClosed))
			balanced(ctx, c, ids)
			if of.stop {
				stopAll(ctx, victim, successor)
			}
		}))
	}, SpecTimeout(4*time.Minute))
})

var _ = Describe("a dispatcher that is killed or paused over an endpoint that is gone", func() {
	It("leaves it to be disabled, once, and each notification has its reason", func(ctx SpecContext) {
		steps := []step{{point: fault.DispatcherDisabled, stop: true}, {point: fault.DispatcherDisabled, stop: true, givenUp: true},
			{point: fault.DispatcherRecorded}, {point: fault.DispatcherDisabled}}
		inParallel(ctx, steps, crewed(func(ctx context.Context, c *crew, of step) {
			c.receiver.SetFaults(sink.Faults{Status: http.StatusGone})
			c.launchOthers(ctx, "action-dispatcher")
			victim, cut := c.launchFor(of)
			victim.waitReady(ctx)
			ids := publish(ctx, c.Fleet, 1)
			of.waitThere(ctx, victim)
			cut()
			successor := c.launch("action-dispatcher")
			successor.waitReady(ctx)
			var held []store.Target
			Eventually(ctx, func(g Gomega) {
				var err error
				held, err = c.Store.HeldTargets(ctx)
				g.Expect(err).NotTo(HaveOccurred())
				g.Expect(held).To(ConsistOf(HaveField("State", store.TargetDisabled)))
			}).WithTimeout(patience).Should(Succeed())
			ids = append(ids, publish(ctx, c.Fleet, eventsEach/2)...)
			if of.stop {
				passes(ctx, pauseForDispatcher)
				wake([]*running{victim})
			}
			goneOnce := func(g Gomega) {
				counts, err := c.Store.CountNotifications(ctx, store.NotificationFilter{})
				g.Expect(err).NotTo(HaveOccurred())
				g.Expect(counts).To(Equal(map[notification.Status]int64{notification.Dead: 1, notification.Suppressed: int64(len(ids) - 1),
					notification.Pending: 0, notification.Delivered: 0}))
				yes := true
				outcomes, err := c.Store.CountEvents(ctx, store.EventFilter{Type: rule.DeliveryType, Processed: &yes}, 0)
				g.Expect(err).NotTo(HaveOccurred())
				g.Expect(outcomes).To(BeEquivalentTo(len(ids)))
				dead := c.Depth(ctx, topology.WebhooksDefault+".dead")
				letters, err := c.Store.FindDeadLetters(ctx, store.DeadLetterFilter{Queue: topology.WebhooksDefault}, nil, 10)
				g.Expect(err).NotTo(HaveOccurred())
				g.Expect(letters).To(HaveEach(HaveField("NotificationID", notification.ID(ids[0], "all", 1, 0))))
				most := 1
				if of.stop { // what the broker gives to another, which it does by itself after a while, is settled by both
					most = 2
				}
				g.Expect(dead).To(And(BeNumerically(">=", 1), BeNumerically("<=", most)))
				g.Expect(len(letters)).To(And(BeNumerically(">=", 1), BeNumerically("<=", most)))
			}
			Eventually(ctx, goneOnce).WithTimeout(patience).WithPolling(100 * time.Millisecond).Should(Succeed())
			if of.stop {
				stopAll(ctx, victim, successor)
				goneOnce(NewGomega(Fail))
			}
			Expect(c.receiver.Stats().Calls).To(Equal(1), "the record tells what nobody has to ask twice")
			audit, err := c.Store.FindAudit(ctx, store.AuditFilter{Subject: held[0].ID}, nil, 10)
			Expect(err).NotTo(HaveOccurred())
			Expect(audit).To(HaveLen(1))
		}))
	}, SpecTimeout(4*time.Minute))
})

var _ = Describe("an api that is killed or paused before it has published what somebody asked for", func() {
	// ask has an api die over a request, or stand still; then wakes lets it end. It
	// returns when there was no answer yet.
	ask := func(ctx context.Context, c *crew, point fault.Point, what, path, body string) (wakes func()) {
		GinkgoHelper()
		victim := c.launch("api", "EA_FAULT="+string(point)+":"+what, "EA_API_REQUEST_TIMEOUT=5m")
		victim.waitReady(ctx)
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+c.api+"/api/v1"+path, strings.NewReader(body))
		Expect(err).NotTo(HaveOccurred())
		request.Header.Set("Authorization", "Bearer "+adminKey)
		request.Header.Set("Content-Type", "application/json")
		answered := make(chan int, 1) // the status, 0 for none
		go func() {
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				answered <- 0
				return
			}
			_ = response.Body.Close()
			answered <- response.StatusCode
		}()
		if what == "kill" {
			victim.waitEnded(ctx, killed)
			Eventually(ctx, answered).Should(Receive(BeZero()), "it died before the answer")
			return func() {}
		}
		victim.waitPaused(ctx)
		return func() {
			GinkgoHelper()
			Expect(answered).NotTo(Receive(), "it sleeps")
			wake([]*running{victim})
			Eventually(ctx, answered).WithTimeout(patience).Should(Receive(BeNumerically("~", 201, 1)))
			victim.stop(ctx)
		}
	}

	It("leaves it to the sweep, and does no harm when it wakes: a trial, a forced attempt, a retry, that of all that are dead, the event of what was cancelled", func(ctx SpecContext) {
		inParallel(ctx, []string{"kill", "stop"}, crewed(func(ctx context.Context, c *crew, what string) {
			c.launchOthers(ctx, "none")
			event := publish(ctx, c.Fleet, 1)[0]
			id := notification.ID(event, "all", 1, 0)
			delivered(ctx, c.Fleet, id)
			c.receiver.Keep()
			get := func(id string) func() (notification.Notification, error) {
				return func() (notification.Notification, error) { return c.Store.Notification(ctx, id) }
			}
			// once: no attempt is added to the record, and nobody is called beside it.
			once := func(id string, attempts int, wakes func()) {
				GinkgoHelper()
				calls := c.receiver.Stats().Calls
				wakes()
				Consistently(ctx, get(id), 2*time.Second).Should(HaveField("Attempts", HaveLen(attempts)), "once")
				Expect(c.receiver.Stats().Calls).To(Equal(calls))
			}

			wakes := ask(ctx, c, fault.TrialStored, what, "/rules/all/actions/0/try?event_id="+event, "")
			Eventually(ctx, c.receiver.Calls).WithTimeout(patience).Should(HaveLen(1))
			trial := delivered(ctx, c.Fleet, c.receiver.Calls()[0].ID)
			Expect(trial.Trial).To(BeTrue())
			once(trial.ID, 1, wakes)

			wakes = ask(ctx, c, fault.RedeliveryAsked, what, "/notifications/"+id+"/retry?force=true", "")
			Eventually(ctx, get(id)).WithTimeout(patience).Should(HaveField("Attempts", HaveLen(2)))
			once(id, 2, wakes)

			retried := func(path func(id string) string, body string) {
				GinkgoHelper()
				c.receiver.SetFaults(sink.Faults{Status: http.StatusNotFound})
				refused := notification.ID(publish(ctx, c.Fleet, 1)[0], "all", 1, 0)
				Eventually(ctx, get(refused)).WithTimeout(patience).Should(HaveField("Status", notification.Dead))
				c.receiver.SetFaults(sink.Faults{})
				wakes := ask(ctx, c, fault.RedeliveryAsked, what, path(refused), body)
				Eventually(ctx, get(refused)).WithTimeout(patience).Should(And(HaveField("Status", notification.Delivered), HaveField("Attempts", HaveLen(2))))
				once(refused, 2, wakes)
			}
			retried(func(id string) string { return "/notifications/" + id + "/retry" }, "")
			retried(func(string) string { return "/notifications/retry" }, `{"status":"dead"}`)

			c.receiver.SetFaults(sink.Faults{Status: http.StatusServiceUnavailable, RetryAfter: "3600"})
			waits := notification.ID(publish(ctx, c.Fleet, 1)[0], "all", 1, 0)
			Eventually(ctx, get(waits)).WithTimeout(patience).Should(HaveField("NextAttemptAt", Not(BeNil())))
			wakes = ask(ctx, c, fault.CancelAsked, what, "/notifications/"+waits+"/cancel", "")
			Eventually(ctx, func() (bson.Raw, error) {
				return c.Store.Event(ctx, notification.OutcomeEventID(waits, notification.Cancelled, 1))
			}).WithTimeout(patience).Should(WithTransform(func(e bson.Raw) string { return e.Lookup("payload", "reason").String() }, Equal(`"cancelled"`)))
			wakes()
			Eventually(ctx, func() ([]notification.Notification, error) {
				return c.Store.UnpublishedNotifications(ctx, time.Now().Add(time.Hour), nil, 10)
			}).WithTimeout(patience).Should(BeEmpty())
			// Each call has the id of one notification, and each outcome is an event once.
			Eventually(ctx, func() (int64, error) { return c.Store.CountEvents(ctx, store.EventFilter{Type: rule.DeliveryType}, 0) }).
				WithTimeout(patience).Should(BeEquivalentTo(8), "two delivered, one of them again; two dead, then delivered; one cancelled")
		}))
	}, SpecTimeout(4*time.Minute))
})

var _ = Describe("eactl dlq replay --canary that is killed or paused", func() {
	It("after the canary went, before its fate is known, leaves the others; run again it finishes the job", func(ctx SpecContext) {
		const n = 10
		f, receiver, ids := refusedWebhooks(ctx, n)
		cmd, _, _ := eactl(f, string(fault.DeadLetterCanary)+":kill", "dlq", "replay", topology.WebhooksDefault, "--canary")
		dies(cmd)
		Eventually(ctx, func() int { return receiver.Stats().Accepted }).WithTimeout(patience).Should(Equal(1))
		Eventually(ctx, func() int { return f.Depth(ctx, topology.WebhooksDefault+".dead") }).WithTimeout(20 * time.Second).Should(Equal(n - 1))
		cmd, _, errOut := eactl(f, "", "dlq", "replay", topology.WebhooksDefault, "--canary")
		_ = cmd.Wait()
		Expect(cmd.ProcessState.ExitCode()).To(BeZero(), "%s", errOut.Contents())
		handledByOwner(ctx, f, receiver, ids)
	}, SpecTimeout(2*time.Minute))

	It("after the canary went, finds nothing left to do when it wakes after another has done its work", func(ctx SpecContext) {
		const n = 10
		f, receiver, ids := refusedWebhooks(ctx, n)
		sleeper, _, errOut := eactl(f, string(fault.DeadLetterCanary)+":stop", "dlq", "replay", topology.WebhooksDefault, "--canary")
		sleeps(ctx, sleeper)
		Eventually(ctx, func() int { return receiver.Stats().Accepted }).WithTimeout(patience).Should(Equal(1))
		Eventually(ctx, func() int { replay(f); return f.Depth(ctx, topology.WebhooksDefault+".dead") }).WithTimeout(patience).Should(BeZero())
		Expect(sleeper.Process.Signal(syscall.SIGCONT)).To(Succeed())
		_ = sleeper.Wait()
		Expect(string(errOut.Contents())).To(ContainSubstring("1 replayed"))
		if sleeper.ProcessState.ExitCode() != 0 { // a busy machine may take longer than the broker waits for a silent connection
			Expect(string(errOut.Contents())).To(Or(ContainSubstring("connection was lost"), ContainSubstring("session lost")))
		}
		handledByOwner(ctx, f, receiver, ids)
	}, SpecTimeout(2*time.Minute))
})
