package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/pkg/store"
)

// What a rule-worker's rules are, as against those that are stored.
const (
	holdsCurrent = "current"
	holdsBehind  = "behind" // has not read the last change yet
	holdsOther   = "other"  // read the last change, and holds something else all the same
	holdsSilent  = "silent" // has not said anything for a while
)

// Holdings is where rule-workers say what they hold.
type Holdings interface {
	RulesStamp(ctx context.Context) (int64, error)
	RuleHoldings(ctx context.Context) ([]rule.Holding, error)
	EnabledVersions(ctx context.Context) (map[string]int, error)
}

// rulesHeld is the answer about all rules.
type rulesHeld struct {
	Stamp   int64       `json:"stamp"`
	Rules   int         `json:"rules"`   // enabled
	Current bool        `json:"current"` // at least one worker speaks, and each that does holds them all
	Workers []shownHeld `json:"workers"`
}

// shownHeld is one worker. With ?rule= it says which version of that it holds,
// or why none.
type shownHeld struct {
	rule.Holding

	State   string `json:"state"`
	Version *int   `json:"version,omitempty"`
	Why     string `json:"why,omitempty"`
}

// rulesStatus: GET /rules/status, what the rule-workers hold; ?rule= asks about
// one.
func (s *Server) rulesStatus(c echo.Context) error {
	ctx := c.Request().Context()
	p := read(c, "rule")
	id := p.text("rule")
	if err := p.err(); err != nil {
		return err
	}
	// The stamp is read first: a worker is never said to be behind a change
	// that came later than what is compared.
	stamp, err := s.holdings.RulesStamp(ctx)
	if err != nil {
		return err
	}
	enabled, err := s.holdings.EnabledVersions(ctx)
	if err != nil {
		return err
	}
	holdings, err := s.holdings.RuleHoldings(ctx)
	if err != nil {
		return err
	}
	answer := rulesHeld{Stamp: stamp, Rules: len(enabled), Workers: []shownHeld{}}
	speaking, current := 0, 0
	for _, h := range holdings {
		one := shownHeld{Holding: h, State: stateOf(h, stamp, enabled, s.now())}
		if id != "" {
			if err := s.heldVersion(ctx, id, &one); err != nil {
				return err
			}
		}
		if one.State != holdsSilent {
			speaking++
		}
		if one.State == holdsCurrent {
			current++
		}
		answer.Workers = append(answer.Workers, one)
	}
	answer.Current = speaking > 0 && speaking == current
	return c.JSON(http.StatusOK, answer)
}

func stateOf(h rule.Holding, stamp int64, enabled map[string]int, now time.Time) string {
	switch {
	case h.Silent(now):
		return holdsSilent
	case h.Stamp < stamp:
		return holdsBehind
	case h.Stamp == stamp && !h.Holds(enabled):
		return holdsOther
	default:
		return holdsCurrent
	}
}

// heldVersion finds out which version of a rule a worker holds, by the stamp of
// what it read.
func (s *Server) heldVersion(ctx context.Context, id string, h *shownHeld) error {
	v, err := s.rules.RuleVersionByStamp(ctx, id, h.Stamp)
	switch {
	case errors.Is(err, store.ErrNotFound):
		h.Why = "the rule did not exist when this worker read its rules"
		return nil
	case err != nil && h.Lacks(id) != "": // neither can its versions be read
		h.Why = "the rule is left out: " + h.Lacks(id)
		return nil
	case err != nil:
		return err
	case v.Deleted:
		h.Why = fmt.Sprintf("the rule is deleted (version %d)", v.Version)
	case !v.Rule.Enabled:
		h.Why = fmt.Sprintf("the rule is disabled (version %d)", v.Version)
	case h.Lacks(id) != "":
		h.Why = fmt.Sprintf("version %d is left out: %s", v.Version, h.Lacks(id))
	default:
		h.Version = &v.Version
	}
	return nil
}
