package process_test

import (
	"context"
	"fmt"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/pkg/fault"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	replays "github.com/events-aggregator/events-aggregator/pkg/replay"
	"github.com/events-aggregator/events-aggregator/pkg/store"
)

// stored puts n events into the database that nobody has decided, and returns
// their ids.
func stored(ctx context.Context, c *crew, n int) (ids []string) {
	GinkgoHelper()
	now := time.Now().UTC().Truncate(time.Millisecond)
	first, at := event.NewIDBlock(n)
	b := event.Batch{ID: first.Hex(), FirstID: first, LastID: at(n - 1), MaxSeverity: 5, StoredAt: now}
	for i := range n {
		ids = append(ids, fmt.Sprintf("e-%s-%d", b.ID, i))
		b.Events = append(b.Events, document(bson.D{
			{Key: "_id", Value: at(i)}, {Key: "event_id", Value: ids[i]}, {Key: "type", Value: eventType}, {Key: "source", Value: "spec"},
			{Key: "severity", Value: int32(5)}, {Key: "timestamp", Value: now.Add(time.Duration(i-n) * time.Second)}, {Key: "processed", Value: false},
			{Key: "batch_id", Value: b.ID}, {Key: "created_at", Value: now}, {Key: "expires_at", Value: now.Add(time.Hour)},
		}))
	}
	Expect(c.Store.SaveBatch(ctx, b, "spec")).To(Succeed())
	return ids
}

var _ = Describe("the owner of a replay", func() {
	It("is followed by another when it dies or stands still half-way, and every notification is made and called once", func(ctx SpecContext) {
		inParallel(ctx, []string{
			string(fault.RuleWorkerReplaying) + ":kill:3", string(fault.RuleWorkerReplayed) + ":kill:3",
			string(fault.RuleWorkerReplayPublished) + ":kill:3", string(fault.RuleWorkerReplaying) + ":stop:3",
			string(fault.RuleWorkerReplayed) + ":stop:3", string(fault.RuleWorkerReplayPublished) + ":stop:3",
		}, crewed(func(ctx context.Context, c *crew, what string) {
			const n, page = 60, 10
			ids := stored(ctx, c, n)
			c.launch("action-dispatcher").waitReady(ctx)
			victim := c.launch("rule-worker", "EA_FAULT="+what)
			victim.waitReady(ctx)
			now := time.Now().UTC().Truncate(time.Millisecond)
			Expect(c.Store.CreateReplay(ctx, replays.Job{Condition: document(bson.D{{Key: "type", Value: eventType}}), From: now.Add(-time.Hour), To: now,
				Rate: 4 * page, SkipDelivered: true}.Begin("j1", "spec", now))).To(Succeed())
			if strings.Contains(what, ":stop") {
				victim.waitPaused(ctx)
			} else {
				victim.waitEnded(ctx, killed)
			}
			half, err := c.Store.Replay(ctx, "j1")
			Expect(err).NotTo(HaveOccurred())
			Expect(half).To(And(HaveField("State", replays.Running), HaveField("Progress.Made", And(BeNumerically(">", 0), BeNumerically("<", n)))))

			c.launch("rule-worker").waitReady(ctx)
			Eventually(ctx, func(g Gomega) {
				j, err := c.Store.Replay(ctx, "j1")
				g.Expect(err).NotTo(HaveOccurred())
				g.Expect(j).To(And(HaveField("State", replays.Done), HaveField("Progress.Events", int64(n)), HaveField("Progress.Counts", replays.Counts{Made: n})))
				counts, err := c.Store.CountNotifications(ctx, store.NotificationFilter{})
				g.Expect(err).NotTo(HaveOccurred())
				g.Expect(counts).To(Equal(map[notification.Status]int64{notification.Delivered: n, notification.Pending: 0, notification.Dead: 0, notification.Suppressed: 0}))
			}).WithTimeout(100 * time.Second).WithPolling(200 * time.Millisecond).Should(Succeed())
			if strings.Contains(what, ":stop") {
				wake([]*running{victim})
				Eventually(ctx, victim.log).WithTimeout(patience).Should(ContainSubstring(`"lease lost"`))
				victim.stop(ctx)
			}
			owed := make([]string, n)
			for i, id := range ids {
				owed[i] = notification.ID(id, "all", 1, 0)
			}
			Expect(c.receiver.IDs()).To(ConsistOf(owed))
			Expect(c.receiver.Stats().AcceptedAgain).To(BeZero(), "what is published again is claimed before it is called")
		}))
	}, SpecTimeout(4*time.Minute))
})
