package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/pkg/store"
)

// showVersion is the rule as it was, and what its version was made by.
func showVersion(v store.RuleVersion) (json.RawMessage, error) {
	body, err := shown(v.Rule)
	if err != nil {
		return nil, err
	}
	about, err := json.Marshal(struct {
		Deleted      bool `json:"deleted,omitempty"`
		RolledBackTo int  `json:"rolled_back_to,omitempty"`
	}{v.Deleted, v.RolledBackTo})
	if err != nil || len(about) == len("{}") {
		return body, err
	}
	return append(append(bytes.TrimSuffix(body, []byte("}")), ','), about[1:]...), nil
}

// ruleVersions: GET /rules/{rule_id}/versions, newest first.
func (s *Server) ruleVersions(c echo.Context) error {
	p := read(c, "limit", "cursor")
	limit, before := p.integer("limit", pageDefault, s.cfg.PageLimit), 0
	p.cursor(&before)
	if err := p.err(); err != nil {
		return err
	}
	versions, err := s.rules.RuleVersions(c.Request().Context(), c.Param("rule_id"), before, limit)
	if err != nil {
		return err
	}
	if len(versions) == 0 && before == 0 {
		return store.ErrNotFound
	}
	items := make([]json.RawMessage, len(versions))
	for i, v := range versions {
		if items[i], err = showVersion(v); err != nil {
			return err
		}
	}
	return c.JSON(http.StatusOK, pageOf(items, versions, limit, func(last store.RuleVersion) any { return last.Version }))
}

// ruleVersion: GET /rules/{rule_id}/versions/{version}.
func (s *Server) ruleVersion(c echo.Context) error {
	n, err := strconv.Atoi(c.Param("version"))
	if err != nil || n < 0 {
		return problem(http.StatusNotFound, "not_found", "%q is no version; they are numbers from 1, and 0 is the newest", c.Param("version"))
	}
	v, err := s.oneVersion(c, n)
	if err != nil {
		return err
	}
	body, err := showVersion(v)
	if err != nil {
		return err
	}
	return c.JSONBlob(http.StatusOK, body)
}

// oneVersion reads a version of the path's rule; 0 is the newest.
func (s *Server) oneVersion(c echo.Context, n int) (store.RuleVersion, error) {
	ctx, id := c.Request().Context(), c.Param("rule_id")
	if n > 0 {
		v, err := s.rules.RuleVersion(ctx, id, n)
		if errors.Is(err, store.ErrNotFound) {
			return v, problem(http.StatusNotFound, "not_found", "rule %s has no version %d (GET /rules/%s/versions lists them)", id, n, id)
		}
		return v, err
	}
	newest, err := s.rules.RuleVersions(ctx, id, 0, 1)
	if err != nil {
		return store.RuleVersion{}, err
	}
	if len(newest) == 0 {
		return store.RuleVersion{}, store.ErrNotFound
	}
	return newest[0], nil
}

// diffed is the answer about two versions.
type diffed struct {
	RuleID  string        `json:"rule_id"`
	From    versionNote   `json:"from"`
	To      versionNote   `json:"to"`
	Changes []rule.Change `json:"changes"`
}

// versionNote says which version, and who made it when.
type versionNote struct {
	Version      int       `json:"version"`
	At           time.Time `json:"at"`
	By           string    `json:"by,omitempty"`
	Deleted      bool      `json:"deleted,omitempty"`
	RolledBackTo int       `json:"rolled_back_to,omitempty"`
}

func noteOf(v store.RuleVersion) versionNote {
	return versionNote{v.Version, v.CreatedAt, v.CreatedBy, v.Deleted, v.RolledBackTo}
}

// diffRule: GET /rules/{rule_id}/diff?from=&to=. to is the newest version when
// it is not given, from the one before to.
func (s *Server) diffRule(c echo.Context) error {
	p := read(c, "from", "to")
	from, to := p.version("from"), p.version("to")
	if err := p.err(); err != nil {
		return err
	}
	now, err := s.oneVersion(c, to)
	if err != nil {
		return err
	}
	if from == 0 {
		from = max(1, now.Version-1)
	}
	old, err := s.oneVersion(c, from)
	if err != nil {
		return err
	}
	changes, err := rule.Diff(old.Rule, now.Rule, masked)
	if err != nil {
		return err
	}
	if changes == nil {
		changes = []rule.Change{}
	}
	return c.JSON(http.StatusOK, diffed{RuleID: now.RuleID, From: noteOf(old), To: noteOf(now), Changes: changes})
}

// version reads a rule's version, 0 when it is not given.
func (p *parameters) version(name string) int {
	const most = 1<<31 - 1
	return p.integer(name, 0, most)
}

// rollBackRule: POST /rules/{rule_id}/rollback {"version": n} saves the content
// of an old version as a new one, and brings back a deleted rule. The rule stays
// as it is when it already has that content.
func (s *Server) rollBackRule(c echo.Context) error {
	ctx := c.Request().Context()
	var asked struct {
		Version int `json:"version"`
	}
	body, err := io.ReadAll(c.Request().Body)
	if err != nil {
		return err
	}
	if err := readBody(body, &asked); err != nil || asked.Version < 1 {
		return problem(http.StatusBadRequest, "invalid_json", `expected {"version": n} with a version from 1`)
	}
	wanted, err := s.oneVersion(c, asked.Version)
	if err != nil {
		return err
	}
	now, err := s.rules.Rule(ctx, c.Param("rule_id"))
	deleted := errors.Is(err, store.ErrNotFound)
	if err != nil && !deleted {
		return err
	}
	if deleted { // there is no version that If-Match could name
		now = rule.Rule{CreatedAt: s.now()}
	}
	if err := ifMatch(c, now.Version); err != nil {
		return err
	}
	r := wanted.Rule
	if !deleted && now.SameAs(r) {
		return s.answerRule(c, http.StatusOK, now)
	}
	s.stamp(c, &r)
	r.CreatedAt = now.CreatedAt
	if err := s.validate(c.Request().Context(), r); err != nil {
		return err
	}
	if err := s.withIndex(c, r); err != nil {
		return err
	}
	r, err = s.rules.RollBackRule(ctx, r, asked.Version, now.Version)
	if errors.Is(err, store.ErrConflict) && c.Request().Header.Get("If-Match") != "" {
		return problem(http.StatusPreconditionFailed, "lost_update", "the rule changed meanwhile; look at the new version first")
	}
	if err != nil {
		return fmt.Errorf("roll back rule %s: %w", c.Param("rule_id"), err)
	}
	s.rulesChanged(c, r.ID)
	return s.answerSaved(c, http.StatusOK, r)
}
