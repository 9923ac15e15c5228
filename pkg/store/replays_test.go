package store_test

import (
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"

	"github.com/events-aggregator/events-aggregator/pkg/decision"
	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/replay"
	"github.com/events-aggregator/events-aggregator/pkg/store"
)

// job is a replay of the last hour that waits.
func job(id string, now time.Time) replay.Job {
	return replay.Job{Condition: bson.Raw{5, 0, 0, 0, 0}, From: now.Add(-time.Hour), To: now.Add(time.Hour), SkipDelivered: true}.Begin(id, "spec", now)
}

// pageOf is what version 1 of the rule r owes for the events of a batch.
func pageOf(b event.Batch, to time.Time) replay.Page {
	p := replay.Page{Events: int64(len(b.Events)), To: replay.Position{Timestamp: to}}
	for _, raw := range b.Events {
		n := pending("", raw.Lookup("event_id").StringValue())
		n.RuleID, n.RuleVersion, n.RuleName = "r", 1, "r"
		n.ID = notification.ID(n.EventID, n.RuleID, n.RuleVersion, 0)
		p.Matches = append(p.Matches, replay.Match{Event: raw, Owed: []decision.Owed{{Notification: n, Event: raw}}})
	}
	return p
}

var _ = Describe("a replay", func() {
	It("is saved with the work that it stands for, and is its owner's alone", func(ctx SpecContext) {
		s := fresh(ctx)
		now := time.Now().UTC().Truncate(time.Millisecond)
		first, second := testBatch(3), testBatch(2)
		Expect(s.SaveBatch(ctx, first, "spec")).To(Succeed())
		Expect(s.SaveBatch(ctx, second, "spec")).To(Succeed())
		Expect(s.CreateReplay(ctx, job("j1", now))).To(Succeed())
		Expect(s.CreateReplay(ctx, job("j2", now.Add(time.Second)))).To(Succeed())

		old, found, err := s.TakeReplay(ctx, 7, "a", now)
		Expect(err).NotTo(HaveOccurred())
		Expect(found).To(BeTrue())
		Expect(old).To(And(HaveField("ID", "j1"), HaveField("State", replay.Running), HaveField("Owner", "a"), HaveField("StartedAt", HaveValue(Equal(now)))))
		next, work, err := s.StepReplay(ctx, old, pageOf(first, now), now)
		Expect(err).NotTo(HaveOccurred())
		Expect(work.Page.Made).To(BeEquivalentTo(3))
		Expect(s.Replay(ctx, "j1")).To(And(HaveField("Step", int64(1)), HaveField("Position.Timestamp", now), HaveField("Progress.Made", int64(3)), HaveField("Progress.Rules", HaveLen(1))))
		waiting, err := s.UnpublishedNotifications(ctx, now.Add(time.Minute), nil, 10)
		Expect(err).NotTo(HaveOccurred())
		Expect(waiting).To(HaveLen(3))
		Expect(waiting).To(HaveEach(HaveField("ReplayID", "j1")))
		Expect(s.CountEvents(ctx, store.EventFilter{Rule: "r"}, 0)).To(BeEquivalentTo(3), "they are events that the rule matched")

		_, _, err = s.StepReplay(ctx, old, pageOf(second, now), now)
		Expect(err).To(MatchError(store.ErrReplayLost), "the same step is not saved twice")
		heir, found, err := s.TakeReplay(ctx, 8, "b", now)
		Expect(err).NotTo(HaveOccurred())
		Expect(found).To(BeTrue())
		Expect(heir).To(And(HaveField("ID", "j1"), HaveField("Step", int64(1)), HaveField("StartedAt", HaveValue(Equal(now)))))
		_, _, err = s.StepReplay(ctx, next, pageOf(second, now), now)
		Expect(err).To(MatchError(store.ErrReplayLost), "its turn is over")
		Expect(s.FailReplay(ctx, next, "late", now)).To(Succeed())
		_, found, err = s.TakeReplay(ctx, 7, "a", now)
		Expect(err).NotTo(HaveOccurred())
		Expect(found).To(BeTrue(), "it may take what nobody has")
		Expect(s.FindNotifications(ctx, store.NotificationFilter{}, nil, 10)).To(HaveLen(3), "and has written nothing")

		p := pageOf(second, now)
		p.Last = true
		_, work, err = s.StepReplay(ctx, heir, p, now)
		Expect(err).NotTo(HaveOccurred())
		Expect(work.Page.Made).To(BeEquivalentTo(2))
		Expect(s.Replay(ctx, "j1")).To(And(HaveField("State", replay.Done), HaveField("Error", ""), HaveField("Progress.Made", int64(5)), HaveField("EndedAt", HaveValue(Equal(now)))))
	}, SpecTimeout(time.Minute))

	It("makes nothing that exists, begins the dead anew, and calls the delivered once more if that is asked for", func(ctx SpecContext) {
		s := fresh(ctx)
		now := time.Now().UTC().Truncate(time.Millisecond)
		b := testBatch(4)
		p := pageOf(b, now)
		p.Last = true
		var owed []decision.Owed
		for i, status := range []notification.Status{notification.Delivered, notification.Dead, notification.Pending} {
			o := p.Matches[i].Owed[0]
			o.Status, o.AttemptCount = status, 1
			owed = append(owed, o)
		}
		Expect(s.SaveBatch(ctx, b, "spec")).To(Succeed())
		_, err := s.Decide(ctx, now, []decision.Batch{{Batch: b, Owed: owed}})
		Expect(err).NotTo(HaveOccurred())

		run := func(j replay.Job, term int64) replay.Counts {
			GinkgoHelper()
			Expect(s.CreateReplay(ctx, j)).To(Succeed())
			j, found, err := s.TakeReplay(ctx, term, "a", now)
			Expect(err).NotTo(HaveOccurred())
			Expect(found).To(BeTrue())
			next, _, err := s.StepReplay(ctx, j, p, now)
			Expect(err).NotTo(HaveOccurred())
			Expect(next.State).To(Equal(replay.Done))
			return next.Progress.Counts
		}
		dry := job("dry", now)
		dry.DryRun = true
		Expect(run(dry, 1)).To(Equal(replay.Counts{Made: 1, Retried: 1, Delivered: 1, UnderWay: 1}))
		Expect(s.FindNotifications(ctx, store.NotificationFilter{}, nil, 10)).To(HaveLen(3))
		Expect(s.UnpublishedNotifications(ctx, now.Add(time.Minute), nil, 10)).To(BeEmpty())

		Expect(run(job("skips", now), 1)).To(Equal(replay.Counts{Made: 1, Retried: 1, Delivered: 1, UnderWay: 1}))
		Expect(s.Notification(ctx, owed[1].ID)).To(And(HaveField("Status", notification.Pending), HaveField("Base", 1), HaveField("Unpublished", true)))
		Expect(s.Notification(ctx, owed[0].ID)).To(And(HaveField("Status", notification.Delivered), HaveField("Forced", BeNil())))

		Expect(s.SpoilNotifications(ctx, owed[2].ID)).To(Succeed())
		Expect(run(job("beside one that nobody understands", now), 1)).To(Equal(replay.Counts{Delivered: 1, UnderWay: 3}))

		Expect(s.SetField(ctx, "notifications", owed[2].ID, "event_id", "of another event")).To(Succeed())
		Expect(run(job("beside one that is of another event, by what it says", now), 1)).To(Equal(replay.Counts{Delivered: 1, UnderWay: 3}))
		Expect(s.SetField(ctx, "notifications", owed[2].ID, "event_id", owed[2].EventID)).To(Succeed())

		repeats := job("repeats", now)
		repeats.SkipDelivered = false
		Expect(run(repeats, 1)).To(Equal(replay.Counts{Repeated: 1, UnderWay: 3}))
		Expect(s.Notification(ctx, owed[0].ID)).To(And(HaveField("Status", notification.Delivered), HaveField("Unpublished", true), HaveField("Forced.Nonce", "repeats")))
	}, SpecTimeout(time.Minute))

	It("stands still when it is paused, goes on when it is resumed, and ends when it is cancelled", func(ctx SpecContext) {
		s := fresh(ctx)
		now := time.Now().UTC().Truncate(time.Millisecond)
		Expect(s.CreateReplay(ctx, job("j1", now))).To(Succeed())
		j, _, err := s.TakeReplay(ctx, 1, "a", now)
		Expect(err).NotTo(HaveOccurred())
		Expect(s.PauseReplay(ctx, "j1", "admin", now)).To(HaveField("State", replay.Paused))
		_, _, err = s.StepReplay(ctx, j, pageOf(testBatch(1), now), now)
		Expect(err).To(MatchError(store.ErrReplayLost))
		Expect(s.FindNotifications(ctx, store.NotificationFilter{}, nil, 10)).To(BeEmpty())
		_, err = s.PauseReplay(ctx, "j1", "admin", now)
		Expect(err).To(MatchError(store.ErrConflict))
		_, found, err := s.TakeReplay(ctx, 1, "a", now)
		Expect(err).NotTo(HaveOccurred())
		Expect(found).To(BeFalse())
		Expect(s.ResumeReplay(ctx, "j1", "admin", now)).To(HaveField("State", replay.Waiting))
		j, _, err = s.TakeReplay(ctx, 1, "a", now)
		Expect(err).NotTo(HaveOccurred())
		Expect(s.FailReplay(ctx, j, "why", now)).To(Succeed())
		Expect(s.Replay(ctx, "j1")).To(And(HaveField("State", replay.Failed), HaveField("Error", "why"), HaveField("ExpiresAt", Not(BeNil()))))
		Expect(s.ResumeReplay(ctx, "j1", "admin", now)).To(And(HaveField("Error", ""), HaveField("ExpiresAt", BeNil())))
		Expect(s.CancelReplay(ctx, "j1", "admin", now)).To(HaveField("State", replay.Cancelled))
		_, err = s.ResumeReplay(ctx, "j1", "admin", now)
		Expect(err).To(MatchError(store.ErrConflict))
		_, err = s.CancelReplay(ctx, "none", "admin", now)
		Expect(err).To(MatchError(store.ErrNotFound))
		audits, err := s.FindAudit(ctx, store.AuditFilter{Subject: "j1"}, nil, 10)
		Expect(err).NotTo(HaveOccurred())
		Expect(audits).To(ConsistOf(HaveField("Action", "replay.start"), HaveField("Action", "replay.pause"), HaveField("Action", "replay.resume"),
			HaveField("Action", "replay.resume"), HaveField("Action", "replay.cancel")))
	}, SpecTimeout(time.Minute))

	It("keeps none behind it waiting when nobody understands it", func(ctx SpecContext) {
		s := fresh(ctx)
		now := time.Now().UTC().Truncate(time.Millisecond)
		Expect(s.CreateReplay(ctx, job("j1", now))).To(Succeed())
		Expect(s.CreateReplay(ctx, job("j2", now.Add(time.Second)))).To(Succeed())
		Expect(s.SpoilReplay(ctx, "j1")).To(Succeed())
		_, found, err := s.TakeReplay(ctx, 1, "a", now)
		Expect(err).To(MatchError(ContainSubstring("j1")))
		Expect(found).To(BeFalse())
		j, found, err := s.TakeReplay(ctx, 1, "a", now)
		Expect(err).NotTo(HaveOccurred())
		Expect(found).To(BeTrue())
		Expect(j.ID).To(Equal("j2"))
	}, SpecTimeout(time.Minute))

	It("is refused when too many are not over", func(ctx SpecContext) {
		s := fresh(ctx)
		now := time.Now().UTC().Truncate(time.Millisecond)
		for i := range store.ReplaysOpen {
			Expect(s.CreateReplay(ctx, job(fmt.Sprint("j", i), now))).To(Succeed())
		}
		Expect(s.CreateReplay(ctx, job("more", now))).To(MatchError(store.ErrConflict))
		_, err := s.CancelReplay(ctx, "j3", "spec", now)
		Expect(err).NotTo(HaveOccurred())
		Expect(s.CreateReplay(ctx, job("more", now))).To(Succeed())
		Expect(s.FindReplays(ctx, "", nil, 100)).To(HaveLen(store.ReplaysOpen + 1))
		cancelled, err := s.FindReplays(ctx, replay.Cancelled, nil, 100)
		Expect(err).NotTo(HaveOccurred())
		Expect(cancelled).To(ConsistOf(HaveField("ID", "j3")))
	}, SpecTimeout(time.Minute))

	It("reads events in the order of time, each once, also many of one moment", func(ctx SpecContext) {
		s := fresh(ctx)
		now := time.Now().UTC().Truncate(time.Millisecond)
		b := testBatch(30, func(i int, d bson.D) bson.D {
			for e := range d {
				if d[e].Key == "timestamp" { // ten of each of three moments, the last ones first
					d[e].Value = now.Add(time.Duration(-i/10) * time.Second)
				}
			}
			return d
		})
		Expect(s.SaveBatch(ctx, b, "spec")).To(Succeed())
		j := job("j1", now)
		seen := map[string]bool{}
		last := time.Time{}
		for {
			n := 0
			err := s.ReplayEvents(ctx, j, j.To, 7, func(raw bson.Raw) bool {
				n++
				j.Position = replay.Position{Timestamp: raw.Lookup("timestamp").Time().UTC(), ID: raw.Lookup("_id").ObjectID()}
				Expect(j.Position.Timestamp).NotTo(BeTemporally("<", last))
				last = j.Position.Timestamp
				id := raw.Lookup("event_id").StringValue()
				Expect(seen[id]).To(BeFalse())
				seen[id] = true
				return true
			})
			Expect(err).NotTo(HaveOccurred())
			if n == 0 {
				break
			}
		}
		Expect(seen).To(HaveLen(30))
		j.Position = replay.Position{Timestamp: now.Add(-time.Second), ID: primitive.NilObjectID}
		n := 0
		Expect(s.ReplayEvents(ctx, j, now, 100, func(bson.Raw) bool { n++; return true })).To(Succeed())
		Expect(n).To(Equal(10), "of one moment: the end is exclusive")
	}, SpecTimeout(time.Minute))
})
