package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/events-aggregator/events-aggregator/pkg/action"
	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/pkg/store"
)

const (
	importPath = "/rules/import"
	// importTime is for the largest import on the slowest server.
	importTime = 2 * time.Minute
	// importTries bounds how often an import begins again because somebody else
	// saved one of its rules meanwhile.
	importTries = 3
	// yamlMost bounds YAML: reading it takes fifty times its length in memory.
	yamlMost = 2 << 20
	// flawsShown bounds the mistakes of one answer.
	flawsShown = 100
)

// importRules: POST /rules/import, a JSON array, JSON lines, or YAML. A rule is
// known by its rule_id, else by its name. All are saved, or none; what is
// already so gets no new version.
func (s *Server) importRules(c echo.Context) error {
	ctx := c.Request().Context()
	if err := s.holdImport(ctx); err != nil {
		return err
	}
	held := true
	defer func() {
		if held {
			<-s.importing
		}
	}()
	allowBody(c, importTime) // which waited with the request
	text, err := io.ReadAll(c.Request().Body)
	if err != nil {
		return err
	}
	if len(text) > yamlMost && rule.IsYAML("body", text) {
		return problem(http.StatusRequestEntityTooLarge, "body_too_large", "YAML of more than %d bytes; send JSON (eactl rules apply does), which may be as large as any body", yamlMost)
	}
	rules, err := rule.Parse(text, "body")
	if err != nil {
		return err
	}
	for i := range rules {
		s.stamp(c, &rules[i])
	}
	for try := 1; ; try++ {
		parts, err := s.compareWithStored(ctx, rules)
		windowed := parts.windowed()
		var missing []store.MissingIndex
		if err == nil {
			missing, err = s.indexesToMake(c, windowed, windowIn(rules, windowed))
		}
		if len(missing) > 0 {
			held, err = s.indexesOfImport(ctx, missing)
		}
		if err == nil {
			err = s.rules.SaveRules(ctx, s.now(), currentUser(c).Email, parts.created, parts.changed)
		}
		if errors.Is(err, store.ErrConflict) && try < importTries {
			continue
		}
		if err != nil {
			return inLines(err, text)
		}
		if len(parts.created)+len(parts.changed) > 0 {
			s.rulesChanged(c, "")
		}
		return c.JSON(http.StatusOK, imported{
			Created: len(parts.created), Changed: len(parts.changed), Unchanged: len(rules) - len(parts.created) - len(parts.changed),
			Warnings: append(importWarnings(rules), s.heavyWindows(ctx, windowed, windowIn(rules, windowed))...),
		})
	}
}

