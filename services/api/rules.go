package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/events-aggregator/events-aggregator/pkg/action/builtin"
	"github.com/events-aggregator/events-aggregator/pkg/action/seal"
	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
)

// RuleStore is where rules are kept.
type RuleStore interface {
	Rules(ctx context.Context, after string, limit int) ([]rule.Rule, error)
	Rule(ctx context.Context, id string) (rule.Rule, error)
	CreateRule(ctx context.Context, r rule.Rule) (rule.Rule, error)
	ReplaceRule(ctx context.Context, r rule.Rule, expected int) (rule.Rule, error)
	DeleteRule(ctx context.Context, id string, expected int, at time.Time, by string) error
	RollBackRule(ctx context.Context, r rule.Rule, to, expected int) (rule.Rule, error)
	RulesBy(ctx context.Context, ids, names []string) ([]rule.Rule, error)
	SaveRules(ctx context.Context, at time.Time, by string, created, changed []rule.Rule) error
	RuleVersions(ctx context.Context, id string, before, limit int) ([]store.RuleVersion, error)
	RuleVersion(ctx context.Context, id string, version int) (store.RuleVersion, error)
	RuleVersionByStamp(ctx context.Context, id string, stamp int64) (store.RuleVersion, error)
}

// masked is a rule without its secrets.
func masked(r rule.Rule) rule.Rule {
	r = r.Masked(builtin.Table())
	for i := range r.Actions {
		r.Actions[i].Config = seal.Hide(r.Actions[i].Config)
	}
	return r
}

// shown is a rule as it leaves the process.
func shown(r rule.Rule) (json.RawMessage, error) { return masked(r).JSON() }

func showAll(rules []rule.Rule) ([]json.RawMessage, error) {
	items := make([]json.RawMessage, len(rules))
	for i, r := range rules {
		var err error
		if items[i], err = shown(r); err != nil {
			return nil, err
		}
	}
	return items, nil
}

// listRules: GET /rules, by id; ?name= finds the one of that name.
func (s *Server) listRules(c echo.Context) error {
	p := read(c, "name", "limit", "cursor")
	name, limit := p.text("name"), p.integer("limit", pageDefault, s.cfg.PageLimit)
	after := ""
	p.cursor(&after)
	if err := p.err(); err != nil {
		return err
	}
	if name != "" {
		return s.ruleNamed(c, name)
	}
	rules, err := s.rules.Rules(c.Request().Context(), after, limit)
	if err != nil {
		return err
	}
	items, err := showAll(rules)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, pageOf(items, rules, limit, func(last rule.Rule) any { return last.ID }))
}

func (s *Server) ruleNamed(c echo.Context, name string) error {
	found, err := s.rules.RulesBy(c.Request().Context(), nil, []string{name})
	if err != nil {
		return err
	}
	items := make([]json.RawMessage, len(found))
	for i, r := range found {
		if items[i], err = shown(r.Rule); err != nil {
			return err
		}
	}
	return c.JSON(http.StatusOK, page{Items: items})
}

// getRule: GET /rules/{rule_id}, with its version as the ETag.
func (s *Server) getRule(c echo.Context) error {
	r, err := s.rules.Rule(c.Request().Context(), c.Param("rule_id"))
	if err != nil {
		return err
	}
	return s.answerRule(c, http.StatusOK, r)
}

// createRule: POST /rules.
func (s *Server) createRule(c echo.Context) error {
	r, err := s.readRule(c)
	if err != nil {
		return err
	}
	if r.ID == "" {
		r.ID = uuid.NewString()
	}
	s.stamp(c, &r)
	if err := refuseSealed(r); err != nil {
		return err
	}
	if err := s.validateNew(c.Request().Context(), r); err != nil {
		return err
	}
	if err := s.withIndex(c, r); err != nil {
		return err
	}
	r, err = s.rules.CreateRule(c.Request().Context(), r)
	if err != nil {
		return err
	}
	s.rulesChanged(c, r.ID)
	c.Response().Header().Set(echo.HeaderLocation, "/api/v1/rules/"+r.ID)
	return s.answerSaved(c, http.StatusCreated, r)
}

// replaceRule: PUT /rules/{rule_id}. With If-Match a lost update is a 412.
func (s *Server) replaceRule(c echo.Context) error {
	r, err := s.readRule(c)
	if err != nil {
		return err
	}
	return s.save(c, func(rule.Rule) (rule.Rule, error) { return r, nil })
}

