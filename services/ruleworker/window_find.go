package ruleworker

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"
	"go.uber.org/zap"

	"github.com/events-aggregator/events-aggregator/pkg/decision"
	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/pkg/rule/window"
	"github.com/events-aggregator/events-aggregator/pkg/telemetry"
)

// patience bounds what window rules may take while their batch waits; what is
// not done by then is left to the timer.
type patience struct {
	ask   time.Duration // one evaluation
	all   time.Duration // those of all rules
	limit int           // events that one evaluation reads
}

// patienceDefault: a plain rule's notification is late by five seconds at most,
// and only once in slowFor for each rule that takes too long.
var patienceDefault = patience{ask: 2 * time.Second, all: 5 * time.Second, limit: 50_000}

const (
	// askTogether bounds the evaluations at the same time; each is one query after
	// the other.
	askTogether = 4
	// deferredFor is when the timer looks at what was left to it. Until then all
	// that comes makes one evaluation.
	deferredFor = 5 * time.Second
)

// find evaluates the rules that events of the batches touch, and returns the
// new alerts as what they owe. It must be called before the batches are decided
// and after they are stored: it reads the database, so of two workers the one
// that reads last sees the events of both. An error is an outage.
func (w *windows) find(ctx context.Context, set *rule.Set, t *touched, now time.Time) ([]decision.Owed, error) {
	if len(t.rules) == 0 {
		return nil, nil
	}
	byID := w.in(set)
	var asks []ask
	var dues []window.Due
	for _, of := range t.rules {
		r := byID[of.rule.ID]
		for _, p := range r.parts {
			switch {
			case p.Settled():
				dues = append(dues, settledDues(r, p, of.events)...)
			case w.slow.is(r.rule.ID, now):
				dues = append(dues, deferredDues(r, p, of.events, now)...)
			default:
				asks = append(asks, w.asks(r, p, of.events)...)
			}
		}
	}
	alerts, deferred, err := w.askAll(ctx, asks, now)
	if err != nil {
		return nil, err
	}
	if dues = append(dues, deferred...); len(dues) > 0 {
		if err := w.store.AddDues(ctx, unique(dues)); err != nil {
			return nil, err
		}
	}
	return w.owe(ctx, alerts, t.events(), now)
}

// settledDues are the slots that have to be decided later because of the events.
func settledDues(r *windowRule, p window.Part, events []touchedEvent) []window.Due {
	type slotOf struct {
		slot int64
		key  string
	}
	seen := map[slotOf]bool{}
	var dues []window.Due
	for _, e := range events {
		key := ""
		if p.PerKey() {
			key = e.key
		}
		for _, slot := range p.Due(e.at, e.stored) {
			if s := (slotOf{slot, key}); !seen[s] {
				seen[s] = true
				dues = append(dues, window.NewDue(r.rule.ID, r.rule.Version, p, slot, key))
			}
		}
	}
	return dues
}

// deferredDues leave to the timer what should have been decided now.
func deferredDues(r *windowRule, p window.Part, events []touchedEvent, now time.Time) []window.Due {
	dues := settledDues(r, p, events)
	for i := range dues {
		dues[i].DueAt, dues[i].Deferred = now.Add(deferredFor), true
	}
	return dues
}

func unique(dues []window.Due) []window.Due {
	slices.SortFunc(dues, func(a, b window.Due) int { return cmp.Compare(a.ID, b.ID) })
	return slices.CompactFunc(dues, func(a, b window.Due) bool { return a.ID == b.ID })
}

// ask is one evaluation of one part of a rule.
type ask struct {
	rule   *windowRule
	part   window.Part
	ask    window.Ask
	events []touchedEvent // that it is asked because of
}

// found is an alert and the rule that found it.
type found struct {
	rule  *rule.Rule
	alert window.Alert
	due   string // the slot that the timer found it in
}

// asks are the windows that contain the events. Events of one slot are asked
// about together; of a key that is known to have its alert in the slot only the
// windows that end in the next one are asked about. Keys that cannot be searched
// are asked about by themselves: their query reads what it does not look for.
func (w *windows) asks(r *windowRule, p window.Part, events []touchedEvent) []ask {
	type bucket struct {
		slot int64
		rest bool
		wide bool // its key cannot be searched
	}
	var order []bucket
	byBucket := map[bucket]*ask{}
	isKnown := func(key string, slot int64) bool { return w.known.has(r.rule, key, slot) }
	for _, e := range events {
		slot := p.SlotOf(e.at)
		at, reach := e.at.UnixMilli(), p.Reach()
		b := bucket{slot: slot, rest: isKnown(e.key, p.AlertSlot(slot)), wide: !rule.SearchableKey(e.key)}
		from, to := at, at+reach
		if b.rest {
			_, from = p.Slot(slot)
			if from >= to {
				continue
			}
		}
		a := byBucket[b]
		if a == nil {
			a = &ask{rule: r, part: p, ask: window.Ask{Keys: []string{}, From: from, To: to, Known: isKnown, Limit: w.patience.limit}}
			byBucket[b] = a
			order = append(order, b)
		}
		a.ask.From, a.ask.To = min(a.ask.From, from), max(a.ask.To, to)
		if !slices.Contains(a.ask.Keys, e.key) {
			a.ask.Keys = append(a.ask.Keys, e.key)
		}
		a.events = append(a.events, e)
	}
	all := make([]ask, len(order))
	for i, b := range order {
		all[i] = *byBucket[b]
	}
	return all
}

