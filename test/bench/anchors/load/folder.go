package load

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"

	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/rule"
)

// readMatching reads a folder with rules.json, rules_cold.json, events.json and
// matches.json (the matches of the first events), a document a line.
func readMatching(folder string) (*Matching, error) {
	m := &Matching{}
	var err error
	if m.Rules, err = readRules(filepath.Join(folder, "rules.json")); err != nil {
		return nil, err
	}
	if m.Cold, err = readRules(filepath.Join(folder, "rules_cold.json")); err != nil {
		return nil, err
	}
	truth := map[string][]string{}
	err = eachLine(filepath.Join(folder, "matches.json"), matchingEvents, func(line []byte) error {
		var known struct {
			EventID string   `json:"event_id"`
			Rules   []string `json:"rules"`
		}
		err := json.Unmarshal(line, &known)
		truth[known.EventID] = known.Rules
		return err
	})
	if err != nil {
		return nil, err
	}
	err = eachLine(filepath.Join(folder, "events.json"), len(truth), func(line []byte) error {
		raw, err := rule.ParseCondition(line)
		if err != nil {
			return err
		}
		id, _ := raw.Lookup("event_id").StringValueOK()
		matches, known := truth[id]
		if !known {
			return fmt.Errorf("no matches are known of event %q", id)
		}
		m.JSON, m.Events, m.Truth = append(m.JSON, bytes.Clone(line)), append(m.Events, raw), append(m.Truth, matches)
		return nil
	})
	if err == nil && (len(m.Rules) == 0 || len(m.Cold) != len(m.Rules) || len(m.Events) == 0) {
		err = fmt.Errorf("%s: rules.json and rules_cold.json must have as many rules, events.json some events", folder)
	}
	return m, err
}

// readRules reads a file of rules. Some ask twice for one field in one document,
// which a rule may not; the same is said by $and.
func readRules(file string) ([]rule.Rule, error) {
	var rules []rule.Rule
	err := eachLine(file, math.MaxInt, func(line []byte) error {
		var r struct {
			ID         string          `json:"rule_id"`
			Name       string          `json:"name"`
			Priority   int             `json:"priority"`
			Conditions json.RawMessage `json:"conditions"`
		}
		var conditions bson.D
		if err := errors.Join(json.Unmarshal(line, &r), bson.UnmarshalExtJSON(r.Conditions, false, &conditions)); err != nil {
			return err
		}
		raw, err := bson.Marshal(joinedByAnd(conditions))
		rules = append(rules, rule.Rule{ID: r.ID, Name: r.Name, Priority: r.Priority, Conditions: raw, Enabled: true, Mode: rule.Live})
		return err
	})
	return rules, err
}

func joinedByAnd(d bson.D) bson.D {
	var all bson.A
	twice := false
	for i, e := range d {
		all = append(all, bson.D{e})
		twice = twice || slices.ContainsFunc(d[:i], func(o bson.E) bool { return o.Key == e.Key })
	}
	if !twice {
		return d
	}
	return bson.D{{Key: "$and", Value: all}}
}

// eachLine hands over the lines of a file, so many at most.
func eachLine(file string, most int, f func([]byte) error) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 1<<20)
	for n := 1; n <= most && lines.Scan(); n++ {
		if err := f(lines.Bytes()); err != nil {
			return fmt.Errorf("%s: line %d: %w", file, n, err)
		}
	}
	return lines.Err()
}
