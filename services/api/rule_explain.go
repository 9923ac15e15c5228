package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/explain"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/pkg/rule/window"
	"github.com/events-aggregator/events-aggregator/pkg/store"
)

const (
	// tellTime bounds what an explanation reads of a rule's windows.
	tellTime = 5 * time.Second
	// notificationsTold bounds the notifications of one rule and event.
	notificationsTold = 50
)

// Decisions is where it is kept when a batch was decided, and by which rules.
type Decisions interface {
	Decision(ctx context.Context, batchID string) (store.Decision, error)
	RuleVersionAt(ctx context.Context, id string, at time.Time) (store.RuleVersion, error)
}

// explained is the answer about a rule and an event.
type explained struct {
	explain.Answer

	RuleID         string              `json:"rule_id,omitempty"`
	RuleName       string              `json:"rule_name"`
	EventID        string              `json:"event_id"`
	JudgedVersion  int                 `json:"judged_version,omitempty"` // 0: a draft
	CurrentVersion int                 `json:"current_version,omitempty"`
	Exact          bool                `json:"exact"` // the judged version is known to have been in force
	DecidedAt      *time.Time          `json:"decided_at,omitempty"`
	Notifications  []shownNotification `json:"notifications"`
}

// explainRule: GET /rules/{rule_id}/explain?event=, why the rule did or did not
// do something about a stored event.
func (s *Server) explainRule(c echo.Context) error {
	p := read(c, "event")
	eventID := strings.ToLower(p.text("event"))
	if eventID == "" {
		p.flaw("event", "is missing; it is the event_id of a stored event")
	}
	if err := p.err(); err != nil {
		return err
	}
	ctx := c.Request().Context()
	f := explain.Facts{Now: s.now()}
	var err error
	if f.Event, err = s.storedEvent(ctx, eventID); err != nil {
		return err
	}
	if err := s.history(ctx, c.Param("rule_id"), &f); err != nil {
		return err
	}
	return s.answerExplanation(c, f, eventID)
}

// explainDraft: POST /rules/{rule_id}/explain {"event": id, "rule": …}, what a
// draft of the rule would do about a stored event.
func (s *Server) explainDraft(c echo.Context) error {
	ctx := c.Request().Context()
	body, err := io.ReadAll(c.Request().Body)
	if err != nil {
		return err
	}
	var asked struct {
		draft

		Event string `json:"event"`
	}
	if err := readBody(body, &asked); err != nil {
		return err
	}
	if asked.Rule == nil && asked.Conditions == nil {
		return problem(http.StatusBadRequest, "invalid_json", "expected a draft, rule or conditions; GET explains the stored rule")
	}
	f := explain.Facts{Draft: true, Now: s.now()}
	if f.Event, err = s.storedEvent(ctx, strings.ToLower(asked.Event)); err != nil {
		return err
	}
	if f.Rule, _, err = s.draftRule(ctx, asked.draft); err != nil {
		return err
	}
	f.Rule.ID = c.Param("rule_id")
	return s.answerExplanation(c, f, asked.Event)
}

func (s *Server) storedEvent(ctx context.Context, id string) (bson.Raw, error) {
	doc, err := s.events.Event(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil, problem(http.StatusNotFound, "no_such_event", "no event %q is stored: it was never accepted (`eactl dlq list ingester.events` shows what was refused), or its retention is over", id)
	}
	return doc, err
}

// history finds which version of the rule decided the event.
func (s *Server) history(ctx context.Context, ruleID string, f *explain.Facts) error {
	current, err := s.rules.Rule(ctx, ruleID)
	switch {
	case err == nil:
		f.Current, f.Rule = &current, current
	case !errors.Is(err, store.ErrNotFound):
		return err
	}
	newest, err := s.rules.RuleVersions(ctx, ruleID, 0, 1)
	if err != nil {
		return err
	}
	if len(newest) == 0 {
		return problem(http.StatusNotFound, "not_found", "there is no rule %q, and there was none", ruleID)
	}
	if f.Current == nil {
		f.Rule = newest[0].Rule
	}
	batchID, _ := f.Event.Lookup("batch_id").StringValueOK()
	decided, err := s.decisions.Decision(ctx, batchID)
	if errors.Is(err, store.ErrNotFound) {
		return s.waiting(ctx, f)
	}
	if err != nil {
		return err
	}
	f.DecidedAt = decided.At
	f.InForce = explain.InForce{Known: true, Exact: decided.RulesStamp > 0}
	var v store.RuleVersion
	if decided.RulesStamp > 0 {
		v, err = s.rules.RuleVersionByStamp(ctx, ruleID, decided.RulesStamp)
	} else {
		v, err = s.decisions.RuleVersionAt(ctx, ruleID, decided.At)
	}
	if errors.Is(err, store.ErrNotFound) {
		return nil // the rule did not exist yet
	}
	if err != nil {
		return err
	}
	f.Rule = v.Rule
	f.InForce.Version, f.InForce.Deleted, f.InForce.Since, f.InForce.By = v.Version, v.Deleted, v.CreatedAt, v.CreatedBy
	return nil
}

