package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
	"go.uber.org/zap"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/decision"
	"github.com/events-aggregator/events-aggregator/pkg/fault"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/store"
)

// Redeliveries is what people do about single notifications. A change that the
// notification's state does not allow is store.ErrConflict.
type Redeliveries interface {
	InsertNotification(ctx context.Context, n notification.Notification) error
	RetryNotification(ctx context.Context, id, by string, now time.Time) (notification.Notification, error)
	ForceNotification(ctx context.Context, id, nonce, by string, now time.Time) (notification.Notification, error)
	CancelNotification(ctx context.Context, id, by string, now time.Time) (notification.Notification, error)
	MarkPublished(ctx context.Context, published ...notification.Notification) error
}

// retryNotification: POST /notifications/{notification_id}/retry. What is dead or
// suppressed becomes pending, with a schedule that begins anew; what waits for its
// next attempt is hurried. With ?force=true what is delivered is called once
// more, under the same webhook-id, and every such request is a call of its own.
func (s *Server) retryNotification(c echo.Context) error {
	p := read(c, "force")
	force := p.boolean("force")
	if err := p.err(); err != nil {
		return err
	}
	ctx, id, by, now := c.Request().Context(), c.Param("notification_id"), currentUser(c).Email, s.now().Truncate(time.Millisecond)
	var n notification.Notification
	var err error
	if force != nil && *force {
		n, err = s.again.ForceNotification(ctx, id, uuid.NewString(), by, now)
	} else {
		n, err = s.again.RetryNotification(ctx, id, by, now)
	}
	if err != nil {
		return stateProblem(err)
	}
	if err := s.redeliver(ctx, n); err != nil {
		return err
	}
	answer, err := s.showNotification(n)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusAccepted, answer)
}

// stateProblem says why the state of something does not allow a change.
func stateProblem(err error) error {
	if errors.Is(err, store.ErrConflict) {
		return problem(http.StatusConflict, "wrong_state", "%s", err)
	}
	return err
}

// redeliver publishes the order of a notification's next attempt.
func (s *Server) redeliver(ctx context.Context, n notification.Notification) error {
	doc, err := s.events.Event(ctx, n.EventID)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	msg, err := decision.Again(n, doc)
	if err != nil {
		return err
	}
	fault.At(fault.RedeliveryAsked)
	return s.order(ctx, msg)
}

// order publishes delivery orders together, and notes that they are. Whoever dies
// between leaves notifications that are unpublished, and a sweep does it.
func (s *Server) order(ctx context.Context, messages ...notification.Message) error {
	if len(messages) == 0 {
		return nil
	}
	asked := make([]notification.Notification, len(messages))
	orders := make([]broker.Message, len(messages))
	for i, msg := range messages {
		var err error
		if orders[i], err = s.topology.Actions().Encode(msg); err != nil {
			return err
		}
		asked[i] = msg.Notification
	}
	bound, cancel := context.WithTimeout(ctx, s.cfg.PublishTimeout)
	defer cancel()
	err := s.publisher.Publish(bound, orders...)
	var unroutable *broker.UnroutableError
	switch {
	case errors.As(err, &unroutable):
		return problem(http.StatusConflict, "no_queue", "the queue %s is not in the configuration any more", unroutable.RoutingKey)
	case err != nil:
		return fmt.Errorf("publish notifications from %s on (a sweep does it later): %w", asked[0].ID, err)
	}
	return s.again.MarkPublished(ctx, asked...)
}

// cancelNotification: POST /notifications/{notification_id}/cancel, of one that
// waits for its next attempt.
func (s *Server) cancelNotification(c echo.Context) error {
	n, err := s.again.CancelNotification(c.Request().Context(), c.Param("notification_id"), currentUser(c).Email, s.now().Truncate(time.Millisecond))
	if err != nil {
		return stateProblem(err)
	}
	fault.At(fault.CancelAsked)
	if err := s.tellCancelled(c.Request().Context(), n); err != nil {
		s.log.Warn("outcome event of a cancelled notification not published, a sweep does it", zap.String("notification_id", n.ID), zap.Error(err))
	}
	answer, err := s.showNotification(n)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, answer)
}