// patchRule: PATCH /rules/{rule_id}, a JSON merge of top-level fields (RFC 7396
// one level deep: conditions and actions are replaced whole).
func (s *Server) patchRule(c echo.Context) error {
	body, err := io.ReadAll(c.Request().Body)
	if err != nil {
		return err
	}
	return s.save(c, func(old rule.Rule) (rule.Rule, error) {
		current, err := shown(old)
		if err != nil {
			return old, err
		}
		fields := map[string]json.RawMessage{}
		if err := json.Unmarshal(current, &fields); err != nil {
			return old, fmt.Errorf("read stored rule: %w", err)
		}
		if err := json.Unmarshal(body, &fields); err != nil {
			return old, problem(http.StatusBadRequest, "invalid_json", "expected a JSON object with the fields to change: %s", err)
		}
		for name, value := range fields {
			if bytes.Equal(value, []byte("null")) {
				delete(fields, name)
			}
		}
		merged, err := json.Marshal(fields)
		if err != nil {
			return old, fmt.Errorf("merge rule: %w", err)
		}
		return rule.ParseJSON(merged)
	})
}

// save stores the next version of the rule of the path.
func (s *Server) save(c echo.Context, change func(old rule.Rule) (rule.Rule, error)) error {
	ctx := c.Request().Context()
	old, err := s.rules.Rule(ctx, c.Param("rule_id"))
	if err != nil {
		return err
	}
	if err := ifMatch(c, old.Version); err != nil {
		return err
	}
	r, err := change(old)
	if err != nil {
		return err
	}
	if r.ID != "" && r.ID != old.ID {
		return problem(http.StatusUnprocessableEntity, "wrong_id", "the body's rule_id is %s, the path's is %s", r.ID, old.ID)
	}
	r.ID = old.ID
	s.stamp(c, &r)
	r.CreatedAt = old.CreatedAt
	if r, err = withSecretsOf(old, r); err != nil {
		return err
	}
	if err := s.validate(c.Request().Context(), r); err != nil {
		return err
	}
	if err := s.withIndex(c, r); err != nil {
		return err
	}
	r, err = s.rules.ReplaceRule(ctx, r, old.Version)
	if errors.Is(err, store.ErrConflict) && c.Request().Header.Get("If-Match") != "" {
		return problem(http.StatusPreconditionFailed, "lost_update", "the rule changed meanwhile; read it again and apply your change to the new version")
	}
	if err != nil {
		return err
	}
	s.rulesChanged(c, r.ID)
	return s.answerSaved(c, http.StatusOK, r)
}

// deleteRule: DELETE /rules/{rule_id}; its versions stay readable.
func (s *Server) deleteRule(c echo.Context) error {
	ctx := c.Request().Context()
	expected := 0
	if c.Request().Header.Get("If-Match") != "" {
		old, err := s.rules.Rule(ctx, c.Param("rule_id"))
		if err != nil {
			return err
		}
		if err := ifMatch(c, old.Version); err != nil {
			return err
		}
		expected = old.Version
	}
	if err := s.rules.DeleteRule(ctx, c.Param("rule_id"), expected, s.now(), currentUser(c).Email); err != nil {
		return err
	}
	s.rulesChanged(c, c.Param("rule_id"))
	return c.NoContent(http.StatusNoContent)
}

func (s *Server) readRule(c echo.Context) (rule.Rule, error) {
	body, err := io.ReadAll(c.Request().Body)
	if err != nil {
		return rule.Rule{}, err
	}
	return rule.ParseJSON(body)
}

// stamp says who saved the rule, and when.
func (s *Server) stamp(c echo.Context, r *rule.Rule) {
	now := s.now()
	r.CreatedAt, r.UpdatedAt, r.CreatedBy = now, now, currentUser(c).Email
}

func etag(version int) string { return strconv.Quote(strconv.Itoa(version)) }

func ifMatch(c echo.Context, version int) error {
	if ifMatchTag(c, etag(version)) == nil {
		return nil
	}
	return problem(http.StatusPreconditionFailed, "lost_update", "it is at version %d; read it again and apply your change to that", version)
}

// ifMatchTag is ifMatch for what has a tag and no version.
func ifMatchTag(c echo.Context, now string) error {
	want := c.Request().Header.Get("If-Match")
	if want == "" || want == "*" {
		return nil
	}
	for _, tag := range strings.Split(want, ",") {
		if strings.TrimSpace(tag) == now {
			return nil
		}
	}
	return problem(http.StatusPreconditionFailed, "lost_update", "it changed meanwhile, its ETag is %s now; look at it again first", now)
}

// answerSaved answers with a rule that was just saved.
func (s *Server) answerSaved(c echo.Context, status int, r rule.Rule) error {
	return s.answerRule(c, status, r, s.heavyWindows(c.Request().Context(), []rule.Rule{r}, func(int) string { return "/window" })...)
}

func (s *Server) answerRule(c echo.Context, status int, r rule.Rule, more ...FieldFlaw) error {
	body, err := shown(r)
	if err != nil {
		return err
	}
	if body, err = withWarnings(body, append(warningsOf(r), more...)); err != nil {
		return err
	}
	c.Response().Header().Set("ETag", etag(r.Version))
	return c.JSONBlob(status, body)
}

// rulesChanged tells the rule-workers.
func (s *Server) rulesChanged(c echo.Context, id string) {
	s.tellWorkers(c, topology.KeyRulesChanged, id)
}