// waiting says how far the rule-workers are behind.
func (s *Server) waiting(ctx context.Context, f *explain.Facts) error {
	if processed, _ := f.Event.Lookup("processed").BooleanOK(); processed {
		return nil // longer ago than marks are kept
	}
	stages, err := s.reads.Lag(ctx, f.Now)
	for _, l := range stages {
		if l.Stage == store.Matched && l.Batches > 0 {
			f.Waiting = fmt.Sprintf("; %d batches wait, the oldest for %.0f s", l.Batches, l.Seconds)
		}
	}
	return err
}

func (s *Server) answerExplanation(c echo.Context, f explain.Facts, eventID string) error {
	ctx := c.Request().Context()
	if err := s.gather(ctx, &f, eventID); err != nil {
		return err
	}
	answer, err := explain.Explain(f)
	var broken *rule.CompileError
	if errors.As(err, &broken) { // not the caller's mistake: it is stored
		return problem(http.StatusConflict, "rule_does_not_compile", "%s; rule-workers leave this rule out (GET /rules/status)", err)
	}
	if err != nil {
		return err
	}
	out := explained{Answer: answer, RuleID: f.Rule.ID, RuleName: f.Rule.Name, EventID: eventID, JudgedVersion: f.Rule.Version,
		Exact: f.InForce.Exact, Notifications: []shownNotification{}}
	if f.Current != nil {
		out.CurrentVersion = f.Current.Version
	}
	if !f.DecidedAt.IsZero() {
		out.DecidedAt = &f.DecidedAt
	}
	for _, n := range f.Notifications {
		shown, err := s.showNotification(n)
		if err != nil {
			return err
		}
		out.Notifications = append(out.Notifications, shown)
	}
	return c.JSON(http.StatusOK, out)
}

// gather reads what windows, notifications and silences have to say.
func (s *Server) gather(ctx context.Context, f *explain.Facts, eventID string) error {
	compiled, err := rule.Compile(f.Rule.Conditions)
	if err != nil {
		return nil //nolint:nilerr // Explain says so
	}
	if f.Rule.Window != nil && compiled.Match(f.Event) {
		if err := s.tellWindows(ctx, f); err != nil {
			return err
		}
	}
	if f.Draft {
		return nil
	}
	found, err := s.reads.FindNotifications(ctx, store.NotificationFilter{RuleID: f.Rule.ID, EventID: eventID}, nil, notificationsTold)
	if err != nil {
		return err
	}
	f.Notifications = append(f.Notifications, found...)
	f.Silences = map[string]string{}
	for _, n := range f.Notifications {
		if n.Reason != notification.Silenced || n.Held == nil {
			continue
		}
		one, err := s.silences.Silence(ctx, n.Held.ID)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		f.Silences[n.Held.ID] = one.Comment
	}
	return nil
}

// tellWindows asks the rule's windows about the event, and finds the
// notifications of the alerts that it is part of, whichever event completed them.
func (s *Server) tellWindows(ctx context.Context, f *explain.Facts) error {
	w := f.Rule.Window
	at, _ := f.Event.Lookup("timestamp").TimeOK()
	value := ""
	if w.Field != "" {
		value = window.ValueOf(rule.WindowKey(f.Event, []string{w.Field}))
	}
	bound, cancel := context.WithTimeout(ctx, tellTime)
	defer cancel()
	tellings, err := w.Tell(bound, s.stored.Windows(&f.Rule), rule.WindowKey(f.Event, w.GroupBy), at, value, f.Now)
	var slow *store.TooSlow
	switch {
	case errors.As(err, &slow), errors.Is(err, window.ErrTooMany):
		f.Tellings = []window.Telling{{Text: "its events could not be read in time: " + err.Error()}}
		return nil
	case err != nil:
		return err
	}
	f.Tellings = tellings
	if f.Draft {
		return nil
	}
	for _, t := range tellings {
		if t.Alert == nil {
			continue
		}
		for i := range f.Rule.Actions {
			n, err := s.reads.Notification(ctx, notification.AlertID(f.Rule.ID, f.Rule.Version, i, t.Alert.Key, t.Alert.Slot))
			if errors.Is(err, store.ErrNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			if eventID, _ := f.Event.Lookup("event_id").StringValueOK(); n.EventID != eventID { // else it is found by the event
				f.Notifications = append(f.Notifications, n)
			}
		}
	}
	return nil
}
