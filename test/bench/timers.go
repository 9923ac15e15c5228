package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/pkg/rule/interval"
	"github.com/events-aggregator/events-aggregator/pkg/rule/window"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
	"github.com/events-aggregator/events-aggregator/test/bench/anchors/load"
	"github.com/events-aggregator/events-aggregator/test/support/recount"
)

// The same load, for the kinds that a timer decides some time after the end of
// each window. Rules that remember each key look at some of the users.
const (
	timersSettle = 5 * time.Second
	timersUsers  = "user-0500" // before this one
	// timersQuiet is how long after the last event the last window is told: a user's
	// silence, the slots of single events, and time to decide them.
	timersQuiet = 40 * time.Second
	// timersStill is how long nothing may be told before what is missing is missed:
	// a machine that has much else to do takes its time.
	timersStill = 60 * time.Second
	// timersLook is how often all alerts are read, which is work for the database.
	timersLook = 5 * time.Second
	// timersTick is how late an alert is told at best: the timer's pause and a round.
	timersTick = 1.0
)

// Names of figures.
const (
	timers        = "timers"
	timersHalf    = "timers.p50"
	timersLast    = "timers.p99"
	timersAlerts  = "timers.alerts"
	timersMissing = "timers.missing"
	timersBeyond  = "timers.beyond"
	timersTwice   = "timers.twice"
	timersBurst   = "timers.burst" // the most alerts that are due in one second
	timersMemory  = timers + memoryOf

	boundAlerts = "N"
)

// timersBound is how late the last alert of the largest burst is, in ms, where
// writing alerts is all that there is to do.
func timersBound(build string) func(figures) float64 {
	return func(f figures) float64 { return 1000 * (timersTick + f[build+timersBurst]/f[boundAlerts]) }
}

// alertsBound writes alerts, on a database of its own.
func (b *bench) alertsBound(ctx context.Context, n int, f figures) error {
	own := *b
	own.events = max(1000, b.events/alertsShare)
	return b.onOwnDatabase(ctx, fmt.Sprintf("bench-alerts-%d", n), func(name string) error {
		return own.anchor(ctx, f, boundAlerts, b.nextRun(), "alerts", name)
	})
}

// alertsShare: an alert is worth so many events.
const alertsShare = 10

func timerRules() ([]rule.Rule, error) {
	all, err := condition()
	if err != nil {
		return nil, err
	}
	some, err := condition(bson.E{Key: "user_id", Value: bson.D{{Key: "$lt", Value: timersUsers}}})
	if err != nil {
		return nil, err
	}
	one, err := bson.Marshal(bson.D{{Key: "payload.ip", Value: "10.0.0.1"}})
	if err != nil {
		return nil, err
	}
	second, settle := interval.Duration(time.Second), interval.Duration(timersSettle)
	user, address := []string{"user_id"}, []string{"payload.ip"}
	share, few := 14.0, 120.0
	var rules []rule.Rule
	add := func(of bson.Raw, spec window.Spec) {
		spec.Settle = &settle
		r := load.NewRule(spec.Kind, of, rule.ActionSpec{Type: "LOG"})
		r.Window = &spec
		rules = append(rules, r)
	}
	add(some, window.Spec{Kind: "flatline", Timeframe: 5 * second, Threshold: 1, ForgetKeys: true, GroupBy: user})
	add(some, window.Spec{Kind: "change", Field: "payload.ip", Timeframe: 10 * second, GroupBy: user})
	add(some, window.Spec{Kind: "new_term", Field: "payload.ip", TermsWindow: 10 * second, GroupBy: user})
	add(all, window.Spec{Kind: "percentage", Timeframe: second, Match: one, Max: &share})
	add(all, window.Spec{Kind: "cardinality", Timeframe: second, Field: "user_id", Min: &few, GroupBy: address})
	add(all, window.Spec{Kind: "spike", Timeframe: 5 * second, SpikeHeight: 1.05, SpikeType: "down", GroupBy: address})
	return rules, nil
}

