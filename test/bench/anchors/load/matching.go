package load

import (
	"encoding/json"
	"fmt"
	"math/rand"

	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/rule"
)

const (
	// ManyRules is how many rules a matching load has at most, ColdFrom from which
	// one on those of the cold set match nothing.
	ManyRules = 10_000
	ColdFrom  = 1000

	matchingEvents = 2000
	coldTypes      = 2000
)

// Matching is rules, events, and which of them match: the work of a rule index.
type Matching struct {
	Rules []rule.Rule
	// Cold are the first of Rules, and then such as match nothing: what they cost is
	// the cost of their number alone.
	Cold   []rule.Rule
	JSON   [][]byte // events as they are published,
	Events []bson.Raw
	Truth  [][]string // and the ids of the rules that match each, sorted
}

// NewMatching reads the load of a folder, or makes one when that is "". The same
// is made each time: 70 % of the rules name a type, 40 % a severity, 30 % an
// amount, 20 % a source, 10 % a list, 5 % each a regular expression, a field that
// exists, or one of two clauses.
func NewMatching(folder string) (*Matching, error) {
	if folder != "" {
		return readMatching(folder)
	}
	m := &Matching{}
	g := &generator{r: rand.New(rand.NewSource(1)), x: rand.New(rand.NewSource(2))}
	odds := chances()
	rules := make([][]clause, ManyRules)
	for i := range rules {
		rules[i] = g.rule(odds)
		cold := rules[i]
		if i >= ColdFrom {
			cold = []clause{{field: "type", is: fmt.Sprintf("COLD_TYPE_%04d", i%coldTypes)}}
			for _, c := range rules[i] {
				if c.field != "type" {
					cold = append(cold, c)
				}
			}
		}
		for _, to := range []struct {
			rules   *[]rule.Rule
			clauses []clause
		}{{&m.Rules, rules[i]}, {&m.Cold, cold}} {
			r, err := ruleOf(fmt.Sprintf("r-%06d", i), to.clauses)
			if err != nil {
				return nil, err
			}
			*to.rules = append(*to.rules, r)
		}
	}
	events := newGenerator(1008)
	for i := range matchingEvents {
		e := events.event()
		e.EventID = ID(0, i)
		if err := m.add(&e, rules); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func ruleOf(id string, clauses []clause) (rule.Rule, error) {
	var condition bson.D
	for i := range clauses {
		condition = append(condition, clauses[i].condition())
	}
	raw, err := bson.Marshal(condition)
	if err != nil {
		return rule.Rule{}, fmt.Errorf("generate rule: %w", err)
	}
	return rule.Rule{ID: id, Name: id, Priority: rule.DefaultPriority, Conditions: raw, Enabled: true, Mode: rule.Live}, nil
}

// add notes an event and the rules that match it.
func (m *Matching) add(e *event, rules [][]clause) error {
	body, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("generate event: %w", err)
	}
	raw, err := rule.ParseCondition(body) // a document of text and numbers is read the same way
	if err != nil {
		return fmt.Errorf("read a generated event: %w", err)
	}
	var truth []string
	for i := range rules {
		if all(rules[i], e) {
			truth = append(truth, m.Rules[i].ID)
		}
	}
	m.JSON, m.Events, m.Truth = append(m.JSON, body), append(m.Events, raw), append(m.Truth, truth)
	return nil
}

func all(clauses []clause, e *event) bool {
	for i := range clauses {
		if !clauses[i].holds(e) {
			return false
		}
	}
	return true
}