// askAll evaluates several asks at a time. What the database refuses, or does
// not answer in time, is left to the timer; only an outage is an error.
func (w *windows) askAll(ctx context.Context, asks []ask, now time.Time) (alerts []found, deferred []window.Due, err error) {
	if len(asks) == 0 {
		return nil, nil, nil
	}
	bound, cancel := context.WithTimeout(ctx, w.patience.all)
	defer cancel()
	var mu sync.Mutex
	var group sync.WaitGroup
	places := make(chan struct{}, askTogether)
	for _, a := range asks {
		places <- struct{}{}
		group.Go(func() {
			defer func() { <-places }()
			got, askErr := w.ask(bound, a)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case askErr == nil:
				for _, one := range got.Alerts {
					alerts = append(alerts, found{rule: a.rule.rule, alert: one})
				}
			case isOutage(askErr), ctx.Err() != nil:
				err = errors.Join(err, askErr)
			default:
				w.postponed(a.rule.rule, askErr, now)
				deferred = append(deferred, deferredDues(a.rule, a.part, a.events, now)...)
			}
		})
	}
	group.Wait()
	return alerts, deferred, err
}

func (w *windows) ask(ctx context.Context, a ask) (window.Found, error) {
	ctx, cancel := context.WithTimeout(ctx, w.patience.ask)
	defer cancel()
	started := time.Now()
	got, err := a.part.Evaluate(ctx, a.rule.source, a.ask)
	w.metrics.evaluated(a.rule.rule.Window.Kind, err, time.Since(started))
	return got, err
}

// postponed says that a rule is left to the timer for a while.
func (w *windows) postponed(r *rule.Rule, err error, now time.Time) {
	w.slow.add(r.ID, now)
	w.log.Warn("window rule not evaluated as its events came, the timer does it; its query needs an index, or its condition is refused",
		zap.String(telemetry.FieldRule, r.ID), zap.String("rule", r.Name), zap.Duration("for", slowFor), zap.Error(err))
}

// isOutage: the database is away, nothing is wrong with the query.
func isOutage(err error) bool {
	var known interface{ Outage() bool }
	return errors.As(err, &known) && known.Outage()
}

// owe makes what new alerts owe, with the events that they are about.
func (w *windows) owe(ctx context.Context, alerts []found, events map[primitive.ObjectID]bson.Raw, now time.Time) ([]decision.Owed, error) {
	if len(alerts) == 0 {
		return nil, nil
	}
	fresh, err := w.fresh(ctx, alerts)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(fresh, earlier) // what holds alerts back meets them in the order of their windows
	var missing []primitive.ObjectID
	for _, f := range fresh {
		if !f.alert.Event.IsZero() && events[f.alert.Event] == nil {
			missing = append(missing, f.alert.Event)
		}
	}
	more, err := w.store.EventsByID(ctx, missing)
	if err != nil {
		return nil, err
	}
	var owed []decision.Owed
	for _, f := range fresh {
		raw := events[f.alert.Event]
		if raw == nil {
			raw = more[f.alert.Event]
		}
		of := alertOwed(f.rule, f.alert, raw, w.retention, now)
		if len(of) == 0 { // nothing will ever say that it exists
			w.known.add(f.rule.ID, f.rule.Version, f.alert.Alert)
		}
		for i := range of {
			of[i].Due = f.due
		}
		owed = append(owed, of...)
	}
	return owed, nil
}

func earlier(a, b found) int {
	return cmp.Or(a.alert.To.Compare(b.alert.To), cmp.Compare(a.rule.ID, b.rule.ID), bytes.Compare(a.alert.Key, b.alert.Key), cmp.Compare(a.alert.Slot, b.alert.Slot))
}

// fresh leaves out the alerts that exist, and those that were found twice: the
// windows of events in neighbouring slots overlap.
func (w *windows) fresh(ctx context.Context, alerts []found) ([]found, error) {
	ids := make([]string, len(alerts))
	for i, f := range alerts {
		ids[i] = alertID(f.rule, f.alert)
	}
	exist, err := w.store.ExistingNotifications(ctx, ids)
	if err != nil {
		return nil, err
	}
	var fresh []found
	twice := map[string]bool{}
	for i, f := range alerts {
		if twice[ids[i]] {
			continue
		}
		twice[ids[i]] = true
		if exist[ids[i]] {
			w.known.add(f.rule.ID, f.rule.Version, f.alert.Alert)
			continue
		}
		fresh = append(fresh, f)
	}
	return fresh, nil
}
