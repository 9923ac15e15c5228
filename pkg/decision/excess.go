package decision

import (
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/rule"
)

// Excess is one evaluation of a rule that was given up because it took more than
// rule.Budget steps. The event went on without the rule.
type Excess struct {
	Rule    *rule.Rule
	EventID string
	Event   bson.Raw
}

// MostExcesses is how often a version of a rule may exceed its budget: with the
// last it is disabled.
const MostExcesses = 3

// Excesses is a document of the collection `rule_excesses`: the events for which
// a version of a rule exceeded its budget. A new version begins anew.
type Excesses struct {
	ID          string    `bson:"_id"` // <rule_id>:<version>
	RuleID      string    `bson:"rule_id"`
	RuleVersion int       `bson:"rule_version"`
	EventIDs    []string  `bson:"event_ids"` // MostExcesses at most
	Hops        int       `bson:"hops"`      // of the last event
	LastAt      time.Time `bson:"last_at"`
	ExpiresAt   time.Time `bson:"expires_at"`
}

// excessesKept is how long an evaluation over the budget is held against a rule:
// three in a month are no accident.
const excessesKept = 30 * 24 * time.Hour

func excessesID(ruleID string, version int) string { return fmt.Sprintf("%s:%d", ruleID, version) }

// ExcessCounter counts what some batches exceeded. It is pure, as a Holder is.
type ExcessCounter struct {
	Rules Memory[Excesses]

	found []Excess
}

// NewExcessCounter looks at batches that are being decided.
func NewExcessCounter(batches []Batch) *ExcessCounter {
	c := &ExcessCounter{Rules: newMemory[Excesses]()}
	for _, b := range batches {
		for _, e := range b.Excesses {
			c.found = append(c.found, e)
			c.Rules.needed[excessesID(e.Rule.ID, e.Rule.Version)] = true
		}
	}
	return c
}

// Count takes them in. A rule that is to be disabled is not counted any more.
func (c *ExcessCounter) Count(at time.Time) {
	for _, e := range c.found {
		id := excessesID(e.Rule.ID, e.Rule.Version)
		x := c.Rules.Get(id)
		if x.TooMany() {
			continue
		}
		x.ID, x.RuleID, x.RuleVersion = id, e.Rule.ID, e.Rule.Version
		x.EventIDs = append(x.EventIDs[:len(x.EventIDs):len(x.EventIDs)], e.EventID)
		x.Hops, x.LastAt, x.ExpiresAt = rule.Hops(e.Event), at, at.Add(excessesKept)
		c.Rules.change(id, x)
	}
}

// TooMany says that the rule is to be disabled.
func (x Excesses) TooMany() bool { return len(x.EventIDs) >= MostExcesses }

// ExcessesOf are the ids of what batches exceeded.
func ExcessesOf(batches []Batch) []string { return NewExcessCounter(batches).Rules.Needed() }

// Disable announces that a rule was disabled for what it exceeded. r is the
// version that did.
func Disable(r rule.Rule, x Excesses, at time.Time) Announcement {
	return announce(RuleDisabled, RuleDisabledKey, severityDisabled, "", at, x.Hops, announcedPayload{
		RuleID: r.ID, RuleName: r.Name, RuleVersion: r.Version, EventID: x.EventIDs[len(x.EventIDs)-1],
		Reason: fmt.Sprintf("for %d events it took more than %d steps; the clauses that look at all of a large text or array cost most", len(x.EventIDs), rule.Budget),
	})
}
