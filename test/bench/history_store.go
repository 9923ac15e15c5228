package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/x/bsonx/bsoncore"

	"github.com/events-aggregator/events-aggregator/pkg/decision"
	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/pkg/metric"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/silence"
	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
	"github.com/events-aggregator/events-aggregator/pkg/user"
	"github.com/events-aggregator/events-aggregator/test/bench/anchors/load"
)

// How much of everything else there is: a share of the events, or so many.
const (
	eventsPerNotification = 10
	eventsPerLetter       = 50
	eventsPerAudit        = 50
	historySilences       = 300
	historyPeople         = 300
	countedTogether       = 2000 // events: about a transaction of counters
	madeTogether          = 72   // windows: of five minutes, those of six hours
)

// storeHistory fills the database as the five processes would have, without them.
func (s *site) storeHistory(ctx context.Context, h history) error {
	began := time.Now()
	steps := []struct {
		what string
		do   func(context.Context, history) error
	}{
		{"events", s.storeEvents}, {"counters", s.storeCounters}, {"metrics", s.storeMetrics},
		{"notifications", s.storeNotifications}, {"dead letters and audit", s.storeLetters}, {"rules, silences and users", s.storeRest},
	}
	for _, step := range steps {
		if err := step.do(ctx, h); err != nil {
			return fmt.Errorf("store %s: %w", step.what, err)
		}
		s.say("stored %s (%s)", step.what, time.Since(began).Round(time.Second))
	}
	return nil
}

// inParts does parts of n items at a time with two workers, since the server
// gains nothing by more.
func inParts(n, together int, do func(from, to int) error) error {
	var mu sync.Mutex
	var failed error
	next := 0
	take := func() (from int, ok bool) {
		mu.Lock()
		defer mu.Unlock()
		from = next
		next += together
		return from, from < n && failed == nil
	}
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() {
			for from, ok := take(); ok; from, ok = take() {
				if err := do(from, min(from+together, n)); err != nil {
					mu.Lock()
					failed = errors.Join(failed, err)
					mu.Unlock()
				}
			}
		})
	}
	all.Wait()
	return failed
}

// storedOf are events [from, to) as they are after ingest and rules.
func (h history) storedOf(decoder *event.Decoder, from, to int, id func(i int) [12]byte, batch string) ([]bson.Raw, error) {
	docs := make([]bson.Raw, 0, to-from)
	for i := from; i < to; i++ {
		decoded, err := decoder.Decode(event.Input{Body: h.body(i), ContentType: "application/json", RoutingKey: "events.bench", Now: h.at(i).Add(time.Second)})
		if err != nil {
			return nil, err
		}
		decoded[0].Stamp(id(i-from), batch)
		doc := decoded[0].Raw
		if v := doc.Lookup("processed"); len(v.Value) == 1 {
			v.Value[0] = 1 // a part of the document
		}
		if rule := h.event(i).rule; rule >= 0 {
			list := bsoncore.NewArrayBuilder().AppendString(ruleOf(rule)).Build()
			doc = bsoncore.AppendArrayElement(doc[:len(doc)-1], "matched_rules", list)
			doc = bson.Raw(bsoncore.UpdateLength(append(doc, 0), 0, int32(len(doc)+1)))
		}
		docs = append(docs, doc)
	}
	return docs, nil
}

func (s *site) storeEvents(ctx context.Context, h history) error {
	decoder, err := event.NewDecoder(event.Options{Ingester: "bench"})
	if err != nil {
		return err
	}
	// One block of ids for all: events that share their time are listed by them, also
	// those of two batches.
	_, at := event.NewIDBlock(h.n)
	return inParts(h.n, chunk, func(from, to int) error {
		batch := at(from).Hex()
		docs, err := h.storedOf(decoder, from, to, func(i int) [12]byte { return at(from + i) }, batch)
		if err != nil {
			return err
		}
		b := event.Batch{ID: batch, FirstID: at(from), LastID: at(to - 1), MaxSeverity: 10, StoredAt: h.at(to - 1), Events: docs}
		if err := s.store.SaveBatch(ctx, b, "bench"); err != nil {
			return err
		}
		return s.store.MarkStages(ctx, b.StoredAt, store.Stages, b.ID)
	})
}

// storeCounters counts the events again from what they are: the batches that
// count and those that are stored are not the same ones.
func (s *site) storeCounters(ctx context.Context, h history) error {
	decoder, err := event.NewDecoder(event.Options{Ingester: "bench"})
	if err != nil {
		return err
	}
	return inParts(h.n, countedTogether, func(from, to int) error {
		docs, err := h.storedOf(decoder, from, to, func(int) [12]byte { return [12]byte{} }, "000000000000000000000000")
		if err != nil {
			return err
		}
		increments, _, err := metric.Sum(docs, time.Time{})
		if err != nil {
			return err
		}
		_, err = s.store.Count(ctx, time.Now(), event.RetentionDefault, []metric.Batch{{ID: fmt.Sprintf("count-%d", from), Increments: increments}})
		return err
	})
}

