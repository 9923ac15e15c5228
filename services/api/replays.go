package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/events-aggregator/events-aggregator/pkg/replay"
	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/pkg/store"
)

// Replays is where replays are kept; the rule-workers work on them. A change that
// a replay's state does not allow is store.ErrConflict.
type Replays interface {
	CreateReplay(ctx context.Context, j replay.Job) error
	PauseReplay(ctx context.Context, id, by string, now time.Time) (replay.Job, error)
	ResumeReplay(ctx context.Context, id, by string, now time.Time) (replay.Job, error)
	CancelReplay(ctx context.Context, id, by string, now time.Time) (replay.Job, error)
	Replay(ctx context.Context, id string) (replay.Job, error)
	FindReplays(ctx context.Context, state replay.State, after *store.ReplayPosition, limit int) ([]replay.Job, error)
	WindowRules(ctx context.Context) ([]replay.NamedRule, error)
}

// createReplay: POST /replays, stored events decided once more by some rules or
// all. The answer is the job, which waits for a rule-worker.
func (s *Server) createReplay(c echo.Context) error {
	if p := read(c); p.err() != nil {
		return p.err()
	}
	body, err := io.ReadAll(c.Request().Body)
	if err != nil {
		return err
	}
	if err := nullField(body); err != nil {
		return problem(http.StatusBadRequest, "invalid_json", "%s", err)
	}
	ctx, now := c.Request().Context(), s.now().Truncate(time.Millisecond)
	j, err := replay.ParseJSON(body, now)
	var wrong *replay.Invalid
	if err != nil && !errors.As(err, &wrong) {
		return err
	}
	if wrong == nil {
		wrong = &replay.Invalid{}
	}
	if err := s.checkReplayRules(ctx, j.Rules, wrong); err != nil {
		return err
	}
	if len(wrong.Problems) > 0 {
		flaws := make([]FieldFlaw, len(wrong.Problems))
		for i, p := range wrong.Problems {
			flaws[i] = FieldFlaw{Pointer: p.Pointer, Message: p.Message}
		}
		return invalidReplay(flaws...)
	}
	if len(j.Rules) == 0 {
		windowed, err := s.replays.WindowRules(ctx)
		if err != nil {
			return err
		}
		j.Windowed(windowed)
	}
	j = j.Begin(uuid.NewString(), currentUser(c).Email, now)
	switch err := s.replays.CreateReplay(ctx, j); {
	case errors.Is(err, store.ErrConflict):
		return problem(http.StatusConflict, "too_many_replays", "%s", err)
	case err != nil:
		return err
	}
	c.Response().Header().Set(echo.HeaderLocation, "/api/v1/replays/"+j.ID)
	return answerReplay(c, http.StatusCreated, j)
}

// checkReplayRules refuses rules that cannot decide single events.
func (s *Server) checkReplayRules(ctx context.Context, ids []string, wrong *replay.Invalid) error {
	if len(ids) == 0 {
		return nil
	}
	found, err := s.rules.RulesBy(ctx, ids, nil)
	if err != nil {
		return err
	}
	byID := map[string]rule.Rule{}
	for _, r := range found {
		byID[r.ID] = r.Rule
	}
	seen := map[string]bool{}
	for i, id := range ids {
		if why := cannotReplay(byID, seen, id); why != "" {
			wrong.Refuse(fmt.Sprintf("/rules/%d", i), "%s", why)
		}
		seen[id] = true
	}
	return nil
}

func cannotReplay(byID map[string]rule.Rule, seen map[string]bool, id string) string {
	r, known := byID[id]
	switch {
	case seen[id]:
		return "is there twice"
	case !known:
		return fmt.Sprintf("no rule has the id %q", id)
	case r.Window != nil:
		return fmt.Sprintf("%q has a %s window: its alerts are about many events, not one. POST /rules/backtest says which there are in the time, and POST /notifications/retry tries those again that are dead", r.Name, r.Window.Kind)
	case !r.Enabled:
		return fmt.Sprintf("%q is disabled, so it would decide nothing; enable it first", r.Name)
	}
	return ""
}

// checkToRule refuses a rule that dead letters cannot be given to.
func (s *Server) checkToRule(ctx context.Context, id string) error {
	if id == "" {
		return nil
	}
	wrong := &replay.Invalid{}
	if err := s.checkReplayRules(ctx, []string{id}, wrong); err != nil {
		return err
	}
	if len(wrong.Problems) > 0 {
		return invalidReplay(FieldFlaw{Pointer: "/to_rule", Message: wrong.Problems[0].Message})
	}
	return nil
}

// listReplays: GET /replays, newest first; ?state= one of theirs.
func (s *Server) listReplays(c echo.Context) error {
	p := read(c, "state", "limit", "cursor")
	states := make([]string, len(replay.States))
	for i, state := range replay.States {
		states[i] = string(state)
	}
	state := replay.State(p.oneOf("state", states...))
	limit := p.integer("limit", pageDefault, s.cfg.PageLimit)
	after := behind[store.ReplayPosition](p)
	if err := p.err(); err != nil {
		return err
	}
	found, err := s.replays.FindReplays(c.Request().Context(), state, after, limit)
	if err != nil {
		return err
	}
	items := make([]json.RawMessage, len(found))
	for i, one := range found {
		if items[i], err = one.JSON(); err != nil {
			return err
		}
	}
	return c.JSON(http.StatusOK, pageOf(items, found, limit, func(last replay.Job) any {
		return store.ReplayPosition{CreatedAt: last.CreatedAt, ID: last.ID}
	}))
}

// getReplay: GET /replays/{replay_id}, with how far it is.
func (s *Server) getReplay(c echo.Context) error {
	j, err := s.replays.Replay(c.Request().Context(), c.Param("replay_id"))
	if err != nil {
		return err
	}
	return answerReplay(c, http.StatusOK, j)
}

// pauseReplay: POST /replays/{replay_id}/pause. When it is answered nothing more
// is decided; what was is delivered.
func (s *Server) pauseReplay(c echo.Context) error { return s.changeReplay(c, s.replays.PauseReplay) }

// resumeReplay: POST /replays/{replay_id}/resume, of one that is paused or failed:
// it goes on from where it is.
func (s *Server) resumeReplay(c echo.Context) error { return s.changeReplay(c, s.replays.ResumeReplay) }

// cancelReplay: POST /replays/{replay_id}/cancel, for good. What it made stays.
func (s *Server) cancelReplay(c echo.Context) error { return s.changeReplay(c, s.replays.CancelReplay) }

func (s *Server) changeReplay(c echo.Context, change func(ctx context.Context, id, by string, now time.Time) (replay.Job, error)) error {
	if p := read(c); p.err() != nil {
		return p.err()
	}
	j, err := change(c.Request().Context(), c.Param("replay_id"), currentUser(c).Email, s.now().Truncate(time.Millisecond))
	if err != nil {
		return stateProblem(err)
	}
	return answerReplay(c, http.StatusOK, j)
}

func answerReplay(c echo.Context, status int, j replay.Job) error {
	body, err := j.JSON()
	if err != nil {
		return err
	}
	return c.JSONBlob(status, body)
}
