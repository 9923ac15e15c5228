package fleet

import (
	"context"
	"fmt"
	"time"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/decision"
	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
)

// Owe stores n events with a webhook each, as the ingester and the rule-worker
// do, and publishes their delivery orders; for specs that are about deliveries
// alone. It returns the notifications' ids.
func (f *Fleet) Owe(ctx context.Context, n int, webhook bson.D) (ids []string) {
	ginkgo.GinkgoHelper()
	must := func(err error) {
		ginkgo.GinkgoHelper()
		gomega.Expect(err).NotTo(gomega.HaveOccurred())
	}
	config, err := bson.Marshal(webhook)
	must(err)
	now := time.Now().UTC().Truncate(time.Millisecond)
	first, at := event.NewIDBlock(n)
	batch := event.Batch{ID: first.Hex(), FirstID: first, LastID: at(n - 1), MaxSeverity: 5, StoredAt: now}
	owed, orders := make([]decision.Owed, n), make([]broker.Message, n)
	for i := range n {
		eventID := fmt.Sprintf("e-%s-%d", batch.ID, i)
		doc, err := bson.Marshal(bson.D{
			{Key: "_id", Value: at(i)}, {Key: "event_id", Value: eventID},
			{Key: "type", Value: "OWED"}, {Key: "source", Value: "spec"}, {Key: "severity", Value: int32(5)},
			{Key: "timestamp", Value: now}, {Key: "payload", Value: bson.D{{Key: "n", Value: int32(i)}}},
			{Key: "processed", Value: true}, {Key: "batch_id", Value: batch.ID},
			{Key: "created_at", Value: now}, {Key: "expires_at", Value: now.Add(time.Hour)},
		})
		must(err)
		batch.Events = append(batch.Events, doc)
		owed[i].Notification = notification.Notification{
			ID: notification.ID(eventID, "owed", 1, 0), EventID: eventID, RuleID: "owed", RuleVersion: 1, RuleName: "owed",
			Action: notification.Action{Type: "WEBHOOK", Config: config}, Queue: topology.WebhooksDefault, Status: notification.Pending,
			Attempts: []notification.Attempt{}, CreatedAt: now, UpdatedAt: now, ExpiresAt: now.Add(time.Hour),
		}
		ids = append(ids, owed[i].ID)
		orders[i], err = f.Topology.Actions().Encode(notification.Message{Notification: owed[i].Notification, Event: doc, Attempt: 1})
		must(err)
	}
	must(f.Store.SaveBatch(ctx, batch, "spec"))
	_, err = f.Store.Decide(ctx, now, []decision.Batch{{Batch: batch, Owed: owed}})
	must(err)
	must(f.Publisher.Publish(ctx, orders...))
	return ids
}
