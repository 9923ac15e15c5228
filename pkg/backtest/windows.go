package backtest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/bson/primitive"

	"github.com/events-aggregator/events-aggregator/pkg/decision"
	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/pkg/rule/window"
)

const (
	alertsShown = 1000
	// alertsMost bounds what is held in memory: about 50 MB.
	alertsMost = 100_000
	// eventsEach is how many events a piece of the range may have that is
	// evaluated at once; with what its windows reach back to it stays below
	// window.MaxObservations, or is cut smaller.
	eventsEach = 100_000
)

var errAlerts = errors.New("the rule has more than 100,000 alerts in the range")

// actOnAlerts evaluates the rule's windows, and decides about its alerts.
func (t *test) actOnAlerts(ctx context.Context, n *noise) error {
	t.report.Kind = t.req.Rule.Window.Kind
	t.report.Alerts = &Alerts{Shown: []Alert{}}
	alerts, evalErr := t.alerts(ctx, &t.req.Rule, t.report.Counts)
	if evalErr != nil && !t.cutByWindows(evalErr) {
		return evalErr
	}
	t.found, t.report.Alerts.Total = alerts, int64(len(alerts))
	for first := 0; first < len(alerts); first += together {
		part := alerts[first:min(first+together, len(alerts))]
		matches, err := t.alertMatches(ctx, part, n)
		if err != nil {
			return err
		}
		reasons, err := n.take(matches)
		if err != nil {
			return err
		}
		for i, a := range part {
			if len(t.report.Alerts.Shown) < alertsShown {
				one := t.shown(&t.req.Rule, a)
				one.Held, one.EventID = reasons[i], matches[i].eventID
				t.report.Alerts.Shown = append(t.report.Alerts.Shown, one)
			}
		}
		t.say("noise", float64(first)/float64(len(alerts)), part[0].To)
	}
	return nil
}

// cutByWindows notes the errors that end the evaluation of windows early.
func (t *test) cutByWindows(err error) bool {
	why, cut := isCut(err)
	if !cut && (errors.Is(err, window.ErrTooMany) || errors.Is(err, window.ErrTooManyKeys) || errors.Is(err, errAlerts)) {
		why, cut = err.Error(), true
	}
	if cut {
		t.report.Cut = cmp.Or(t.report.Cut, why)
	}
	return cut
}

// alerts are those of a rule, in the order of time. An error comes with what was
// found before.
func (t *test) alerts(ctx context.Context, r *rule.Rule, counts []Count) ([]window.Alert, error) {
	source := t.source.Windows(r)
	var all []window.Alert
	var failed error
	for _, p := range r.Window.Parts() {
		found, err := t.partAlerts(ctx, source, p, counts)
		all = append(all, found...)
		failed = errors.Join(failed, err)
	}
	slices.SortFunc(all, func(a, b window.Alert) int {
		return cmp.Or(a.To.Compare(b.To), bytes.Compare(a.Key, b.Key), cmp.Compare(a.Slot, b.Slot))
	})
	return all, failed
}

// partAlerts evaluates one part piece by piece.
func (t *test) partAlerts(ctx context.Context, source window.Source, p window.Part, counts []Count) ([]window.Alert, error) {
	to := t.report.Until
	if p.Settled() { // what is not decided yet live is not decided here
		if settled := t.req.Now.Add(-p.Settle()); settled.Before(to) {
			to = settled
		}
	}
	var all []window.Alert
	past := &window.Past{}
	pieces := piecesOf(p, t.req.From, to, counts, t.report.Unit)
	for len(pieces) > 0 {
		piece := pieces[0]
		found, err := p.Evaluate(ctx, source, window.Ask{From: piece.from, To: piece.to, Past: past})
		if errors.Is(err, window.ErrTooMany) && piece.to-piece.from > p.Length() {
			pieces = append(piece.halves(p), pieces[1:]...)
			continue
		}
		all = append(all, found.Alerts...)
		if err == nil && len(all) > alertsMost {
			err = errAlerts
		}
		if err != nil {
			return all, err
		}
		at := time.UnixMilli(piece.to).UTC()
		t.say("windows", t.partOf(at), at)
		pieces = pieces[1:]
	}
	return all, nil
}

// piece is a part of the range whose windows are evaluated at once, in
// milliseconds. Inside the range pieces end where slots do, so an alert's slot
// lies in one of them.
type piece struct{ from, to int64 }

func (p piece) halves(of window.Part) []piece {
	length := of.Length()
	middle := (p.from + p.to) / 2 / length * length
	if middle <= p.from {
		middle += length
	}
	return []piece{{p.from, middle}, {middle, p.to}}
}

// piecesOf cuts a range into pieces of not too many events.
func piecesOf(p window.Part, from, to time.Time, counts []Count, unit string) []piece {
	length := p.Length()
	end := to.UnixMilli()
	var pieces []piece
	start, events := from.UnixMilli(), int64(0)
	width := time.Hour
	if unit == "day" {
		width = 24 * time.Hour
	}
	for _, c := range counts {
		if events > 0 && events+c.Matches > eventsEach {
			cut := c.At.UnixMilli() / length * length
			if cut > start && cut < end {
				pieces = append(pieces, piece{start, cut})
				start, events = cut, 0
			}
		}
		events += c.Matches
		if c.At.Add(width).After(to) {
			break
		}
	}
	if start < end {
		pieces = append(pieces, piece{start, end})
	}
	return pieces
}

// alertMatches are the matches that alerts make, with the events that stand for
// them.
func (t *test) alertMatches(ctx context.Context, alerts []window.Alert, n *noise) ([]match, error) {
	var ids []primitive.ObjectID
	for _, a := range alerts {
		if !a.Event.IsZero() {
			ids = append(ids, a.Event)
		}
	}
	events, err := t.source.EventsByID(ctx, ids)
	if err != nil {
		return nil, err
	}
	matches := make([]match, len(alerts))
	for i, a := range alerts {
		m := match{at: a.To, event: events[a.Event], alert: &alerts[i].Alert}
		if m.event == nil {
			of := notification.Notification{EventID: window.AlertEventID(n.rule.ID, n.rule.Version, a.Alert),
				RuleID: n.rule.ID, RuleVersion: n.rule.Version, RuleName: n.rule.Name, Alert: &alerts[i].Alert}
			m.event = window.AlertEvent(of)
		}
		m.eventID, _ = m.event.Lookup("event_id").StringValueOK()
		matches[i] = m
	}
	return matches, nil
}

// shown is an alert as the report has it.
func (t *test) shown(r *rule.Rule, a window.Alert) Alert {
	one := Alert{Slot: a.Slot, From: a.From, To: a.To, Value: a.Value, Reference: a.Reference, Text: a.Text}
	if len(a.Key) > 0 {
		one.Key, _ = event.ToJSON(a.Key)
	}
	if r.ID != "" && r.Version > 0 {
		one.NotificationID = notification.AlertID(r.ID, r.Version, decision.FirstAction(r), a.Key, a.Slot)
	}
	return one
}

// alertOf is an alert's identity among those of one rule.
func alertOf(a window.Alert) string { return fmt.Sprintf("%d@%s", a.Slot, []byte(a.Key)) }
