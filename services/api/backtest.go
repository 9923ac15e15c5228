package api

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"go.uber.org/zap"

	"github.com/events-aggregator/events-aggregator/pkg/backtest"
	"github.com/events-aggregator/events-aggregator/pkg/silence"
)

const (
	backtestPath = "/rules/backtest"
	// backtestsAtOnce bounds what back-tests take from the database.
	backtestsAtOnce = 2
	// backtestGrace is for what comes before and after the search.
	backtestGrace = 15 * time.Second
	// backtestDefault is the range when none is given, backtestLongest the longest.
	backtestDefault = 24 * time.Hour
	backtestLongest = 400 * 24 * time.Hour
	// progressEvery keeps a stream of progress readable.
	progressEvery = 200 * time.Millisecond
)

// ndjson is the media type of an answer that tells its progress.
const ndjson = "application/x-ndjson"

// backtestRequest is the body of POST /rules/backtest.
type backtestRequest struct {
	draft

	From            time.Time `json:"from"`
	To              time.Time `json:"to"`
	CompareWithLive bool      `json:"compare_with_live"`
}

// backtest: POST /rules/backtest, what a rule would have done with stored
// events. With Accept: application/x-ndjson the answer is a line of progress from
// time to time, {"progress": …}, and at last {"result": …} or {"problem": …}.
func (s *Server) backtest(c echo.Context) error {
	ctx := c.Request().Context()
	body, err := io.ReadAll(c.Request().Body)
	if err != nil {
		return err
	}
	req, err := s.readBacktest(ctx, body)
	if err != nil {
		return err
	}
	select {
	case s.testing <- struct{}{}:
		defer func() { <-s.testing }()
	case <-ctx.Done():
		return problem(http.StatusServiceUnavailable, "busy", "%d back-tests are under way already; try again", backtestsAtOnce)
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.BacktestTimeout)
	defer cancel()
	if strings.Contains(c.Request().Header.Get(echo.HeaderAccept), ndjson) {
		return s.streamBacktest(ctx, c, req)
	}
	report, err := backtest.Run(ctx, s.stored, req, nil)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, report)
}

func (s *Server) readBacktest(ctx context.Context, body []byte) (backtest.Request, error) {
	var asked backtestRequest
	if err := readBody(body, &asked); err != nil {
		return backtest.Request{}, err
	}
	now := s.now()
	req := backtest.Request{From: asked.From.UTC(), To: asked.To.UTC(), Now: now}
	if asked.To.IsZero() {
		req.To = now
	}
	if asked.From.IsZero() {
		req.From = req.To.Add(-backtestDefault)
	}
	switch length := req.To.Sub(req.From); {
	case !tellable(req.From) || !tellable(req.To):
		return req, problem(http.StatusBadRequest, "invalid_range", "expected a range from the year 1 on, until %s", lastDay.Format(time.RFC3339))
	case length <= 0:
		return req, problem(http.StatusBadRequest, "invalid_range", "from (%s) is not before to (%s)", req.From.Format(time.RFC3339), req.To.Format(time.RFC3339))
	case length > backtestLongest:
		return req, problem(http.StatusBadRequest, "invalid_range", "the range is longer than %d days", backtestLongest/(24*time.Hour))
	}
	var err error
	if req.Rule, req.Live, err = s.draftRule(ctx, asked.draft); err != nil {
		return req, err
	}
	switch {
	case !asked.CompareWithLive:
		req.Live = nil
	case req.Live == nil:
		return req, problem(http.StatusUnprocessableEntity, "nothing_to_compare", "no stored rule has the id %q or the name %q; compare_with_live needs one", req.Rule.ID, req.Rule.Name)
	}
	req.Silences, err = s.silencesIn(ctx, req.From, req.To)
	return req, err
}

// silencesIn are the silences that were in force in a range.
func (s *Server) silencesIn(ctx context.Context, from, to time.Time) ([]silence.Silence, error) {
	all, err := s.silences.SilencesAfter(ctx, from)
	var found []silence.Silence
	for _, one := range all {
		if one.From.Before(to) {
			found = append(found, one)
		}
	}
	return found, err
}

// streamBacktest tells the progress line by line.
func (s *Server) streamBacktest(ctx context.Context, c echo.Context, req backtest.Request) error {
	c.Response().Header().Set(echo.HeaderContentType, ndjson)
	c.Response().WriteHeader(http.StatusOK)
	lines := json.NewEncoder(c.Response())
	said := time.Time{}
	say := func(line any) {
		if err := lines.Encode(line); err != nil {
			s.log.Debug("progress of a back-test not written", zap.Error(err))
		}
		c.Response().Flush()
	}
	report, err := backtest.Run(ctx, s.stored, req, func(p backtest.Progress) {
		if now := time.Now(); now.Sub(said) >= progressEvery {
			said = now
			say(map[string]any{"progress": p})
		}
	})
	if err != nil {
		p := problemOf(err)
		if !errors.Is(err, context.Canceled) && p.Status >= http.StatusInternalServerError {
			s.log.Error("back-test failed", zap.Error(err))
		}
		say(map[string]any{"problem": p})
		return nil
	}
	say(map[string]any{"result": report})
	return nil
}
