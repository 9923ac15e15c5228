package api

import (
	"context"
	"fmt"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/pkg/store"
)

// EventIndexes are the indexes of the stored events.
type EventIndexes interface {
	// MissingIndexes names those that rules with windows need, at most one each.
	MissingIndexes(ctx context.Context, rules []rule.Rule) ([]store.MissingIndex, error)
	CreateIndexes(ctx context.Context, missing []store.MissingIndex) error
}

// withIndexes refuses rules whose windows no index serves, or makes the index
// when ?create_indexes=true asks for it. pointer is where a rule stands in the
// body.
func (s *Server) withIndexes(c echo.Context, rules []rule.Rule, pointer func(i int) string) error {
	p := read(c, createIndexes)
	create := p.boolean(createIndexes)
	if err := p.err(); err != nil {
		return err
	}
	ctx := c.Request().Context()
	missing, err := s.indexes.MissingIndexes(ctx, rules)
	if err != nil || len(missing) == 0 {
		return err
	}
	if create != nil && *create {
		return s.indexes.CreateIndexes(ctx, missing)
	}
	refused := problem(http.StatusUnprocessableEntity, "missing_index",
		"no index serves the rule's window; ?create_indexes=true (eactl: --create-indexes) makes it, which takes minutes where there are many events")
	for _, m := range missing {
		r := rules[m.Rule]
		refused.Errors = append(refused.Errors, FieldFlaw{Rule: r.Name, Pointer: pointer(m.Rule), Message: fmt.Sprintf("needs the index %s of the collection events", m)})
	}
	return refused
}

const createIndexes = "create_indexes"

// withIndex is withIndexes for a body of one rule.
func (s *Server) withIndex(c echo.Context, r rule.Rule) error {
	return s.withIndexes(c, []rule.Rule{r}, func(int) string { return "/window" })
}

// withIndexesOf is withIndexes for the rules of an import that are saved.
func (s *Server) withIndexesOf(c echo.Context, body []rule.Rule, parts importParts) error {
	at := make(map[string]int, len(body))
	for i, r := range body {
		at[r.Name] = i
	}
	var windowed []rule.Rule
	for _, some := range [][]rule.Rule{parts.created, parts.changed} {
		for _, r := range some {
			if r.Window != nil {
				windowed = append(windowed, r)
			}
		}
	}
	return s.withIndexes(c, windowed, func(i int) string { return fmt.Sprintf("/%d/window", at[windowed[i].Name]) })
}
