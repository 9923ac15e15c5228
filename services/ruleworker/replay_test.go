package ruleworker_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/config"
	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/replay"
	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/pkg/rule/window"
	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
	"github.com/events-aggregator/events-aggregator/services/ruleworker"
	"github.com/events-aggregator/events-aggregator/test/support/fleet"
)

// keep stores a batch that nobody is told of.
func keep(ctx context.Context, f *fleet.Fleet, b event.Batch) {
	GinkgoHelper()
	Expect(f.Store.SaveBatch(ctx, b, "spec")).To(Succeed())
}

// again asks for a replay of the last hour.
func again(ctx context.Context, f *fleet.Fleet, id string, change ...func(*replay.Job)) {
	GinkgoHelper()
	now := time.Now().UTC().Truncate(time.Millisecond)
	j := replay.Job{Condition: document(bson.D{}), From: now.Add(-time.Hour), To: now.Add(time.Minute), SkipDelivered: true}
	for _, c := range change {
		c(&j)
	}
	Expect(f.Store.CreateReplay(ctx, j.Begin(id, "spec", now))).To(Succeed())
}

// replayed waits until a replay is over.
func replayed(ctx context.Context, f *fleet.Fleet, id string) replay.Job {
	GinkgoHelper()
	var j replay.Job
	Eventually(ctx, func(g Gomega) {
		var err error
		j, err = f.Store.Replay(ctx, id)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(j.State.Over()).To(BeTrue(), "%+v", j)
	}).WithTimeout(time.Minute).Should(Succeed())
	Expect(j.State).To(Equal(replay.Done), j.Error)
	return j
}

func often(c *config.Config) { c.RuleWorker.ReplaysEvery = 100 * time.Millisecond }

// sleepy stands still at a step, and says whether it had lost the replay when it
// woke.
type sleepy struct {
	ruleworker.Replays
	at           int64
	steps        atomic.Int64
	asleep, wake chan struct{}
	lost         chan bool
}

func (s *sleepy) StepReplay(ctx context.Context, j replay.Job, p replay.Page, now time.Time) (replay.Job, replay.Work, bool, error) {
	if s.steps.Add(1) != s.at {
		return s.Replays.StepReplay(ctx, j, p, now)
	}
	close(s.asleep)
	<-s.wake
	next, work, lost, err := s.Replays.StepReplay(context.WithoutCancel(ctx), j, p, now) // as one that has not noticed
	s.lost <- lost
	return next, work, lost, err
}

// slow takes too long for more than a minute of events, and refuses a condition
// that says so.
type slow struct {
	ruleworker.Replays
	refused atomic.Int64
}

type tooSlow struct{ error }

func (tooSlow) TooSlow() bool { return true }

func (s *slow) ReplayEvents(ctx context.Context, j replay.Job, before time.Time, limit int, f func(bson.Raw) bool) error {
	switch {
	case j.ID == "refused":
		s.refused.Add(1)
		return errors.New("the server refuses the query")
	case before.Sub(j.Position.Timestamp) > time.Minute:
		return tooSlow{errors.New("took too long")}
	}
	return s.Replays.ReplayEvents(ctx, j, before, limit, f)
}

