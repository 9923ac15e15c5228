package backtest

import (
	"context"

	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/pkg/rule/window"
)

// compare finds out what only the tested rule matches, and what only the live
// version does.
func (t *test) compare(ctx context.Context) error {
	live := t.req.Live
	if live == nil {
		return nil
	}
	d := &Difference{With: live.Name, Version: live.Version, Enabled: live.Enabled}
	t.report.Difference = d
	if !live.Enabled {
		d.Note = "the live version is disabled; this is what it would match"
	}
	ours, theirs := t.req.Rule.Window, live.Window
	if ours != nil && theirs != nil {
		return t.compareAlerts(ctx, d)
	}
	if (ours == nil) != (theirs == nil) {
		d.Note = "only one of them has a window, so their events are compared, not their alerts"
	}
	search := t.source.Search(live.Conditions)
	var err error
	if d.Only, err = t.side(ctx, t.search.Without(search)); err != nil {
		return err
	}
	d.Both = t.report.Matches - d.Only.Total
	d.OnlyLive, err = t.side(ctx, search.Without(t.search))
	return err
}

func (t *test) side(ctx context.Context, s Search) (Side, error) {
	var side Side
	var all []Count
	for from := t.req.From; from.Before(t.report.Until); {
		to := t.sliceEnd(from)
		if to.After(t.report.Until) {
			to = t.report.Until
		}
		counts, err := s.Counts(ctx, from, to, t.report.Unit)
		if err != nil {
			return side, err
		}
		all = merged(all, counts, &side.Total)
		t.say("difference", t.partOf(to), to)
		from = to
	}
	if side.Total == 0 {
		return side, nil
	}
	var err error
	side.Samples, err = t.newest(ctx, s, all)
	return side, err
}

// compareAlerts compares what two rules with windows say, by key and slot.
func (t *test) compareAlerts(ctx context.Context, d *Difference) error {
	live := t.req.Live
	if !sameSlots(&t.req.Rule, live) {
		d.Note = "their windows differ in kind or length, so each alert is in one of them only"
	}
	counts, err := t.source.Search(live.Conditions).Counts(ctx, t.req.From, t.report.Until, t.report.Unit)
	if err != nil {
		return err
	}
	ours := t.found
	theirs, err := t.alerts(ctx, live, counts)
	if err != nil && !t.cutByWindows(err) {
		return err
	}
	inOurs, inTheirs := map[string]bool{}, map[string]bool{}
	for _, a := range ours {
		inOurs[alertOf(a)] = true
	}
	for _, a := range theirs {
		inTheirs[alertOf(a)] = true
	}
	same := sameSlots(&t.req.Rule, live)
	only := func(r *rule.Rule, alerts []window.Alert, other map[string]bool) (side Side) {
		for _, a := range alerts {
			if same && other[alertOf(a)] {
				continue
			}
			side.Total++
			if len(side.Alerts) < samplesShown {
				side.Alerts = append(side.Alerts, t.shown(r, a))
			}
		}
		return side
	}
	d.Only, d.OnlyLive = only(&t.req.Rule, ours, inTheirs), only(live, theirs, inOurs)
	d.Both = int64(len(ours)) - d.Only.Total
	return nil
}

// sameSlots says whether two rules' alerts can be told to be the same.
func sameSlots(a, b *rule.Rule) bool {
	return a.Window.Kind == b.Window.Kind && a.Window.Timeframe == b.Window.Timeframe && a.Window.SpikeType == b.Window.SpikeType
}