// timers times how late windows are told that a timer decides, and compares them
// with a recount.
func (b *bench) timers(ctx context.Context, product build, n int, f figures) error {
	rules, err := timerRules()
	if err != nil {
		return err
	}
	err = b.steadily(ctx, product, timers, n, f, rules, func(s *site, began time.Time) error {
		return s.noteTimers(ctx, f, product.name, rules, began)
	})
	if err != nil {
		return err
	}
	value := func(name string) float64 { return f[product.name+name] }
	b.say("%stimers: late p50 %.0f ms, p99 %.0f ms, %.0f alerts, %.0f missing, %.0f beyond, %.0f twice", product.name,
		value(timersHalf), value(timersLast), value(timersAlerts), value(timersMissing), value(timersBeyond), value(timersTwice))
	return nil
}

func (s *site) noteTimers(ctx context.Context, f figures, build string, rules []rule.Rule, began time.Time) error {
	from, ended := began.Add(-time.Minute).Truncate(time.Minute), time.Now()
	until := ended.Add(timersQuiet / 2).Truncate(10 * time.Second) // all slots end with it
	want := map[string]bool{}
	for _, r := range rules {
		var docs []bson.Raw
		err := s.store.RuleSearch(r.Conditions).Events(ctx, from, ended, false, 0, []string{"timestamp", "user_id", "payload.ip"}, func(doc bson.Raw) bool {
			docs = append(docs, slices.Clone(doc))
			return true
		})
		if err != nil {
			return err
		}
		for _, alert := range recount.Alerts(*r.Window, docs, from, until) {
			want[r.ID+" "+alert] = true
		}
	}
	var told map[string]notification.Notification
	missing := 0
	fewest, since := len(want)+1, time.Now()
	err := await(ctx, "alerts of the timer published", timersLook, longest, func() (bool, error) {
		waiting, err := s.store.UnpublishedNotifications(ctx, time.Now().Add(time.Hour), nil, 1)
		if err == nil {
			told, err = s.told(ctx)
		}
		var known interface{ Outage() bool }
		if errors.As(err, &known) && known.Outage() { // a machine that is too busy to answer
			since = time.Now()
			return false, nil
		}
		missing = 0
		for alert := range want {
			if _, is := told[alert]; !is {
				missing++
			}
		}
		if missing < fewest {
			fewest, since = missing, time.Now()
		}
		return len(waiting) == 0 && time.Since(ended) > timersQuiet && (missing == 0 || time.Since(since) > timersStill), err
	})
	if err != nil {
		return err
	}
	orders, err := s.watcher.depth(s.table.Work(topology.NotificationsDefault).Name)
	if err != nil {
		return err
	}
	beyond := 0
	var late []float64
	due := map[int64]int{} // alerts by the second in which they are due
	parts := map[string]window.Part{}
	for _, r := range rules {
		parts[r.ID] = r.Window.Parts()[0]
	}
	for alert, n := range told {
		p := parts[n.RuleID]
		_, end := p.Slot(p.SlotOf(n.Alert.To.Add(-time.Millisecond)))
		if p.EachEvent() {
			_, end = p.Slot(p.SlotOf(n.Alert.To))
		}
		if time.UnixMilli(end).After(until) {
			continue // nobody has counted it
		}
		due[(end+timersSettle.Milliseconds())/1000]++
		late = append(late, float64(n.CreatedAt.Sub(time.UnixMilli(end).Add(timersSettle)).Milliseconds()))
		if !want[alert] {
			beyond++
		}
	}
	if len(late) == 0 {
		return fmt.Errorf("of %d windows none was told", len(want))
	}
	slices.Sort(late)
	for _, n := range due {
		f[build+timersBurst] = max(f[build+timersBurst], float64(n))
	}
	f[build+timersHalf], f[build+timersLast] = rank(late, 50), rank(late, 99)
	f[build+timersAlerts], f[build+timersTwice] = float64(len(want)), float64(orders-len(told))
	f[build+timersMissing], f[build+timersBeyond] = float64(missing), float64(beyond)
	return nil
}
