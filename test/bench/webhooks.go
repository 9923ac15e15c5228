package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/decision"
	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
	"github.com/events-aggregator/events-aggregator/test/bench/anchors/load"
	"github.com/events-aggregator/events-aggregator/test/support/sink"
)

// receiver is one kind of receiver, and how many calls of it are made at a time.
type receiver struct {
	name    string
	latency int // ms
	workers int
}

var receivers = []receiver{{"quick", 0, 32}, {"slow", 20, 256}}

// Names of figures; a receiver's name follows.
const (
	boundHooks    = "H."
	boundAttempts = "A"
	webhooks      = "webhooks."
)

// webhookShare of a measurement's events: each is a call, and more of them show
// no more.
const webhookShare = 5

// webhooks times the action-dispatcher from a queue that was filled before to
// recorded attempts, beside a plain client and plain bulk updates.
func (b *bench) webhooks(ctx context.Context, product build, n int, f figures) error {
	own := *b
	own.events = max(1000, b.events/webhookShare)
	for _, r := range receivers {
		to, err := sink.Start(load.HookSecret)
		if err != nil {
			return err
		}
		to.SetFaults(sink.Faults{LatencyMS: r.latency})
		err = own.hookBound(ctx, r, to, f)
		if err == nil {
			err = own.deliver(ctx, product, n, r, to, f)
		}
		to.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) hookBound(ctx context.Context, r receiver, to *sink.Running, f figures) error {
	own := *b
	own.more = []string{"EA_WORKERS=" + strconv.Itoa(r.workers)}
	return own.anchor(ctx, f, boundHooks+r.name, b.nextRun(), "hooks", to.URL)
}

// deliver fills webhooks.default, starts a dispatcher, and times it until every
// attempt is recorded.
func (b *bench) deliver(ctx context.Context, product build, n int, r receiver, to *sink.Running, f figures) (err error) {
	s, err := b.newSite(ctx, fmt.Sprintf("webhooks-%s%s%d", product.name, r.name, n), product.bin)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.remove(ctx)) }()
	if err := s.oweWebhooks(ctx, s.events, func(int) string { return to.URL }); err != nil {
		return err
	}
	began, called := time.Now(), to.Stats().Accepted
	p, err := s.start("action-dispatcher",
		"EA_DISPATCHER_TARGET_CONCURRENCY="+strconv.Itoa(r.workers), "EA_DISPATCHER_QUEUES=webhooks.default="+strconv.Itoa(r.workers*4/3+1))
	if err != nil {
		return err
	}
	err = await(ctx, "the first call", time.Millisecond, startTime, func() (bool, error) {
		began = time.Now()
		return to.Stats().Accepted > called, p.runs()
	})
	if err != nil {
		return err
	}
	before, err := s.usedWithReceiver(p)
	if err == nil {
		err = await(ctx, "all calls", 10*time.Millisecond, 5*time.Minute, func() (bool, error) {
			return to.Stats().Accepted-called >= s.events, p.runs()
		})
	}
	if err == nil {
		err = await(ctx, "all records", 10*time.Millisecond, time.Minute, func() (bool, error) {
			counts, err := s.store.CountNotifications(ctx, store.NotificationFilter{})
			return counts[notification.Delivered] == int64(s.events), err
		})
	}
	if err != nil {
		return err
	}
	f[product.name+webhooks+r.name] = float64(s.events) / time.Since(began).Seconds()
	after, err := s.usedWithReceiver(p)
	if err != nil {
		return err
	}
	note(f, product.name+webhooks+r.name, before, after, s.events)
	b.say("%swebhooks, %s receiver: %.0f deliveries/s", product.name, r.name, f[product.name+webhooks+r.name])
	if again := to.Stats().AcceptedAgain; again > 0 {
		return fmt.Errorf("%d webhooks were called twice", again)
	}
	return p.terminate()
}

// usedWithReceiver is used with this process's own time, which is the receiver's.
func (b *bench) usedWithReceiver(p *process) (map[string]time.Duration, error) {
	used, err := b.used(p)
	if err == nil {
		used[received], err = processorTime(os.Getpid())
	}
	return used, err
}

// oweWebhooks stores events with a notification each, as ingester and rule-worker
// do, and fills the queue; url is that of the i-th.
func (s *site) oweWebhooks(ctx context.Context, events int, url func(i int) string) error {
	run, now := s.nextRun(), time.Now().UTC().Truncate(time.Millisecond)
	for from := 0; from < events; from += chunk {
		count := min(chunk, events-from)
		first, at := event.NewIDBlock(count)
		batch := event.Batch{ID: first.Hex(), FirstID: first, LastID: at(count - 1), MaxSeverity: 5, StoredAt: now}
		owed := make([]decision.Owed, count)
		messages := make([]broker.Message, count)
		for i := range count {
			doc, id, err := s.storedEvent(run, from+i, at(i), batch.ID, now)
			if err != nil {
				return err
			}
			config, err := bson.Marshal(bson.D{{Key: "url", Value: url(from + i)}, {Key: "secret", Value: load.HookSecret}})
			if err != nil {
				return err
			}
			batch.Events = append(batch.Events, doc)
			owed[i].Notification = notification.Notification{
				ID: notification.ID(id, "r", 1, 0), EventID: id, RuleID: "r", RuleVersion: 1, RuleName: "bench",
				Action: notification.Action{Type: "WEBHOOK", Config: config}, Queue: topology.WebhooksDefault, Status: notification.Pending,
				Attempts: []notification.Attempt{}, CreatedAt: now, UpdatedAt: now, ExpiresAt: now.Add(time.Hour),
			}
			messages[i], err = s.table.Actions().Encode(notification.Message{Notification: owed[i].Notification, Event: doc, Attempt: 1})
			if err != nil {
				return err
			}
		}
		if err := s.store.SaveBatch(ctx, batch, "bench"); err != nil {
			return err
		}
		if _, err := s.store.Decide(ctx, now, []decision.Batch{{Batch: batch, Owed: owed}}); err != nil {
			return err
		}
		if err := s.publisher.Publish(ctx, messages...); err != nil {
			return err
		}
	}
	return nil
}

func (s *site) storedEvent(run uint32, i int, id primitive.ObjectID, batchID string, now time.Time) (bson.Raw, string, error) {
	_, body := s.load.Event(run, i, now)
	raw, err := event.FromJSON(body)
	if err != nil {
		return nil, "", err
	}
	elements, err := raw.Elements()
	if err != nil {
		return nil, "", err
	}
	doc := bson.D{{Key: "_id", Value: id}}
	for _, e := range elements {
		doc = append(doc, bson.E{Key: e.Key(), Value: e.Value()})
	}
	doc = append(doc, bson.E{Key: "processed", Value: false}, bson.E{Key: "batch_id", Value: batchID},
		bson.E{Key: "created_at", Value: now}, bson.E{Key: "expires_at", Value: now.Add(time.Hour)})
	stored, err := bson.Marshal(doc)
	return stored, load.ID(run, i), err
}
