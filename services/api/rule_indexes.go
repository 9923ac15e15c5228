package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/pkg/rule/interval"
	"github.com/events-aggregator/events-aggregator/pkg/rule/window"
	"github.com/events-aggregator/events-aggregator/pkg/store"
)

// EventIndexes are the indexes of the stored events.
type EventIndexes interface {
	// MissingIndexes names those that rules with windows need, at most one each.
	MissingIndexes(ctx context.Context, rules []rule.Rule) ([]store.MissingIndex, error)
	CreateIndexes(ctx context.Context, missing []store.MissingIndex) error
	// HeavyWindow is what an evaluation of a rule reads at once, if that is nearly
	// too much.
	HeavyWindow(ctx context.Context, r *rule.Rule) (*store.WindowLoad, error)
}

// heavyTime bounds the counting for all rules of a request.
const heavyTime = 5 * time.Second

// heavyWindows warns of windows that have nearly too many events to be decided.
// The rules are saved by then: what cannot be counted is not warned of.
func (s *Server) heavyWindows(ctx context.Context, rules []rule.Rule, pointer func(i int) string) []FieldFlaw {
	ctx, cancel := context.WithTimeout(ctx, heavyTime)
	defer cancel()
	var all []FieldFlaw
	for i := range rules {
		load, err := s.indexes.HeavyWindow(ctx, &rules[i])
		if err != nil {
			return all
		}
		if load != nil {
			all = append(all, FieldFlaw{Rule: rules[i].Name, Pointer: pointer(i), Message: fmt.Sprintf(
				"%d or more events fulfilled the conditions in the last %s, which one decision of this rule reads at once; with more than %d it cannot be decided, and a RULE_FAILING event says so: narrow the conditions, or shorten the timeframe",
				load.Events, interval.Duration(load.In), window.MaxObservations)})
		}
	}
	return all
}

// indexesToMake refuses rules whose windows no index serves, or says which are to be
// made, when ?create_indexes=true asks for it. pointer is where a rule stands in
// the body.
func (s *Server) indexesToMake(c echo.Context, rules []rule.Rule, pointer func(i int) string) ([]store.MissingIndex, error) {
	p := read(c, createIndexes)
	create := p.boolean(createIndexes)
	if err := p.err(); err != nil {
		return nil, err
	}
	missing, err := s.indexes.MissingIndexes(c.Request().Context(), rules)
	if err != nil || len(missing) == 0 || create != nil && *create {
		return missing, err
	}
	refused := problem(http.StatusUnprocessableEntity, "missing_index",
		"no index serves the rule's window; ?create_indexes=true (eactl: --create-indexes) makes it, which takes minutes where there are many events")
	for _, m := range missing {
		r := rules[m.Rule]
		refused.Errors = append(refused.Errors, FieldFlaw{Rule: r.Name, Pointer: pointer(m.Rule), Message: fmt.Sprintf("needs the index %s of the collection events", m)})
	}
	return nil, refused
}

const createIndexes = "create_indexes"

// indexTime is how long a request waits for indexes beside its own time; pkg/store
// gives each as long.
const indexTime = 5 * time.Minute

// createIndexes goes on when the client, or a proxy before it, does not wait so long:
// the next request finds the indexes.
func (s *Server) createIndexes(ctx context.Context, missing []store.MissingIndex) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), indexTime)
	defer cancel()
	err := s.indexes.CreateIndexes(ctx, missing)
	if err != nil && ctx.Err() != nil {
		return problem(http.StatusGatewayTimeout, "too_slow",
			"%d index(es) were not ready in %s, so nothing was saved; the database may still be making them: try again later, or make them there: db.events.createIndex(%s)",
			len(missing), interval.Duration(indexTime), missing[0])
	}
	return err
}

// withIndex refuses a body of one rule, or makes the index that it lacks.
func (s *Server) withIndex(c echo.Context, r rule.Rule) error {
	missing, err := s.indexesToMake(c, []rule.Rule{r}, func(int) string { return "/window" })
	if err != nil || len(missing) == 0 {
		return err
	}
	return s.createIndexes(c.Request().Context(), missing)
}

// windowIn is where the window of each of some rules stands in an import.
func windowIn(body, some []rule.Rule) func(i int) string {
	at := make(map[string]int, len(body))
	for i, r := range body {
		at[r.Name] = i
	}
	return func(i int) string { return fmt.Sprintf("/%d/window", at[some[i].Name]) }
}

// windowed are the rules with a window that must be saved.
func (p importParts) windowed() (rules []rule.Rule) {
	for _, some := range [][]rule.Rule{p.created, p.changed} {
		for _, r := range some {
			if r.Window != nil {
				rules = append(rules, r)
			}
		}
	}
	return rules
}