var _ = Describe("a replay of stored events", func() {
	It("decides them once more by the rules that there are now, in pages, and says what it came to", func(ctx SpecContext) {
		f := fleet.New(ctx)
		const size = 30
		for range 3 {
			keep(ctx, f, batch(size, "PAYMENT_FAILED", 5))
		}
		keep(ctx, f, batch(size, "USER_LOGIN", 3))
		_, err := f.Store.CreateRule(ctx, logRule("failed", "PAYMENT_FAILED"))
		Expect(err).NotTo(HaveOccurred())
		windowed := logRule("windowed", "PAYMENT_FAILED")
		windowed.Window = &window.Spec{Kind: "frequency", NumEvents: 3, Timeframe: every(time.Minute)}
		_, err = f.Store.CreateRule(ctx, windowed)
		Expect(err).NotTo(HaveOccurred())
		orders := collect(ctx, f, topology.NotificationsDefault)
		f.Start(ctx, "rule-worker", ruleworker.Wire, often)

		again(ctx, f, "dry", func(j *replay.Job) { j.DryRun = true })
		dry := replayed(ctx, f, "dry")
		Expect(dry.Progress).To(And(HaveField("Events", BeEquivalentTo(4*size)), HaveField("Matches", BeEquivalentTo(3*size)), HaveField("Counts", replay.Counts{Made: 3 * size})))
		Expect(dry.Progress.Rules).To(ConsistOf(And(HaveField("RuleID", "failed"), HaveField("Samples", HaveLen(5)))), "a rule with a window is left out")
		Expect(orders()).To(BeEmpty())

		again(ctx, f, "j1", func(j *replay.Job) { j.Rate = 200 }) // pages of 50 events
		j := replayed(ctx, f, "j1")
		Expect(j.Progress.Counts).To(Equal(replay.Counts{Made: 3 * size}))
		Expect(j.Step).To(BeNumerically(">=", 3))
		Expect(j.EndedAt.Sub(*j.StartedAt)).To(BeNumerically(">", 100*time.Millisecond), "no faster than its rate")
		Eventually(ctx, func() map[string]int { return ids(orders()) }).Should(HaveLen(3 * size))
		Expect(orders()).To(HaveEach(And(HaveField("Notification.ReplayID", "j1"), HaveField("Republished", true), HaveField("Attempt", 1))))
		Eventually(ctx, func() ([]notification.Notification, error) {
			return f.Store.UnpublishedNotifications(ctx, time.Now().Add(time.Minute), nil, 10)
		}).Should(BeEmpty())

		again(ctx, f, "j2", func(j *replay.Job) {
			j.Condition = document(bson.D{{Key: "type", Value: "PAYMENT_FAILED"}})
			j.Rules = []string{"failed"}
		})
		Expect(replayed(ctx, f, "j2").Progress).To(And(HaveField("Events", BeEquivalentTo(3*size)), HaveField("Counts", replay.Counts{UnderWay: 3 * size})))
		Consistently(ctx, func() int { return len(orders()) }).WithTimeout(500 * time.Millisecond).Should(Equal(3 * size))
	}, SpecTimeout(2*time.Minute))

	It("is finished by another owner when the first stands still, which writes nothing more when it wakes", func(ctx SpecContext) {
		f := fleet.New(ctx)
		const size, page = 60, 10
		keep(ctx, f, batch(size, "PAYMENT_FAILED", 5))
		_, err := f.Store.CreateRule(ctx, logRule("failed", "PAYMENT_FAILED"))
		Expect(err).NotTo(HaveOccurred())
		orders := collect(ctx, f, topology.NotificationsDefault)
		behind := *f
		proxy := fleet.Through(&behind.MongoURI)
		s := &sleepy{at: 3, asleep: make(chan struct{}), wake: make(chan struct{}), lost: make(chan bool, 1)}
		behind.Start(ctx, "rule-worker", ruleworker.WireReplaysOn(func(r ruleworker.Replays) ruleworker.Replays { s.Replays = r; return s }), often)
		again(ctx, f, "j1", func(j *replay.Job) { j.Rate = 4 * page })
		Eventually(ctx, s.asleep).WithTimeout(20 * time.Second).Should(BeClosed())
		proxy.Refuse(true)
		proxy.Cut()
		f.Start(ctx, "rule-worker", ruleworker.Wire, often)
		j := replayed(ctx, f, "j1")
		Expect(j.Term).To(BeNumerically(">=", 2))
		Expect(j.Progress.Counts).To(Equal(replay.Counts{Made: size}))
		proxy.Refuse(false)
		close(s.wake)
		Eventually(ctx, s.lost).WithTimeout(20 * time.Second).Should(Receive(BeTrue()))
		Expect(f.Store.Replay(ctx, "j1")).To(Equal(j))
		Eventually(ctx, func() map[string]int { return ids(orders()) }).Should(HaveLen(size))
		all, err := f.Store.FindNotifications(ctx, store.NotificationFilter{}, nil, 1000)
		Expect(err).NotTo(HaveOccurred())
		Expect(all).To(HaveLen(size))
	}, SpecTimeout(2*time.Minute))

	It("stands still when it is paused, and goes on from there", func(ctx SpecContext) {
		f := fleet.New(ctx)
		const size = 40
		keep(ctx, f, batch(size, "PAYMENT_FAILED", 5))
		_, err := f.Store.CreateRule(ctx, logRule("failed", "PAYMENT_FAILED"))
		Expect(err).NotTo(HaveOccurred())
		f.Start(ctx, "rule-worker", ruleworker.Wire, often)
		again(ctx, f, "j1", func(j *replay.Job) { j.Rate = 20 }) // five at a time, four times a second
		made := func() (int64, error) {
			j, err := f.Store.Replay(ctx, "j1")
			return j.Progress.Made, err
		}
		Eventually(ctx, made).WithTimeout(20 * time.Second).Should(BeNumerically(">", 0))
		paused, err := f.Store.PauseReplay(ctx, "j1", "spec", time.Now())
		Expect(err).NotTo(HaveOccurred())
		Consistently(ctx, made).WithTimeout(time.Second).Should(Equal(paused.Progress.Made))
		Expect(paused.Progress.Made).To(BeNumerically("<", size))
		_, err = f.Store.ResumeReplay(ctx, "j1", "spec", time.Now())
		Expect(err).NotTo(HaveOccurred())
		Expect(replayed(ctx, f, "j1").Progress.Counts).To(Equal(replay.Counts{Made: size}))
	}, SpecTimeout(time.Minute))

	It("searches shorter times when a search takes too long, and is given up when it is refused, with those behind it going on", func(ctx SpecContext) {
		f := fleet.New(ctx)
		keep(ctx, f, batch(10, "PAYMENT_FAILED", 5))
		_, err := f.Store.CreateRule(ctx, logRule("failed", "PAYMENT_FAILED"))
		Expect(err).NotTo(HaveOccurred())
		between := &slow{}
		f.Start(ctx, "rule-worker", ruleworker.WireReplaysOn(func(r ruleworker.Replays) ruleworker.Replays { between.Replays = r; return between }), often)
		again(ctx, f, "refused")
		again(ctx, f, "behind", func(j *replay.Job) { j.From = j.To.Add(-10 * time.Minute) })
		Expect(replayed(ctx, f, "behind").Progress.Counts).To(Equal(replay.Counts{Made: 10}))
		Expect(f.Store.Replay(ctx, "refused")).To(And(HaveField("State", replay.Failed), HaveField("Error", ContainSubstring("refuses")), HaveField("Progress.Events", int64(0))))
		Expect(between.refused.Load()).To(BeEquivalentTo(5))
	}, SpecTimeout(time.Minute))

	It("fails when one of its rules cannot decide any more, and goes on from there when it can again", func(ctx SpecContext) {
		f := fleet.New(ctx)
		keep(ctx, f, batch(10, "PAYMENT_FAILED", 5))
		r, err := f.Store.CreateRule(ctx, logRule("failed", "PAYMENT_FAILED"))
		Expect(err).NotTo(HaveOccurred())
		r.Enabled = false
		r, err = f.Store.ReplaceRule(ctx, r, r.Version)
		Expect(err).NotTo(HaveOccurred())
		f.Start(ctx, "rule-worker", ruleworker.Wire, often)
		again(ctx, f, "j1", func(j *replay.Job) { j.Rules = []string{"failed"} })
		Eventually(ctx, func() (replay.Job, error) { return f.Store.Replay(ctx, "j1") }).WithTimeout(20 * time.Second).
			Should(And(HaveField("State", replay.Failed), HaveField("Error", ContainSubstring("disabled")), HaveField("Step", int64(0))))
		r.Enabled = true
		_, err = f.Store.ReplaceRule(ctx, r, r.Version)
		Expect(err).NotTo(HaveOccurred())
		_, err = f.Store.ResumeReplay(ctx, "j1", "spec", time.Now())
		Expect(err).NotTo(HaveOccurred())
		Expect(replayed(ctx, f, "j1").Progress.Counts).To(Equal(replay.Counts{Made: 10}))
	}, SpecTimeout(time.Minute))

	It("has its calls of what is delivered made also when its owner dies before it publishes them", func(ctx SpecContext) {
		f := fleet.New(ctx)
		b := batch(1, "PAYMENT_FAILED", 5)
		keep(ctx, f, b)
		_, err := f.Store.CreateRule(ctx, logRule("failed", "PAYMENT_FAILED"))
		Expect(err).NotTo(HaveOccurred())
		now := time.Now().UTC().Truncate(time.Millisecond)
		event := fmt.Sprintf("e-%s-0", b.ID)
		Expect(f.Store.InsertNotification(ctx, notification.Notification{ID: notification.ID(event, "failed", 1, 0), EventID: event, RuleID: "failed", RuleVersion: 1,
			Queue: topology.NotificationsDefault, Status: notification.Delivered, AttemptCount: 1, Attempts: []notification.Attempt{{Number: 1}}, Unpublished: true,
			Forced: &notification.Forced{Nonce: "j1", At: now, By: "spec"}, CreatedAt: now, UpdatedAt: now, ExpiresAt: now.Add(time.Hour)})).To(Succeed())
		orders := collect(ctx, f, topology.NotificationsDefault)
		f.Start(ctx, "rule-worker", ruleworker.Wire, often)
		Eventually(ctx, orders).WithTimeout(20 * time.Second).Should(ConsistOf(And(HaveField("Force", "j1"), HaveField("Attempt", 2), HaveField("Republished", true))))
		Eventually(ctx, func() ([]notification.Notification, error) {
			return f.Store.UnpublishedNotifications(ctx, time.Now().Add(time.Minute), nil, 10)
		}).Should(BeEmpty())
		Consistently(ctx, func() int { return len(orders()) }).WithTimeout(500 * time.Millisecond).Should(Equal(1))
	}, SpecTimeout(time.Minute))

	It("is held back by what a rule remembers", func(ctx SpecContext) {
		f := fleet.New(ctx)
		keep(ctx, f, batch(10, "PAYMENT_FAILED", 5))
		r := logRule("failed", "PAYMENT_FAILED")
		r.Throttle = &rule.Throttle{For: every(time.Hour)}
		_, err := f.Store.CreateRule(ctx, r)
		Expect(err).NotTo(HaveOccurred())
		f.Start(ctx, "rule-worker", ruleworker.Wire, often)
		again(ctx, f, "j1")
		Expect(replayed(ctx, f, "j1").Progress.Counts).To(Equal(replay.Counts{Made: 1, Held: 9}))
		held, err := f.Store.FindNotifications(ctx, store.NotificationFilter{Reason: notification.Throttled}, nil, 100)
		Expect(err).NotTo(HaveOccurred())
		Expect(held).To(HaveLen(9))
	}, SpecTimeout(time.Minute))
})

