package ruleworker

import (
	"context"
	"errors"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.uber.org/zap"

	"github.com/events-aggregator/events-aggregator/pkg/decision"
	"github.com/events-aggregator/events-aggregator/pkg/fault"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/pkg/rule/window"
	"github.com/events-aggregator/events-aggregator/pkg/telemetry"
)

// GroupStore is where groups wait to be told.
type GroupStore interface {
	DueGroups(ctx context.Context, now time.Time, limit int) ([]decision.Group, error)
	// FlushGroups commits what the groups that are still due owe.
	FlushGroups(ctx context.Context, at time.Time, ids []string, tell func(decision.Group) (decision.Group, []decision.Owed)) ([]decision.Owed, error)
	// PostponeGroups lets groups wait that cannot be told now.
	PostponeGroups(ctx context.Context, ids []string, until time.Time) error
	// RuleThen is a version of a rule as it was; live says that the rule is there
	// and enabled now, known that there ever was such a version.
	RuleThen(ctx context.Context, id string, version int) (r rule.Rule, live, known bool, err error)
	Events(ctx context.Context, eventIDs []string) (map[string]bson.Raw, error)
}

// groupsTogether is how many groups one transaction tells: few, so that one
// which gets matches all the time does not make many start again.
const groupsTogether = 20

// groupRetry is when a group is told whose rule could not be read.
const groupRetry = time.Minute

// FlushGroups tells the groups whose time has come. It is run by one process at
// a time; two at once do no harm, since the transaction asks again.
func (w *Worker) FlushGroups(ctx context.Context, every time.Duration) error {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		var err error
		for more := true; more && err == nil && ctx.Err() == nil; {
			more, err = w.flushGroups(ctx)
		}
		if err != nil && ctx.Err() == nil {
			w.Log.Warn("due groups not told, they will be", zap.Error(err))
		}
	}
}

// flushGroups tells the groups that are due now; more says that others may be.
func (w *Worker) flushGroups(ctx context.Context) (more bool, err error) {
	now := w.Now()
	due, err := w.Groups.DueGroups(ctx, now, groupsTogether)
	if err != nil || len(due) == 0 {
		return false, err
	}
	t := teller{w: w, now: now, rules: map[ruleVersion]ruleThen{}, listed: map[string]decision.Group{}}
	if err := t.read(ctx, w.Groups, due); err != nil {
		return false, err
	}
	var ids, unread []string
	for _, g := range due {
		if _, is := t.rules[ruleVersion{g.RuleID, g.RuleVersion}]; is {
			ids = append(ids, g.ID)
		} else {
			unread = append(unread, g.ID)
		}
	}
	if len(unread) > 0 {
		if err := w.Groups.PostponeGroups(ctx, unread, now.Add(groupRetry)); err != nil {
			return false, err
		}
	}
	if len(ids) == 0 {
		return len(due) == groupsTogether, nil
	}
	committed, err := w.Groups.FlushGroups(ctx, now, ids, t.tell)
	if err != nil {
		return false, err
	}
	fault.At(fault.RuleWorkerGroupFlushed)
	w.Metrics.decided(nil, committed)
	told, err := w.tell(ctx, committed)
	if err != nil {
		return false, err // the sweep publishes them
	}
	return len(due) == groupsTogether, w.Outbox.MarkPublished(ctx, told...)
}

// teller makes groups' notifications of what was read before.
type teller struct {
	w      *Worker
	now    time.Time
	rules  map[ruleVersion]ruleThen
	listed map[string]decision.Group // as it was when its events were read
	events map[string]bson.Raw
}

type ruleThen struct {
	rule        *rule.Rule
	live, known bool
}

