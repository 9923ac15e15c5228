package ctl

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"
)

// explanation is what is shown of one.
type explanation struct {
	Text          string         `json:"text"`
	Outcome       string         `json:"outcome"`
	RuleName      string         `json:"rule_name"`
	EventID       string         `json:"event_id"`
	JudgedVersion int            `json:"judged_version"`
	Steps         []explainStep  `json:"steps"`
	Condition     explainClause  `json:"condition"`
	Now           *explainClause `json:"condition_now"`
}

type explainStep struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	Text string `json:"text"`
}

// explainClause is one clause with what it found.
type explainClause struct {
	Matched bool            `json:"matched"`
	Text    string          `json:"text"`
	Clauses []explainClause `json:"clauses"`
}

func (t *tool) rulesExplain() *cobra.Command {
	return &cobra.Command{Use: "explain RULE EVENT", Short: "Say why a rule did, or did not do, something about a stored event", Args: exactly(2, "a rule's id or name, and an event id"),
		Long: `Say why a rule did, or did not do, something about a stored event: the version that decided it, each clause of the condition,
its window, what held it back, and each attempt of delivery. The first line is the answer.

On a terminal it is text; elsewhere it is JSON, unless -o says otherwise.`,
		Example: `  eactl rules explain "large failed payments" 5b0b4d6e-3c5e-4a35-9f0a-1d2c3b4a5968
  eactl rules explain "large failed payments" 5b0b4d6e-3c5e-4a35-9f0a-1d2c3b4a5968 -o json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			api, path, err := t.rule(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			var answer json.RawMessage
			if err := api.do(cmd.Context(), http.MethodGet, path+"/explain", url.Values{"event": {args[1]}}, nil, &answer); err != nil {
				return err
			}
			if !isTerminal(t.out) && !cmd.Flags().Changed("output") {
				return t.printLine(answer)
			}
			return t.print(answer, func() error {
				var e explanation
				if err := json.Unmarshal(answer, &e); err != nil {
					return fmt.Errorf("read the API's answer: %w", err)
				}
				t.showExplanation(e)
				return nil
			})
		}}
}

// outcomeColors make the first line speak.
var outcomeColors = map[string]text.Color{
	"delivered": text.FgGreen, "would_fire": text.FgGreen, "pending": text.FgYellow, "waits": text.FgYellow, "not_decided": text.FgYellow,
	"held": text.FgYellow, "fired_without_action": text.FgYellow, "dead": text.FgRed, "not_fired": text.FgRed, "would_not_fire": text.FgRed,
}

func (t *tool) showExplanation(e explanation) {
	fmt.Fprintln(t.out, t.paint(outcomeColors[e.Outcome], e.Text))
	fmt.Fprintf(t.out, "\nrule %q, event %s\n", e.RuleName, e.EventID)
	for _, step := range e.Steps {
		fmt.Fprintf(t.out, "%s %s\n", t.mark(step.OK), step.Text)
		if step.Name == "condition" {
			t.showClauses(e.Condition.Clauses, 1)
		}
		if step.Name == "now" && e.Now != nil {
			t.showClauses(e.Now.Clauses, 1)
		}
	}
}

func (t *tool) showClauses(clauses []explainClause, depth int) {
	for _, c := range clauses {
		fmt.Fprintf(t.out, "%s%s %s\n", strings.Repeat("  ", depth), t.mark(c.Matched), c.Text)
		t.showClauses(c.Clauses, depth+1)
	}
}

// mark shows a verdict also to those who see no colours.
func (t *tool) mark(ok bool) string {
	if ok {
		return t.paint(text.FgGreen, "✓")
	}
	return t.paint(text.FgRed, "✗")
}
