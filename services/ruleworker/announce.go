package ruleworker

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/decision"
	"github.com/events-aggregator/events-aggregator/pkg/fault"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
)

// Announcements is where events about rules wait for the broker.
type Announcements interface {
	Announcements(ctx context.Context, limit int) ([]decision.Announcement, error)
	MarkAnnounced(ctx context.Context, eventIDs ...string) error
}

// Announce publishes events about rules and forgets them. It is run by one
// process at a time; publishing one twice is a duplicate to the ingester.
func (w *Worker) Announce(ctx context.Context, a Announcements, every time.Duration, limit int) error {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		if err := w.announce(ctx, a, limit); err != nil && ctx.Err() == nil {
			w.Log.Warn("events about rules not published, they will be", zap.Error(err))
		}
	}
}

func (w *Worker) announce(ctx context.Context, a Announcements, limit int) error {
	waiting, err := a.Announcements(ctx, limit)
	if err != nil || len(waiting) == 0 {
		return err
	}
	messages := make([]broker.Message, len(waiting))
	ids := make([]string, len(waiting))
	for i, one := range waiting {
		ids[i] = one.EventID
		messages[i] = broker.Message{
			Exchange: w.Topology.Exchange(topology.ExchangeEvents), RoutingKey: one.RoutingKey,
			ContentType: "application/json", MessageID: one.EventID, AppID: decision.Source, Type: one.Type,
			Timestamp: one.CreatedAt, Body: one.Body,
		}
	}
	if err := w.Publisher.Publish(ctx, messages...); err != nil {
		return err
	}
	fault.At(fault.RuleWorkerAnnounced)
	return a.MarkAnnounced(ctx, ids...)
}
