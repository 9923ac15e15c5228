package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/pkg/rule/interval"
	"github.com/events-aggregator/events-aggregator/pkg/rule/window"
	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
	"github.com/events-aggregator/events-aggregator/test/bench/anchors/load"
)

// The load of window rules: steady, since windows are about time. A thousand
// events a second of ten thousand users; a fifth of them are of a hundred users,
// every five seconds of others, so that there is something to find.
const (
	windowRate    = 1000
	windowSeconds = 30
	windowUsers   = 10_000
	windowBusy    = 100
	windowBusyFor = 5 // seconds
	windowLate    = time.Second
	windowTick    = time.Second / 20
	windowWorkers = 3
	windowType    = "WINDOW_LOAD"
)

// Names of figures.
const (
	windows        = "windows"
	memoryOf       = ".memory"
	windowsHalf    = "windows.p50"
	windowsLast    = "windows.p99"
	windowsAlerts  = "windows.alerts"
	windowsMissing = "windows.missing"
	windowsBeyond  = "windows.beyond"
	windowsTwice   = "windows.twice"
	windowsMemory  = windows + memoryOf
)

// windowSpecs are what the rules look for, all of it as events come.
func windowSpecs() []window.Spec {
	user, five := []string{"user_id"}, interval.Duration(5*time.Second)
	most := 3.0
	return []window.Spec{
		{Kind: "frequency", Timeframe: 2 * five, NumEvents: 5, GroupBy: user},
		{Kind: "cardinality", Timeframe: 2 * five, Field: "payload.ip", Max: &most, GroupBy: user},
		// Nothing comes so late as to undo one: settle is longer, but no longer than
		// the timeframe, so it is seen at once.
		{Kind: "spike", Timeframe: five, SpikeHeight: 3, SpikeType: "up", ThresholdCur: 4, GroupBy: user, Settle: &five},
	}
}

// windows times rule-workers that keep up with a steady load of window rules,
// and compares their alerts with a recount.
func (b *bench) windows(ctx context.Context, product build, n int, f figures) error {
	all, err := condition()
	if err != nil {
		return err
	}
	var rules []rule.Rule
	for _, spec := range windowSpecs() {
		r := load.NewRule(spec.Kind, all, rule.ActionSpec{Type: "LOG"})
		r.Window = &spec
		rules = append(rules, r)
	}
	err = b.steadily(ctx, product, windows, n, f, rules, func(s *site, began time.Time) error {
		return errors.Join(s.noteLag(ctx, f, product.name, began), s.noteAlerts(ctx, f, product.name, began))
	})
	value := func(name string) float64 { return f[product.name+name] }
	b.say("%swindows: %.0f events/s, lag p50 %.0f ms, p99 %.0f ms, %.0f alerts, %.0f missing, %.0f beyond, %.0f twice", product.name,
		value(windows), value(windowsHalf), value(windowsLast), value(windowsAlerts), value(windowsMissing), value(windowsBeyond), value(windowsTwice))
	return err
}

// condition finds the events of the load that fulfil something more.
func condition(more ...bson.E) (bson.Raw, error) {
	return bson.Marshal(append(bson.D{{Key: "type", Value: windowType}}, more...))
}

// steadily has rule-workers decide the load by some rules, and note what they
// found and took.
func (b *bench) steadily(ctx context.Context, product build, part string, n int, f figures, rules []rule.Rule, note func(s *site, began time.Time) error) (err error) {
	own := *b
	own.events = windowRate * windowSeconds
	s, err := own.newSite(ctx, fmt.Sprintf("%s-%s%d", part, product.name, n), product.bin)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.remove(ctx)) }()
	if err := s.saveWindowRules(ctx, rules); err != nil {
		return err
	}
	for _, name := range append(slices.Repeat([]string{"rule-worker"}, windowWorkers), "ingester") {
		p, err := s.start(name)
		if err == nil {
			err = p.ready(ctx)
		}
		if err != nil {
			return err
		}
	}
	before, err := s.used(s.processes...)
	if err != nil {
		return err
	}
	began := time.Now()
	if err := s.steady(ctx); err != nil {
		return err
	}
	if _, err := s.done(ctx, store.Published, store.Matched, store.ActionsPublished); err != nil {
		return err
	}
	if err := s.noteUsed(f, product.name+part, before, s.events, s.processes...); err != nil {
		return err
	}
	if err := note(s, began); err != nil {
		return err
	}
	for _, p := range s.processes[:windowWorkers] {
		memory, err := p.peakMemory()
		if err != nil {
			return err
		}
		f[product.name+part+memoryOf] = max(f[product.name+part+memoryOf], memory)
	}
	for _, p := range s.processes {
		if err := p.terminate(); err != nil {
			return err
		}
	}
	return nil
}