// read leaves out the rules that cannot be read or understood. An error is an
// outage.
func (t *teller) read(ctx context.Context, s GroupStore, due []decision.Group) (err error) {
	var samples []string
	broken := map[ruleVersion]bool{}
	for _, g := range due {
		samples = append(samples, g.Samples...)
		t.listed[g.ID] = g
		of := ruleVersion{g.RuleID, g.RuleVersion}
		if _, is := t.rules[of]; is || broken[of] {
			continue
		}
		r, live, known, err := s.RuleThen(ctx, g.RuleID, g.RuleVersion)
		if isOutage(err) || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		if err != nil {
			t.w.Log.Error("groups not told: their rule cannot be read; it is tried again", zap.String(telemetry.FieldRule, g.RuleID), zap.Int("version", g.RuleVersion), zap.Error(err))
			broken[of] = true
			continue
		}
		t.rules[of] = ruleThen{&r, live, known}
	}
	t.events, err = s.Events(ctx, samples)
	return err
}

// tell is what a group owes, and the group afterwards. It does no I/O, since a
// transaction may run again.
func (t *teller) tell(g decision.Group) (decision.Group, []decision.Owed) {
	r := t.rules[ruleVersion{g.RuleID, g.RuleVersion}]
	if !r.known || r.rule.Group == nil { // its versions were removed by hand: nobody knows whom to tell
		t.w.Log.Error("group forgotten: its rule's version is not there", zap.String(telemetry.FieldRule, g.RuleID), zap.Int("matches", g.Matches))
		return g.Flushed(&rule.Group{}, t.now, nil), nil
	}
	told := g.Told()
	event, alert, silenced := t.event(g, r.rule.Name, told)
	owed := owe(r.rule, event, notification.Notification{
		EventID: eventID(event), RuleID: r.rule.ID, RuleVersion: r.rule.Version, RuleName: r.rule.Name, Alert: alert, Group: &told,
	}, t.w.Retention, t.now)
	for i := range owed {
		switch {
		case !r.live:
			owed[i].Suppress(notification.Disabled, notification.Held{})
		case silenced != nil:
			owed[i].Suppress(notification.Silenced, *silenced)
		}
	}
	t.w.Holder.mute(owed)
	return g.Flushed(r.rule.Group, t.now, owed), owed
}

// event is the event that the notification carries, with its alert: the newest
// sample that no silence matches. If silences match all samples, they hold the
// notification. A group that gets matches all the time may have other samples by
// now than when they were read; those that it had then are its matches, too.
func (t *teller) event(g decision.Group, ruleName string, told notification.Group) (event bson.Raw, alert *notification.Alert, silenced *notification.Held) {
	set := t.w.Holder.silences.Current()
	samples := slices.Concat(g.Newest(), t.before(g))
	for _, sample := range samples {
		raw := t.events[sample.EventID]
		if raw == nil && sample.Alert != nil { // no event completed it, or that is not stored any more
			raw = window.AlertEvent(notification.Notification{EventID: sample.EventID, RuleID: g.RuleID, RuleVersion: g.RuleVersion, RuleName: ruleName, Alert: sample.Alert})
		}
		if raw == nil {
			continue
		}
		s := set.Match(g.RuleID, raw, t.now)
		if s == nil {
			return raw, sample.Alert, nil
		}
		if event == nil {
			event, alert, silenced = raw, sample.Alert, &notification.Held{ID: s.ID, Until: &s.Until}
		}
	}
	if event == nil {
		event = decision.GroupEvent(notification.Notification{EventID: told.Samples[0], RuleID: g.RuleID, Group: &told})
		if s := set.Match(g.RuleID, event, t.now); s != nil {
			silenced = &notification.Held{ID: s.ID, Until: &s.Until}
		}
	}
	return event, alert, silenced
}

// before are the samples that were read, the newest first, if they wait for the
// same notification.
func (t *teller) before(g decision.Group) []decision.Sample {
	listed := t.listed[g.ID]
	if listed.Sequence != g.Sequence || !listed.BornAt.Equal(g.BornAt) {
		return nil
	}
	return listed.Newest()
}
