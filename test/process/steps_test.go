package process_test

import (
	"context"
	"net/http"
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
	"github.com/events-aggregator/events-aggregator/test/support/sink"
)

// step is a point that a dispatcher passes only when its receiver has failed.
type step struct{ point fault.Point }

func (s step) String() string { return string(s.point) }

var _ = Describe("a dispatcher that is killed while it opens, probes or closes a breaker", func() {
	It("loses nothing, and its successor closes it", func(ctx SpecContext) {
		steps := []step{{fault.DispatcherProbing}, {fault.DispatcherProbed}, {fault.DispatcherOpened}, {fault.DispatcherClosed}}
		inParallel(ctx, steps, crewed(func(ctx context.Context, c *crew, of step) {
			c.receiver.SetFaults(sink.Faults{Status: http.StatusInternalServerError})
			c.launchOthers(ctx, "action-dispatcher")
			victim := c.launch("action-dispatcher", "EA_FAULT="+of.String()+":kill")
			victim.waitReady(ctx)
			ids := publish(ctx, c.Fleet, eventsEach/2)
			target := func() (store.Target, error) { return c.Store.Target(ctx, c.receiver.Host) }
			Eventually(ctx, target).WithTimeout(patience).WithPolling(10 * time.Millisecond).Should(HaveField("Opened", BeNumerically(">", 0)))
			c.receiver.SetFaults(sink.Faults{})
			victim.waitEnded(ctx, killed)
			c.launch("action-dispatcher").waitReady(ctx)
			ids = append(ids, publish(ctx, c.Fleet, eventsEach/2)...)
			balanced(ctx, c, ids)
			Expect(target()).To(HaveField("State", store.TargetClosed))
		}))
	}, SpecTimeout(3*time.Minute))
})

var _ = Describe("a dispatcher that is killed over an endpoint that is gone", func() {
	It("leaves it to be disabled, once, and each notification has its reason", func(ctx SpecContext) {
		inParallel(ctx, []step{{fault.DispatcherRecorded}, {fault.DispatcherDisabled}}, crewed(func(ctx context.Context, c *crew, of step) {
			c.receiver.SetFaults(sink.Faults{Status: http.StatusGone})
			c.launchOthers(ctx, "action-dispatcher")
			victim := c.launch("action-dispatcher", "EA_FAULT="+of.String()+":kill")
			victim.waitReady(ctx)
			ids := publish(ctx, c.Fleet, 1)
			victim.waitEnded(ctx, killed)
			c.launch("action-dispatcher").waitReady(ctx)
			var held []store.Target
			Eventually(ctx, func(g Gomega) {
				var err error
				held, err = c.Store.HeldTargets(ctx)
				g.Expect(err).NotTo(HaveOccurred())
				g.Expect(held).To(ConsistOf(HaveField("State", store.TargetDisabled)))
			}).WithTimeout(patience).Should(Succeed())
			ids = append(ids, publish(ctx, c.Fleet, eventsEach/2)...)
			yes := true
			Eventually(ctx, func(g Gomega) {
				counts, err := c.Store.CountNotifications(ctx, store.NotificationFilter{})
				g.Expect(err).NotTo(HaveOccurred())
				g.Expect(counts).To(Equal(map[notification.Status]int64{notification.Dead: 1, notification.Suppressed: int64(len(ids) - 1),
					notification.Pending: 0, notification.Delivered: 0}))
				outcomes, err := c.Store.CountEvents(ctx, store.EventFilter{Type: rule.DeliveryType, Processed: &yes}, 0)
				g.Expect(err).NotTo(HaveOccurred())
				g.Expect(outcomes).To(BeEquivalentTo(len(ids)))
				g.Expect(c.Depth(ctx, topology.WebhooksDefault+".dead")).To(Equal(1))
			}).WithTimeout(patience).WithPolling(100 * time.Millisecond).Should(Succeed())
			Expect(c.receiver.Stats().Calls).To(Equal(1), "the record tells what nobody has to ask twice")
			audit, err := c.Store.FindAudit(ctx, store.AuditFilter{Subject: held[0].ID}, nil, 10)
			Expect(err).NotTo(HaveOccurred())
			Expect(audit).To(HaveLen(1))
		}))
	}, SpecTimeout(3*time.Minute))
})

