package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"

	"github.com/events-aggregator/events-aggregator/test/bench/anchors/load"
)

// hooks posts n events to a URL, each signed by Standard Webhooks, from as many
// workers as EA_WORKERS says, over connections that are kept.
func (j job) hooks(ctx context.Context, url string) error {
	workers, err := strconv.Atoi(os.Getenv("EA_WORKERS"))
	if err != nil || workers < 1 {
		return fmt.Errorf("EA_WORKERS: %q is no number of workers", os.Getenv("EA_WORKERS"))
	}
	signer, err := standardwebhooks.NewWebhook(load.HookSecret)
	if err != nil {
		return err
	}
	l, err := load.New()
	if err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConns: workers, MaxIdleConnsPerHost: workers, MaxConnsPerHost: workers}, Timeout: 30 * time.Second}
	return timed(j.n, func() error {
		var next atomic.Int64
		var running sync.WaitGroup
		errs := make(chan error, workers)
		for range workers {
			running.Go(func() {
				for i := int(next.Add(1)) - 1; i < j.n; i = int(next.Add(1)) - 1 {
					if err := j.hook(ctx, client, signer, l, url, i); err != nil {
						next.Store(int64(j.n))
						errs <- err
						return
					}
				}
			})
		}
		running.Wait()
		close(errs)
		return <-errs
	})
}

func (j job) hook(ctx context.Context, client *http.Client, signer *standardwebhooks.Webhook, l *load.Load, url string, i int) error {
	now := time.Now()
	_, body := l.Event(j.run, i, now)
	id := load.ID(j.run, i)
	signature, err := signer.Sign(id, now, body)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Webhook-Id", id)
	request.Header.Set("Webhook-Timestamp", strconv.FormatInt(now.Unix(), 10))
	request.Header.Set("Webhook-Signature", signature)
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("the receiver answered %d", answer.StatusCode)
	}
	return nil
}

// notifications is their collection, with the indexes that reading them needs.
func (d database) notifications(ctx context.Context, more ...mongo.IndexModel) (*mongo.Collection, error) {
	c := d.db.Collection("notifications")
	_, err := c.Indexes().CreateMany(ctx, append(more, []mongo.IndexModel{
		{Keys: bson.D{{Key: "event_id", Value: 1}}},
		{Keys: bson.D{{Key: "status", Value: 1}, {Key: "created_at", Value: -1}, {Key: "_id", Value: -1}}},
		{Keys: bson.D{{Key: "rule_id", Value: 1}, {Key: "created_at", Value: -1}, {Key: "_id", Value: -1}}},
		{Keys: bson.D{{Key: "created_at", Value: -1}, {Key: "_id", Value: -1}}},
	}...))
	return c, err
}

// attemptsTogether is how many updates one bulk has.
const attemptsTogether = 200

// attempts records one attempt in each of n notifications, by _id, in bulk. The
// notifications are made off the clock.
func (d database) attempts(ctx context.Context) error {
	c, err := d.notifications(ctx)
	if err != nil {
		return err
	}
	id := func(i int) string { return "ntf_" + load.ID(d.run, i) }
	now := time.Now().UTC()
	err = batches(d.n, func(_, from, count int) error {
		docs := make([]any, count)
		for i := range docs {
			docs[i] = bson.D{{Key: "_id", Value: id(from + i)}, {Key: "event_id", Value: load.ID(d.run, from+i)}, {Key: "rule_id", Value: "r"},
				{Key: "status", Value: "pending"}, {Key: "attempts", Value: bson.A{}}, {Key: "attempt_count", Value: 0}, {Key: "created_at", Value: now}}
		}
		_, err := c.InsertMany(ctx, docs, options.InsertMany().SetOrdered(false))
		return err
	})
	if err != nil {
		return err
	}
	err = timed(d.n, func() error {
		return batches(d.n, func(_, from, count int) error {
			for first := from; first < from+count; first += attemptsTogether {
				models := make([]mongo.WriteModel, 0, attemptsTogether)
				for i := first; i < min(first+attemptsTogether, from+count); i++ {
					models = append(models, mongo.NewUpdateOneModel().SetFilter(bson.D{{Key: "_id", Value: id(i)}}).SetUpdate(bson.D{
						{Key: "$push", Value: bson.D{{Key: "attempts", Value: bson.D{{Key: "number", Value: 1}, {Key: "at", Value: now}, {Key: "duration_ms", Value: int64(1)}, {Key: "outcome", Value: "ok"}}}}},
						{Key: "$set", Value: bson.D{{Key: "status", Value: "delivered"}, {Key: "attempt_count", Value: 1}, {Key: "updated_at", Value: now}}},
					}))
				}
				if _, err := c.BulkWrite(ctx, models, options.BulkWrite().SetOrdered(false)); err != nil {
					return err
				}
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	return expect(ctx, c, bson.D{{Key: "status", Value: "delivered"}}, d.n)
}