// holdImport waits until no other import is under way, since each may be large.
func (s *Server) holdImport(ctx context.Context) error {
	select {
	case s.importing <- struct{}{}:
		return nil
	default:
	}
	select {
	case s.importing <- struct{}{}:
		return nil
	case <-ctx.Done():
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	return problem(http.StatusServiceUnavailable, "busy", "another import is under way; try again")
}

// indexesOfImport makes indexes, which takes minutes, and lets other imports go on
// meanwhile: one import at a time waits so, with all that it holds.
func (s *Server) indexesOfImport(ctx context.Context, missing []store.MissingIndex) (held bool, err error) {
	select {
	case s.indexing <- struct{}{}:
		defer func() { <-s.indexing }()
	default:
		return true, problem(http.StatusServiceUnavailable, "busy", "another import has indexes made; try again")
	}
	<-s.importing
	if err := s.createIndexes(ctx, missing); err != nil {
		return false, err
	}
	err = s.holdImport(ctx)
	return err == nil, err
}

// imported is the answer to an import that was saved.
type imported struct {
	Created   int         `json:"created"`
	Changed   int         `json:"changed"`
	Unchanged int         `json:"unchanged"`
	Warnings  []FieldFlaw `json:"warnings,omitempty"`
}

// importParts are the rules of an import that must be saved.
type importParts struct{ created, changed []rule.Rule }

// compareWithStored sorts rules by what must be done, and checks each with the
// secrets that its stored version has.
func (s *Server) compareWithStored(ctx context.Context, rules []rule.Rule) (importParts, error) {
	var parts importParts
	ids, names := make([]string, 0, len(rules)), make([]string, 0, len(rules))
	for _, r := range rules {
		if r.ID != "" {
			ids = append(ids, r.ID)
		}
		names = append(names, r.Name)
	}
	stored, err := s.rules.RulesBy(ctx, ids, names)
	if err != nil {
		return parts, err
	}
	types, err := s.actionTypes(ctx)
	if err != nil {
		return parts, err
	}
	byID, byName := map[string]storedRule{}, map[string]storedRule{}
	for _, r := range stored {
		byID[r.ID], byName[r.Name] = r, r
	}
	var wrong []FieldFlaw
	others := s.namesUnderRules()
	for i, r := range rules {
		old, known := byID[r.ID]
		if namesake, there := byName[r.Name]; !known {
			old, known = namesake, there
		} else if there && namesake.ID != old.ID {
			wrong = append(wrong, FieldFlaw{Rule: r.Name, Pointer: fmt.Sprintf("/%d/name", i), Message: "the name is taken by the rule " + namesake.ID})
			continue
		}
		if known {
			r.ID, r.CreatedAt, r.Version = old.ID, old.CreatedAt, old.Version
			if r, err = withSecretsOf(old.Rule, r); err != nil {
				return parts, err
			}
		} else if err := refuseSealed(r); err != nil {
			return parts, err
		} else if r.ID == "" {
			r.ID = uuid.NewString()
		}
		flaws, err := importFlaws(i, r, types)
		if !known && slices.Contains(others, r.ID) {
			flaws = append(flaws, FieldFlaw{Rule: r.Name, Pointer: fmt.Sprintf("/%d/rule_id", i), Message: notItsPath})
		}
		switch {
		case err != nil:
			return parts, err
		case len(flaws) > 0:
			wrong = append(wrong, flaws...)
		case !known:
			parts.created = append(parts.created, r)
		case !old.current || !old.SameAs(r):
			parts.changed = append(parts.changed, r)
		}
	}
	if len(wrong) == 0 {
		return parts, nil
	}
	p := problem(http.StatusUnprocessableEntity, "invalid_rule", "a rule cannot be saved, so none was")
	p.Errors = wrong
	if more := len(wrong) - flawsShown; more > 0 {
		p.Errors = append(p.Errors[:flawsShown:flawsShown], FieldFlaw{Message: fmt.Sprintf("and %d more mistakes", more)})
	}
	return importParts{}, p
}

func importFlaws(i int, r rule.Rule, types action.Table) ([]FieldFlaw, error) {
	err := r.Validate(types)
	var invalid *rule.ValidationError
	if !errors.As(err, &invalid) {
		return nil, err
	}
	flaws := make([]FieldFlaw, len(invalid.Problems))
	for k, p := range invalid.Problems {
		flaws[k] = FieldFlaw{Rule: r.Name, Pointer: fmt.Sprintf("/%d%s", i, p.Pointer), Message: p.Message}
	}
	return flaws, nil
}

// inLines adds to mistakes the lines of the body that they are in.
func inLines(err error, text []byte) error {
	var p *Problem
	if !errors.As(err, &p) {
		return err
	}
	var places []*rule.Place
	of := map[*rule.Place]*FieldFlaw{}
	for i := range p.Errors {
		number, rest, _ := strings.Cut(strings.TrimPrefix(p.Errors[i].Pointer, "/"), "/")
		if n, err := strconv.Atoi(number); err == nil {
			place := &rule.Place{Index: n, Pointer: "/" + rest}
			places = append(places, place)
			of[place] = &p.Errors[i]
		}
	}
	if rule.FindLines(bytes.NewReader(text), "body", places) == nil {
		for place, flaw := range of {
			flaw.Line = place.Line
		}
	}
	return p
}