// storeMetrics makes the metrics that analytics read. Those of one minute are as
// many as there are counters, nothing but a list reads them, and to make them
// takes longer than all the rest.
func (s *site) storeMetrics(ctx context.Context, _ history) error {
	for _, p := range metric.Periods {
		if p.Length <= time.Minute {
			continue
		}
		for {
			windows, err := s.store.ChangedWindows(ctx, p, madeTogether)
			if err != nil {
				return err
			}
			if len(windows) == 0 {
				break
			}
			if err := s.store.Materialise(ctx, p, windows, time.Now().UTC()); err != nil {
				return err
			}
		}
	}
	return nil
}

// notificationStatus is that of notification n, of event n×10.
func notificationStatus(n int) notification.Status {
	switch n % 20 {
	case 0:
		return notification.Dead
	case 1:
		return notification.Pending
	case 2, 3:
		return notification.Suppressed
	default:
		return notification.Delivered
	}
}

func (h history) notificationID(n int) string {
	return notification.ID(load.ID(h.run, n*eventsPerNotification), ruleOf(n%historyRules), 1, 0)
}

func (s *site) storeNotifications(ctx context.Context, h history) error {
	config, err := bson.Marshal(bson.D{{Key: "message", Value: "{{.Event.type}}"}})
	if err != nil {
		return err
	}
	return inParts(h.n/eventsPerNotification, chunk, func(from, to int) error {
		var owed []decision.Owed
		for n := from; n < to; n++ {
			i := n * eventsPerNotification
			at := h.at(i)
			one := notification.Notification{
				ID: h.notificationID(n), EventID: load.ID(h.run, i), RuleID: ruleOf(n % historyRules), RuleVersion: 1, RuleName: ruleOf(n % historyRules),
				Action: notification.Action{Type: "LOG", Config: config}, Queue: topology.NotificationsDefault, Status: notificationStatus(n),
				Attempts: []notification.Attempt{}, CreatedAt: at, UpdatedAt: at, ExpiresAt: at.Add(event.RetentionDefault),
			}
			owed = append(owed, decision.Owed{Notification: one})
		}
		_, err := s.store.Decide(ctx, time.Now().UTC(), []decision.Batch{{Owed: owed}})
		return err
	})
}

// letterQueue and auditor are who letter and entry n are of.
func letterQueue(n int) string {
	return []string{topology.Ingest, topology.WebhooksDefault, topology.NotificationsDefault}[n%3]
}

func auditor(n int) string { return fmt.Sprintf("person-%02d", n%20) }

func silenceOf(n int) string { return fmt.Sprintf("silence-%06d", n) }

func emailOf(n int) string { return fmt.Sprintf("person-%03d@example.com", n) }

func (h history) letterID(n int) string { return fmt.Sprintf("dead-%08d", n) }

func (s *site) storeLetters(ctx context.Context, h history) error {
	err := inParts(h.n/eventsPerLetter, chunk, func(from, to int) error {
		var records []store.DeadLetterRecord
		for n := from; n < to; n++ {
			at := h.at(n * eventsPerLetter)
			records = append(records, store.DeadLetterRecord{
				ID: h.letterID(n), Queue: letterQueue(n), Reason: "permanent", ErrorClass: "http_status", Error: historyErrors[n%len(historyErrors)],
				Cause: fmt.Sprintf("cause-%d", n%len(historyErrors)), Fingerprint: historyErrors[n%len(historyErrors)], EventID: load.ID(h.run, n*eventsPerLetter),
				Exchange: "ea.actions", RoutingKey: "webhooks", DeadAt: at, Attempts: 7, BodySize: 600, ExpiresAt: at.Add(event.RetentionDefault),
			})
		}
		return s.store.SaveDeadLetters(ctx, records...)
	})
	if err != nil {
		return err
	}
	return inParts(h.n/eventsPerAudit, chunk, func(from, to int) error {
		for n := from; n < to; n++ {
			_, err := s.store.NoteAudit(ctx, store.Audit{At: h.at(n * eventsPerAudit), By: auditor(n), Action: "bench.note", Subject: silenceOf(n),
				After: bson.D{{Key: "comment", Value: "bench"}}})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *site) storeRest(ctx context.Context, h history) error {
	if err := s.saveRules(ctx); err != nil {
		return err
	}
	condition, err := condition()
	if err != nil {
		return err
	}
	for n := range historySilences {
		at := h.at(n * 2)
		err := s.store.CreateSilence(ctx, silence.Silence{ID: silenceOf(n), Condition: condition, From: at, Until: at.Add(time.Hour),
			Author: "somebody", Comment: "bench", CreatedAt: at, ExpiresAt: at.Add(silence.Retention)})
		if err != nil {
			return err
		}
	}
	for n := range historyPeople {
		u := user.User{ID: uuid.NewString(), Email: emailOf(n), Name: "Person", Role: user.Plain,
			Preferences: user.Preferences{NotificationChannels: []string{}, EventTypes: []string{}}, APIKeys: []user.APIKey{}, CreatedAt: h.begin, UpdatedAt: h.begin}
		if n == 0 { // the first one has the key that is measured with
			key, err := user.KeyFrom(apiKey, h.begin)
			if err != nil {
				return err
			}
			u.Role, u.APIKeys = user.Admin, []user.APIKey{key}
		}
		if err := s.store.CreateUser(ctx, u); err != nil {
			return err
		}
	}
	return nil
}