var _ = Describe("an api that is killed before it has published what somebody asked for", func() {
	// post asks an api that dies over it.
	post := func(ctx context.Context, c *crew, point fault.Point, path string) {
		GinkgoHelper()
		victim := c.launch("api", "EA_FAULT="+string(point)+":kill")
		victim.waitReady(ctx)
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+c.api+"/api/v1"+path, http.NoBody)
		Expect(err).NotTo(HaveOccurred())
		request.Header.Set("Authorization", "Bearer "+adminKey)
		response, err := http.DefaultClient.Do(request)
		if err == nil {
			_ = response.Body.Close()
		}
		Expect(err).To(HaveOccurred(), "it died before the answer")
		victim.waitEnded(ctx, killed)
	}

	It("leaves it to the sweep: a trial, a retry, a forced attempt, the event of what was cancelled", func(ctx SpecContext) {
		crewed(func(ctx context.Context, c *crew, _ struct{}) {
			c.launchOthers(ctx, "none")
			event := publish(ctx, c.Fleet, 1)[0]
			id := notification.ID(event, "all", 1, 0)
			delivered(ctx, c.Fleet, id)
			c.receiver.Keep()

			post(ctx, c, fault.TrialStored, "/rules/all/actions/0/try?event_id="+event)
			Eventually(ctx, c.receiver.Calls).WithTimeout(patience).Should(HaveLen(1))
			trial := delivered(ctx, c.Fleet, c.receiver.Calls()[0].ID)
			Expect(trial.Trial).To(BeTrue())

			post(ctx, c, fault.RedeliveryAsked, "/notifications/"+id+"/retry?force=true")
			attempts := func() int {
				n, err := c.Store.Notification(ctx, id)
				Expect(err).NotTo(HaveOccurred())
				return len(n.Attempts)
			}
			Eventually(ctx, attempts).WithTimeout(patience).Should(Equal(2))
			Consistently(ctx, attempts, 2*time.Second).Should(Equal(2), "once")

			c.receiver.SetFaults(sink.Faults{Status: http.StatusNotFound})
			refused := notification.ID(publish(ctx, c.Fleet, 1)[0], "all", 1, 0)
			Eventually(ctx, func() (notification.Notification, error) { return c.Store.Notification(ctx, refused) }).
				WithTimeout(patience).Should(HaveField("Status", notification.Dead))
			c.receiver.SetFaults(sink.Faults{})
			post(ctx, c, fault.RedeliveryAsked, "/notifications/"+refused+"/retry")
			Eventually(ctx, func() (notification.Notification, error) { return c.Store.Notification(ctx, refused) }).
				WithTimeout(patience).Should(And(HaveField("Status", notification.Delivered), HaveField("Attempts", HaveLen(2))))

			c.receiver.SetFaults(sink.Faults{Status: http.StatusServiceUnavailable, RetryAfter: "3600"})
			waits := notification.ID(publish(ctx, c.Fleet, 1)[0], "all", 1, 0)
			Eventually(ctx, func() (notification.Notification, error) { return c.Store.Notification(ctx, waits) }).
				WithTimeout(patience).Should(HaveField("NextAttemptAt", Not(BeNil())))
			post(ctx, c, fault.CancelAsked, "/notifications/"+waits+"/cancel")
			Eventually(ctx, func() (bson.Raw, error) {
				return c.Store.Event(ctx, notification.OutcomeEventID(waits, notification.Cancelled, 1))
			}).WithTimeout(patience).Should(WithTransform(func(e bson.Raw) string { return e.Lookup("payload", "reason").String() }, Equal(`"cancelled"`)))
			Eventually(ctx, func() ([]notification.Notification, error) {
				return c.Store.UnpublishedNotifications(ctx, time.Now().Add(time.Hour), nil, 10)
			}).WithTimeout(patience).Should(BeEmpty())
		})(ctx, struct{}{})
	}, SpecTimeout(3*time.Minute))
})

var _ = Describe("eactl dlq replay --canary that is killed", func() {
	It("after the canary went, before its fate is known, leaves the others; run again it finishes the job", func(ctx SpecContext) {
		const n = 10
		f, receiver, ids := refusedWebhooks(ctx, n)
		cmd, _, _ := eactl(f, string(fault.DeadLetterCanary)+":kill", "dlq", "replay", topology.WebhooksDefault, "--canary")
		_ = cmd.Wait()
		Expect(cmd.ProcessState.Sys().(syscall.WaitStatus).Signal()).To(Equal(syscall.SIGKILL))
		Eventually(ctx, func() int { return receiver.Stats().Accepted }).WithTimeout(patience).Should(Equal(1))
		Eventually(ctx, func() int { return f.Depth(ctx, topology.WebhooksDefault+".dead") }).WithTimeout(20 * time.Second).Should(Equal(n - 1))
		cmd, _, errOut := eactl(f, "", "dlq", "replay", topology.WebhooksDefault, "--canary")
		_ = cmd.Wait()
		Expect(cmd.ProcessState.ExitCode()).To(BeZero(), "%s", errOut.Contents())
		handledByOwner(ctx, f, receiver, ids)
	}, SpecTimeout(2*time.Minute))
})
