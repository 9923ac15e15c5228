package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"go.mongodb.org/mongo-driver/bson"
	"go.yaml.in/yaml/v3"

	"github.com/events-aggregator/events-aggregator/configs"
	"github.com/events-aggregator/events-aggregator/pkg/action"
	"github.com/events-aggregator/events-aggregator/pkg/letter"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/store"
)

// seedTemplates stores the templates of a new installation.
func seedTemplates(ctx context.Context, s *store.Store, now time.Time) error {
	files, err := fs.Glob(configs.Templates, "templates/*.yaml")
	if err != nil {
		return err
	}
	seeds := make([]letter.Template, len(files))
	for i, name := range files {
		text, err := configs.Templates.ReadFile(name)
		if err != nil {
			return err
		}
		if err := yaml.Unmarshal(text, &seeds[i]); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if _, problems := seeds[i].Compile(); problems != nil {
			return fmt.Errorf("%s: %w", name, invalidTemplate(problems))
		}
	}
	return s.SeedTemplates(ctx, now, seeds...)
}

func invalidTemplate(problems []action.Problem) error {
	p := problem(http.StatusUnprocessableEntity, "invalid_template", "the template cannot be saved")
	for _, one := range problems {
		p.Errors = append(p.Errors, FieldFlaw{Pointer: one.Pointer, Message: one.Message})
	}
	return p
}

// listTemplates: GET /templates, by name.
func (s *Server) listTemplates(c echo.Context) error {
	p := read(c, "limit", "cursor")
	limit := p.integer("limit", pageDefault, s.cfg.PageLimit)
	after := ""
	p.cursor(&after)
	if err := p.err(); err != nil {
		return err
	}
	found, err := s.templates.Templates(c.Request().Context(), after, limit)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, pageOf(append([]letter.Template{}, found...), found, limit, func(last letter.Template) any { return last.Name }))
}

// getTemplate: GET /templates/{name}, with its version as the ETag.
func (s *Server) getTemplate(c echo.Context) error {
	t, err := s.templates.Template(c.Request().Context(), c.Param("name"))
	if err != nil {
		return err
	}
	c.Response().Header().Set("ETag", etag(t.Version))
	return c.JSON(http.StatusOK, t)
}

// putTemplate: PUT /templates/{name}, new or changed. With If-Match a lost
// update is a 412.
func (s *Server) putTemplate(c echo.Context) error {
	t, err := readTemplate(c)
	if err != nil {
		return err
	}
	ctx := c.Request().Context()
	old, err := s.templates.Template(ctx, t.Name)
	known := !errors.Is(err, store.ErrNotFound)
	if err != nil && known {
		return err
	}
	if err := ifMatch(c, old.Version); err != nil {
		return err
	}
	saved, err := s.templates.SaveTemplate(ctx, t, old.Version, s.now(), currentUser(c).Email)
	if errors.Is(err, store.ErrConflict) && c.Request().Header.Get("If-Match") != "" {
		return problem(http.StatusPreconditionFailed, "lost_update", "the template changed meanwhile; read it again and apply your change to the new version")
	}
	if err != nil {
		return err
	}
	status := http.StatusOK
	if !known {
		status = http.StatusCreated
	}
	c.Response().Header().Set("ETag", etag(saved.Version))
	return c.JSON(status, saved)
}

// readTemplate reads and checks the body of a template.
func readTemplate(c echo.Context) (letter.Template, error) {
	var t letter.Template
	body, err := io.ReadAll(c.Request().Body)
	if err != nil {
		return t, err
	}
	if err := readBody(body, &t); err != nil {
		return t, err
	}
	name := c.Param("name")
	if t.Name != "" && t.Name != name {
		return t, problem(http.StatusUnprocessableEntity, "wrong_name", "the body's name is %q, the path's is %q", t.Name, name)
	}
	t.Name = name
	if _, problems := t.Compile(); problems != nil {
		return t, invalidTemplate(problems)
	}
	return t, nil
}

// deleteTemplate: DELETE /templates/{name}, unless a rule names it.
func (s *Server) deleteTemplate(c echo.Context) error {
	ctx, name := c.Request().Context(), c.Param("name")
	rules, err := s.templates.RulesWithTemplate(ctx, name)
	if err != nil {
		return err
	}
	if len(rules) > 0 {
		return problem(http.StatusConflict, "in_use", "these rules name the template %s; change them first: %s", name, strings.Join(rules, ", "))
	}
	if err := s.templates.DeleteTemplate(ctx, name, s.now(), currentUser(c).Email, func(t letter.Template) error { return ifMatch(c, t.Version) }); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

// previewTemplate: POST /templates/{name}/preview?event_id=…, what the template
// of the body (or the stored one, without a body) says about a stored event.
// Nothing is sent.
func (s *Server) previewTemplate(c echo.Context) error {
	p := read(c, "event_id")
	id := strings.ToLower(p.text("event_id"))
	if id == "" {
		p.flaw("event_id", "is missing: the id of a stored event")
	}
	if err := p.err(); err != nil {
		return err
	}
	ctx := c.Request().Context()
	var t letter.Template
	var err error
	if c.Request().ContentLength == 0 {
		t, err = s.templates.Template(ctx, c.Param("name"))
	} else {
		t, err = readTemplate(c)
	}
	if err != nil {
		return err
	}
	compiled, problems := t.Compile()
	if problems != nil {
		return invalidTemplate(problems)
	}
	doc, err := s.storedEvent(ctx, id)
	if err != nil {
		return err
	}
	filled, err := compiled.Fill(sampleMessage(doc, id, s.cfg.PublicURL))
	if err != nil {
		return problem(http.StatusUnprocessableEntity, "template_failed", "with this event the template fails: %v", err)
	}
	return c.JSON(http.StatusOK, struct {
		Subject string `json:"subject"`
		Text    string `json:"text"`
		HTML    string `json:"html"`
	}{filled.Subject, filled.Text, filled.HTML})
}

// sampleMessage is a delivery order of a rule that is none.
func sampleMessage(doc bson.Raw, eventID, dashboard string) notification.Message {
	return notification.Message{Event: doc, Attempt: 1, Dashboard: dashboard, Notification: notification.Notification{
		ID: "ntf_preview", EventID: eventID, RuleID: "preview", RuleName: "preview", RuleVersion: 1,
	}}
}