// tellCancelled publishes the outcome event of a notification that is cancelled,
// and notes that it is published. Until then a sweep does it.
func (s *Server) tellCancelled(ctx context.Context, n notification.Notification) error {
	doc, err := s.events.Event(ctx, n.EventID)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	m, err := s.topology.Outcome(decision.Cancelled(n, doc))
	if err != nil {
		return err
	}
	bound, cancel := context.WithTimeout(ctx, s.cfg.PublishTimeout)
	defer cancel()
	if err := s.publisher.Publish(bound, m); err != nil {
		return err
	}
	return s.again.MarkPublished(ctx, n)
}

const (
	// retryMost bounds the notifications of one request.
	retryMost = 1000
	// retryTogether are published at a time, with one wait for their confirms.
	retryTogether = 100
)

// retryRequest is the body of POST /notifications/retry.
type retryRequest struct {
	Status string    `json:"status"` // dead or suppressed
	Reason string    `json:"reason"`
	Rule   string    `json:"rule"`
	From   time.Time `json:"from"`
	To     time.Time `json:"to"`
	Limit  int       `json:"limit"`
	DryRun bool      `json:"dry_run"`
}

// retryNotifications: POST /notifications/retry, of all that are dead or
// suppressed and fit, the newest first, as after an endpoint was enabled again.
// complete is false when the limit ended it: the same request goes on.
func (s *Server) retryNotifications(c echo.Context) error {
	body, err := io.ReadAll(c.Request().Body)
	if err != nil {
		return err
	}
	asked := retryRequest{Limit: retryMost}
	if err := readBody(body, &asked); err != nil {
		return err
	}
	var flaws []FieldFlaw
	if s := notification.Status(asked.Status); s != notification.Dead && s != notification.Suppressed {
		flaws = append(flaws, FieldFlaw{Pointer: "/status", Message: "must be dead or suppressed"})
	}
	if asked.Limit < 1 || asked.Limit > retryMost {
		flaws = append(flaws, FieldFlaw{Pointer: "/limit", Message: fmt.Sprintf("must be 1 to %d", retryMost)})
	}
	if flaws != nil {
		p := problem(http.StatusUnprocessableEntity, "invalid_retry", "nothing was retried")
		p.Errors = flaws
		return p
	}
	ctx := c.Request().Context()
	found, err := s.reads.FindNotifications(ctx, store.NotificationFilter{Status: notification.Status(asked.Status),
		Reason: asked.Reason, RuleID: asked.Rule, From: asked.From, To: asked.To}, nil, asked.Limit)
	if err != nil {
		return err
	}
	retried := 0
	if !asked.DryRun {
		for some := range slices.Chunk(found, retryTogether) {
			n, err := s.retrySome(ctx, some, currentUser(c).Email)
			if err != nil {
				return err // what is pending and unpublished is swept; the same request goes on
			}
			retried += n
		}
	}
	return c.JSON(http.StatusOK, retriedAnswer{Matched: len(found), Retried: retried, DryRun: asked.DryRun, Complete: len(found) < asked.Limit})
}

type retriedAnswer struct {
	Matched  int  `json:"matched"`
	Retried  int  `json:"retried"`
	DryRun   bool `json:"dry_run"`
	Complete bool `json:"complete"`
}

// retrySome returns how many it retried: what somebody else did is left out.
func (s *Server) retrySome(ctx context.Context, some []notification.Notification, by string) (retried int, err error) {
	eventIDs := make([]string, len(some))
	for i, n := range some {
		eventIDs[i] = n.EventID
	}
	events, err := s.events.Events(ctx, eventIDs)
	if err != nil {
		return 0, err
	}
	var messages []notification.Message
	for _, n := range some {
		n, err := s.again.RetryNotification(ctx, n.ID, by, s.now().Truncate(time.Millisecond))
		if errors.Is(err, store.ErrConflict) {
			continue
		}
		if err != nil {
			return 0, err
		}
		msg, err := decision.Again(n, events[n.EventID])
		if err != nil {
			return 0, err
		}
		messages = append(messages, msg)
	}
	fault.At(fault.RedeliveryAsked)
	return len(messages), s.order(ctx, messages...)
}
