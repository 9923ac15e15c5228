package api

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/events-aggregator/events-aggregator/pkg/store"
)

// Targets is where breakers and disabled endpoints are kept.
type Targets interface {
	Targets(ctx context.Context, state store.TargetState, after string, limit int) ([]store.Target, error)
	Target(ctx context.Context, id string) (store.Target, error)
	EnableTarget(ctx context.Context, id, by string, now time.Time, match func(store.Target) error) (store.Target, error)
	DisableTarget(ctx context.Context, id, target, reason, by string, now time.Time, match func(store.Target) error) error
}

// listTargets: GET /targets, those that are or were held back for lately;
// ?state=open|half_open|closed|disabled.
func (s *Server) listTargets(c echo.Context) error {
	p := read(c, "state", "limit", "cursor")
	state := store.TargetState(p.oneOf("state", string(store.TargetOpen), string(store.TargetHalfOpen), string(store.TargetClosed), string(store.TargetDisabled)))
	limit := p.integer("limit", pageDefault, s.cfg.PageLimit)
	after := ""
	p.cursor(&after)
	if err := p.err(); err != nil {
		return err
	}
	found, err := s.targets.Targets(c.Request().Context(), state, after, limit)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, pageOf(append([]store.Target{}, found...), found, limit, func(last store.Target) any { return last.ID }))
}

// getTarget: GET /targets/{target_id}.
func (s *Server) getTarget(c echo.Context) error {
	t, err := s.targets.Target(c.Request().Context(), c.Param("target_id"))
	if err != nil {
		return err
	}
	return answerTarget(c, t)
}

func answerTarget(c echo.Context, t store.Target) error {
	c.Response().Header().Set("ETag", targetTag(t))
	return c.JSON(http.StatusOK, t)
}

// targetTag changes with the target's state.
func targetTag(t store.Target) string {
	return strconv.Quote(string(t.State) + "-" + strconv.FormatInt(t.Since.UnixMilli(), 10))
}

func matchTarget(c echo.Context) func(store.Target) error {
	return func(t store.Target) error { return ifMatchTag(c, targetTag(t)) }
}

// enableTarget: POST /targets/{target_id}/enable. An endpoint gets calls again,
// and a breaker is closed by hand. What was suppressed meanwhile stays so until
// POST /notifications/retry {"status": "suppressed", "reason": "target_disabled"}.
func (s *Server) enableTarget(c echo.Context) error {
	t, err := s.targets.EnableTarget(c.Request().Context(), c.Param("target_id"), currentUser(c).Email, s.now().Truncate(time.Millisecond), matchTarget(c))
	if err != nil {
		return err
	}
	return answerTarget(c, t)
}

// disableTarget: POST /targets/{target_id}/disable {"reason": "…"}, of an endpoint
// that is listed.
func (s *Server) disableTarget(c echo.Context) error {
	body, err := io.ReadAll(c.Request().Body)
	if err != nil {
		return err
	}
	var asked struct {
		Reason string `json:"reason"`
	}
	if len(body) > 0 {
		if err := readBody(body, &asked); err != nil {
			return err
		}
	}
	ctx, id := c.Request().Context(), c.Param("target_id")
	t, err := s.targets.Target(ctx, id)
	if err != nil {
		return err
	}
	if t.ID == t.Target {
		return problem(http.StatusConflict, "wrong_state", "%s is a breaker, which opens and closes by itself; disable the rule, or silence it", id)
	}
	by := currentUser(c).Email
	if asked.Reason == "" {
		asked.Reason = "by " + by
	}
	if err := s.targets.DisableTarget(ctx, id, t.Target, asked.Reason, by, s.now().Truncate(time.Millisecond), matchTarget(c)); err != nil {
		return err
	}
	return s.getTarget(c)
}
