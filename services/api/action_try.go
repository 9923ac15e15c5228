package api

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/action/builtin"
	"github.com/events-aggregator/events-aggregator/pkg/fault"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/pkg/store"
)

const (
	// trialWait is how long the answer waits for the first attempt; what takes
	// longer can be looked at later.
	trialWait = 15 * time.Second
	trialLook = 100 * time.Millisecond
	trialKept = 7 * 24 * time.Hour
)

// tryAction: POST /rules/{rule_id}/actions/{n}/try?event_id=…, sends one
// notification of the rule's n-th action (0 is the first) by the way that every
// other goes, and answers with what came of its first attempt. The event is the
// named one, else the newest that the rule matched.
func (s *Server) tryAction(c echo.Context) error {
	p := read(c, "event_id")
	eventID := strings.ToLower(p.text("event_id"))
	if err := p.err(); err != nil {
		return err
	}
	ctx := c.Request().Context()
	stored, err := s.rules.store.Rule(ctx, c.Param("rule_id")) // sealed, as rule-workers have it
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(c.Param("n"))
	if err != nil || n < 0 || n >= len(stored.Actions) {
		return problem(http.StatusNotFound, "no_such_action", "the rule has %d actions, the first is 0", len(stored.Actions))
	}
	doc, err := s.trialEvent(ctx, stored, eventID)
	if err != nil {
		return err
	}
	msg := s.trial(stored, n, doc)
	noted, err := s.audit.NoteAudit(ctx, store.Audit{At: s.now(), By: currentUser(c).Email, Action: "rule.try", Subject: stored.ID, Detail: bson.D{
		{Key: "action", Value: n}, {Key: "notification_id", Value: msg.Notification.ID}, {Key: "event_id", Value: msg.Notification.EventID},
	}})
	if err != nil {
		return err
	}
	if err := s.again.InsertNotification(ctx, msg.Notification); err != nil {
		s.endAudit(ctx, noted, nil)
		return err
	}
	fault.At(fault.TrialStored)
	if err := s.order(ctx, msg); err != nil {
		return err
	}
	done, err := s.firstAttempt(ctx, msg.Notification.ID)
	if err != nil {
		return err
	}
	answer, err := s.showNotification(done)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if done.AttemptCount == 0 {
		status = http.StatusAccepted // still under way
	}
	return c.JSON(status, answer)
}

// trialEvent is the event that a trial is about.
func (s *Server) trialEvent(ctx context.Context, r rule.Rule, eventID string) (bson.Raw, error) {
	if eventID != "" {
		return s.storedEvent(ctx, eventID)
	}
	found, err := s.events.FindEvents(ctx, store.EventList{EventFilter: store.EventFilter{Rule: r.ID}, Limit: 1})
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, problem(http.StatusUnprocessableEntity, "no_event", "the rule has matched no stored event yet; name one with ?event_id=")
	}
	return found[0], nil
}

// trial is a notification as the rule would owe it, under an id of its own: it
// is no match, so it is not found among the event's.
func (s *Server) trial(r rule.Rule, n int, doc bson.Raw) notification.Message {
	now := s.now().Truncate(time.Millisecond)
	severity, _ := doc.Lookup("severity").AsInt64OK()
	a := r.Actions[n]
	queue := ""
	if kind, known := builtin.Table().Lookup(a.Type); known {
		queue = kind.Queue(a.Config, int(severity), r.Priority)
	}
	eventID, _ := doc.Lookup("event_id").StringValueOK()
	// Republished: a sweep may have published it before this process gets to it.
	return notification.Message{Event: doc, Attempt: 1, Republished: true, Notification: notification.Notification{
		ID: "ntf_" + strings.ReplaceAll(uuid.NewString(), "-", ""), EventID: eventID,
		RuleID: r.ID, RuleVersion: r.Version, RuleName: r.Name, Trial: true,
		Action: notification.Action{Type: a.Type, Config: a.Config}, Queue: queue,
		Status: notification.Pending, Attempts: []notification.Attempt{}, Unpublished: true, // until it is, for the sweep
		CreatedAt: now, UpdatedAt: now, ExpiresAt: now.Add(trialKept),
	}}
}

// firstAttempt waits for the first attempt, and is the notification as it then
// is, or as it is when there was none in time.
func (s *Server) firstAttempt(ctx context.Context, id string) (notification.Notification, error) {
	deadline := time.NewTimer(min(trialWait, s.cfg.RequestTimeout/2))
	defer deadline.Stop()
	look := time.NewTicker(trialLook)
	defer look.Stop()
	for {
		n, err := s.reads.Notification(ctx, id)
		if err != nil || n.AttemptCount > 0 || n.Status != notification.Pending {
			return n, err
		}
		select {
		case <-look.C:
		case <-deadline.C:
			return n, nil
		case <-ctx.Done():
			return n, nil
		}
	}
}
