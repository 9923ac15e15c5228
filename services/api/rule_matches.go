package api

import (
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/events-aggregator/events-aggregator/pkg/metric"
)

// ruleMatch is how often one rule matched.
type ruleMatch struct {
	RuleID    string  `json:"rule_id"`
	Matches   int64   `json:"matches"`
	Sparkline []int64 `json:"sparkline"`
}

type ruleMatchesAnswer struct {
	From  time.Time    `json:"from"`
	To    time.Time    `json:"to"`
	Slot  float64      `json:"slot_seconds"`
	Items []*ruleMatch `json:"items"` // in the order of the question
}

// matchesMost is how many rules can be asked about at once: a page of them.
const matchesMost = 200

// ruleMatches: GET /rules/matches, how many events rules matched over a range, in
// slots of the same length. Matches are counted where they are kept, in the events.
func (s *Server) ruleMatches(c echo.Context) error {
	p := read(c, "rules", "from", "to", "slots")
	var ids []string
	known := map[string]*ruleMatch{}
	answer := ruleMatchesAnswer{Items: []*ruleMatch{}}
	slots := p.integer("slots", sparkSlots, sparkMost)
	for id := range strings.SplitSeq(p.values.Get("rules"), ",") {
		switch {
		case id == "" || len(id) > maxText || !storable(id):
			p.flaw("rules", "%q, expected ids of rules such as pay-large,logins", excerptOf(id))
		case known[id] == nil:
			known[id] = &ruleMatch{RuleID: id, Sparkline: make([]int64, slots)}
			answer.Items, ids = append(answer.Items, known[id]), append(ids, id)
		}
		if len(ids) > matchesMost || len(p.flaws) > 0 {
			break
		}
	}
	if len(ids) > matchesMost {
		p.flaw("rules", "more than %d", matchesMost)
	}
	r := s.within(p, s.analysed(p), metric.Period{}, true)
	if err := p.err(); err != nil {
		return err
	}
	slot := slotLength(r, slots)
	ctx, cancel := s.bounded(c)
	defer cancel()
	found, err := s.analytics.RuleMatches(ctx, ids, r.From, r.To, slot)
	if err != nil {
		return err
	}
	for _, m := range found {
		one := known[m.Rule]
		one.Matches += m.Count
		one.Sparkline[min(m.Slot, slots-1)] += m.Count
	}
	answer.From, answer.To, answer.Slot = r.From, r.To, slot.Seconds()
	return c.JSON(http.StatusOK, answer)
}