var _ = Describe("events that are given to one rule", func() {
	It("are decided by it alone, once, and are refused by one that cannot", func(ctx SpecContext) {
		f := fleet.New(ctx)
		for _, name := range []string{"one", "two"} {
			_, err := f.Store.CreateRule(ctx, logRule(name, "PAYMENT_FAILED"))
			Expect(err).NotTo(HaveOccurred())
		}
		orders := collect(ctx, f, topology.NotificationsDefault)
		f.Start(ctx, "rule-worker", ruleworker.Wire)
		b := batch(5, "PAYMENT_FAILED", 5)
		offer(ctx, f, b)
		Eventually(ctx, func() map[string]int { return ids(orders()) }).WithTimeout(20 * time.Second).Should(HaveLen(10))
		_, err := f.Store.CreateRule(ctx, logRule("three", "PAYMENT_FAILED"))
		Expect(err).NotTo(HaveOccurred())
		given := b
		given.ID, given.Rules = "r1", []string{"three"}
		unknown := given
		unknown.Rules = []string{"none"}
		for range 2 {
			republish(ctx, f, given)
		}
		republish(ctx, f, unknown)
		Eventually(ctx, func() map[string]int { return ids(orders()) }).WithTimeout(20 * time.Second).Should(HaveLen(15))
		Eventually(ctx, func() int { return f.Depth(ctx, topology.RuleWorkerNormal+".dead") }).WithTimeout(20 * time.Second).Should(Equal(1))
		for i := range 5 {
			n, err := f.Store.Notification(ctx, notification.ID(fmt.Sprintf("e-%s-%d", b.ID, i), "three", 1, 0))
			Expect(err).NotTo(HaveOccurred())
			Expect(n.ReplayID).To(Equal("r1"))
		}
		Expect(f.DeadLetters(ctx, topology.RuleWorkerNormal)).To(ConsistOf(HaveField("ErrorClass", "rule_cannot_decide")))
	}, SpecTimeout(time.Minute))
})