func (s *site) saveWindowRules(ctx context.Context, rules []rule.Rule) error {
	action, err := bson.Marshal(bson.D{{Key: "message", Value: "{{.Alert.Text}}"}})
	if err != nil {
		return err
	}
	for i := range rules {
		rules[i].Actions[0].Config = action
	}
	// Few as the events still are, no rule would ask for it by itself.
	err = s.store.CreateIndexes(ctx, []store.MissingIndex{{Paths: []string{"type", "user_id", "timestamp"}}})
	if err != nil {
		return err
	}
	return s.store.SaveRules(ctx, time.Now().UTC(), "bench", rules, nil)
}

// steady publishes the events at their rate.
func (s *site) steady(ctx context.Context) error {
	random := rand.New(rand.NewPCG(1008, 30))
	exchange := s.table.Exchange(topology.ExchangeEvents)
	ticker := time.NewTicker(windowTick)
	defer ticker.Stop()
	began := time.Now()
	for sent := 0; sent < s.events; {
		now := time.Now()
		owed := min(s.events, int(windowRate*now.Sub(began).Seconds()))
		var messages []broker.Message
		for ; sent < owed; sent++ {
			messages = append(messages, broker.Message{Exchange: exchange, RoutingKey: "events.window.load", ContentType: "application/json",
				Body: windowEvent(random, sent, now, int(now.Sub(began).Seconds()))})
		}
		if err := s.publisher.Publish(ctx, messages...); err != nil {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// windowEvent is event i, published so many seconds after the first.
func windowEvent(random *rand.Rand, i int, now time.Time, second int) []byte {
	user := random.IntN(windowUsers)
	if random.IntN(5) == 0 {
		user = (second/windowBusyFor*windowBusy + random.IntN(windowBusy)) % windowUsers
	}
	at := now.Add(-time.Duration(random.Int64N(int64(windowLate)))).UTC().Format(time.RFC3339Nano)
	return fmt.Appendf(nil, `{"event_id":%q,"type":%q,"source":"bench","severity":5,"user_id":"user-%04d","timestamp":%q,"payload":{"ip":"10.0.0.%d","amount":%d}}`,
		load.ID(1, i), windowType, user, at, random.IntN(8), random.IntN(10_000))
}

// noteLag notes how many events a second were decided, and how long after they
// were stored: each batch counts as often as it has events.
func (s *site) noteLag(ctx context.Context, f figures, build string, began time.Time) error {
	rows, err := s.ledger(ctx)
	if err != nil {
		return err
	}
	var lags []float64
	var last time.Time
	for _, row := range rows {
		if row.MatchedAt == nil {
			return fmt.Errorf("batch %s is not decided", row.ID)
		}
		if row.MatchedAt.After(last) {
			last = *row.MatchedAt
		}
		lag := float64(row.MatchedAt.Sub(row.StoredAt).Microseconds()) / 1000
		lags = append(lags, slices.Repeat([]float64{lag}, row.Count)...)
	}
	slices.Sort(lags)
	f[build+windows] = float64(s.events) / last.Sub(began).Seconds()
	f[build+windowsHalf], f[build+windowsLast] = rank(lags, 50), rank(lags, 99)
	return nil
}

// ledger is all of it: no aggregator runs, so every batch waits for one.
func (s *site) ledger(ctx context.Context) (all []store.LedgerRow, err error) {
	const page = 1000
	var after store.LedgerRow
	for {
		some, err := s.store.OpenBatches(ctx, store.Aggregated, time.Now().Add(time.Hour), after, page)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
		if len(some) < page {
			return all, nil
		}
		after = some[page-1]
	}
}
