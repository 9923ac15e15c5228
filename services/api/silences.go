package api

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
	"go.uber.org/zap"

	"github.com/events-aggregator/events-aggregator/pkg/silence"
	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
)

// Silences is where silences are kept.
type Silences interface {
	CreateSilence(ctx context.Context, s silence.Silence) error
	ExpireSilence(ctx context.Context, id string, at time.Time, by string, match func(silence.Silence) error) (silence.Silence, error)
	Silence(ctx context.Context, id string) (silence.Silence, error)
	SilencesAfter(ctx context.Context, at time.Time) ([]silence.Silence, error)
	FindSilences(ctx context.Context, state silence.State, at time.Time, after *store.SilencePosition, limit int) ([]silence.Silence, error)
	HeldBy(ctx context.Context, id string, limit int64) (int64, error)
	CountEvents(ctx context.Context, f store.EventFilter, limit int64) (int64, error)
}

const (
	// heldShown bounds the count of what a silence held back, and of what a
	// preview finds: beyond it, more is not worth waiting for.
	heldShown = 10_000
	// previewed is how far a preview looks back.
	previewed = time.Hour
)

// listSilences: GET /silences, newest first; ?state=pending|active|expired.
func (s *Server) listSilences(c echo.Context) error {
	p := read(c, "state", "limit", "cursor")
	state := silence.State(p.oneOf("state", string(silence.Pending), string(silence.Active), string(silence.Expired)))
	limit := p.integer("limit", pageDefault, s.cfg.PageLimit)
	after := behind[store.SilencePosition](p)
	if err := p.err(); err != nil {
		return err
	}
	now := s.now()
	found, err := s.silences.FindSilences(c.Request().Context(), state, now, after, limit)
	if err != nil {
		return err
	}
	items := make([]json.RawMessage, len(found))
	for i, one := range found {
		if items[i], err = one.JSON(now, nil); err != nil {
			return err
		}
	}
	return c.JSON(http.StatusOK, pageOf(items, found, limit, func(last silence.Silence) any {
		return store.SilencePosition{CreatedAt: last.CreatedAt, ID: last.ID}
	}))
}

// getSilence: GET /silences/{silence_id}, with how many notifications it held
// back (10,000 at most).
func (s *Server) getSilence(c echo.Context) error {
	one, err := s.silences.Silence(c.Request().Context(), c.Param("silence_id"))
	if err != nil {
		return err
	}
	return s.answerSilence(c, http.StatusOK, one)
}

// preview is what a silence would have held back lately, had it been there.
type preview struct {
	Silence json.RawMessage `json:"silence"`
	From    time.Time       `json:"from"`
	Until   time.Time       `json:"until"`
	Events  int64           `json:"events"`  // that the condition matches
	Matched int64           `json:"matched"` // of them by one of its rules
	AtLeast bool            `json:"at_least,omitempty"`
}

// createSilence: POST /silences. With ?dry_run=true nothing is stored, and the
// answer says what it would have held back in the last hour.
func (s *Server) createSilence(c echo.Context) error {
	p := read(c, "dry_run")
	dry := p.boolean("dry_run")
	if err := p.err(); err != nil {
		return err
	}
	body, err := io.ReadAll(c.Request().Body)
	if err != nil {
		return err
	}
	if err := nullField(body); err != nil {
		return problem(http.StatusBadRequest, "invalid_json", "%s", err)
	}
	now := s.now().Truncate(time.Millisecond)
	one, err := silence.ParseJSON(body, now)
	if err != nil {
		return err
	}
	one.ID, one.Author = uuid.NewString(), currentUser(c).Email
	if err := one.Validate(now); err != nil {
		return err
	}
	if dry != nil && *dry {
		return s.previewSilence(c, one, now)
	}
	if err := s.silences.CreateSilence(c.Request().Context(), one); err != nil {
		return err
	}
	s.tellWorkers(c, topology.KeySilences, one.ID)
	c.Response().Header().Set(echo.HeaderLocation, "/api/v1/silences/"+one.ID)
	return s.answerSilence(c, http.StatusCreated, one)
}

func (s *Server) previewSilence(c echo.Context, one silence.Silence, now time.Time) error {
	ctx := c.Request().Context()
	f := store.EventFilter{Condition: one.Condition, From: now.Add(-previewed), To: now}
	answer := preview{From: f.From, Until: f.To}
	var err error
	if answer.Events, err = s.silences.CountEvents(ctx, f, heldShown); err != nil {
		return err
	}
	f.Rules = one.Rules
	f.AnyRule = len(one.Rules) == 0
	if answer.Matched, err = s.silences.CountEvents(ctx, f, heldShown); err != nil {
		return err
	}
	answer.AtLeast = answer.Events == heldShown
	one.ID = ""
	if answer.Silence, err = one.JSON(now, nil); err != nil {
		return err
	}
	return c.JSON(http.StatusOK, answer)
}

// expireSilence: POST /silences/{silence_id}/expire, and DELETE: it ends now.
// It stays readable, since what it held back names it. With If-Match it ends only
// if nobody ended it before.
func (s *Server) expireSilence(c echo.Context) error {
	one, err := s.silences.ExpireSilence(c.Request().Context(), c.Param("silence_id"), s.now().Truncate(time.Millisecond), currentUser(c).Email,
		func(one silence.Silence) error { return ifMatchTag(c, silenceTag(one)) })
	if err != nil {
		return err
	}
	s.tellWorkers(c, topology.KeySilences, one.ID)
	return s.answerSilence(c, http.StatusOK, one)
}

func (s *Server) answerSilence(c echo.Context, status int, one silence.Silence) error {
	var held *int64
	var slow *store.TooSlow
	n, err := s.silences.HeldBy(c.Request().Context(), one.ID, heldShown)
	if err == nil {
		held = &n
	} else if !errors.As(err, &slow) { // what was done is done: then the answer says less
		return err
	}
	body, err := one.JSON(s.now(), held)
	if err != nil {
		return err
	}
	c.Response().Header().Set("ETag", silenceTag(one))
	return c.JSONBlob(status, body)
}

// silenceTag changes with the only thing that changes in a silence: its end.
func silenceTag(one silence.Silence) string {
	return strconv.Quote(strconv.FormatInt(one.Until.UnixMilli(), 10))
}

// tellWorkers says that something changed. The word may be lost: they look every
// poll, so an error only makes the change slower.
func (s *Server) tellWorkers(c echo.Context, kind, id string) {
	hint, err := s.topology.Control().Encode(topology.Control{Kind: kind, ID: id})
	if err == nil {
		ctx, cancel := context.WithTimeout(c.Request().Context(), s.cfg.PublishTimeout)
		defer cancel()
		err = s.publisher.Publish(ctx, hint)
	}
	if err != nil {
		s.log.Warn("workers not told of a change, they will see it at their next poll", zap.String("kind", kind), zap.String("id", id), zap.Error(err))
	}
}
