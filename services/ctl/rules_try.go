package ctl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/events-aggregator/events-aggregator/pkg/client"
)

// testsTogether is how many events the API tries in one request.
const testsTogether = 100

// tried is an event to try a rule on, with the name it is shown by.
type tried struct {
	name string
	body json.RawMessage // a document, or an id
}

func (t *tool) rulesTest() *cobra.Command {
	var file string
	var events []string
	c := &cobra.Command{Use: "test -f FILE --event ID|FILE", Short: "Try a rule that is not saved on events, clause by clause; nothing is stored or done", Args: exactly(0, "only flags"),
		Example: `  eactl rules test -f rule.yaml --event 5b0b4d6e-3c5e-4a35-9f0a-1d2c3b4a5968
  eactl rules test -f rule.yaml --event events.jsonl`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file == "" || len(events) == 0 {
				return &usageError{errors.New("-f FILE and --event ID|FILE are both needed")}
			}
			draft, err := oneRule(file)
			if err != nil {
				return &usageError{err}
			}
			all, err := readTried(events)
			if err != nil {
				return err
			}
			api, err := t.api()
			if err != nil {
				return err
			}
			return t.testEvents(cmd.Context(), api, draft, all)
		}}
	c.Flags().StringVarP(&file, "file", "f", "", "the rule: JSON, extended JSON or YAML")
	c.Flags().StringArrayVar(&events, "event", nil, "the `ID` of a stored event, or a file of events; may be repeated")
	return c
}

func (t *tool) testEvents(ctx context.Context, api *client.Client, draft json.RawMessage, all []tried) error {
	matched := 0
	var warnings []client.Flaw // of the rule, the same with each chunk
	for some := range slices.Chunk(all, testsTogether) {
		bodies := make([]json.RawMessage, len(some))
		for i, one := range some {
			bodies[i] = one.body
		}
		answer, err := api.TestRule(ctx, client.RuleTest{Rule: draft, Events: bodies})
		if err != nil {
			return err
		}
		warnings = answer.Warnings
		for i, one := range answer.Items {
			if one.Matched {
				matched++
			}
			err := t.print(one, func() error {
				fmt.Fprintf(t.out, "%s %s: %s\n", t.mark(one.Matched), some[i].name, printableLines(one.Text))
				if one.Note != "" {
					fmt.Fprintf(t.out, "  %s\n", one.Note)
				}
				t.showClauses(one.Explanation.Clauses, 1)
				return nil
			})
			if err != nil {
				return err
			}
		}
	}
	t.warn(warnings)
	if matched == 0 {
		return errNothing
	}
	return nil
}

// oneRule reads a file that holds one rule.
func oneRule(file string) (json.RawMessage, error) {
	rules, err := readRules(file)
	if err != nil {
		return nil, err
	}
	if len(rules) != 1 {
		return nil, fmt.Errorf("%s holds %d rules, expected one", file, len(rules))
	}
	return rules[0].JSON()
}

// readTried reads files of events, and takes for an id what is no file.
func readTried(events []string) ([]tried, error) {
	var all []tried
	for _, given := range events {
		f, err := os.Open(given)
		if errors.Is(err, os.ErrNotExist) {
			id, err := json.Marshal(given)
			if err != nil {
				return nil, err
			}
			all = append(all, tried{given, id})
			continue
		}
		if err != nil {
			return nil, &usageError{err}
		}
		n := 0
		err = readEvents(given, f, func(body []byte) error {
			n++
			all = append(all, tried{fmt.Sprintf("%s:%d", given, n), slices.Clone(body)})
			return nil
		})
		_ = f.Close()
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}
